//! The organisations that come from installations of the App and not from an `[[org]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::Mode;
use beadle_hooks::github::{NO_INSTANCE, OrgFacts, Sender};
use beadle_secrets::SecretString;
use serde::Serialize;

use crate::installations::is_login;
use crate::org::admin;
use crate::{
    AppFile, BudgetFile, File, GateFile, GuardFile, InstallationState, InstallationsFile, Installed, OrgFile,
    Validators, WaiversFile,
};

/// How Beadle treats an installation of the App.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Beadle works on the organisation in mode `observe`.
    TakenIn,
    /// The organisation has an `[[org]]`, so the keys of this `[[org]]` apply.
    Declared,
    /// No pattern matches the login.
    NotAllowed,
    /// A directory, a target or another installation already has the name.
    NameTaken,
    /// The login contains a character that no login can contain.
    InvalidLogin,
    /// The App is suspended in the organisation.
    Suspended,
    /// The App is no longer installed in the organisation.
    Uninstalled,
}

impl Standing {
    /// Returns the standing as a sentence about the organisation, without the organisation's name.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TakenIn => "taken in, mode observe",
            Self::Declared => "an [[org]] names it",
            Self::NotAllowed => "not taken in: no pattern of `installations.organisations` matches it",
            Self::NameTaken => {
                "not taken in: another installation, an [[okta]] or a [[target]] has the same name"
            }
            Self::InvalidLogin => "not taken in: its login is invalid",
            Self::Suspended => {
                "the App is suspended, Beadle sends no request for it and keeps its stored state"
            }
            Self::Uninstalled => {
                "the App is uninstalled, Beadle sends no request for it and keeps its stored state"
            }
        }
    }
}

impl File {
    /// Returns the standing of each installation, in the order of the list.
    pub fn standings<'a>(&self, installed: &'a [Installed]) -> Vec<(&'a Installed, Standing)> {
        let Some(from) = &self.installations else { return Vec::new() };
        let mut logins: BTreeMap<String, usize> = BTreeMap::new();
        for one in installed.iter().filter(|one| one.state == InstallationState::Active) {
            *logins.entry(one.login.to_ascii_lowercase()).or_default() += 1;
        }
        let standing = |one: &Installed| {
            let is_its = |name: &String| name.eq_ignore_ascii_case(&one.login);
            let mut others = self.okta.iter().map(|okta| &okta.name);
            let mut targets = self.target.iter().map(|target| &target.name);
            if self.org.iter().any(|org| !org.is_taken_in && is_its(&org.name)) {
                return Standing::Declared;
            }
            match one.state {
                InstallationState::Suspended => Standing::Suspended,
                InstallationState::Uninstalled => Standing::Uninstalled,
                InstallationState::Active if !is_login(&one.login) => Standing::InvalidLogin,
                InstallationState::Active if !from.allows(&one.login) => Standing::NotAllowed,
                InstallationState::Active => {
                    // After a rename, the old login might belong to another organisation.
                    let is_shared =
                        logins.get(&one.login.to_ascii_lowercase()).is_some_and(|count| *count > 1);
                    let is_taken = is_shared || others.any(is_its) || targets.any(is_its);
                    if is_taken { Standing::NameTaken } else { Standing::TakenIn }
                }
            }
        };
        installed.iter().map(|one| (one, standing(one))).collect()
    }

    /// Adds an organisation in mode `observe` for each installation with [`Standing::TakenIn`].
    /// Removes the organisations that an earlier call added.
    pub fn take_in(&mut self, installed: &[Installed]) {
        self.org.retain(|org| !org.is_taken_in);
        let Some(from) = &self.installations else { return };
        let taken = self.standings(installed).into_iter();
        let taken = taken.filter(|(_, standing)| *standing == Standing::TakenIn);
        let taken: Vec<_> =
            taken.map(|(one, _)| Arc::new(organisation(from, &one.login, Some(one.installation)))).collect();
        self.org.extend(taken);
    }

    /// Returns an example of the organisations that Beadle adds. A check of the files uses this
    /// example, because the check knows no real organisation.
    pub fn any_taken_in(&self) -> Option<Arc<OrgFile>> {
        let from = self.installations.as_ref()?;
        Some(Arc::new(organisation(from, "[installations]", None)))
    }

    /// Returns whether the configuration contains exactly the added organisations that the
    /// installations in `installed` require.
    pub fn has_taken_in(&self, installed: &[Installed]) -> bool {
        let wanted = self.standings(installed).into_iter();
        let wanted = wanted.filter(|(_, standing)| *standing == Standing::TakenIn);
        let mut wanted: Vec<(&str, Option<u64>)> =
            wanted.map(|(one, _)| (one.login.as_str(), Some(one.installation))).collect();
        let taken = self.org.iter().filter(|org| org.is_taken_in);
        let mut taken: Vec<(&str, Option<u64>)> =
            taken.map(|org| (org.name.as_str(), org.app.as_ref().and_then(|app| app.installation))).collect();
        wanted.sort_unstable();
        taken.sort_unstable();
        wanted == taken
    }

    /// Returns the App of `[installations]` as a sender of webhooks. The App's events about
    /// installations come from organisations that are not in the configuration. `secrets` are the
    /// values of the App's webhook secrets.
    pub fn installations_sender(&self, secrets: Vec<SecretString>) -> Option<Sender> {
        let from = self.installations.as_ref()?;
        Some(Sender {
            instance: NO_INSTANCE.into(),
            login: String::new(),
            app_id: Some(from.app.id),
            secrets,
            known: OrgFacts::default(),
            dispatches: Vec::new(),
            keeps_teams: false,
            policies: Vec::new(),
            takes_installations: true,
        })
    }
}

