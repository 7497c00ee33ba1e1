//! Explains to the operator how the undo of a policy treats writes that two policies share. Two
//! policies share a write if one policy first asked for the change, and the other one was in force
//! when Beadle wrote the change.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::Store;
use beadle_engine::journal::PolicyCommitted;

use crate::app::operations::written_changes::Written;
use crate::app::policy::generations::newest_generations;
use crate::output::journal_run_and_policy::commit;
use crate::output::plural::counted;

/// Returns one sentence for each other policy that shares writes with an undone policy. `policies`
/// contains the generations of the undone policies. `undone` contains the writes of the undo.
/// `of_others` contains the writes that the undo leaves out because an earlier policy first asked
/// for them.
pub(crate) async fn notes(
    store: &dyn Store,
    policies: &BTreeSet<String>,
    (undone, of_others): (&[Written], &[Written]),
) -> anyhow::Result<Vec<String>> {
    let earlier: BTreeSet<&str> = of_others.iter().filter_map(Written::asked).collect();
    let commits = commits(store, &earlier).await?;
    let mut notes = Vec::new();
    for policy in policies {
        let is_during = |one: &&Written| one.generation.as_deref() == Some(policy.as_str());
        let left_out = of_others.iter().filter(is_during);
        let during = undone.iter().filter(is_during).count() + left_out.clone().count();
        for (first, count) in numbers(left_out.filter_map(Written::asked)) {
            let named = commits.get(first).map(|from| format!(" ({})", commit(from))).unwrap_or_default();
            let (which, it) = if count == 1 { ("this write", "it") } else { ("these writes", "them") };
            notes.push(format!(
                "policy {policy} was in force during {}; policy {first}{named} first asked for {count} of them, so \
                 the undo leaves {which} out; to undo {it}: `beadle undo {first}`",
                counted(during as u64, "write", "writes")
            ));
        }
        let late = undone.iter().filter(|one| one.asked() == Some(policy.as_str()) && !is_during(one));
        for (later, count) in numbers(late.filter_map(|one| one.generation.as_deref())) {
            let which = if count == 1 { "this write" } else { "these writes" };
            notes.push(format!(
                "policy {policy} first asked for {} that Beadle did while policy {later} was in force; the undo \
                 contains {which}",
                counted(count as u64, "write", "writes")
            ));
        }
    }
    Ok(notes)
}

/// Returns each generation with the number of its writes. The generation with the most writes comes
/// first.
fn numbers<'a>(generations: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for generation in generations {
        *numbers.entry(generation).or_default() += 1;
    }
    let mut numbers: Vec<(&str, usize)> = numbers.into_iter().collect();
    numbers.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    numbers
}

/// Returns the commits of these generations. Leaves out a generation if its policy is not in Git,
/// or if the journal does not reach back to the time when the generation came into force.
pub(crate) async fn commits(
    store: &dyn Store,
    generations: &BTreeSet<&str>,
) -> anyhow::Result<BTreeMap<String, PolicyCommitted>> {
    let mut found: BTreeMap<String, PolicyCommitted> = BTreeMap::new();
    if generations.is_empty() {
        return Ok(found);
    }
    newest_generations(store, |_, policy| {
        if generations.contains(policy.in_force.as_str()) {
            found.entry(policy.in_force).or_insert(policy.from);
        }
        found.len() == generations.len()
    })
    .await?;
    Ok(found)
}
