//! Begins and ends pauses. `beadle pause`, `beadle resume` and the pages use this module.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Pause, Store, Time, revive_paused};
use beadle_github::Reader;
use beadle_repositories::policy::nearest;
use beadle_repositories::undo;

use crate::app::operations::decided_by::DecidedBy;
use crate::config::{Config, OrgConfig, TargetConfig};

/// The maximum length of a pause. Because of this limit, even a forgotten pause ends.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The names that an operator uses to specify the scope of a pause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScopeNames<'a> {
    /// The name of an organisation.
    pub(crate) org: Option<&'a str>,
    /// The name of a repository, such as `acme/widgets`. If `org` is set, the owner can be left
    /// out.
    pub(crate) repo: Option<&'a str>,
    /// The name of a target.
    pub(crate) target: Option<&'a str>,
}

/// The scope as an operator specified it. Beadle has not yet asked GitHub for the id of the
/// repository.
#[derive(Debug)]
pub(crate) enum NamedScope {
    /// An organisation or a target.
    Instance(String),
    /// A repository.
    Repository {
        /// The organisation.
        org: Arc<OrgConfig>,
        /// The owner and the name, as the operator typed them.
        full_name: String,
        /// The name.
        name: String,
    },
}

/// The part of the work that a pause stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PauseScope {
    /// The scope in the form that the queue uses.
    pub(crate) scope: String,
    /// The readable name.
    pub(crate) name: String,
}

/// The effect of the end of a pause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// The pause ended. Some repositories might have values that an undo restored. Beadle still
    /// only observes these values.
    Ended {
        /// The number of repositories with values that an undo restored.
        undone: usize,
    },
    /// There is no pause.
    NotPaused,
    /// The target consists of the teams of this organisation, and the organisation is paused until
    /// this time. So the target stays paused until the same time.
    OrganisationPaused {
        /// The name of the organisation.
        organisation: String,
        /// The end of the organisation's pause.
        until: Time,
    },
}

impl Resumed {
    /// Returns why the scope `name` is still paused, or `None` if it is not paused.
    pub(crate) fn why_still_paused(&self, name: &str) -> Option<String> {
        let Self::OrganisationPaused { organisation, until } = self else { return None };
        Some(format!("{name} stays paused until {until}, because the organisation {organisation} is paused"))
    }
}

/// Finds the scope that an operator specified. Sends no request.
pub(crate) fn named(config: &Config, names: ScopeNames<'_>) -> anyhow::Result<NamedScope> {
    if let Some(target) = names.target {
        let known = config.file.target.iter().map(|target| target.name.as_str());
        if !known.clone().any(|name| name == target) {
            let near = nearest(target, known);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("the configuration has no target `{target}`{hint}");
        }
        return Ok(NamedScope::Instance(target.to_owned()));
    }
    let full_name = match (names.org, names.repo) {
        (Some(org), None) => return Ok(NamedScope::Instance(config.orgs(Some(org))?[0].name.clone())),
        (org, Some(repo)) if repo.contains('/') && org.is_none() => repo.to_owned(),
        (Some(org), Some(repo)) if !repo.contains('/') => format!("{org}/{repo}"),
        _ => bail!("specify `--org ORG`, `--repo OWNER/NAME` or `--target TARGET`"),
    };
    let (owner, name) = full_name.split_once('/').context("specify `--repo OWNER/NAME`")?;
    let (org, name) = (config.orgs(Some(owner))?[0].clone(), name.to_owned());
    Ok(NamedScope::Repository { org, full_name, name })
}

impl PauseScope {
    /// Returns the scope of an organisation or a target.
    pub(crate) fn of_instance(name: String) -> Self {
        Self { scope: name.clone(), name }
    }

    /// Returns the scope of a repository. Asks GitHub for the repository's id.
    pub(crate) async fn of_repository(
        reader: &Reader,
        organisation: &str,
        (full_name, name): (String, &str),
    ) -> anyhow::Result<Self> {
        let index = reader.index().await?;
        let row = index.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        let row = row.with_context(|| {
            format!("repository `{full_name}` does not exist, or the App has no access to it")
        })?;
        Ok(Self { scope: format!("repository:{organisation}:{}", row.id), name: full_name })
    }

