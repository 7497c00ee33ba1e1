//! Finds, for each organisation, the newest sweep during which Beadle wrote something. A person can
//! undo this sweep from the overview.

use beadle_engine::guard::UNDO_GENERATION;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, Entry, EntryKind, History, Store, StoreError, Time, last_writing_sweep};
use serde::Serialize;

use crate::pages::html::{Html, joined, text};
use crate::pages::operation_forms::undo_plan_button;
use crate::pages::parts::moment;
use crate::sign_in::Visitor;

/// The maximum number of decisions that the search for an undo reads.
const DECISIONS: u32 = 200;

/// A sweep that a person can undo.
#[derive(Debug, Serialize)]
pub(super) struct SweepToUndo {
    /// The name of the organisation.
    pub(super) organisation: String,
    /// The number of the sweep in the journal.
    number: u64,
    /// The time of the end of the sweep.
    at: Time,
    /// The number of repositories to which Beadle wrote during the sweep.
    repaired: u64,
    /// The time at which somebody began to undo the sweep or a part of it. `None` if nobody has
    /// begun this.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<Time>,
}

/// Returns, for each organisation, the newest sweep during which Beadle wrote something. Leaves out
/// an organisation without such a sweep.
pub(super) async fn last_sweeps(
    store: &dyn Store,
    organisations: &[String],
) -> Result<Vec<SweepToUndo>, StoreError> {
    let mut found = Vec::new();
    for organisation in organisations {
        let Some(sweep) = last_writing_sweep(store, organisation, None).await? else { continue };
        let (organisation, repaired) = (organisation.clone(), sweep.end.summary.repaired);
        let (number, at) = (sweep.number, sweep.at);
        let undone = undone(store, number).await?;
        found.push(SweepToUndo { organisation, number, at, repaired, undone });
    }
    Ok(found)
}

/// Returns the time at which somebody began the newest undo of a sweep. Looks only at the newest
/// decisions.
async fn undone(store: &dyn Store, sweep: u64) -> Result<Option<Time>, StoreError> {
    let kind = Some(EntryKind::Operator);
    let decisions = History { after: sweep, kind, limit: DECISIONS, ..History::default() };
    // The name of an undo of single values ends with the names of these values.
    let whole = format!("{UNDO_GENERATION}{sweep}");
    let part = format!("{whole} (");
    let is_its = |entry: &Entry| match &entry.detail {
        Detail::Operator(OperatorAction::Undid { undid, .. }) => *undid == whole || undid.starts_with(&part),
        _ => false,
    };
    Ok(store.newest_entries(decisions).await?.into_iter().find(is_its).map(|entry| entry.at))
}

impl SweepToUndo {
    /// Returns the time of the sweep, the number of repositories, and how to undo the sweep.
    pub(super) fn html(&self, now: Time, visitor: Option<&Visitor>) -> Html {
        let count = text(format!("; {} repaired", self.repaired));
        let undone = self.undone.map(|at| joined([text("; its undo began "), moment(at, now)]));
        let button = undo_plan_button(visitor, self.number);
        joined([Some(moment(self.at, now)), Some(count), undone, Some(button)].into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{SweepEnd, SweepSummary};

    use super::*;
    use crate::exchange;
    use crate::sign_in::Role;

    #[tokio::test]
    async fn the_last_sweep_with_repairs_leads_to_its_undo() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let sweep = async |name: &str, repaired: u64| {
            let summary = SweepSummary { repaired, ..SweepSummary::default() };
            let entry = Entry {
                seq: 0,
                at: Time(1_000),
                kind: EntryKind::Sweep,
                key: format!("sweep:{name}"),
                subject: name.to_owned(),
                intent: None,
                trace: None,
                detail: Detail::Sweep(SweepEnd { summary, took_s: 1, unreadable: 0 }),
            };
            store.journal(None, vec![entry], Time(1_000)).await.unwrap().unwrap()[0]
        };
        let first = sweep("acme", 3).await;
        let wrote = sweep("acme", 188).await;
        sweep("acme", 0).await;
        sweep("quiet", 0).await;
        let found = last_sweeps(store.as_ref(), &["acme".to_owned(), "quiet".to_owned()]).await.unwrap();
        let [acme] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((acme.organisation.as_str(), acme.number, acme.repaired), ("acme", wrote, 188));
        let earlier = last_writing_sweep(store.as_ref(), "acme", Some(wrote)).await.unwrap();
        assert_eq!(earlier.map(|sweep| sweep.number), Some(first));
        let shown = |visitor: Option<&Visitor>| acme.html(Time(61_000), visitor).as_str().to_owned();
        assert!(shown(None).contains("; 188 repaired"), "{}", shown(None));
        assert!(shown(None).contains(&format!("<code>beadle undo {wrote}</code>")), "{}", shown(None));
        let approver = shown(Some(&Visitor::example(Role::Approver)));
        for part in ["action=\"/undo/plan\"", &format!("name=\"runs\" value=\"{wrote}\"")] {
            assert!(approver.contains(part), "{part} is not in {approver}");
        }
        assert!(!approver.contains("its undo began"), "{approver}");
        for (undid, expected) in [
            (format!("undo of {wrote}9"), None),
            (format!("undo of {wrote} (only teams)"), Some(Time(2_000))),
            (format!("undo of {wrote}"), Some(Time(3_000))),
        ] {
            let action = OperatorAction::Undid { undid: undid.clone(), by: "ann".into(), reason: None };
            let at = expected.unwrap_or(Time(1_500));
            let entry = Entry::of_operator(action, ("organisation:acme:1", "acme"), at);
            store.journal(None, vec![entry], at).await.unwrap();
            let found = last_sweeps(store.as_ref(), &["acme".to_owned()]).await.unwrap();
            assert_eq!(found[0].undone, expected, "{undid}");
            let shown = found[0].html(Time(61_000), None);
            assert_eq!(shown.as_str().contains("its undo began"), expected.is_some(), "{undid}");
        }
    }
}
