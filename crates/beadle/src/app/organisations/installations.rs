//! The installations of the App in `[installations]`. The service lists the installations at GitHub
//! and stores the list. If the list of the service's organisations changes, the service opens all
//! organisations again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use beadle_config::{InstallationState, Installed, Standing};
use beadle_engine::{Budgets, Clock, Store, StoreError, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Installation, Reader};
use tokio::sync::{Mutex, Notify, OnceCell};

use crate::app::organisations::installation_list_limits::{ASKED, ListPace, considered, kept};
use crate::app::service::last_sweep_generation::LastSweep;
use crate::app::store;
use crate::config::{Config, InstallationsFile};
use crate::output::plural::counted;

/// Adds to the configuration the organisations that the service accepted through `[installations]`.
/// A command reads these organisations from the store, and sends no request.
pub(crate) async fn with_stored(mut config: Config) -> anyhow::Result<Config> {
    if config.file.installations.is_some()
        && let Some(store) = store::open_if_there(&config).await?
    {
        take_in(&mut config, store.as_ref()).await?;
    }
    Ok(config)
}

/// Adds the organisations of the stored installations to the configuration.
pub(crate) async fn take_in(config: &mut Config, store: &dyn Store) -> Result<(), StoreError> {
    let installed = stored(config, store).await?;
    config.file.take_in(&installed);
    Ok(())
}

/// Returns the stored installations of the App.
pub(crate) async fn stored(config: &Config, store: &dyn Store) -> Result<Vec<Installed>, StoreError> {
    match &config.file.installations {
        Some(from) => Installed::all(from.app.id, store).await,
        None => Ok(Vec::new()),
    }
}

/// Opens a reader that acts as the App itself. Sends no request.
pub(crate) fn reader(config: &Config, from: &InstallationsFile, clock: &Clock) -> anyhow::Result<Reader> {
    let what = "the credential of [installations]";
    let key = config.signing_key(&from.app.key, what)?;
    let credential = Credential::App { id: from.app.id, key, installation: None };
    let budgets = Budgets::new(&format!("App {}", from.app.id), 0);
    let settings = beadle_transport::ClientSettings::default();
    let api = Api::new(&Endpoint::new(&from.api), "-", credential, budgets, clock, settings);
    Ok(Reader::new(api.map_err(anyhow::Error::msg).context(what)?, Asks::default()))
}

/// The installations of the App, for the service.
#[derive(Default)]
pub(crate) struct Installations {
    reader: OnceCell<Reader>,
    /// A lock, so that only one caller at a time compares GitHub's list with the store.
    looking: Mutex<ListPace>,
    /// True if the list of the service's organisations has changed.
    has_changed: AtomicBool,
    changed: Notify,
}

impl Installations {
    /// Lists the installations at GitHub, and stores the changes. Returns a text about the changes.
    /// If the list is incomplete, stores nothing. If the last list was long and recent, does
    /// nothing. A later call then reads the list.
    pub(crate) async fn look(
        &self,
        config: &Config,
        store: &dyn Store,
        clock: &Clock,
    ) -> anyhow::Result<Option<String>> {
        let Some(from) = &config.file.installations else { return Ok(None) };
        let mut pace = self.looking.lock().await;
        if !pace.is_due(clock.now()) {
            return Ok(None);
        }
        let reader = self.reader.get_or_try_init(|| std::future::ready(reader(config, from, clock))).await?;
        let before = Installed::all(from.app.id, store).await?;
        let list = reader.installations().await?;
        pace.listed(clock.now(), list.requests);
        let listed = considered(list.installations, &before, |login| is_wanted(config, from, login));
        let mut gone = BTreeSet::new();
        for one in missing(&before, &listed).into_iter().take(ASKED) {
            // The list might be incomplete, so Beadle asks GitHub about each missing installation.
            if !reader.has_installation(one.installation).await? {
                gone.insert(one.organisation);
            }
        }
        let changes = changes(&before, &listed, &gone, clock.now());
        for one in &changes {
            let standings = config.file.standings(std::slice::from_ref(one));
            if standings.iter().any(|(_, standing)| *standing == Standing::TakenIn) {
                // If the store has no record of a last sweep, a sweep is due. The sweep finds the
                // changes that somebody made while Beadle did not manage the organisation.
                LastSweep::note(&one.login).forget(store).await?;
            }
            let (organisation, state) = (&one.login, one.state.describe());
            tracing::info!(
                organisation,
                installation = one.installation,
                state,
                "installation of the App changed"
            );
        }
        let stored = before.len();
        let now = kept(with_changes(before, &changes), |login| is_wanted(config, from, login));
        let is_same = config.file.has_taken_in(&now);
        if !changes.is_empty() || now.len() != stored {
            Installed::put_all(from.app.id, now, store).await?;
        }
        if !is_same {
            self.has_changed.store(true, Ordering::SeqCst);
            self.changed.notify_one();
        }
        let count = changes.len() as u64;
        Ok((count > 0).then(|| format!("{} changed", counted(count, "installation", "installations"))))
    }

    /// Waits until the list of the service's organisations changes.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns whether the list of the service's organisations has changed.
    #[cfg(feature = "aws")]
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::SeqCst)
    }
}

