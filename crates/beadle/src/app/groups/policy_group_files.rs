//! Reads `teams.yml` or `members.yml` in the policy of an organisation. The file declares groups
//! for the target that consists of this organisation's teams.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::{Clock, Mode, Store, Time};
use beadle_groups::mapping::Role;
use beadle_groups::sources::{FileSource, FileTeam};
use beadle_repositories::policy::{DeclaredTeam, Problem, TEAMS, read_teams, read_text};
use futures::FutureExt as _;
use tokio::sync::Mutex;

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::file_timeout::FileReader;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::store::{in_force, texts};
use crate::config::{Config, OrgConfig, PolicySource};

/// The place of the file.
enum Place {
    /// In a folder.
    Folder { path: PathBuf, files: Mutex<FileReader> },
    /// In the store, because the policy comes from a repository.
    Stored { organisation: String, store: Option<Arc<dyn Store>> },
    /// In the store of a service. The policy comes from a folder, and is in force only after the
    /// gate has accepted the policy.
    Accepted { organisation: Arc<OrgConfig>, store: Arc<dyn Store> },
}

/// How long a new text in a folder must stay the same before Beadle uses it. Somebody might still
/// be writing the file. An unfinished list would then look like a list with fewer members.
const SETTLED: Duration = Duration::from_secs(3);

/// A function that returns the declared groups in the text of a file.
pub(in crate::app) type Parse = Box<dyn Fn(&str) -> anyhow::Result<Vec<FileTeam>> + Send + Sync>;

struct PolicyGroupFile {
    /// The name of the file.
    name: &'static str,
    parse: Parse,
    place: Place,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The text that is in use, and its teams.
    last: Option<(String, Arc<Vec<FileTeam>>)>,
    /// A newer text, and the time at which Beadle first read this text.
    candidate: Option<(String, Time)>,
}

impl State {
    /// Returns the teams in use, if `version` is already in use or is still too new.
    fn in_use(&mut self, version: &str, settled: Duration, now: Time) -> Option<Arc<Vec<FileTeam>>> {
        let (known, teams) = self.last.as_ref()?;
        if known == version {
            self.candidate = None;
            return Some(teams.clone());
        }
        let first = match &self.candidate {
            Some((text, at)) if text == version => *at,
            _ => {
                self.candidate = Some((version.to_owned(), now));
                now
            }
        };
        (now.since(first) < settled).then(|| teams.clone())
    }
}

/// Returns the declared groups in the text of `teams.yml`.
pub(super) fn parse_teams(text: &str) -> anyhow::Result<Vec<FileTeam>> {
    let declared = read_teams(TEAMS, text).map_err(|problems| first(&problems))?;
    Ok(declared.into_iter().map(team).collect())
}

/// Returns the first mistake of a file as an error.
pub(super) fn first(problems: &[Problem]) -> anyhow::Error {
    let first = problems.first().map(|problem| format!("{}: {}", problem.asked, problem.message));
    anyhow::Error::msg(first.unwrap_or_default())
}

/// Returns the source of the declared groups in the file `name` of an organisation's policy.
/// `options` are the options of the process.
pub(super) fn source(
    name: &'static str,
    parse: Parse,
    config: &Config,
    org: &Arc<OrgConfig>,
    (options, clock): (&ClientOptions, &Clock),
) -> FileSource {
    let store = options.store.clone();
    // A command uses the files without the gate. The mode `observe` needs no gate.
    let gate = store.clone().filter(|_| !options.patient && org.mode != Mode::Observe);
    let place = match (&org.policy, gate) {
        (PolicySource::Repository(_), _) => Place::Stored { organisation: org.name.clone(), store },
        (PolicySource::Folder(_), Some(store)) => Place::Accepted { organisation: org.clone(), store },
        (PolicySource::Folder(folder), None) => {
            let path = config.base.join(folder).join(name);
            Place::Folder { path, files: Mutex::default() }
        }
    };
    let file =
        Arc::new(PolicyGroupFile { name, parse, place, clock: clock.clone(), state: Mutex::default() });
    FileSource::new(Arc::new(move || {
        let file = file.clone();
        async move { file.teams().await.map_err(|error| format!("{error:#}")) }.boxed()
    }))
}

