//! The decisions, the waivers and the operations of people who signed in to the pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::guard::{Decision, HoldGroup, Ruling, group_holds};
use beadle_engine::{Hold, StoreError, one_line};
use beadle_repositories::policy::Waiver;
use beadle_server::sign_in::{
    DecisionDone, DecisionRefusal, DecisionRequest, Decisions, OperationDone, OperationRequest, UndoPreview,
    UndoRequest, WaiverDone, WaiverRequest,
};

use crate::app::operations::approval_rules::{PolicyFacts, closed, involved};
use crate::app::operations::hold_decisions::{Effect, NamedChange, effect, named_changes, store_decisions};
use crate::app::operations::waiver_repositories::covered;
use crate::app::operations::waiving::{check, until, waive};
use crate::app::pages::approver::{NO_LOGIN, forbidden, server_of_logins};
use crate::app::pages::operations::PageOperations;
use crate::app::policy::authors::policy_authors;
use crate::app::service::Service;
use crate::config::waiver_rules;
use crate::output::plural::counted;

/// Stores the decisions in the store of a service, and carries out the operations.
pub(crate) struct PageDecisions(pub(crate) Arc<Service>, pub(crate) PageOperations);

#[async_trait]
impl Decisions for PageDecisions {
    async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionDone, DecisionRefusal> {
        let unavailable = |error: StoreError| DecisionRefusal::Unavailable(error.to_string());
        let store = self.0.store.as_ref();
        if asked.ruling == Ruling::Approve {
            let groups = group_holds(store.holds().await.map_err(unavailable)?);
            self.check_approver(&shown(&groups, asked)?, asked).await?;
        }
        // The check sends requests to GitHub and takes time. Meanwhile, Beadle can begin to hold
        // other changes.
        let groups = group_holds(store.holds().await.map_err(unavailable)?);
        let named = shown(&groups, asked)?;
        let decision =
            Decision { ruling: asked.ruling, by: asked.by.clone(), reason: Some(asked.reason.clone()) };
        let now = self.0.clock().now();
        let decided = store_decisions(store, &named, &decision, now).await.map_err(unavailable)?;
        self.0.bell.notify_one();
        outcome(&decided, &decision)
    }

    async fn waive(&self, asked: &WaiverRequest) -> Result<WaiverDone, DecisionRefusal> {
        let now = self.0.clock().now();
        let unknown = || DecisionRefusal::NotFound(format!("there is no repository `{}`", asked.repository));
        let (owner, name) = asked.repository.split_once('/').ok_or_else(unknown)?;
        let org = self.0.orgs.iter().find(|org| org.file.name.eq_ignore_ascii_case(owner));
        let org = org.ok_or_else(unknown)?;
        if asked.keys.is_empty() {
            return Err(DecisionRefusal::Invalid("a waiver needs at least one key".to_owned()));
        }
        // A page shows the hint on the same line as the error.
        let invalid = |error: anyhow::Error| DecisionRefusal::Invalid(one_line(&error.to_string()));
        let named = (now, "the end");
        let waiver = Waiver {
            keys: asked.keys.clone(),
            repositories: vec![name.to_owned()],
            until: until(&asked.until, named).map_err(invalid)?,
            reason: asked.reason.clone(),
            owner: asked.by.clone(),
            asked: None,
        };
        check(&waiver, &org.file, named).map_err(invalid)?;
        let Some(open) = org.open() else {
            let why = format!("the organisation {} is unavailable", org.file.name);
            return Err(DecisionRefusal::Unavailable(why));
        };
        let rows = covered(&open.reader, std::slice::from_ref(&waiver)).await;
        let rows = rows.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
        // A pattern would also exempt other repositories, and repositories that do not exist yet.
        if !matches!(rows.as_slice(), [row] if row.name.eq_ignore_ascii_case(name)) {
            return Err(unknown());
        }
        let store = self.0.store.as_ref();
        let stored = waive(store, &org.file, &waiver, (&rows, asked.by.clone()), now).await;
        stored.map_err(|error| DecisionRefusal::Unavailable(error.to_string()))?;
        self.0.bell.notify_one();
        Ok(WaiverDone { code: waiver.id(), until: waiver.until })
    }

