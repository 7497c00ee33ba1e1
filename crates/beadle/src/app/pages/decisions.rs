//! Approves and rejects held changes and held policies for people who signed in to the pages.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use beadle_engine::guard::{Decision, HoldGroup, Ruling, group_holds};
use beadle_engine::{Hold, StoreError};
use beadle_server::pages::is_cut;
use beadle_server::sign_in::{DecisionDone, DecisionEnd, DecisionRefusal, DecisionRequest, OperationDone};
use tokio::sync::Mutex;

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::operations::approval_rules::{PolicyFacts, closed, involved};
use crate::app::operations::generation_approval::{ambiguity, approve};
use crate::app::operations::held_change_decisions::{
    Effect, NamedChange, effect, named_changes, store_decisions,
};
use crate::app::pages::approver::{
    NO_LOGIN, check_policy_approver, forbidden, server_of_logins, shown_policy,
};
use crate::app::pages::refusal::refusal;
use crate::app::policy::authors::change_authors;
use crate::app::service::Service;
use crate::output::plural::counted;

/// Stores the decisions in the store of a service.
pub(crate) struct PageDecisions {
    service: Arc<Service>,
    /// A lock, so that two approvals of policies never run at the same time.
    approving: Mutex<()>,
}

fn unavailable(error: &StoreError) -> DecisionRefusal {
    DecisionRefusal::Unavailable(error.to_string())
}

impl PageDecisions {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, approving: Mutex::default() }
    }

    /// Stores a decision about held changes. If the person must confirm the decision first, stores
    /// nothing.
    pub(crate) async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionEnd, DecisionRefusal> {
        let store = self.service.store.as_ref();
        if asked.ruling == Ruling::Approve {
            let groups = group_holds(store.holds().await.map_err(|error| unavailable(&error))?);
            let named = shown(&groups, asked)?;
            self.check_approver(&named, asked).await?;
            if needs_confirmation(&named, asked) {
                let holds = named.into_iter().map(|one| one.hold.clone());
                return Ok(DecisionEnd::Unconfirmed(holds.collect()));
            }
        }
        // The check asks GitHub. Beadle might hold different changes after the check, so it reads
        // the held changes again.
        let groups = group_holds(store.holds().await.map_err(|error| unavailable(&error))?);
        let named = shown(&groups, asked)?;
        check_rejections(&named, asked.ruling)?;
        let decision = match asked.ruling {
            Ruling::Approve => Decision::approve(&asked.by, Some(&asked.reason)),
            Ruling::Reject => Decision::reject(&asked.by, Some(&asked.reason)),
        };
        let now = self.service.clock().now();
        let decided =
            store_decisions(store, &named, &decision, now).await.map_err(|error| unavailable(&error))?;
        self.service.bell.notify_one();
        outcome(&decided, &decision).map(DecisionEnd::Done)
    }

    /// Approves the generation that the page showed, if a hold still has this generation and the
    /// same plan. A service and a command can hold the same plan.
    pub(crate) async fn approve_policy(
        &self,
        (plan, generation): (&str, &str),
        reason: &str,
        (by, login): (&str, Option<&str>),
    ) -> Result<OperationDone, DecisionRefusal> {
        let _alone = self.approving.lock().await;
        let store = self.service.store.as_ref();
        let all = HeldGeneration::all(store).await.map_err(|error| unavailable(&error))?;
        let (first, held) = shown_policy(&all, (plan, generation))?;
        if let Some(why) = ambiguity(&held) {
            return Err(DecisionRefusal::Conflict(why.replace('\n', "; ")));
        }
        check_policy_approver(&self.service, first, login).await?;
        let at = self.service.clock().now();
        let (mut approved, mut before) = (false, None);
        for (note, held) in held {
            let approval = GenerationApproval { by: by.to_owned(), reason: reason.to_owned(), at };
            let stored = approve(store, (note.as_str(), held.clone()), approval).await;
            let stored = stored.map_err(|error| match refusal(&error) {
                // The hold has ended, or its plan has changed.
                DecisionRefusal::NotFound(why) => DecisionRefusal::Conflict(why),
                other => other,
            });
            match stored? {
                Some(other) => before = Some(other),
                None => approved = true,
            }
        }
        if let Some(other) = before.filter(|_| !approved) {
            return Err(DecisionRefusal::Conflict(format!("{other} approved the policy before")));
        }
        let done = format!(
            "{}: approved for {}; the service puts it in force if its plan is still the same",
            first.generation, first.organisation
        );
        Ok(OperationDone { done: vec![done], ..OperationDone::default() })
    }

    /// Checks that a person is allowed to approve the changes. If a policy causes the changes, the
    /// person must not be the author of this policy. The same rule applies to an approval by a
    /// comment.
    async fn check_approver(
        &self,
        named: &[NamedChange<'_>],
        asked: &DecisionRequest,
    ) -> Result<(), DecisionRefusal> {
        let Some(login) = &asked.login else { return Err(forbidden(NO_LOGIN)) };
        let web = server_of_logins(&self.service);
        let instances: BTreeSet<&str> = named.iter().map(|one| one.hold.key.instance()).collect();
        for instance in instances {
            let organisation = self.service.orgs.iter().find(|org| org.file.name == instance);
            let Some(open) = organisation.and_then(|org| org.open()) else {
                return Err(forbidden("the author of the change is not known"));
            };
            let policy = open.policy.current();
            let own = named.iter().map(|one| one.hold).filter(|hold| hold.key.instance() == instance);
            let own: Vec<&Hold> = own.collect();
            let (app, store) = (&self.service.app, self.service.store.as_ref());
            let authors = change_authors(app, (&open, web.as_deref()), (&policy, &own), store).await;
            let authors = authors.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
            let facts = PolicyFacts { generation: policy.generation.as_str(), authors };
            for one in named.iter().filter(|one| one.hold.key.instance() == instance) {
                if let Some(why) = closed(std::slice::from_ref(one), &facts) {
                    return Err(DecisionRefusal::Conflict(why.to_owned()));
                }
            }
            if let Some(why) = involved(login, &facts) {
                return Err(forbidden(why));
            }
        }
        Ok(())
    }
}

