//! Tells an operator what happens after an undo: the policy still asks for the undone values, and
//! Beadle only observes the restored values.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::guard::is_undo;
use beadle_engine::{Key, PolicyLocation, Store, examples};

use crate::app::operations::shared_writes::commits;
use crate::app::operations::written_changes::Written;
use crate::output::journal_run_and_policy::commit;
use crate::output::plural::counted;

/// The maximum number of policies that the sentences name. It is also the maximum number of lines
/// that they name for one policy.
const MOST: usize = 3;

/// The writes of an undo that one policy asked for.
#[derive(Default)]
struct Asked {
    /// The number of writes.
    writes: usize,
    /// The lines of the policy that asked for the writes.
    lines: BTreeSet<PolicyLocation>,
}

/// Returns sentences for the plan of an undo. The undo reverts `writes`.
pub(crate) async fn sentences(store: &dyn Store, writes: &[Written]) -> anyhow::Result<Vec<String>> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
    for one in writes {
        let Some(policy) = one.asked().filter(|asked| !asked.is_empty() && !is_undo(asked)) else { continue };
        let its = asked.entry(policy).or_default();
        its.writes += 1;
        // The lines of a write are lines of the policy that was in force at the time of the write.
        if one.generation.as_deref() == Some(policy) {
            its.lines.extend(one.change.fields.iter().filter_map(|field| field.asked.clone()));
        }
    }
    let mut asked: Vec<(&str, Asked)> = asked.into_iter().collect();
    asked.sort_by_key(|(_, asked)| std::cmp::Reverse(asked.writes));
    let more = asked.len().saturating_sub(MOST);
    asked.truncate(MOST);
    let commits = commits(store, &asked.iter().map(|(policy, _)| *policy).collect()).await?;
    let mut sentences: Vec<String> = Vec::new();
    for (policy, asked) in &asked {
        let from = commits.get(*policy).map(|from| format!(" ({})", commit(from))).unwrap_or_default();
        let which = which(asked.writes, writes.len());
        let lines: Vec<String> = asked.lines.iter().map(ToString::to_string).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let place = if lines.is_empty() { String::new() } else { format!(" in {}", examples(&lines, MOST)) };
        sentences.push(format!(
            "policy {policy}{from} asked for {which}{place}: revert this in the policy too, otherwise it \
             still declares the undone values"
        ));
    }
    if more > 0 {
        let policies = counted(more, "further policy", "further policies");
        sentences.push(format!("{policies} asked for the other writes: revert this too"));
    }
    sentences.push(observed(writes));
    Ok(sentences)
}

/// Returns the words for some of the writes, such as `2 of these writes`. `count` is the number of
/// these writes, and `all` is the number of all writes.
pub(crate) fn which(count: usize, all: usize) -> String {
    match (count, all) {
        (1, 1) => "this write".to_owned(),
        (count, all) if count == all => "these writes".to_owned(),
        (count, _) => format!("{count} of these writes"),
    }
}

/// Returns the sentence about the observation of the restored values.
fn observed(writes: &[Written]) -> String {
    format!(
        "Beadle only observes a restored value, and does not write the value of the policy, until the policy has the \
         same value or until {}",
        resume(writes.iter().map(|one| (&one.key, one.subject.as_str())))
    )
}

/// Returns the command that makes Beadle follow the policy again in the repositories that an undo
/// changed. `of` contains the key and the name of each repository.
pub(crate) fn resume<'a>(of: impl Iterator<Item = (&'a Key, &'a str)>) -> String {
    let of: BTreeMap<&Key, &str> = of.collect();
    let mut organisations: Vec<&str> = of.keys().map(|key| key.instance()).collect();
    organisations.dedup();
    match (of.iter().next(), of.len(), organisations.as_slice()) {
        (Some((key, name)), 1, _) if key.kind() == "repository" => format!("`beadle resume --repo {name}`"),
        (_, _, [organisation]) => format!("`beadle resume --org {organisation}`"),
        _ => "`beadle resume --org ORG`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Change, Entry, EntryKind, Risk, Time, testing};
    use serde_json::json;

    use super::*;
    use crate::app::store;

    fn write(n: u64, line: Option<u32>) -> Written {
        let mut change: Change<()> = testing::change("teams", "team core", &[Risk::Removes]);
        change.fields[0].asked = line.map(|line| PolicyLocation { file: "settings.yml".into(), line });
        Written::example(&Key::new("repository", "acme", n), &format!("acme/r{n}"), change)
    }

    #[tokio::test]
    async fn an_undo_names_the_policy_to_revert_and_the_command_that_ends_the_observation() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        assert_eq!(sentences(store, &[]).await.unwrap(), Vec::<String>::new());
        let all = [write(1, Some(7)), write(2, Some(3)), write(3, None)];
        let found = sentences(store, &all).await.unwrap();
        let [policy, observed] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            policy,
            "policy g1 asked for these writes in settings.yml:3, settings.yml:7: revert this in the policy too, \
             otherwise it still declares the undone values"
        );
        assert!(observed.ends_with("or until `beadle resume --org acme`"), "{observed}");
        let detail = json!({
            "repository": "acme/admin", "commit": "0123456789abcdef", "author": "ada", "subject": "Close the team",
            "in_force": "g1",
        });
        let entry = Entry {
            seq: 0,
            at: Time(1),
            kind: EntryKind::Policy,
            key: "-".to_owned(),
            subject: "acme".to_owned(),
            intent: None,
            trace: None,
            detail: detail.into(),
        };
        store.journal(None, vec![entry], Time(1)).await.unwrap();
        let found = sentences(store, &all[2..]).await.unwrap();
        let start = "policy g1 (commit 0123456789ab of acme/admin by ada: Close the team) asked for this write: revert";
        assert!(found[0].starts_with(start), "{found:?}");
        assert!(found[1].ends_with("or until `beadle resume --repo acme/r3`"), "{found:?}");
    }

    #[tokio::test]
    async fn a_line_of_the_policy_in_force_is_no_line_of_the_policy_that_asked() {
        let (_folder, store) = store::temporary().unwrap();
        let late = write(1, Some(9)).first_asked_by("g0");
        let found = sentences(store.as_ref(), &[late, write(2, Some(3))]).await.unwrap();
        let (g0, g1) = (&found[0], &found[1]);
        assert!(g0.starts_with("policy g0 asked for 1 of these writes: revert"), "{g0}");
        assert!(g1.starts_with("policy g1 asked for 1 of these writes in settings.yml:3: revert"), "{g1}");
    }

    #[test]
    fn the_command_that_ends_an_undo_covers_all_of_its_repositories() {
        let (shop, web) = (Key::new("repository", "acme", 1), Key::new("repository", "acme", 2));
        let (other, itself) = (Key::new("repository", "labs", 1), Key::new("organisation", "acme", 9));
        for (of, expected) in [
            (vec![(&shop, "acme/shop"), (&shop, "acme/shop")], "`beadle resume --repo acme/shop`"),
            (vec![(&shop, "acme/shop"), (&web, "acme/web")], "`beadle resume --org acme`"),
            (vec![(&itself, "acme")], "`beadle resume --org acme`"),
            (vec![(&shop, "acme/shop"), (&itself, "acme")], "`beadle resume --org acme`"),
            (vec![(&shop, "acme/shop"), (&other, "labs/shop")], "`beadle resume --org ORG`"),
        ] {
            assert_eq!(resume(of.into_iter()), expected);
        }
    }
}
