//! Stores the decisions of operators about held changes, and records them in the journal.

use beadle_engine::guard::{Decision, HoldGroup, HoldState, Ruling, named_holds};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Hold, Store, StoreError, Time};
use futures::future::join_all;

/// The number of decisions that Beadle stores at the same time.
const BATCH: usize = 20;

/// A held change that an operator named.
#[derive(Clone, Debug)]
pub(crate) struct NamedChange<'a> {
    pub(crate) hold: &'a Hold,
    /// The code of the group, if the operator named the whole group.
    pub(crate) group: Option<&'a str>,
}

/// The effect of a decision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<'a> {
    /// The decision is stored.
    Done,
    /// Another operator has already made the same decision. The earlier decision stays.
    Before(&'a str),
    /// The approval has no effect. The operator with this name rejected the change after the
    /// approver had seen the change.
    Rejected(&'a str),
    /// The decision has no effect. The approved write of the change has already begun and might be
    /// complete.
    Begun,
    /// The change is no longer held.
    Gone,
}

/// Returns the changes with this code or digest.
pub(crate) fn named_changes<'a>(groups: &'a [HoldGroup], name: &str) -> Vec<NamedChange<'a>> {
    let group = groups.iter().find(|group| group.code == name && group.holds.len() > 1);
    let group = group.map(|group| group.code.as_str());
    named_holds(groups, name).into_iter().map(|hold| NamedChange { hold, group }).collect()
}

/// Stores a decision about each change. If the decision has an effect, the journal gets an entry.
/// `named` contains the holds that the operator saw. If somebody rejected a change after the
/// operator saw the change, an approval does not end this rejection. Returns the stored holds in
/// the order of the changes. For a change that is no longer held, the list contains `None`. The
/// store has no transaction for several holds. So if somebody else decides about one change at the
/// same time, or Beadle writes this change, the function still stores the decision about all other
/// changes. If the row of one change is unreadable, the function also stores the decision about all
/// other changes, and then returns the error of this row. Before the function returns any error, it
/// records the stored decisions in the journal.
pub(crate) async fn store_decisions(
    store: &dyn Store,
    named: &[NamedChange<'_>],
    decision: &Decision,
    now: Time,
) -> Result<Vec<Option<Hold>>, StoreError> {
    let mut all = Vec::with_capacity(named.len());
    for batch in named.chunks(BATCH) {
        let decisions: Vec<Decision> = batch.iter().map(|one| decision.seeing(one.hold)).collect();
        let decided = batch.iter().zip(&decisions);
        let decided = decided.map(|(one, decision)| store.decide(&one.hold.digest, decision, now));
        let decided = join_all(decided).await;
        let done = batch.iter().zip(&decided).filter(|(one, hold)| {
            let is_new = |hold: &Hold| HoldState::of(hold) != HoldState::of(one.hold);
            let hold = hold.as_ref().ok().and_then(Option::as_ref);
            hold.is_some_and(|hold| effect(hold, decision) == Effect::Done && is_new(hold))
        });
        let entries: Vec<Entry> = done.map(|(one, _)| entry(one, decision, now)).collect();
        if !entries.is_empty() {
            store.journal(None, entries, now).await?;
        }
        let stops = |error: &StoreError| !matches!(error, StoreError::Corrupt { .. });
        let is_stopped = decided.iter().any(|hold| hold.as_ref().is_err_and(stops));
        all.extend(decided);
        if is_stopped {
            break;
        }
    }
    all.into_iter().collect()
}

/// Returns the effect of a decision. `hold` is the stored hold after the decision.
pub(crate) fn effect<'a>(hold: &'a Hold, decision: &Decision) -> Effect<'a> {
    if hold.spent {
        return Effect::Begun;
    }
    let rejected = hold.rejected.as_ref().map(|rejection| rejection.by.as_str());
    match (decision.ruling, hold.approved_by.as_deref(), rejected) {
        (Ruling::Approve, Some(other), _) | (Ruling::Reject, _, Some(other)) if other != decision.by => {
            Effect::Before(other)
        }
        (Ruling::Approve, None, Some(other)) => Effect::Rejected(other),
        _ => Effect::Done,
    }
}

