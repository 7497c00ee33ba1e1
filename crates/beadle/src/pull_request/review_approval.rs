//! Approves a held generation of the policy, if a review approved the pull request of this
//! generation. The approval is valid only for the plan that the pull request's check showed.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle_engine::{Class, Clock, Failure, Key, Lane, Mark, Metadata, Note, Store, StoreError, Time};
use beadle_github::{Pull, Reader, Review};
use serde::{Deserialize, Serialize};

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::operations::generation_approval::approve;

/// How long Beadle waits for the gate's decision about a merged pull request.
const PATIENCE: Duration = Duration::from_secs(600);

/// The plan that a check showed.
#[derive(Debug, Serialize, Deserialize)]
struct ShownPlan {
    /// The last commit of the pull request when the check showed the plan.
    head: String,
    /// The code of the plan.
    digest: String,
    /// The time when the check showed this plan for the first time.
    #[serde(default)]
    since: Option<Time>,
}

impl Metadata for ShownPlan {
    const KIND: &'static str = "shown-plan";
}

/// Finds the reviews that approve the plan of one pull request.
pub(super) struct ByReview<'a> {
    pub(super) reader: &'a Reader,
    pub(super) store: &'a dyn Store,
    pub(super) clock: &'a Clock,
    /// The key of the pull request.
    pub(super) key: &'a Key,
    /// The readable name of the pull request, such as `acme/admin#7`.
    pub(super) subject: &'a str,
    pub(super) repository: &'a str,
    /// The slug of the team that is allowed to approve.
    pub(super) team: &'a str,
}

/// For each reviewer except the author, returns the last review if it approves the shown plan. A
/// review is valid only if the check already showed this plan when the review was written. A check
/// might run again at the same commit, and then show a different plan.
fn approving<'a>(reviews: &'a [Review], shown: &ShownPlan, author: Option<u64>) -> Vec<&'a Review> {
    // If the author is unknown, every reviewer could be the author.
    let Some(author) = author else { return Vec::new() };
    let mut last: BTreeMap<u64, &Review> = BTreeMap::new();
    // A review that only comments does not change an earlier approval or refusal of the reviewer.
    let decides =
        |review: &&Review| matches!(review.state.as_str(), "APPROVED" | "CHANGES_REQUESTED" | "DISMISSED");
    for review in reviews.iter().filter(decides) {
        last.insert(review.reviewer, review);
    }
    // GitHub shows times in whole seconds.
    let is_later = |review: &Review| {
        shown.since.is_none_or(|since| review.submitted.is_some_and(|at| at.seconds() >= since.seconds()))
    };
    let approves = |review: &&Review| {
        review.state == "APPROVED"
            && review.commit == shown.head
            && review.reviewer != author
            && is_later(review)
    };
    last.into_values().filter(approves).collect()
}

/// Stores the plan that the check of a commit shows from now on. If `digest` is `None`, the last
/// check did not show the whole plan. In that case, no review is valid, because a reviewer sees
/// only the last check.
async fn remember(
    note: &Note<ShownPlan>,
    store: &dyn Store,
    (head, digest): (&str, Option<&str>),
    now: Time,
) -> Result<(), StoreError> {
    let Some(digest) = digest else { return note.forget(store).await };
    let known = note.get(store).await?;
    let known = known.filter(|known| known.head == head && known.digest == digest);
    let since = known.and_then(|known| known.since).unwrap_or(now);
    let shown = ShownPlan { head: head.to_owned(), digest: digest.to_owned(), since: Some(since) };
    note.put(store, &shown).await
}

impl ByReview<'_> {
    fn note(&self) -> Note<ShownPlan> {
        Note::of(&[self.key.instance(), self.key.id()])
    }

    /// Stores the plan that the check of a commit showed. If the check did not show the whole plan,
    /// `digest` is `None`.
    pub(super) async fn remember(&self, head: &str, digest: Option<&str>) -> Result<(), StoreError> {
        remember(&self.note(), self.store, (head, digest), self.clock.now()).await
    }

    /// Approves the generation of a merged pull request, if the gate holds the generation and a
    /// review approves it. `in_force` is the generation in force, and `since` is the time of the
    /// merge's event.
    pub(super) async fn approve(&self, pull: &Pull, in_force: &str, since: Time) -> Result<(), Failure> {
        let Some(shown) = self.note().get(self.store).await? else { return Ok(()) };
        let Some(merged) = pull.merge_commit.as_deref() else { return Ok(()) };
        let held = HeldGeneration::note(self.key.instance()).get(self.store).await?;
        match held.filter(|held| is_of(&held.generation, merged)) {
            Some(held) if held.approved.is_none() && held.digest == shown.digest => {
                if let Some(review) = self.review(pull, &shown).await? {
                    self.record(held, &review).await?;
                }
            }
            Some(_) => {}
            None if is_of(in_force, merged) || self.clock.now().since(since) > PATIENCE => {}
            None => {
                let text = format!("{}: the gate has not decided about the merged policy yet", self.subject);
                return Err(Failure::new(Class::Retry, text));
            }
        }
        Ok(self.note().forget(self.store).await?)
    }

    /// Returns a review that approves the shown commit, if the reviewer is a member of the team.
    async fn review(&self, pull: &Pull, shown: &ShownPlan) -> Result<Option<Review>, Failure> {
        if pull.head != shown.head {
            return Ok(None);
        }
        let reviews = self.reader.reviews(self.repository, pull.number).await?;
        for review in approving(&reviews, shown, pull.author) {
            if self.reader.is_in_team(self.team, &review.login).await? {
                return Ok(Some(review.clone()));
            }
        }
        Ok(None)
    }

    /// Records the approval, and marks the policy as due.
    async fn record(&self, held: HeldGeneration, review: &Review) -> Result<(), Failure> {
        let at = self.clock.now();
        let organisation = self.key.instance();
        let (generation, by) = (held.generation.clone(), review.login.clone());
        let reason = format!("review of {}", self.subject);
        tracing::info!(organisation, generation, by, reason, "generation of the policy approved by a review");
        let approval = GenerationApproval { by, reason, at };
        // If the hold ended in the meantime, the next attempt finds out whether the policy is in force.
        let approved = approve(self.store, (organisation, held), approval).await;
        approved.map_err(|error| Failure::new(Class::Retry, format!("{error:#}")))?;
        let repository = self.key.id().split('/').next().unwrap_or_default();
        let policy = Key::new("policy", organisation, repository);
        self.store.mark(vec![Mark::new(policy, Lane::Event)], at).await?;
        Ok(())
    }
}

