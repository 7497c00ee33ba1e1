//! Shows at each commit of a policy whether the commit is in force, held by the gate, or rejected.
//! Each commit has one check run. Beadle concludes the check run again when the state changes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Metadata, Mode, Note, TaskStatus};
use beadle_github::{CheckOutput, Conclusion, Visibility};
use serde::{Deserialize, Serialize};

use super::{LOOK, REMOTE, failed};
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::commit_states::{Fate, PolicyCommit, check_runs, policy_commits};
use crate::app::service::Service;
use crate::output::markdown::{Page, Piece};
use crate::output::plural::counted;

/// The number of commits for which Beadle stores the state. Beadle does not store the states of
/// older commits, because these states do not change any more.
const REMEMBERED: usize = 20;
/// The maximum number of lines of an error in a check run.
const LINES: usize = 30;

/// The states that check runs already show, by the ids of the commits. The newest state is at the
/// end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Shown {
    commits: Vec<(String, String)>,
}

impl Metadata for Shown {
    const KIND: &'static str = "commit-check";
}

impl Shown {
    fn has(&self, commit: &PolicyCommit) -> bool {
        let state = state(&commit.fate);
        self.commits.iter().any(|(id, shown)| *id == commit.id && *shown == state)
    }

    fn add(&mut self, commit: &PolicyCommit) {
        self.commits.retain(|(id, _)| *id != commit.id);
        self.commits.push((commit.id.clone(), state(&commit.fate)));
        let surplus = self.commits.len().saturating_sub(REMEMBERED);
        self.commits.drain(..surplus);
    }
}

/// Returns a commit's state as text. Beadle compares this text with the state that the check run
/// shows. The text contains the name of the generation, because the same commit forms a different
/// generation together with each commit of the base.
fn state(fate: &Fate) -> String {
    match fate {
        Fate::InForce { generation } => format!("{} {generation}", fate.word()),
        Fate::Held(held) => format!("{} {}", fate.word(), held.generation),
        Fate::Rejected { .. } => fate.word().to_owned(),
    }
}

