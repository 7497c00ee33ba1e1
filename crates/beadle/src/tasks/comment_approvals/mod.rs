//! Looks for comments that approve held changes, such as `/beadle approve 5d0c1e2f3a4b`. Beadle
//! looks only while changes wait for a decision.
//!
//! A comment is valid only if a member of the configured team wrote the comment, and if nobody
//! edited the comment. If a member of the team wrote the comment, Beadle answers with a comment.

mod rules;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::guard::{Decision, Hold, HoldGroup, HoldState, group_holds};
use beadle_engine::{BackgroundTask, Failure, Metadata, Note, Store, TaskStatus, Time};
use beadle_github::{CheckWriter, IssueComment};
use serde::{Deserialize, Serialize};

use super::REMOTE;
use crate::app::operations::approval_rules::PolicyFacts;
use crate::app::operations::held_change_decisions::{named_changes, store_decisions};
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::authors::change_authors;
use crate::app::service::Service;
use crate::output::plural::counted;
use rules::{ApproveCommand, answer, approved, command, sender};

/// The time between two looks at the comments.
const PERIOD: Duration = Duration::from_secs(30);

/// The task that looks for the comments of one organisation.
pub(super) struct CommentApprovals(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

/// The last comment that Beadle looked at. Beadle looks at each comment only once, so that an old
/// approval never approves the same change a second time.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredComment")]
struct LastComment {
    id: u64,
    /// The time of the comment. Beadle asks GitHub only for later comments. If a change waits for
    /// weeks, the list of all comments can become very long.
    created: Time,
}

/// A stored [`LastComment`]. An older version stored only the id.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredComment {
    Id(u64),
    Whole { id: u64, created: Time },
}

impl From<StoredComment> for LastComment {
    fn from(stored: StoredComment) -> Self {
        match stored {
            StoredComment::Id(id) => Self { id, created: Time::default() },
            StoredComment::Whole { id, created } => Self { id, created },
        }
    }
}

impl Metadata for LastComment {
    const KIND: &'static str = "last-comment";
}

impl CommentApprovals {
    /// Returns the groups of held changes of the organisation.
    async fn groups(&self) -> Result<Vec<HoldGroup>, Failure> {
        let (service, organisation) = &self.0;
        let holds = service.store.holds().await?.into_iter();
        let own = holds.filter(|hold| hold.key.instance() == organisation.file.name);
        Ok(group_holds(own.collect()))
    }

    /// Carries out the command of a comment. Returns the number of approved changes.
    async fn carry_out(
        &self,
        org: &GithubOrganisation,
        comment: &IssueComment,
        command: &ApproveCommand<'_>,
    ) -> Result<usize, Failure> {
        let (service, organisation) = &self.0;
        let Some(settings) = &organisation.file.approve_by_comment else { return Ok(0) };
        let refused = |why: &str| {
            let (organisation, address) = (&organisation.file.name, &comment.address);
            tracing::warn!(organisation, comment = address, why, "approval by a comment refused");
        };
        let person = match sender(comment) {
            Ok(person) => person,
            Err(why) => {
                refused(why);
                return Ok(0);
            }
        };
        if !org.reader.is_in_team(&settings.team, person).await? {
            refused("the person is not a member of the team");
            return Ok(0);
        }
        let policy = org.policy.current();
        let web = organisation.file.web();
        let groups = self.groups().await?;
        let holds: Vec<&Hold> =
            named_changes(&groups, command.code).into_iter().map(|one| one.hold).collect();
        let store = service.store.as_ref();
        let authors =
            change_authors(&service.app, (org, Some(web.as_str())), (&policy, &holds), store).await?;
        let facts = PolicyFacts { generation: policy.generation.as_str(), authors };
        let (count, answer) = match approved(&groups, command, (person, comment.created), &facts) {
            Ok(named) => {
                let reason = match command.reason {
                    Some(reason) => format!("{reason} ({})", comment.address),
                    None => comment.address.clone(),
                };
                let decision = Decision::approve(person, Some(&reason));
                let decided =
                    store_decisions(service.store.as_ref(), &named, &decision, service.clock().now()).await?;
                service.bell.notify_one();
                answer(&decided, &decision)
            }
            Err(why) => {
                refused(why);
                (0, format!("Beadle approves nothing: {why}."))
            }
        };
        let writer = CheckWriter::new(org.api.clone(), &settings.repository);
        if let Err(failure) = writer.comment(comment.issue, &answer).await {
            let organisation = &organisation.file.name;
            tracing::warn!(organisation, error = failure.text, "answer to a comment not written");
        }
        Ok(count)
    }
}

/// Returns the time at which the oldest waiting change began to wait for a decision. Returns `None`
/// if no change waits.
fn waiting_since(groups: &[HoldGroup]) -> Option<Time> {
    groups.iter().filter(|group| group.state == HoldState::Open).map(HoldGroup::since).min()
}

#[async_trait]
impl BackgroundTask for CommentApprovals {
    fn name(&self) -> String {
        format!("approvals by comments at {}", self.0.1.file.name)
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.0;
        let (Some(settings), Some(org)) = (&organisation.file.approve_by_comment, organisation.open()) else {
            return Ok(TaskStatus::Idle);
        };
        let Some(since) = waiting_since(&self.groups().await?) else { return Ok(TaskStatus::Idle) };
        let store: &dyn Store = service.store.as_ref();
        let note = Note::<LastComment>::of(&[organisation.file.name.as_str()]);
        let last = note.get(store).await?.unwrap_or_default();
        let since = since.max(last.created);
        let mut count = 0;
        for comment in org.reader.comments_since(&settings.repository, since).await? {
            if comment.id <= last.id {
                continue;
            }
            if let Some(command) = command(&comment.body) {
                count += self.carry_out(&org, &comment, &command).await?;
            }
            note.put(store, &LastComment { id: comment.id, created: comment.created }).await?;
        }
        if count == 0 {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done(format!("approved {}", counted(count, "change", "changes"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_comment_of_an_older_version_is_known_by_its_id() {
        let of_older: LastComment = serde_json::from_str("7").unwrap();
        assert_eq!(of_older, LastComment { id: 7, created: Time(0) });
        let last = LastComment { id: 8, created: Time(5_000) };
        let stored = serde_json::to_string(&last).unwrap();
        assert_eq!(serde_json::from_str::<LastComment>(&stored).unwrap(), last);
    }
}