    /// Begins a pause, or moves the end of an existing pause. Returns the end of the pause.
    pub(crate) async fn pause(
        &self,
        (config, store): (&Config, &dyn Store),
        time: Duration,
        by: DecidedBy,
        now: Time,
    ) -> anyhow::Result<Time> {
        check_length(time)?;
        let paused = store.pauses(now).await?;
        let end = |scope: &str| paused.iter().find(|pause| pause.scope == scope).map(|pause| pause.until);
        let of_organisation = organisation_of(config, &self.scope).and_then(end);
        // A pause of a target cannot be shorter than the pause of its organisation.
        let until = of_organisation.map_or(now + time, |end| end.max(now + time));
        store.pause(&self.scope, until).await?;
        for target in teams_of(config, &self.scope) {
            // If the target has a longer pause of its own, that pause stays in force. A pause that
            // ends with the earlier pause of the organisation is not the target's own.
            let is_own = end(target).is_some() && end(target) != end(&self.scope);
            if !is_own || end(target) < Some(until) {
                store.pause(target, until).await?;
            }
        }
        let DecidedBy { name: by, reason } = by;
        self.note(store, OperatorAction::Paused { paused_until: until.to_string(), by, reason }, now).await?;
        Ok(until)
    }

    /// Ends a pause.
    pub(crate) async fn resume(
        &self,
        (config, store): (&Config, &dyn Store),
        by: DecidedBy,
        now: Time,
    ) -> anyhow::Result<Resumed> {
        let scope = self.scope.as_str();
        let paused = store.pauses(now).await?;
        let until = |scope: &str| paused.iter().find(|pause| pause.scope == scope).map(|pause| pause.until);
        if let Some(organisation) = organisation_of(config, scope)
            && let Some(end) = until(organisation)
        {
            store.pause(scope, end).await?;
            return Ok(Resumed::OrganisationPaused { organisation: organisation.to_owned(), until: end });
        }
        for target in teams_of(config, scope) {
            // If the target's pause ends at another time, somebody paused the target itself. That
            // pause stays in force.
            if until(target).is_some() && until(target) == until(scope) {
                store.resume(target).await?;
                revive_paused(store, target, now).await?;
            }
        }
        if !store.resume(scope).await? {
            return Ok(Resumed::NotPaused);
        }
        revive_paused(store, scope, now).await?;
        let DecidedBy { name: by, reason } = by;
        self.note(store, OperatorAction::Resumed { resumed: true, by, reason }, now).await?;
        Ok(Resumed::Ended { undone: undo::count(store, scope).await? })
    }

    /// Lets Beadle replace the values that an undo restored in a scope. Beadle then writes the
    /// values of the policy again. The end of a pause does not replace restored values, because the
    /// operator who ends the pause might not know about the undo. Returns the number of
    /// repositories.
    pub(crate) async fn end_undo(
        &self,
        store: &dyn Store,
        by: DecidedBy,
        now: Time,
    ) -> anyhow::Result<usize> {
        let undone = undo::forget(store, &self.scope, now).await?;
        if undone > 0 {
            let DecidedBy { name: by, reason } = by;
            self.note(store, OperatorAction::EndedUndo { ended_undo: undone, by, reason }, now).await?;
        }
        Ok(undone)
    }

    async fn note(&self, store: &dyn Store, action: OperatorAction, at: Time) -> anyhow::Result<()> {
        let entry = Entry::of_operator(action, (&self.scope, &self.name), at);
        store.journal(None, vec![entry], at).await?;
        Ok(())
    }
}

/// Checks the length of a pause.
pub(crate) fn check_length(time: Duration) -> anyhow::Result<()> {
    if time.is_zero() || time > LONGEST {
        bail!("invalid duration of a pause: it must be between `1s` and `30d`");
    }
    Ok(())
}

/// Pauses the targets that are teams of a paused organisation. Somebody could have added such a target
/// to the configuration after the pause began.
pub(crate) async fn pause_new_targets(config: &Config, store: &dyn Store, now: Time) -> anyhow::Result<()> {
    let paused = store.pauses(now).await?;
    for organisation in &paused {
        for target in teams_of(config, &organisation.scope) {
            let is_covered = |pause: &Pause| pause.scope == target && pause.until >= organisation.until;
            if !paused.iter().any(is_covered) {
                store.pause(target, organisation.until).await?;
            }
        }
    }
    Ok(())
}

/// If a target consists of teams, returns the name of their organisation.
fn organisation_of<'a>(config: &'a Config, target: &str) -> Option<&'a str> {
    let target = config.file.target.iter().find(|one| one.name == target)?;
    target.github.as_ref().map(|teams| teams.org.as_str())
}

