//! The decisions of operators about held changes, as pure functions over one hold. A store loads
//! the hold, calls the function, and writes the hold back.

use super::{Hold, Rejection};
use crate::clock::Time;

/// The decision of an operator about a held change: an approval or a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// The change passes the guard once.
    Approve,
    /// The change stays held until an operator approves it.
    Reject,
}

/// An operator's decision about a held change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The decision of the operator.
    pub ruling: Ruling,
    /// The operator.
    pub by: String,
    /// The operator's reason; `None` if the operator gave none.
    pub reason: Option<String>,
    /// The rejection that the operator saw before the decision. An approval ends only this
    /// rejection.
    pub seen: Option<Rejection>,
}

impl Decision {
    /// Creates an approval.
    pub fn approve(by: &str, reason: Option<&str>) -> Self {
        Self { ruling: Ruling::Approve, by: by.to_owned(), reason: reason.map(str::to_owned), seen: None }
    }

    /// Creates a rejection.
    pub fn reject(by: &str, reason: Option<&str>) -> Self {
        Self { ruling: Ruling::Reject, by: by.to_owned(), reason: reason.map(str::to_owned), seen: None }
    }

    /// Returns this decision, with the rejection that the operator saw in `hold`.
    #[must_use]
    pub fn seeing(&self, hold: &Hold) -> Self {
        Self { seen: hold.rejected.clone(), ..self.clone() }
    }
}

/// Returns the hold after a decision. Returns `None` if the decision changes nothing.
///
/// An approval is for one write, and it also ends the rejection that the operator saw. If somebody
/// rejected the change after the operator looked at the hold, the approval changes nothing. A
/// second approval changes nothing either. The approved write might be in progress, and a second
/// approval would allow a second write. If the answer to the approved write is lost,
/// [`super::window::check_guard`] holds the change again, and the new hold needs a new approval.
///
/// A rejection withdraws an approval if the approved write has not begun. If the approved write has
/// begun, a rejection changes nothing, because the write cannot be stopped any more.
pub fn decide(hold: &Hold, decision: &Decision, now: Time) -> Option<Hold> {
    let Decision { ruling, by, reason, seen } = decision;
    match ruling {
        Ruling::Approve if hold.approved_by.is_some() => None,
        Ruling::Approve if hold.rejected.is_some() && hold.rejected != *seen => None,
        Ruling::Approve => Some(Hold {
            approved_by: Some(by.clone()),
            approval_reason: reason.clone(),
            rejected: None,
            spent: false,
            intent: None,
            ..hold.clone()
        }),
        Ruling::Reject if hold.spent || hold.rejected.is_some() => None,
        Ruling::Reject => Some(Hold {
            approved_by: None,
            approval_reason: None,
            rejected: Some(Rejection { by: by.clone(), reason: reason.clone(), at: now }),
            ..hold.clone()
        }),
    }
}