    fn waivable_keys(&self, organisation: &str) -> Vec<String> {
        let org = self.0.orgs.iter().find(|org| org.file.name.eq_ignore_ascii_case(organisation));
        org.map(|org| waiver_rules(&org.file).waivable_keys()).unwrap_or_default()
    }

    async fn operate(&self, asked: &OperationRequest) -> Result<OperationDone, DecisionRefusal> {
        self.1.operate(asked).await
    }

    async fn plan_undo(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal> {
        self.1.plan_undo(asked).await
    }
}

impl PageDecisions {
    /// Checks that a person is allowed to approve the changes. If a policy causes the changes, the
    /// person must not be the author of this policy. The same rule applies to an approval by a
    /// comment.
    async fn check_approver(
        &self,
        named: &[NamedChange<'_>],
        asked: &DecisionRequest,
    ) -> Result<(), DecisionRefusal> {
        let Some(login) = &asked.login else { return Err(forbidden(NO_LOGIN)) };
        let web = server_of_logins(&self.0);
        let instances: BTreeSet<&str> = named.iter().map(|one| one.hold.key.instance()).collect();
        for instance in instances {
            let organisation = self.0.orgs.iter().find(|org| org.file.name == instance);
            let Some(open) = organisation.and_then(|org| org.open()) else {
                return Err(forbidden("the author of the change is not known"));
            };
            let policy = open.policy.current();
            let authors = policy_authors(&self.0.app, (&open, web.as_deref()), &policy).await;
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

/// Returns the changes that the person saw.
fn shown<'a>(
    groups: &'a [HoldGroup],
    asked: &DecisionRequest,
) -> Result<Vec<NamedChange<'a>>, DecisionRefusal> {
    let named = named_changes(groups, &asked.code);
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

/// Returns the effect of a decision. `decided` are the stored holds.
fn outcome(decided: &[Option<Hold>], decision: &Decision) -> Result<DecisionDone, DecisionRefusal> {
    let (mut changes, mut other) = (0, None);
    for hold in decided {
        match hold.as_ref().map_or(Effect::Gone, |hold| effect(hold, decision)) {
            Effect::Done => changes += 1,
            Effect::Before(by) => other = Some(format!("{by} decided the same before")),
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
            Err(DecisionRefusal::Conflict(format!("the decision is stored only for {count}: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Rejection;
    use beadle_engine::testing::hold;
    use beadle_engine::{Limits, Time};

    use super::*;

    fn asked(code: &str, ruling: Ruling, by: &str) -> DecisionRequest {
        DecisionRequest {
            code: code.into(),
            ruling,
            reason: "read it".into(),
            by: by.into(),
            login: Some(by.into()),
            shown: Time(5_000),
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
    fn an_outcome_names_what_was_not_decided() {
        let decision = Decision::approve("mona", Some("read it"));
        let approved = |by: &str| Some(Hold { approved_by: Some(by.into()), ..hold(1) });
        let begun = Some(Hold { spent: true, ..hold(1) });
        assert_eq!(outcome(&[approved("mona")], &decision), Ok(DecisionDone { changes: 1 }));
        for (decided, part) in [
            (vec![approved("hubot")], "hubot decided the same before"),
            (vec![None], "no longer held"),
            (vec![begun], "began"),
            (vec![approved("mona"), approved("hubot")], "stored only for 1 change: hubot"),
        ] {
            let refusal = outcome(&decided, &decision).unwrap_err();
            assert!(matches!(&refusal, DecisionRefusal::Conflict(why) if why.contains(part)), "{refusal:?}");
        }
        let rejection = Rejection { by: "hubot".into(), reason: None, at: Time(0) };
        let rejected = Some(Hold { rejected: Some(rejection), ..hold(1) });
        assert!(outcome(&[rejected], &Decision::reject("mona", None)).is_err());
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