/// Returns the targets that are teams of this organisation. A pause of the organisation must also
/// stop the writes to these teams.
fn teams_of<'a>(config: &'a Config, org: &str) -> Vec<&'a str> {
    let is_its = |target: &&Arc<TargetConfig>| target.github.as_ref().is_some_and(|teams| teams.org == org);
    config.file.target.iter().filter(is_its).map(|target| target.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n";

    fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, CONFIG).unwrap();
        let config = Config::load(&path).unwrap();
        (folder, config)
    }

    #[test]
    fn a_scope_is_an_organisation_a_repository_or_a_target() {
        let (_folder, config) = config();
        let found = |org, repo, target| match named(&config, ScopeNames { org, repo, target }) {
            Ok(NamedScope::Instance(name)) => Some(name),
            Ok(NamedScope::Repository { full_name, name, .. }) => Some(format!("{full_name}, {name}")),
            Err(_) => None,
        };
        for (org, repo, target, expected) in [
            (Some("acme"), None, None, Some("acme")),
            (None, Some("acme/widgets"), None, Some("acme/widgets, widgets")),
            (Some("acme"), Some("widgets"), None, Some("acme/widgets, widgets")),
            (Some("acme"), Some("acme/widgets"), None, None),
            (None, Some("widgets"), None, None),
            (None, Some("other/widgets"), None, None),
            (Some("other"), None, None, None),
            (None, None, Some("aws"), None),
            (None, None, None, None),
        ] {
            let scope = found(org, repo, target);
            assert_eq!(scope.as_deref(), expected, "{org:?} {repo:?} {target:?}");
        }
    }

    #[tokio::test]
    async fn the_teams_of_a_paused_organisation_are_paused_exactly_as_long() {
        let (folder, _) = config();
        let text = CONFIG.replace("token = \"env:T\"", "app = { id = 1, key = \"env:K\" }");
        let text = format!(
            "{text}[[target]]\nname = \"teams\"\ngithub = {{ org = \"acme\", teams_from_policy = true }}\n"
        );
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        let (_stored, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let [acme, teams] = ["acme", "teams"].map(|name| PauseScope::of_instance(name.to_owned()));
        let (hour, by) = (Duration::from_secs(3600), || DecidedBy::without_reason("ann"));
        let pause = async |scope: &PauseScope, time| {
            scope.pause((&config, store), time, by(), Time(0)).await.unwrap()
        };
        let resume = async |scope: &PauseScope| scope.resume((&config, store), by(), Time(1)).await.unwrap();
        let end = async || {
            let pauses = store.pauses(Time(1)).await.unwrap();
            pauses.into_iter().find(|pause| pause.scope == "teams").map(|pause| pause.until)
        };
        let long = pause(&acme, 2 * hour).await;
        assert_eq!(end().await, Some(long));
        assert_eq!(pause(&teams, hour / 60).await, long, "a shorter pause of the target changes nothing");
        assert!(matches!(resume(&teams).await, Resumed::OrganisationPaused { .. }));
        assert_eq!(end().await, Some(long));
        let short = pause(&acme, hour).await;
        assert_eq!(end().await, Some(short), "the teams go on with their organisation");
        resume(&acme).await;
        assert_eq!(end().await, None);
        // A longer pause of the target stays.
        let own = pause(&teams, 3 * hour).await;
        pause(&acme, hour).await;
        resume(&acme).await;
        assert_eq!(end().await, Some(own));
        // The configuration got the target during the pause.
        store.resume("teams").await.unwrap();
        store.pause("acme", long).await.unwrap();
        pause_new_targets(&config, store, Time(1)).await.unwrap();
        assert_eq!(end().await, Some(long));
    }

    #[tokio::test]
    async fn a_pause_ends_only_once_and_the_journal_names_the_person() {
        let (_folder, config) = config();
        let (_stored, store) = crate::app::store::temporary().unwrap();
        let (scope, store) = (PauseScope::of_instance("acme".into()), store.as_ref());
        let by = DecidedBy::without_reason;
        let ann = || DecidedBy { reason: Some("release".into()), ..by("ann") };
        let hour = Duration::from_secs(3600);
        for wrong in [Duration::ZERO, LONGEST + hour] {
            assert!(scope.pause((&config, store), wrong, ann(), Time(1)).await.is_err());
        }
        let until = scope.pause((&config, store), hour, ann(), Time(1)).await.unwrap();
        assert_eq!(until, Time(3_600_001));
        assert_eq!(store.pauses(Time(2)).await.unwrap().len(), 1);
        for expected in [Resumed::Ended { undone: 0 }, Resumed::NotPaused] {
            assert_eq!(scope.resume((&config, store), by("bob"), Time(2)).await.unwrap(), expected);
        }
        assert_eq!(scope.end_undo(store, by("bob"), Time(3)).await.unwrap(), 0);
        let listing = beadle_engine::Listing { limit: 10, ..beadle_engine::Listing::default() };
        let entries = store.entries(listing).await.unwrap();
        let details: Vec<String> = entries.iter().map(|entry| entry.detail.to_string()).collect();
        assert_eq!(details.len(), 2, "{details:?}");
        assert!(details[0].contains("ann") && details[1].contains("bob"), "{details:?}");
        assert!(details[0].contains("release") && !details[1].contains("reason"), "{details:?}");
    }
}