/// Returns whether the policy or the base of a generation comes from this commit. The name of a
/// generation contains the beginnings of the commits' ids.
fn is_of(generation: &str, commit: &str) -> bool {
    generation.split('+').any(|part| part.len() >= 12 && commit.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn a_plan_counts_from_the_first_check_that_shows_it_without_a_break() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let note = Note::of(&["acme", "7/12"]);
        for (at, digest, since) in [
            (1, Some("d1"), Some(1)),
            (2, Some("d1"), Some(1)),
            (3, None, None),
            (4, Some("d1"), Some(4)),
            (5, Some("d2"), Some(5)),
        ] {
            remember(&note, store, ("head", digest), Time(at)).await.unwrap();
            let shown = note.get(store).await.unwrap();
            assert_eq!(shown.and_then(|shown| shown.since), since.map(Time), "{at}");
        }
    }

    fn review(reviewer: u64, state: &str, commit: &str) -> Review {
        Review {
            reviewer,
            login: format!("u{reviewer}"),
            state: state.to_owned(),
            commit: commit.to_owned(),
            submitted: Some(Time(5_000)),
        }
    }

    #[test]
    fn only_the_last_review_of_another_person_than_the_author_approves_the_last_commit() {
        for (reviews, author, approving_reviewers) in [
            (vec![review(2, "APPROVED", "head")], Some(1), vec![2]),
            (vec![review(1, "APPROVED", "head")], Some(1), vec![]),
            (vec![review(2, "APPROVED", "head")], None, vec![]),
            (vec![review(2, "APPROVED", "older")], Some(1), vec![]),
            (vec![review(2, "COMMENTED", "head")], Some(1), vec![]),
            (vec![review(2, "APPROVED", "head"), review(2, "COMMENTED", "head")], Some(1), vec![2]),
            (vec![review(2, "APPROVED", "head"), review(2, "CHANGES_REQUESTED", "head")], Some(1), vec![]),
            (vec![review(2, "APPROVED", "head"), review(2, "DISMISSED", "head")], Some(1), vec![]),
            (vec![review(2, "CHANGES_REQUESTED", "head"), review(2, "APPROVED", "head")], Some(1), vec![2]),
            (vec![review(2, "APPROVED", "head"), review(3, "APPROVED", "head")], Some(1), vec![2, 3]),
        ] {
            let found: Vec<u64> =
                approving(&reviews, &shown(None), author).into_iter().map(|review| review.reviewer).collect();
            assert_eq!(found, approving_reviewers, "{reviews:?} of {author:?}");
        }
    }

    fn shown(since: Option<Time>) -> ShownPlan {
        ShownPlan { head: "head".to_owned(), digest: "d".to_owned(), since }
    }

    #[test]
    fn a_review_from_before_the_plan_was_shown_does_not_approve_it() {
        for (since, submitted, approves) in [
            (5_900, Some(5_000), true),
            (6_000, Some(5_000), false),
            (5_000, Some(9_000), true),
            (5_000, None, false),
        ] {
            let review = Review { submitted: submitted.map(Time), ..review(2, "APPROVED", "head") };
            let reviews = [review];
            let found = approving(&reviews, &shown(Some(Time(since))), Some(1));
            assert_eq!(!found.is_empty(), approves, "{since} {submitted:?}");
        }
    }

    #[test]
    fn a_generation_belongs_to_its_commit_only() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert!(is_of("0123456789ab", commit));
        for with_base in ["0123456789ab+abcdef012345", "abcdef012345+0123456789ab"] {
            assert!(is_of(with_base, commit), "{with_base}");
        }
        for other in ["", "+", "0123", "0123456789ac", "abcdef012345", "abcdef012345+0123"] {
            assert!(!is_of(other, commit), "{other}");
        }
    }
}