/// Returns whether the approval of a whole generation lets a change of the generation pass.
/// `stored` is the stored hold of the change. The approver did not see the rejection of a single
/// change, so the approval does not end a rejection.
pub fn may_let_pass(stored: Option<&Hold>) -> bool {
    stored.is_none_or(|hold| hold.rejected.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000);

    fn hold() -> Hold {
        crate::testing::hold(1)
    }

    #[test]
    fn each_state_of_a_hold_accepts_only_the_decisions_that_change_it() {
        let rejection = Rejection { by: "bob".into(), reason: None, at: NOW };
        let approved = || Hold { approved_by: Some("ann".into()), ..hold() };
        let states = [
            ("open", hold(), true, true),
            ("approved", approved(), false, true),
            ("approved, write begun", Hold { spent: true, ..approved() }, false, false),
            ("rejected", Hold { rejected: Some(rejection), ..hold() }, true, false),
        ];
        for (state, hold, may_approve, may_reject) in states {
            let approve = Decision::approve("cyd", Some("read it"));
            let approved = decide(&hold, &approve.seeing(&hold), NOW);
            assert_eq!(approved.is_some(), may_approve, "{state}");
            assert_eq!(may_let_pass(Some(&hold)), hold.rejected.is_none(), "{state}");
            if let Some(approved) = approved {
                assert_eq!(approved.approved_by.as_deref(), Some("cyd"), "{state}");
                assert_eq!(approved.approval_reason.as_deref(), Some("read it"), "{state}");
                assert!(approved.rejected.is_none() && !approved.spent, "{state}");
            }
            let rejected = decide(&hold, &Decision::reject("cyd", Some("it stays")), NOW);
            assert_eq!(rejected.is_some(), may_reject, "{state}");
            if let Some(rejected) = rejected {
                let expected = Rejection { by: "cyd".into(), reason: Some("it stays".into()), at: NOW };
                assert_eq!(rejected.rejected, Some(expected), "{state}");
                assert!(rejected.approved_by.is_none() && rejected.approval_reason.is_none(), "{state}");
            }
        }
    }

    #[test]
    fn an_approval_ends_only_the_rejection_that_the_operator_saw() {
        let rejected = |by: &str, at: Time| {
            let rejection = Rejection { by: by.into(), reason: None, at };
            Hold { rejected: Some(rejection), ..hold() }
        };
        let (approve, first) = (Decision::approve("ann", None), rejected("bob", NOW));
        for (seen, now, is_approved) in [
            (hold(), &first, false),
            (first.clone(), &first, true),
            (rejected("cyd", NOW), &first, false),
            (rejected("bob", Time(1)), &first, false),
            // The hold ended, and Beadle held the change again.
            (first.clone(), &hold(), true),
        ] {
            let decided = decide(now, &approve.seeing(&seen), NOW);
            assert_eq!(decided.is_some(), is_approved, "{:?} {:?}", seen.rejected, now.rejected);
        }
        assert!(may_let_pass(None));
    }

    #[test]
    fn a_rejected_hold_gives_the_rejection_as_its_reason_and_outlives_a_generation() {
        let rejected = decide(&hold(), &Decision::reject("bob", Some("it stays")), NOW).unwrap();
        assert_eq!(rejected.stated(), "rejected by bob: it stays");
        assert!(hold().is_outdated("acme", "g2") && !rejected.is_outdated("acme", "g2"));
        let contested = Hold { contested: true, ..rejected };
        assert!(contested.is_outdated("acme", "g2"), "a new generation may declare another value");
        assert!(!contested.is_outdated("acme", "g") && !contested.is_outdated("other", "g2"));
        let of_undo = Hold { generation: "undo of 7".into(), ..hold() };
        assert!(!of_undo.is_outdated("acme", "g2"), "no policy asks for the changes of an undo");
    }

    #[test]
    fn a_hold_of_an_older_version_has_no_rejection_and_is_stored_as_before() {
        let mut stored = serde_json::to_value(hold()).unwrap();
        assert!(stored.get("rejected").is_none() && stored.get("approval_reason").is_none());
        stored["approved_by"] = "ann".into();
        let read: Hold = serde_json::from_value(stored).unwrap();
        assert_eq!(
            (read.approved_by.as_deref(), read.approval_reason, read.rejected),
            (Some("ann"), None, None)
        );
    }

    #[test]
    fn a_decision_keeps_what_only_a_newer_version_knows_of_a_hold() {
        let mut stored = serde_json::to_value(hold()).unwrap();
        assert!(stored.get("newer").is_none(), "{stored}");
        stored["second_approval"] = "needed".into();
        let read: Hold = serde_json::from_value(stored).unwrap();
        for decision in [Decision::approve("ann", None), Decision::reject("ann", None)] {
            let decided = serde_json::to_value(decide(&read, &decision, NOW).unwrap()).unwrap();
            assert_eq!(decided["second_approval"], "needed", "{decision:?}");
        }
    }
}
