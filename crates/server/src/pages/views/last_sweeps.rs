//! Finds, for each organisation, the newest sweep during which Beadle wrote something. A person can
//! undo this sweep from the overview. If somebody has already undone the sweep, the person can undo
//! that undo.

use std::collections::BTreeSet;

use beadle_engine::guard::UndoName;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, Entry, EntryKind, History, Store, StoreError, Time, last_writing_sweep};
use serde::Serialize;

use crate::pages::html::{Html, joined, text};
use crate::pages::operation_forms::{undo_plan_button, undo_undo_button};
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
    /// The time at which the sweep ended.
    at: Time,
    /// The number of repositories to which Beadle wrote during the sweep.
    repaired: u64,
    /// The undos of the sweep. `None` if nobody has begun an undo.
    #[serde(flatten)]
    undone: Option<Undone>,
}

/// The undos of a sweep. An undo that somebody undid does not count.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Undone {
    /// The time at which the newest undo began.
    #[serde(rename = "undone")]
    at: Time,
    /// The operator of the newest undo.
    #[serde(rename = "undone_by")]
    by: String,
    /// The numbers of the undos in the journal, from the oldest to the newest.
    undos: Vec<u64>,
    /// True if each undo was limited to some keys or repositories, or if the guard holds a change of
    /// an undo.
    #[serde(rename = "undone_in_part")]
    is_part: bool,
}

/// The beginning of an undo.
struct Begun {
    number: u64,
    at: Time,
    by: String,
    /// The whole name of the undo.
    called: String,
    name: UndoName,
}

/// Returns, for each organisation, the newest sweep during which Beadle wrote something. Leaves out
/// an organisation without a sweep that wrote something. `held` contains the names of the undos
/// that have a held change.
pub(super) async fn last_sweeps(
    store: &dyn Store,
    organisations: &[String],
    held: &BTreeSet<String>,
) -> Result<Vec<SweepToUndo>, StoreError> {
    let mut found = Vec::new();
    for organisation in organisations {
        let Some(sweep) = last_writing_sweep(store, organisation, None).await? else { continue };
        let (organisation, repaired) = (organisation.clone(), sweep.end.summary.repaired);
        let (number, at) = (sweep.number, sweep.at);
        let undone = undone(store, (&organisation, number), held).await?;
        found.push(SweepToUndo { organisation, number, at, repaired, undone });
    }
    Ok(found)
}

/// Returns the undos of one organisation's sweep. Looks only at the newest decisions.
async fn undone(
    store: &dyn Store,
    (organisation, sweep): (&str, u64),
    held: &BTreeSet<String>,
) -> Result<Option<Undone>, StoreError> {
    let kind = Some(EntryKind::Operator);
    let decisions = History { after: sweep, kind, limit: DECISIONS, ..History::default() };
    let decisions = store.newest_entries(decisions).await?.into_iter();
    let mut undos: Vec<Begun> = Vec::new();
    // The list begins with the newest undo. So an undo that reverted an earlier undo comes before
    // that earlier undo.
    for undo in decisions.filter_map(|entry| begun(entry, organisation)) {
        let is_its = |later: &Begun| later.name.only.is_none() && later.name.is_of_entry(undo.number);
        if !undos.iter().any(is_its) {
            undos.push(undo);
        }
    }
    undos.retain(|undo| undo.name.is_of_entry(sweep));
    let is_part = undos.iter().all(|undo| undo.name.only.is_some())
        || undos.iter().any(|undo| held.contains(&undo.called));
    let numbers = undos.iter().rev().map(|undo| undo.number).collect();
    let newest = undos.into_iter().next();
    Ok(newest.map(|undo| Undone { at: undo.at, by: undo.by, undos: numbers, is_part }))
}

/// Returns the undo that an entry began in an organisation. Returns `None` for every other entry.
fn begun(entry: Entry, organisation: &str) -> Option<Begun> {
    let Detail::Operator(OperatorAction::Undid { undid, by, .. }) = entry.detail else { return None };
    let name = UndoName::parse(&undid)?;
    let is_its = entry.subject.eq_ignore_ascii_case(organisation);
    is_its.then_some(Begun { number: entry.seq, at: entry.at, by, called: undid, name })
}