/// Returns the organisation of an installation in the form of an `[[org]]` in mode `observe`.
fn organisation(from: &InstallationsFile, login: &str, installation: Option<u64>) -> OrgFile {
    OrgFile {
        name: login.to_owned(),
        api: from.api.clone(),
        app: Some(AppFile { installation, ..from.app.clone() }),
        token: None,
        webhook_secrets: from.webhook_secrets.clone(),
        policy: from.policy.clone(),
        base: None,
        policy_repository: admin(),
        mode: Mode::Observe,
        modes: BTreeMap::new(),
        validators: Validators::default(),
        secrets: BTreeMap::new(),
        guard: GuardFile::default(),
        gate: GateFile::default(),
        waivers: WaiversFile::default(),
        approve_by_review: None,
        approve_by_comment: None,
        commit_check: false,
        budget: BudgetFile::default(),
        sweep_every: None,
        reread: None,
        schedule: None,
        dispatch: Vec::new(),
        is_taken_in: true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::Time;

    use super::*;
    use crate::{PolicySource, Source};

    fn file(patterns: &str) -> File {
        let text = format!(
            "[installations]\napp = {{ id = 7, key = \"env:K\" }}\norganisations = {patterns}\npolicy = \"base\"\n\
             [[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\nmode = \"enforce\"\n\
             [[okta]]\nname = \"corp\"\nurl = \"https://x\"\ntoken = \"env:T\"\n"
        );
        File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap()
    }

    fn installed(login: &str, id: u64, state: InstallationState) -> Installed {
        Installed { login: login.into(), organisation: id, installation: id + 100, state, since: Time(0) }
    }

    #[test]
    fn only_an_allowed_active_installation_with_a_name_of_its_own_is_taken_in() {
        use InstallationState::{Active, Suspended, Uninstalled};
        let mut file = file("[\"acme*\", \"corp\", \"twin\"]");
        let all = [
            installed("Acme", 1, Active),
            installed("acme-labs", 2, Active),
            installed("stranger", 3, Active),
            installed("Corp", 4, Active),
            installed("acme-old", 5, Uninstalled),
            installed("acme-paused", 6, Suspended),
            installed("twin", 7, Active),
            installed("Twin", 8, Active),
            installed("acme/x", 9, Active),
        ];
        let expected = [
            Standing::Declared,
            Standing::TakenIn,
            Standing::NotAllowed,
            Standing::NameTaken,
            Standing::Uninstalled,
            Standing::Suspended,
            Standing::NameTaken,
            Standing::NameTaken,
            Standing::InvalidLogin,
        ];
        let standings =
            |file: &File| file.standings(&all).into_iter().map(|(_, standing)| standing).collect::<Vec<_>>();
        assert_eq!(standings(&file), expected);
        assert!(!file.has_taken_in(&all));
        file.take_in(&all);
        assert_eq!(standings(&file), expected, "an organisation that was taken in is not declared");
        assert!(file.has_taken_in(&all));
        let names: Vec<&str> = file.org.iter().map(|org| org.name.as_str()).collect();
        assert_eq!(names, ["acme", "acme-labs"]);
        let taken = &file.org[1];
        assert_eq!((taken.mode, taken.is_taken_in), (Mode::Observe, true));
        assert_eq!(taken.app.as_ref().unwrap().installation, Some(102));
        assert_eq!(taken.policy, PolicySource::Folder("base".into()));
        // After a new installation in the same organisation, the installation has another id.
        let again = [Installed { installation: 300, ..all[1].clone() }];
        assert!(!file.has_taken_in(&again));
        file.take_in(&[]);
        assert_eq!(file.org.len(), 1);
    }

    #[test]
    fn without_the_section_nothing_is_taken_in() {
        let text = "[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\n";
        let mut file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        let all = [installed("other", 1, InstallationState::Active)];
        assert!(file.standings(&all).is_empty() && file.has_taken_in(&all));
        file.take_in(&all);
        assert_eq!(file.org.len(), 1);
        assert!(file.installations_sender(Vec::new()).is_none());
    }
}