/// Returns the changes that the person saw. If one of several groups has changed, returns an error,
/// because the person did not see the present changes.
fn shown<'a>(
    groups: &'a [HoldGroup],
    asked: &DecisionRequest,
) -> Result<Vec<NamedChange<'a>>, DecisionRefusal> {
    let mut named: Vec<NamedChange<'a>> = Vec::new();
    let mut known: HashSet<&'a str> = HashSet::new();
    for code in &asked.codes {
        let found = named_changes(groups, code);
        if found.is_empty() && asked.codes.len() > 1 {
            let why = format!(
                "no group of held changes has the code {code} now, so nothing is decided: open the page again"
            );
            return Err(DecisionRefusal::Conflict(why));
        }
        // A person can send the code of a group and the digest of one of its changes.
        named.extend(found.into_iter().filter(|one| known.insert(one.hold.digest.as_str())));
    }
    if named.is_empty() {
        let why = "no held change and no group of held changes has this code now; a group that changes gets another code";
        return Err(DecisionRefusal::NotFound(why.to_owned()));
    }
    if named.iter().any(|one| one.hold.since > asked.shown) {
        let why = "Beadle held the changes again after the page was shown: open the page again";
        return Err(DecisionRefusal::Conflict(why.to_owned()));
    }
    Ok(named)
}

