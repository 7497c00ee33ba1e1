//! Finds the undos that already reverted the writes that an operator wants to undo.

use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, EntryKind, History, Store};

use crate::app::operations::key_names::PAGE;
use crate::app::operations::overwritten_values::reverting;
use crate::app::operations::undo_afterwards::which;
use crate::app::operations::written_changes::Written;

/// An undo that already reverted some of the selected writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EarlierUndo {
    /// The number of the undo in the journal. `beadle undo` with this number reverts the undo.
    pub(crate) number: u64,
    /// A sentence with the time of the undo, its operator, and the command that reverts it.
    pub(crate) sentence: String,
}

/// Returns the undos that already reverted these writes, from the newest to the oldest. `others`
/// contains the unselected writes to the same keys, from the oldest to the newest.
pub(crate) async fn earlier_undos(
    store: &dyn Store,
    writes: &[Written],
    others: &[Written],
) -> anyhow::Result<Vec<EarlierUndo>> {
    let mut found = Vec::new();
    let mut reverting: Vec<&Written> = writes.iter().filter_map(|one| reverting(one, others)).collect();
    // If an operator selects a policy, the writes can include repairs of drift. A repair has
    // nothing to undo, so it does not count.
    let is_change = |one: &&Written| one.change.fields.iter().any(|field| field.before != field.after);
    let all = writes.iter().filter(is_change).count();
    let after = writes.iter().map(Written::number).min().unwrap_or_default();
    let mut history = History { kind: Some(EntryKind::Operator), after, limit: PAGE, ..History::default() };
    while !reverting.is_empty() {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { break };
        history.before = Some(last.seq);
        for entry in entries {
            let Detail::Operator(OperatorAction::Undid { undid, by, .. }) = &entry.detail else { continue };
            // An operator can repeat an undo, so several entries can have the same name. A write of
            // an undo belongs to the last of these entries before the write.
            let is_other = |one: &&Written| {
                one.generation.as_deref() != Some(undid.as_str())
                    || one.number() < entry.seq
                    || !one.key.instance().eq_ignore_ascii_case(&entry.subject)
            };
            let before = reverting.len();
            reverting.retain(is_other);
            let count = before - reverting.len();
            if count > 0 {
                let (number, which) = (entry.seq, which(count, all));
                let sentence = format!(
                    "{by} already undid {which} at {} with undo {number}; to undo this undo: `beadle undo {number}`",
                    entry.at
                );
                found.push(EarlierUndo { number, sentence });
            }
        }
    }
    Ok(found)
}