/// Returns the entry of the journal for a decision.
fn entry(one: &NamedChange<'_>, decision: &Decision, now: Time) -> Entry {
    let NamedChange { hold, group } = one;
    let (digest, by, reason) = (hold.digest.clone(), decision.by.clone(), decision.reason.clone());
    let group = group.map(str::to_owned);
    let action = match decision.ruling {
        Ruling::Approve => OperatorAction::Approved { approved: digest, by, reason, group },
        Ruling::Reject => OperatorAction::Rejected { rejected: digest, by, reason, group },
    };
    Entry::of_operator(action, (&hold.key.to_string(), &hold.subject), now)
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::{Rejection, decide, group_holds};
    use beadle_engine::testing::hold;
    use beadle_engine::{EntryKind, Limits, Listing};

    use super::*;

    #[test]
    fn a_decision_that_changes_nothing_says_why() {
        let approved = |by: &str| Hold { approved_by: Some(by.into()), ..hold(1) };
        let begun = || Hold { spent: true, ..approved("hubot") };
        let rejection = |by: &str| Some(Rejection { by: by.into(), reason: None, at: Time(0) });
        let rejected = |by: &str| Hold { rejected: rejection(by), ..hold(1) };
        let (approve, reject) = (Decision::approve("mona", None), Decision::reject("mona", None));
        let overriding = approve.seeing(&rejected("hubot"));
        for (before, decision, expected) in [
            (hold(1), &approve, Effect::Done),
            (approved("mona"), &approve, Effect::Done),
            (approved("hubot"), &approve, Effect::Before("hubot")),
            (rejected("hubot"), &overriding, Effect::Done),
            (rejected("hubot"), &approve, Effect::Rejected("hubot")),
            (rejected("mona"), &approve, Effect::Rejected("mona")),
            (begun(), &approve, Effect::Begun),
            (hold(1), &reject, Effect::Done),
            (approved("hubot"), &reject, Effect::Done),
            (rejected("hubot"), &reject, Effect::Before("hubot")),
            (begun(), &reject, Effect::Begun),
        ] {
            let after = decide(&before, decision, Time(1)).unwrap_or(before);
            assert_eq!(effect(&after, decision), expected, "{after:?} {decision:?}");
        }
    }

    #[tokio::test]
    async fn a_repeated_decision_has_one_entry_in_the_journal() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![hold(1)], Time(0)).await.unwrap();
        for (decision, entries) in [
            (Decision::reject("mona", Some("it stays")), 1),
            (Decision::reject("mona", Some("another reason")), 1),
            (Decision::approve("mona", Some("closed")), 2),
            (Decision::approve("mona", Some("closed")), 2),
        ] {
            let groups = group_holds(store.holds().await.unwrap());
            let named = named_changes(&groups, "d1");
            store_decisions(store.as_ref(), &named, &decision, Time(1)).await.unwrap();
            let all = Listing { limit: 10, ..Listing::default() };
            let journal = store.entries(all).await.unwrap();
            let found = journal.iter().filter(|entry| entry.kind == EntryKind::Operator).count();
            assert_eq!(found, entries, "{decision:?}");
        }
    }

    #[tokio::test]
    async fn a_rejection_after_the_last_look_stays_and_the_approval_is_not_in_the_journal() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![hold(1), hold(2)], Time(0)).await.unwrap();
        let groups = group_holds(store.holds().await.unwrap());
        let named = named_changes(&groups, &groups[0].code);
        let reject = Decision::reject("bob", Some("it stays"));
        store.decide("d1", &reject, Time(1)).await.unwrap().unwrap();
        let approve = Decision::approve("mona", Some("closed"));
        let decided = store_decisions(store.as_ref(), &named, &approve, Time(2)).await.unwrap();
        let effects: Vec<Effect<'_>> = decided.iter().flatten().map(|hold| effect(hold, &approve)).collect();
        assert_eq!(effects, [Effect::Rejected("bob"), Effect::Done]);
        let all = Listing { limit: 10, ..Listing::default() };
        let journal = store.entries(all).await.unwrap();
        let approved: Vec<&str> = journal.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(approved, ["acme/r2"]);
    }

    #[tokio::test]
    async fn a_decision_that_fails_hides_no_stored_decision_from_the_journal() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![hold(1), hold(2)], Time(0)).await.unwrap();
        let groups = group_holds(store.holds().await.unwrap());
        let named = named_changes(&groups, &groups[0].code);
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
        let approve = Decision::approve("mona", Some("closed"));
        let error = store_decisions(store.as_ref(), &named, &approve, Time(1)).await.unwrap_err();
        assert!(error.to_string().contains("d1"), "{error}");
        let all = Listing { limit: 10, ..Listing::default() };
        let journal = store.entries(all).await.unwrap();
        let approved: Vec<&str> = journal.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(approved, ["acme/r2"]);
    }

    #[tokio::test]
    async fn an_unreadable_change_delays_no_other_decision() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        let count = 2 * BATCH + 1;
        let holds = (1..=count).map(|n| hold(n.try_into().unwrap())).collect();
        store.reserve(None, &limits, holds, Time(0)).await.unwrap();
        let groups = group_holds(store.holds().await.unwrap());
        let named = named_changes(&groups, &groups[0].code);
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
        let approve = Decision::approve("mona", Some("closed"));
        store_decisions(store.as_ref(), &named, &approve, Time(1)).await.unwrap_err();
        let all = Listing { limit: 100, ..Listing::default() };
        assert_eq!(store.entries(all).await.unwrap().len(), count - 1);
    }

    #[test]
    fn the_journal_has_the_group_only_if_the_operator_named_it() {
        let groups = group_holds(vec![hold(1), hold(2)]);
        let code = groups[0].code.clone();
        let decision = Decision::approve("mona", Some("closed"));
        let detail =
            |name: &str| entry(&named_changes(&groups, name)[0], &decision, Time(1)).detail.to_value();
        let whole = serde_json::json!({ "approved": "d1", "by": "mona", "reason": "closed", "group": code });
        assert_eq!(detail(&code), whole);
        assert_eq!(detail("d1"), serde_json::json!({ "approved": "d1", "by": "mona", "reason": "closed" }));
    }
}