/// Checks that an approval does not override a rejection. Somebody can reject a change while Beadle
/// asks GitHub for the authors of the policy.
fn check_rejections(named: &[NamedChange<'_>], ruling: Ruling) -> Result<(), DecisionRefusal> {
    let rejected = named.iter().find_map(|one| one.hold.rejected.as_ref());
    match rejected.filter(|_| ruling == Ruling::Approve) {
        Some(rejection) => Err(DecisionRefusal::Conflict(already_rejected(&rejection.by))),
        None => Ok(()),
    }
}

fn already_rejected(by: &str) -> String {
    format!("a change was already rejected by {by}; to approve it, use `beadle approve`")
}

/// Returns whether the person must confirm an approval first. A single change of one repository
/// needs no confirmation if the page shows all its values next to the button.
fn needs_confirmation(named: &[NamedChange<'_>], asked: &DecisionRequest) -> bool {
    let reaches: u64 = named.iter().map(|one| u64::from(one.hold.change.reaches)).sum();
    let is_cut = named.iter().any(|one| is_cut(&one.hold.change));
    !asked.confirmed && asked.ruling == Ruling::Approve && (named.len() > 1 || reaches > 1 || is_cut)
}

/// Returns the effect of a decision. `decided` contains the stored holds.
fn outcome(decided: &[Option<Hold>], decision: &Decision) -> Result<DecisionDone, DecisionRefusal> {
    let (mut changes, mut other) = (0, None);
    for hold in decided {
        match hold.as_ref().map_or(Effect::Gone, |hold| effect(hold, decision)) {
            Effect::Done => changes += 1,
            Effect::Before(by) => other = Some(format!("{by} decided the same before")),
            Effect::Rejected(by) => other = Some(already_rejected(by)),
            Effect::Begun => {
                other = Some("the approved write began, and its result is not known yet".to_owned());
            }
            Effect::Gone => other = Some("a change is no longer held".to_owned()),
        }
    }
    match other {
        None => Ok(DecisionDone { changes }),
        Some(why) if changes == 0 => Err(DecisionRefusal::Conflict(why)),
        Some(why) => {
            let count = counted(changes as u64, "change", "changes");
            Err(DecisionRefusal::Partial(format!("the decision is stored only for {count}: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Rejection;
    use beadle_engine::testing::{change, hold};
    use beadle_engine::{Limits, Risk, Time};

    use super::*;

    fn asked(code: &str, ruling: Ruling, by: &str) -> DecisionRequest {
        DecisionRequest {
            codes: code.split(',').map(str::to_owned).collect(),
            ruling,
            reason: "read it".into(),
            by: by.into(),
            login: Some(by.into()),
            shown: Time(5_000),
            confirmed: false,
        }
    }

    #[test]
    fn an_approval_of_several_changes_or_repositories_needs_a_confirmation() {
        let mut wide = hold(3);
        wide.change.reaches = 60;
        let mut long = hold(4);
        long.change.fields[0].after = "x".repeat(5000).into();
        let groups = group_holds(vec![hold(1), hold(2), wide, long]);
        let pair = groups.iter().find(|group| group.holds.len() > 1).unwrap().code.clone();
        let asks = |code: &str, ruling: Ruling, confirmed: bool| {
            let asked = DecisionRequest { confirmed, ..asked(code, ruling, "mona") };
            needs_confirmation(&shown(&groups, &asked).unwrap(), &asked)
        };
        for (code, expected) in [(pair.as_str(), true), ("d1", false), ("d3", true), ("d4", true)] {
            assert_eq!(asks(code, Ruling::Approve, false), expected, "{code}");
            assert!(!asks(code, Ruling::Approve, true) && !asks(code, Ruling::Reject, false), "{code}");
        }
    }

    #[test]
    fn a_decision_is_only_about_the_changes_that_the_person_saw() {
        let groups = group_holds(vec![hold(1), hold(2)]);
        let code = groups[0].code.clone();
        let found = |groups: &[HoldGroup], name: &str| {
            shown(groups, &asked(name, Ruling::Approve, "mona")).map(|named| named.len())
        };
        assert_eq!((found(&groups, &code), found(&groups, "d2")), (Ok(2), Ok(1)));
        assert!(matches!(found(&groups, "d3"), Err(DecisionRefusal::NotFound(_))));
        let changed = group_holds(vec![hold(1), hold(2), hold(3)]);
        assert!(matches!(found(&changed, &code), Err(DecisionRefusal::NotFound(_))), "a stale code");
        let again = group_holds(vec![hold(1), Hold { since: Time(5_001), ..hold(2) }]);
        assert!(matches!(found(&again, "d2"), Err(DecisionRefusal::Conflict(_))), "held again");
    }

    #[test]
    fn a_decision_about_several_groups_is_about_all_of_them_or_about_none() {
        let label = change("labels", "label old", &[Risk::Removes]);
        let groups = group_holds(vec![hold(1), hold(2), Hold { change: label, ..hold(3) }]);
        let team = groups.iter().find(|group| group.holds.len() == 2).unwrap().code.clone();
        let found = |codes: &str| -> Result<Vec<(String, bool)>, DecisionRefusal> {
            let asked = asked(codes, Ruling::Approve, "mona");
            let named = shown(&groups, &asked)?;
            assert!(needs_confirmation(&named, &asked), "{codes}");
            Ok(named.iter().map(|one| (one.hold.digest.clone(), one.group.is_some())).collect())
        };
        let expected = [("d1", true), ("d2", true), ("d3", false)];
        let expected = expected.map(|(digest, is_of_group)| (digest.to_owned(), is_of_group));
        assert_eq!(found(&format!("{team},d3")), Ok(expected.to_vec()));
        assert_eq!(found(&format!("{team},d3,d1")), Ok(expected.to_vec()), "each change counts once");
        let refusal = found(&format!("{team},gone")).unwrap_err();
        assert!(matches!(&refusal, DecisionRefusal::Conflict(why) if why.contains("gone")), "{refusal:?}");
    }

    #[test]
    fn an_approval_overrides_no_rejection() {
        let rejection = Rejection { by: "hubot".into(), reason: None, at: Time(0) };
        let groups = group_holds(vec![hold(1), Hold { rejected: Some(rejection), ..hold(2) }]);
        for (name, ruling, is_allowed) in
            [("d1", Ruling::Approve, true), ("d2", Ruling::Approve, false), ("d2", Ruling::Reject, true)]
        {
            let checked = check_rejections(&named_changes(&groups, name), ruling);
            assert_eq!(checked.is_ok(), is_allowed, "{name} {ruling:?}");
        }
    }

    #[test]
    fn an_outcome_names_what_was_not_decided() {
        let decision = Decision::approve("mona", Some("read it"));
        let approved = |by: &str| Some(Hold { approved_by: Some(by.into()), ..hold(1) });
        let begun = Some(Hold { spent: true, ..hold(1) });
        let rejection = || Rejection { by: "hubot".into(), reason: None, at: Time(0) };
        let rejected = || Some(Hold { rejected: Some(rejection()), ..hold(1) });
        assert_eq!(outcome(&[approved("mona")], &decision), Ok(DecisionDone { changes: 1 }));
        for (decided, part) in [
            (vec![approved("hubot")], "hubot decided the same before"),
            (vec![rejected()], "already rejected by hubot"),
            (vec![None], "no longer held"),
            (vec![begun], "began"),
        ] {
            let refusal = outcome(&decided, &decision).unwrap_err();
            assert!(matches!(&refusal, DecisionRefusal::Conflict(why) if why.contains(part)), "{refusal:?}");
        }
        let partial = outcome(&[approved("mona"), approved("hubot")], &decision).unwrap_err();
        let part = "stored only for 1 change: hubot";
        assert!(matches!(&partial, DecisionRefusal::Partial(why) if why.contains(part)), "{partial:?}");
        assert!(outcome(&[rejected()], &Decision::reject("mona", None)).is_err());
    }

    #[tokio::test]
    async fn of_two_people_who_approve_at_the_same_time_one_is_the_approver() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![hold(1)], Time(0)).await.unwrap();
        let groups = group_holds(store.holds().await.unwrap());
        let decide = async |by: &str| {
            let named = shown(&groups, &asked("d1", Ruling::Approve, by)).unwrap();
            let decision = Decision::approve(by, Some("read it"));
            let decided = store_decisions(store.as_ref(), &named, &decision, Time(1)).await.unwrap();
            outcome(&decided, &decision)
        };
        let (one, other) = tokio::join!(decide("ann"), decide("bob"));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let stored = store.holds().await.unwrap();
        let approver = if one.is_ok() { "ann" } else { "bob" };
        assert_eq!(stored[0].approved_by.as_deref(), Some(approver));
    }
}