impl PolicyGroupFile {
    async fn teams(&self) -> anyhow::Result<Arc<Vec<FileTeam>>> {
        let mut state = self.state.lock().await;
        let (version, text) = match &self.place {
            Place::Folder { path, files } => {
                let own = path.clone();
                let read = move |at: &beadle_repositories::policy::ReadingAt| {
                    at.note(&own);
                    read_text(&own)
                };
                let text = files.lock().await.read(read).await?;
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                if let Some(teams) = state.in_use(&text, SETTLED, self.clock.now()) {
                    return Ok(teams);
                }
                (text.clone(), text)
            }
            Place::Stored { organisation, store } => {
                let Some(store) = store else {
                    bail!("the policy of {organisation} is in a repository, so its {TEAMS} needs a store")
                };
                let Some(policy) = in_force(store.as_ref(), organisation).await? else {
                    bail!("no policy of {organisation} is in force yet")
                };
                let Some(id) = policy.own.files.get(self.name) else {
                    bail!("the policy of {organisation} has no {}", self.name)
                };
                // A commit never changes, so Beadle does not wait.
                if let Some(teams) = state.in_use(id, Duration::ZERO, self.clock.now()) {
                    return Ok(teams);
                }
                let mut all = texts(store.as_ref(), organisation).await?;
                let text =
                    all.remove(id).with_context(|| format!("the store lacks the text of {}", self.name))?;
                (id.clone(), text)
            }
            Place::Accepted { organisation, store } => {
                let accepted = AcceptedPolicy::of(store.as_ref(), organisation).await?;
                let Some(accepted) = accepted.filter(|accepted| !accepted.by_command) else {
                    bail!("no policy of {} is in force yet", organisation.name)
                };
                let Some(content) = accepted.content(self.name) else {
                    bail!("the policy of {} has no {}", organisation.name, self.name)
                };
                // The service read a new text twice before the gate accepted the text, so Beadle
                // does not wait.
                if let Some(teams) = state.in_use(&content, Duration::ZERO, self.clock.now()) {
                    return Ok(teams);
                }
                let text = accepted.text(store.as_ref(), organisation, self.name).await?;
                (content, text.with_context(|| format!("the store lacks the text of {}", self.name))?)
            }
        };
        let teams = Arc::new((self.parse)(&text)?);
        *state = State { last: Some((version, teams.clone())), candidate: None };
        Ok(teams)
    }
}

/// Converts a declared team.
fn team(declared: DeclaredTeam) -> FileTeam {
    let id = declared.id();
    let DeclaredTeam { name, description, settings, members, maintainers, .. } = declared;
    let role = |role: Role| maintainers.as_ref().map(|_| role);
    let mut accounts: BTreeMap<String, Option<Role>> =
        members.iter().map(|login| (login.to_lowercase(), role(Role::Member))).collect();
    let above = maintainers.iter().flatten();
    accounts.extend(above.map(|login| (login.to_lowercase(), Some(Role::Maintainer))));
    FileTeam { id, name, description, settings, members: accounts }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_repositories::Policy;

    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn a_service_uses_the_text_of_the_accepted_policy_and_not_the_one_in_the_folder() {
        let (folder, store) = store::temporary().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "beadle.toml",
            "[[org]]\nname = \"acme\"\npolicy = \".\"\ntoken = \"env:T\"\nmode = \"enforce\"\n",
        );
        write("teams.yml", "teams:\n  - { name: Other, members: [bob] }\n");
        let config = Config::load(&folder.path().join("beadle.toml")).unwrap();
        let (org, options, clock) = (&config.file.org[0], ClientOptions::of_service(&store), Clock::system());
        let of_service = source(TEAMS, Box::new(parse_teams), &config, org, (&options, &clock));
        assert!(of_service.teams().await.unwrap_err().text.contains("no policy of acme is in force yet"));
        for member in ["ada", "mona"] {
            let settings = "repository: { has_wiki: false }".to_owned();
            let teams = format!("teams:\n  - {{ name: Ops, members: [{member}] }}\n");
            let files = [("settings.yml".to_owned(), settings), (TEAMS.to_owned(), teams)].into();
            let policy = Policy::from_sources(files, "admin", Path::new("policy")).unwrap();
            AcceptedPolicy::remember(store.as_ref(), org, &policy, false).await.unwrap();
            let found = of_service.teams().await.unwrap();
            assert!(found[0].name == "Ops" && found[0].members.contains_key(member), "{found:?}");
        }
        let of_command =
            source(TEAMS, Box::new(parse_teams), &config, org, (&ClientOptions::PATIENT, &clock));
        assert_eq!(of_command.teams().await.unwrap()[0].name, "Other");
    }

    #[test]
    fn a_text_that_somebody_may_be_writing_is_not_used_yet() {
        let teams = Arc::new(Vec::new());
        let mut state = State::default();
        let at = Time::from_seconds;
        assert!(state.in_use("a", SETTLED, at(0)).is_none(), "the first text is used at once");
        state.last = Some(("a".into(), teams));
        assert!(state.in_use("a", SETTLED, at(0)).is_some());
        assert!(state.in_use("b", SETTLED, at(1)).is_some(), "the text before stays in use");
        assert!(state.in_use("bc", SETTLED, at(4)).is_some(), "it is still being written");
        assert!(state.in_use("bc", SETTLED, at(6)).is_some());
        assert!(state.in_use("bc", SETTLED, at(7)).is_none(), "the new text is used");
    }

    #[test]
    fn a_renamed_team_keeps_its_identity_and_a_maintainer_is_a_member() {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let declared = DeclaredTeam {
            name: "Engineering".into(),
            previously: owned(&["Devs", "Builders"]),
            description: None,
            settings: BTreeMap::new(),
            members: owned(&["Ada", "mona"]),
            maintainers: Some(owned(&["Mona"])),
        };
        let found = team(declared.clone());
        assert_eq!((found.id.as_str(), found.name.as_str()), ("devs", "Engineering"));
        let roles: Vec<_> = found.members.iter().map(|(login, role)| (login.as_str(), *role)).collect();
        assert_eq!(roles, [("ada", Some(Role::Member)), ("mona", Some(Role::Maintainer))]);
        let without = team(DeclaredTeam { previously: Vec::new(), maintainers: None, ..declared });
        assert_eq!(without.id, "engineering");
        assert!(without.members.values().all(Option::is_none), "the file does not set the roles");
    }
}
