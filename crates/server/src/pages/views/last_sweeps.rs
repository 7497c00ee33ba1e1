//! The newest sweep of each organisation in which Beadle wrote something. A person can undo such a
//! sweep from the overview.

use beadle_engine::{Store, StoreError, Time, last_writing_sweep};
use serde::Serialize;

use crate::pages::html::{Html, joined, text};
use crate::pages::operation_forms::undo_link;
use crate::pages::parts::moment;
use crate::sign_in::Visitor;

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
}

/// Returns the newest such sweep of each organisation. Leaves out an organisation without one.
pub(super) async fn last_sweeps(
    store: &dyn Store,
    organisations: &[String],
) -> Result<Vec<SweepToUndo>, StoreError> {
    let mut found = Vec::new();
    for organisation in organisations {
        let Some(sweep) = last_writing_sweep(store, organisation, None).await? else { continue };
        let (organisation, repaired) = (organisation.clone(), sweep.end.summary.repaired);
        found.push(SweepToUndo { organisation, number: sweep.number, at: sweep.at, repaired });
    }
    Ok(found)
}

impl SweepToUndo {
    /// Returns the time of the sweep, the number of repositories, and how to undo the sweep.
    pub(super) fn html(&self, now: Time, visitor: Option<&Visitor>) -> Html {
        let count = text(format!("; {} repaired", self.repaired));
        joined([moment(self.at, now), count, undo_link(visitor, self.number)])
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{SweepEnd, SweepSummary};
    use beadle_engine::{Detail, Entry, EntryKind};

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
                detail: Detail::Sweep(SweepEnd { summary, took_s: 1 }),
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
        assert!(approver.contains(&format!("href=\"/undo?runs={wrote}\"")), "{approver}");
    }
}