impl SweepToUndo {
    /// Returns the time of the sweep, the number of repositories, and how to undo the sweep. If
    /// somebody has undone the sweep, returns how to undo this undo.
    pub(super) fn html(&self, now: Time, visitor: Option<&Visitor>) -> Html {
        let mut parts = vec![moment(self.at, now), text(format!("; {} repaired", self.repaired))];
        if let Some(undone) = &self.undone {
            // The journal shows that the undo began. A write of the undo might have failed.
            let what = if undone.is_part { "a part of it" } else { "it" };
            let who = text(format!("; {} began to undo {what} ", undone.by));
            parts.extend([who, moment(undone.at, now)]);
            parts.push(undo_undo_button(visitor, &undone.undos));
        }
        if self.undone.as_ref().is_none_or(|undone| undone.is_part) {
            parts.push(undo_plan_button(visitor, self.number));
        }
        joined(parts)
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{SweepEnd, SweepSummary};
    use serde_json::json;

    use super::*;
    use crate::exchange;
    use crate::sign_in::Role;

    /// Stores the end of a sweep, and returns its number.
    async fn sweep(store: &dyn Store, name: &str, repaired: u64) -> u64 {
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
    }

    /// Stores the beginning of an undo, and returns its number.
    async fn undo(store: &dyn Store, undid: &str, organisation: &str) -> u64 {
        let action = OperatorAction::Undid { undid: undid.to_owned(), by: "ann".into(), reason: None };
        let entry = Entry::of_operator(action, (organisation, organisation), Time(3_000));
        store.journal(None, vec![entry], Time(3_000)).await.unwrap().unwrap()[0]
    }

    async fn only(store: &dyn Store, held: &[&str]) -> SweepToUndo {
        let held = held.iter().map(|name| (*name).to_owned()).collect();
        let mut found = last_sweeps(store, &["acme".to_owned(), "quiet".to_owned()], &held).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[tokio::test]
    async fn the_last_sweep_with_repairs_leads_to_its_undo() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let first = sweep(store.as_ref(), "acme", 3).await;
        let wrote = sweep(store.as_ref(), "acme", 188).await;
        sweep(store.as_ref(), "acme", 0).await;
        sweep(store.as_ref(), "quiet", 0).await;
        let acme = only(store.as_ref(), &[]).await;
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
        assert!(!approver.contains("began to undo"), "{approver}");
        let values = serde_json::to_value(&acme).unwrap();
        assert_eq!(values, json!({ "organisation": "acme", "number": wrote, "at": 1_000, "repaired": 188 }));
    }

    #[tokio::test]
    async fn an_undone_sweep_leads_to_the_undo_of_its_undo() {
        let folder = tempfile::tempdir().unwrap();
        let store = exchange::store(&folder);
        let store = store.as_ref();
        let number = sweep(store, "acme", 188).await;
        let shown = |acme: &SweepToUndo| acme.html(Time(61_000), None).as_str().to_owned();
        let of_sweep = format!("<code>beadle undo {number}</code>");
        undo(store, &format!("undo of sweep {number}9"), "acme").await;
        undo(store, &format!("undo of sweep {number}"), "labs").await;
        assert_eq!(only(store, &[]).await.undone, None);

        let part = undo(store, &format!("undo of sweep {number} (only teams)"), "acme").await;
        let acme = only(store, &[]).await;
        let in_part = shown(&acme);
        assert!(
            in_part.contains("; ann began to undo a part of it ") && in_part.contains(&of_sweep),
            "{in_part}"
        );
        assert!(in_part.contains(&format!("<code>beadle undo {part}</code>")), "{in_part}");

        let name = format!("undo of sweep {number}");
        let whole = undo(store, &name, "acme").await;
        let acme = only(store, &[]).await;
        let undos = vec![part, whole];
        assert_eq!(acme.undone, Some(Undone { at: Time(3_000), by: "ann".into(), undos, is_part: false }));
        let undone = shown(&acme);
        assert!(undone.contains("; ann began to undo it ") && !undone.contains(&of_sweep), "{undone}");
        assert!(undone.contains(&format!("<code>beadle undo {part} {whole}</code>")), "{undone}");
        let values = serde_json::to_value(&acme).unwrap();
        assert_eq!((&values["undone"], &values["undos"]), (&json!(3_000), &json!([part, whole])));
        assert!(shown(&only(store, &[&name]).await).contains(&of_sweep), "the guard holds a change");

        // Earlier versions of Beadle named an undone undo only by its number, without the word
        // `undo`.
        let again = undo(store, &format!("undo of {part}, {whole}"), "acme").await;
        let acme = only(store, &[]).await;
        assert_eq!(acme.undone, None, "somebody undid the undos");
        assert!(shown(&acme).contains(&of_sweep), "{}", shown(&acme));
        undo(store, &format!("undo of undo {again}"), "acme").await;
        let acme = only(store, &[]).await;
        assert_eq!(acme.undone.map(|undone| undone.undos), Some(vec![part, whole]));
    }
}
