//! Begins and ends the holds of generations, and records both events in the journal.

use beadle_engine::gate::{Holder, noun};
use beadle_engine::journal::{PolicyHeld, PolicyWithdrawn};
use beadle_engine::{Detail, Entry, EntryKind, Key, Store, StoreError, Time};

use crate::app::gate::held_generation::HeldGeneration;

/// Stores the hold of a generation in the note with this name. The journal gets an entry if the
/// plan is new. If the note contains the hold of another generation, that hold ends.
pub(crate) async fn begin(
    store: &dyn Store,
    note: &str,
    held: &HeldGeneration,
    now: Time,
) -> Result<(), StoreError> {
    let before = HeldGeneration::note(note).get(store).await?;
    let is_known = before
        .as_ref()
        .is_some_and(|before| (&before.generation, &before.digest) == (&held.generation, &held.digest));
    let mut entries = Vec::new();
    if let Some(before) = before.filter(|before| before.generation != held.generation) {
        let why = format!("the newer {} {} is held", noun(&held.generation), held.generation);
        entries.push(entry(&before, now, withdrawn(note, &before, why)));
    }
    if !is_known {
        let detail = Detail::PolicyHeld(PolicyHeld {
            held_generation: held.generation.clone(),
            plan: held.digest.clone(),
            why: held.why.clone(),
            held_by: Holder::of(note),
            commit: held.commit.clone(),
        });
        entries.push(entry(held, now, detail));
    }
    if !entries.is_empty() {
        store.journal(None, entries, now).await?;
    }
    HeldGeneration::note(note).put(store, held).await
}

/// Ends the hold in the note with this name, because the policy `in_force` is in use. If the hold
/// is about another generation, that generation is withdrawn, and the journal gets an entry.
/// Returns the ended hold.
pub(crate) async fn end(
    store: &dyn Store,
    note: &str,
    in_force: &str,
    now: Time,
) -> Result<Option<HeldGeneration>, StoreError> {
    let Some(held) = HeldGeneration::note(note).get(store).await? else { return Ok(None) };
    if held.generation != in_force {
        let detail = withdrawn(note, &held, format!("the {} {in_force} is in force", noun(in_force)));
        store.journal(None, vec![entry(&held, now, detail)], now).await?;
    }
    HeldGeneration::note(note).forget(store).await?;
    Ok(Some(held))
}

/// Ends the holds of a service for organisations and targets that the configuration no longer
/// contains. No background task checks these holds.
pub(crate) async fn end_unknown(
    store: &dyn Store,
    is_known: &(dyn Fn(&str) -> bool + Sync),
    now: Time,
) -> Result<(), StoreError> {
    for (note, held) in HeldGeneration::all(store).await? {
        let is_needed = is_known(&held.organisation) || !held.is_readable();
        if is_needed || Holder::of(&note) == Holder::Command {
            continue;
        }
        let why = format!("the configuration no longer has {}", held.organisation);
        store.journal(None, vec![entry(&held, now, withdrawn(&note, &held, why))], now).await?;
        HeldGeneration::note(&note).forget(store).await?;
        let HeldGeneration { organisation, generation, .. } = held;
        tracing::info!(instance = organisation, generation, "held generation withdrawn");
    }
    Ok(())
}

fn withdrawn(note: &str, held: &HeldGeneration, why: String) -> Detail {
    Detail::PolicyWithdrawn(PolicyWithdrawn {
        withdrawn_generation: held.generation.clone(),
        plan: held.digest.clone(),
        why,
        held_by: Holder::of(note),
    })
}