/// The task that writes the check runs at the commits of one organisation's policy.
pub(super) struct CommitCheck(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

#[async_trait]
impl BackgroundTask for CommitCheck {
    fn name(&self) -> String {
        format!("commit check of {}", self.0.1.file.name)
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.0;
        let (store, file) = (service.store.as_ref(), &organisation.file);
        let (Some(org), Some(source)) = (organisation.open(), file.policy.repository()) else {
            return Ok(TaskStatus::Idle);
        };
        let note = Note::<Shown>::of(&[&file.name]);
        let mut shown = note.get(store).await?.unwrap_or_default();
        let mut commits = policy_commits(store, organisation, &org).await?;
        commits.retain(|commit| !shown.has(commit));
        if commits.is_empty() {
            return Ok(TaskStatus::Idle);
        }
        let opened = check_runs(&service.app, file, source).context("opening the check runs");
        let (reader, writer, app) = opened.map_err(failed)?;
        let visibility = reader.visibility_of(reader.organisation(), &source.repository).await?;
        // If the repository belongs to another organisation, the members of that organisation can
        // read the check runs of the repository.
        let is_foreign = source.owner(&file.name) != file.name;
        let name = format!("beadle policy ({})", file.name);
        let readers = Readers::of(visibility, is_foreign, file.base.is_some());
        for commit in &commits {
            // If an earlier process ended just after its write, the check run already shows this
            // state.
            let known = reader.check_run(&source.repository, &commit.id, &name, app).await?;
            let id = match known {
                Some(run) => run.id,
                None => writer.begin(&name, &commit.id, &format!("policy:{}", file.name)).await?.id,
            };
            writer.conclude(id, &output(commit, (file.name.as_str(), file.mode), readers)).await?;
            shown.add(commit);
            note.put(store, &shown).await?;
        }
        Ok(TaskStatus::Done(format!("{} shown", counted(commits.len(), "commit", "commits"))))
    }
}

/// The people who can read a check run.
#[derive(Clone, Copy)]
struct Readers {
    /// True if the readers are allowed to see names of repositories. False if everybody or the
    /// members of another organisation can read the check run.
    may_see_names: bool,
    /// True if the readers are allowed to see the reason why Beadle cannot use the policy. The text
    /// can quote the base, and the base is in another repository.
    may_see_errors: bool,
}

impl Readers {
    /// Returns the facts about the readers of a repository's check runs. `visibility` is `None` if
    /// the visibility of the repository is unknown.
    fn of(visibility: Option<Visibility>, is_foreign: bool, has_base: bool) -> Self {
        // The members of all organisations of the enterprise can read an internal repository.
        let are_members = visibility == Some(Visibility::Private) && !is_foreign;
        Self { may_see_names: are_members, may_see_errors: are_members && !has_base }
    }
}

/// Returns the output of the check run at a commit.
fn output(commit: &PolicyCommit, (organisation, mode): (&str, Mode), readers: Readers) -> CheckOutput {
    let mut page = Page::default();
    let (conclusion, title) = match &commit.fate {
        Fate::InForce { generation } => {
            page.paragraph(&[
                Piece::own("The generation"),
                Piece::value(generation),
                Piece::own("is in force in the organisation"),
                Piece::value(organisation),
                Piece::own("in mode"),
                Piece::value(mode),
            ]);
            let title = if mode == Mode::Observe {
                "The policy is in force, and Beadle writes nothing in mode observe"
            } else {
                "The policy is in force"
            };
            (Conclusion::Success, title)
        }
        Fate::Held(held) => {
            page.paragraph(&[
                Piece::own("The gate holds the generation"),
                Piece::value(&held.generation),
                Piece::own("of the organisation"),
                Piece::value(organisation),
                Piece::own("because:"),
                Piece::value(&held.why),
            ]);
            page.paragraph(&[Piece::own("It would write"), Piece::value(held.summary())]);
            if readers.may_see_names {
                for group in &held.groups {
                    page.item(&[Piece::value(group.line())]);
                }
                if held.more_groups > 0 {
                    let more = held.more_groups as u64;
                    page.item(&[Piece::own("and"), Piece::counted(more, "other group", "other groups")]);
                }
                for line in &held.delayed {
                    page.item(&[Piece::value(line)]);
                }
            }
            page.paragraph(&[
                Piece::own("Show it with"),
                Piece::value("beadle holds"),
                Piece::own("and approve it with"),
                Piece::value(format!("beadle approve {} --reason \"TEXT\"", held.generation)),
            ]);
            page.paragraph(&[Piece::own("The last accepted policy stays in force.")]);
            (Conclusion::ActionRequired, "The gate holds the policy")
        }
        Fate::Rejected { why } => {
            page.paragraph(&[
                Piece::own("The last accepted policy of the organisation"),
                Piece::value(organisation),
                Piece::own("stays in force."),
            ]);
            if readers.may_see_errors {
                for line in why.lines().filter(|line| !line.trim().is_empty()).take(LINES) {
                    page.item(&[Piece::value(line)]);
                }
            } else {
                page.paragraph(&[
                    Piece::own("An operator sees the reason with"),
                    Piece::value("beadle tasks"),
                ]);
            }
            (Conclusion::Failure, "Beadle cannot use this policy")
        }
    };
    let (title, summary) = (title.to_owned(), page.text().to_owned());
    CheckOutput { conclusion, title, summary, annotations: Vec::new() }
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Key, Plan, Risk, Time};

    use super::*;
    use crate::app::gate::held_generation::HeldGeneration;

    const PRIVATE: Readers = Readers { may_see_names: true, may_see_errors: true };
    const PUBLIC: Readers = Readers { may_see_names: false, may_see_errors: false };

    fn commit(id: &str, fate: Fate) -> PolicyCommit {
        PolicyCommit { id: id.to_owned(), fate }
    }

    fn held() -> Fate {
        let mut plan = Plan::new("acme/secret-project".to_owned());
        plan.changes.push(change("teams", "team engineering", &[Risk::Removes]));
        let plans = [(Key::new("repository", "acme", 1), plan)];
        let mut held = HeldGeneration::new(("acme", "g1"), &plans, 40, Time(0));
        held.why = "at most 0 removals".into();
        Fate::Held(Box::new(held))
    }

    fn rejected() -> Fate {
        Fate::Rejected { why: "settings.yml:3: unknown key `has_wikki`\n@acme/all <b>".into() }
    }

    #[test]
    fn each_fate_has_a_conclusion_and_says_what_to_do() {
        let shown = |fate, mode, readers| output(&commit("c", fate), ("acme", mode), readers);
        let in_force = || Fate::InForce { generation: "g1".into() };
        let found = shown(in_force(), Mode::Enforce, PRIVATE);
        assert_eq!((found.conclusion, found.title.as_str()), (Conclusion::Success, "The policy is in force"));
        assert!(shown(in_force(), Mode::Observe, PRIVATE).title.contains("writes nothing"));
        let found = shown(held(), Mode::Enforce, PRIVATE);
        assert_eq!(found.conclusion, Conclusion::ActionRequired);
        assert!(found.summary.contains("`beadle approve g1 --reason \"TEXT\"`"), "{}", found.summary);
        assert!(found.summary.contains("1 removal in 1 of 40 repositories"), "{}", found.summary);
        assert!(found.summary.contains("acme/secret-project"), "{}", found.summary);
        let found = shown(rejected(), Mode::Enforce, PRIVATE);
        assert_eq!(found.conclusion, Conclusion::Failure);
        assert!(found.summary.contains("- `@acme/all <b>`"), "a value is code: {}", found.summary);
    }

    #[test]
    fn a_public_repository_shows_no_name_and_no_error() {
        for fate in [held(), rejected()] {
            let summary = output(&commit("c", fate), ("acme", Mode::Enforce), PUBLIC).summary;
            assert!(!summary.contains("secret-project") && !summary.contains("has_wikki"), "{summary}");
        }
    }

    #[test]
    fn only_the_members_of_the_organisation_see_names_and_errors() {
        for (visibility, is_foreign, has_base, names, errors) in [
            (Some(Visibility::Private), false, false, true, true),
            (Some(Visibility::Private), false, true, true, false),
            (Some(Visibility::Private), true, false, false, false),
            (Some(Visibility::Internal), false, false, false, false),
            (Some(Visibility::Public), false, false, false, false),
            (None, false, false, false, false),
        ] {
            let readers = Readers::of(visibility, is_foreign, has_base);
            let found = (readers.may_see_names, readers.may_see_errors);
            assert_eq!(found, (names, errors), "{visibility:?} {is_foreign} {has_base}");
        }
    }

    #[test]
    fn a_commit_is_shown_once_for_each_of_its_fates() {
        let mut shown = Shown::default();
        let is_held = commit("a", held());
        assert!(!shown.has(&is_held));
        shown.add(&is_held);
        assert!(shown.has(&is_held) && !shown.has(&commit("b", held())));
        let in_force = commit("a", Fate::InForce { generation: "g1".into() });
        assert!(!shown.has(&in_force));
        shown.add(&in_force);
        assert!(shown.has(&in_force) && !shown.has(&is_held));
        let with_another_base = commit("a", Fate::InForce { generation: "g2".into() });
        assert!(!shown.has(&with_another_base), "the check run names the generation g1");
        for n in 0..REMEMBERED {
            shown.add(&commit(&n.to_string(), rejected()));
        }
        assert_eq!(shown.commits.len(), REMEMBERED);
        assert!(!shown.has(&in_force), "it is the oldest");
        let text = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<Shown>(&text).unwrap(), shown);
    }
}