/// Returns an installation in its stored form.
pub(crate) fn observed(one: &Installation, now: Time) -> Installed {
    Installed {
        login: one.login.clone(),
        organisation: one.organisation,
        installation: one.id,
        state: if one.is_suspended { InstallationState::Suspended } else { InstallationState::Active },
        since: now,
    }
}

/// Returns whether an organisation has an `[[org]]` or matches a pattern.
fn is_wanted(config: &Config, from: &InstallationsFile, login: &str) -> bool {
    from.allows(login) || config.file.org.iter().any(|org| org.name.eq_ignore_ascii_case(login))
}

/// Returns the installations that are missing from the list.
fn missing<'a>(before: &'a [Installed], listed: &[Installation]) -> Vec<&'a Installed> {
    let listed: BTreeSet<u64> = listed.iter().map(|one| one.organisation).collect();
    let is_missing =
        |one: &&Installed| one.state != InstallationState::Uninstalled && !listed.contains(&one.organisation);
    before.iter().filter(is_missing).collect()
}

/// Returns the installations to store: the new installations, the changed installations, and the
/// installations in `gone`.
fn changes(before: &[Installed], listed: &[Installation], gone: &BTreeSet<u64>, now: Time) -> Vec<Installed> {
    let known: BTreeMap<u64, &Installed> = before.iter().map(|one| (one.organisation, one)).collect();
    let mut changed = Vec::new();
    for one in listed {
        let present = observed(one, now);
        let is_same = known
            .get(&one.organisation)
            .is_some_and(|known| **known == Installed { since: known.since, ..present.clone() });
        changed.extend((!is_same).then_some(present));
    }
    let gone = before.iter().filter(|one| gone.contains(&one.organisation));
    changed.extend(gone.map(|one| Installed {
        state: InstallationState::Uninstalled,
        since: now,
        ..one.clone()
    }));
    changed
}

/// Returns all known installations after these changes.
fn with_changes(before: Vec<Installed>, changes: &[Installed]) -> Vec<Installed> {
    let all = before.into_iter().chain(changes.iter().cloned());
    let all: BTreeMap<u64, Installed> = all.map(|one| (one.organisation, one)).collect();
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(organisation: u64, login: &str) -> Installation {
        Installation { id: organisation + 100, organisation, login: login.into(), is_suspended: false }
    }

    fn installed(organisation: u64, login: &str, state: InstallationState) -> Installed {
        Installed {
            login: login.into(),
            organisation,
            installation: organisation + 100,
            state,
            since: Time(5),
        }
    }

    #[test]
    fn only_what_differs_from_the_store_is_stored() {
        use InstallationState::{Active, Suspended, Uninstalled};
        let before = [installed(1, "a", Active), installed(2, "b", Active), installed(3, "c", Suspended)];
        let none = BTreeSet::new();
        let states = |listed: &[Installation], gone: &BTreeSet<u64>| {
            let changes = changes(&before, listed, gone, Time(9));
            let text = |one: &Installed| {
                format!("{} {} {:?} {}", one.login, one.installation, one.state, one.since.0)
            };
            changes.iter().map(text).collect::<Vec<_>>()
        };
        let suspended = |one: Installation| Installation { is_suspended: true, ..one };
        let same = [listed(1, "a"), listed(2, "b"), suspended(listed(3, "c"))];
        assert_eq!(states(&same, &none), Vec::<String>::new());
        let other = [
            listed(1, "renamed"),
            Installation { id: 300, ..listed(2, "b") },
            listed(3, "c"),
            listed(4, "d"),
        ];
        assert_eq!(
            states(&other, &none),
            ["renamed 101 Active 9", "b 300 Active 9", "c 103 Active 9", "d 104 Active 9"]
        );
        assert_eq!(states(&[suspended(listed(1, "a"))], &none), ["a 101 Suspended 9"]);
        assert_eq!(states(&[], &BTreeSet::from([2])), ["b 102 Uninstalled 9"]);
        let gone = [installed(4, "d", Uninstalled), installed(5, "e", Active)];
        let missing = |listed: &[Installation]| {
            missing(&gone, listed).iter().map(|one| one.organisation).collect::<Vec<_>>()
        };
        assert_eq!((missing(&[]), missing(&[listed(5, "e")])), (vec![5], vec![]));
        let changed = [installed(2, "b", Uninstalled), installed(4, "d", Active)];
        let after = with_changes(before.to_vec(), &changed);
        let states: Vec<_> = after.iter().map(|one| (one.organisation, one.state)).collect();
        assert_eq!(states, [(1, Active), (2, Uninstalled), (3, Suspended), (4, Active)]);
    }

    #[tokio::test]
    async fn the_installations_of_an_app_are_stored_and_read_again() {
        let (_folder, store) = store::temporary().unwrap();
        let all = vec![
            installed(1, "b", InstallationState::Active),
            installed(2, "a", InstallationState::Suspended),
        ];
        Installed::put_all(7, all.clone(), store.as_ref()).await.unwrap();
        let read = Installed::all(7, store.as_ref()).await.unwrap();
        assert_eq!(read, [all[1].clone(), all[0].clone()]);
        assert!(Installed::all(8, store.as_ref()).await.unwrap().is_empty());
    }
}