fn entry(held: &HeldGeneration, at: Time, detail: Detail) -> Entry {
    Entry {
        seq: 0,
        at,
        kind: EntryKind::Policy,
        key: Key::new("policy", &held.organisation, &held.generation).to_string(),
        subject: held.organisation.clone(),
        intent: None,
        trace: beadle_engine::trace::current_id(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Listing;

    use super::*;
    use crate::app::gate::held_generation::GenerationApproval;
    use crate::app::store;

    fn held(generation: &str, digest: &str) -> HeldGeneration {
        let held = HeldGeneration::new(("acme", generation), &[], 1, Time(0));
        HeldGeneration { digest: digest.to_owned(), why: "too many".to_owned(), ..held }
    }

    /// Returns the held (`+`) and the withdrawn (`-`) generations in the journal.
    async fn recorded(store: &dyn Store) -> Vec<String> {
        let listing = Listing { after: 0, since: None, key: None, limit: 99 };
        let entries = store.entries(listing).await.unwrap();
        let recorded = entries.iter().filter_map(|entry| match &entry.detail {
            Detail::PolicyHeld(held) => Some(format!("+{} {}", held.held_generation, held.plan)),
            Detail::PolicyWithdrawn(held) => Some(format!("-{} {}", held.withdrawn_generation, held.plan)),
            _ => None,
        });
        recorded.collect()
    }

    #[tokio::test]
    async fn the_journal_has_each_hold_once_and_each_hold_that_was_withdrawn() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        for plan in ["p1", "p1", "p2"] {
            begin(store, "acme", &held("g1", plan), Time(1)).await.unwrap();
        }
        assert_eq!(recorded(store).await, ["+g1 p1", "+g1 p2"], "one entry for each plan");
        begin(store, "acme", &held("g2", "p3"), Time(2)).await.unwrap();
        assert_eq!(recorded(store).await[2..], ["-g1 p2", "+g2 p3"], "a newer policy replaces the hold");
        let ended = end(store, "acme", "g2", Time(3)).await.unwrap();
        assert_eq!(ended.map(|held| held.generation), Some("g2".to_owned()));
        assert_eq!(recorded(store).await.len(), 4, "the held policy came into force");
        begin(store, "acme", &held("g3", "p4"), Time(4)).await.unwrap();
        end(store, "acme", "g2", Time(5)).await.unwrap();
        assert_eq!(recorded(store).await[4..], ["+g3 p4", "-g3 p4"], "a revert withdraws the hold");
        assert!(end(store, "acme", "g2", Time(6)).await.unwrap().is_none());
        assert!(HeldGeneration::all(store).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_hold_of_a_removed_organisation_or_target_ends() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        for (note, organisation) in
            [("acme", "acme"), ("gone", "gone"), ("gone limits", "gone"), ("gone (command)", "gone")]
        {
            let held = HeldGeneration { organisation: organisation.to_owned(), ..held("g1", "p1") };
            begin(store, note, &held, Time(1)).await.unwrap();
        }
        end_unknown(store, &|name: &str| name == "acme", Time(2)).await.unwrap();
        let left = HeldGeneration::all(store).await.unwrap();
        let left: Vec<&str> = left.iter().map(|(note, _)| note.as_str()).collect();
        assert_eq!(left, ["acme", "gone (command)"], "the command ends its own hold");
        assert_eq!(recorded(store).await[4..], ["-g1 p1", "-g1 p1"]);
    }

    #[tokio::test]
    async fn a_hold_that_cannot_be_read_is_listed_and_stays() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let newer = r#"{"organisation":"acme","generation":"g9","since":7,"plans":[1]}"#;
        store.put(HeldGeneration::note("acme").name(), newer).await.unwrap();
        let readable = HeldGeneration { organisation: "labs".to_owned(), ..held("g1", "p1") };
        HeldGeneration::note("labs").put(store, &readable).await.unwrap();
        let all = HeldGeneration::all(store).await.unwrap();
        let shown: Vec<(&str, &str, bool)> = all
            .iter()
            .map(|(note, held)| (note.as_str(), held.generation.as_str(), held.is_readable()))
            .collect();
        assert_eq!(shown, [("acme", "g9", false), ("labs", "g1", true)]);
        let approval = GenerationApproval { by: "ann".into(), reason: "x".into(), at: Time(9) };
        let approved = all[0].1.clone().approve(store, "acme", approval).await;
        assert!(matches!(approved, Err(StoreError::Newer { .. })), "{approved:?}");
        end_unknown(store, &|_| false, Time(9)).await.unwrap();
        let left = HeldGeneration::all(store).await.unwrap();
        assert_eq!(left.iter().map(|(note, _)| note.as_str()).collect::<Vec<_>>(), ["acme"]);
        assert_eq!(store.get(HeldGeneration::note("acme").name()).await.unwrap().as_deref(), Some(newer));
    }
}
