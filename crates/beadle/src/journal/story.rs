//! The entries of the journal that belong to one write or to one other event.

use std::collections::BTreeMap;

use beadle_engine::guard::is_undo;
use beadle_engine::journal::{Cause, Happened, OperatorAction};
use beadle_engine::{Change, Detail, Entry, PolicyLocation};

use super::approval::Approval;
use super::attribution::Attribution;

/// The texts of lines of a policy, by their places.
pub(crate) type Quotes = BTreeMap<PolicyLocation, String>;

/// A write with its result and its causes, or another event of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Story {
    /// The intent of a write, or the only entry of another event.
    pub(crate) entry: Entry,
    /// The result of the write; `None` if the write has no result yet.
    pub(crate) result: Option<Detail>,
    /// The deliveries that marked the key of the write as due.
    pub(crate) causes: Vec<Cause>,
    /// The approval that let the write pass, if the write needed one.
    pub(crate) approval: Option<Approval>,
    /// The known texts of the lines that asked for the write. A reader of the journal leaves this
    /// field empty.
    pub(crate) quotes: Quotes,
    /// The policies behind the write. A reader of the journal leaves this field empty.
    pub(crate) attribution: Attribution,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteEnd<'a> {
    /// The vendor carried out the write.
    Written,
    /// The vendor refused the write, for this reason.
    Failed(&'a str),
    /// It is unknown whether the vendor carried out the write.
    Unknown(&'a str),
    /// The write is in progress, or the process of the write ended.
    Open,
}

impl Story {
    /// Creates the story of a single entry. The result and the causes are not known yet.
    pub(crate) fn of(entry: Entry) -> Self {
        let causes = match &entry.detail {
            Detail::Run(run) => run.after.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let approval = Approval::of(&entry.detail);
        let (quotes, attribution) = (Quotes::new(), Attribution::default());
        Self { entry, result: None, causes, approval, quotes, attribution }
    }

    /// Returns the change that Beadle wrote or tried to write.
    pub(crate) fn change(&self) -> Option<&Change<()>> {
        match &self.entry.detail {
            Detail::Change(intended) => Some(&intended.change),
            _ => None,
        }
    }

    /// Returns the name of the undo if an undo wrote the change.
    pub(crate) fn undo(&self) -> Option<&str> {
        match &self.entry.detail {
            Detail::Change(intended) if is_undo(&intended.generation) => Some(&intended.generation),
            _ => None,
        }
    }

    /// Returns how the write ended.
    pub(crate) fn end(&self) -> WriteEnd<'_> {
        match &self.result {
            None => WriteEnd::Open,
            Some(Detail::Result(result)) => {
                let why = result.why.as_deref().unwrap_or_default();
                match result.written {
                    Happened::Yes => WriteEnd::Written,
                    Happened::No if result.unknown != Some(true) => WriteEnd::Failed(why),
                    Happened::No | Happened::Unknown => WriteEnd::Unknown(why),
                }
            }
            Some(Detail::Dispatched(_)) => WriteEnd::Written,
            Some(Detail::NotDispatched(result)) => match result.dispatched {
                Happened::Yes => WriteEnd::Written,
                Happened::No => WriteEnd::Failed(&result.why),
                Happened::Unknown => WriteEnd::Unknown(&result.why),
            },
            Some(_) => WriteEnd::Unknown(""),
        }
    }

    /// Returns whether a person or program was involved in the event. The comparison ignores case.
    /// The author of the policy behind a write does not count, because the write does not name this
    /// author.
    pub(crate) fn is_about(&self, who: &str) -> bool {
        let is = |name: &str| is_named(name, who);
        let of_causes = self.causes.iter().filter_map(|cause| cause.by.as_deref());
        let own = match &self.entry.detail {
            Detail::Operator(action) => Some(operator(action)),
            Detail::Policy(policy) => Some(policy.from.author.as_str()),
            Detail::PolicyHeld(held) => held.commit.as_ref().map(|commit| commit.author.as_str()),
            Detail::WaiverEnded(ended) => Some(ended.owner.as_str()),
            _ => None,
        };
        let base = match &self.entry.detail {
            Detail::Policy(policy) => policy.base.as_ref().map(|base| base.author.as_str()),
            _ => None,
        };
        let approver = self.approval.as_ref().map(|approval| approval.by.as_str());
        of_causes.chain(own).chain(base).chain(approver).any(is)
    }
}

/// Returns whether a name in the journal means this person. A decision with `--as` contains the
/// name of the person and then the name of the system user, such as `mona (system user beadle)`. A
/// decision on the pages contains the login and then the provider, such as `mona (signed in with
/// GitHub)`. Only the last addition counts, because a person can choose a name that imitates an
/// addition.
pub(crate) fn is_named(name: &str, who: &str) -> bool {
    let is = |name: &str| name.eq_ignore_ascii_case(who);
    let parts = name.strip_suffix(')').and_then(|name| name.rsplit_once(" ("));
    let is_part = |(person, addition): (&str, &str)| match addition.strip_prefix("system user ") {
        Some(user) => is(person) || is(user),
        None => addition.starts_with("signed in with ") && is(person),
    };
    is(name) || parts.is_some_and(is_part)
}

/// Returns the operator of an action.
fn operator(action: &OperatorAction) -> &str {
    match action {
        OperatorAction::Approved { by, .. }
        | OperatorAction::ApprovedGeneration { by, .. }
        | OperatorAction::AdoptedName { by, .. }
        | OperatorAction::AdoptedFile { by, .. }
        | OperatorAction::Paused { by, .. }
        | OperatorAction::Undid { by, .. }
        | OperatorAction::EndedUndo { by, .. }
        | OperatorAction::Resumed { by, .. }
        | OperatorAction::Retried { by, .. }
        | OperatorAction::Reloaded { by, .. }
        | OperatorAction::RanTask { by, .. }
        | OperatorAction::Rejected { by, .. }
        | OperatorAction::Waived { by, .. }
        | OperatorAction::EndedWaiver { by, .. } => by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_found_by_each_name_in_its_full_name() {
        for (name, who, expected) in [
            ("mona", "Mona", true),
            ("mona (system user beadle)", "mona", true),
            ("mona (system user beadle)", "BEADLE", true),
            ("mona (system user beadle)", "mona (system user beadle)", true),
            ("mona (system user beadle)", "system", false),
            // A name in `--as` that imitates another decision.
            ("root (system user root) (system user mallory)", "mallory", true),
            ("root (system user root) (system user mallory)", "root", false),
            ("mona", "mon", false),
            ("mona (signed in with GitHub)", "Mona", true),
            ("mona@acme.example (signed in with OIDC)", "mona@acme.example", true),
            ("mona (signed in with GitHub)", "mona (signed in with GitHub)", true),
            ("mona (signed in with GitHub)", "mon", false),
            ("mona (signed in with GitHub)", "GitHub", false),
            ("mona (on call)", "mona", false),
            // Names that imitate another decision.
            ("root (signed in with GitHub) (system user mallory)", "root", false),
            ("root (system user root) (signed in with OIDC)", "root", false),
        ] {
            assert_eq!(is_named(name, who), expected, "{name} {who}");
        }
    }
}
