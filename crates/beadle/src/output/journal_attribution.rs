//! Shows the policies behind a write: the list from which a removed entry is missing, the line that
//! declared this entry earlier, and the authors of the policies.

use beadle_engine::guard::is_undo;
use beadle_engine::journal::{IntendedChange, PolicyCommitted};
use beadle_engine::{Change, Field};
use beadle_repositories::policy::{AbsentEntry, absent_entry};

use crate::journal::attribution::{Attribution, KnownPolicy};

/// The maximum number of removed entries in a sentence.
const ENTRIES: usize = 3;
/// The number of digits of a commit's id that a sentence shows.
const DIGITS: usize = 12;

/// The last line of a list of writes. The line shows how to find the commits of the policies.
pub(crate) const POLICIES: &str =
    "the policies with their commits and authors: `beadle journal --only policy`";

/// Returns the parts of a sentence that tell who asked for some values of a write, and why. Returns
/// no parts if no policy asked for these values.
pub(crate) fn clauses(intended: &IntendedChange, fields: &[Field], attribution: &Attribution) -> Vec<String> {
    let IntendedChange { change, generation, first_asked, .. } = intended;
    if is_undo(generation) {
        return Vec::new();
    }
    let known = attribution.policy.as_ref().map(|known| format!("policy {generation} {}", by(known)));
    let first = first_asked.as_ref().map(|first| {
        let by = attribution.first.as_ref().map(|known| format!(", {}", by(known))).unwrap_or_default();
        format!("policy {first} first asked for it{by}")
    });
    [missing(change, fields), known, first, last_declared(fields, attribution)]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns the author and the subject of a policy, and the number of its journal entry, such as `by
/// mona: Drop a team (entry 269)`.
fn by(known: &KnownPolicy) -> String {
    let PolicyCommitted { author, subject, .. } = &known.policy.from;
    let base = known.policy.base.as_ref();
    let base = base.map(|base| format!(", base by {}: {}", base.author, base.subject)).unwrap_or_default();
    format!("by {author}: {subject}{base} (entry {})", known.entry)
}

/// If some values of a change remove entries, returns a text such as `the list `teams` does not
/// have core`. All entries of one change belong to the same list.
pub(crate) fn missing(change: &Change<()>, fields: &[Field]) -> Option<String> {
    let removed = |field: &Field| absent_entry(&change.aspect, &change.what, field);
    let absent: Vec<AbsentEntry> = fields.iter().filter_map(removed).collect();
    let (first, others) = absent.split_first()?;
    let names: Vec<String> =
        others.iter().take(ENTRIES - 1).map(|entry| format!(", {}", entry.name)).collect();
    Some(format!("{first}{}{}", names.concat(), more(absent.len())))
}

/// Returns a text such as `the policy of the repository last declared `teams[core]` in settings.yml:9
/// at 1a2b`.
fn last_declared(fields: &[Field], attribution: &Attribution) -> Option<String> {
    // The record does not show who removed the entry. The file can still have the entry, for
    // example if the file selects repositories by a topic, and the repository lost this topic. It
    // is also possible that a policy between two runs removed the entry.
    let declared = fields.iter().filter_map(|field| attribution.declared.get(&field.name));
    let places: Vec<String> = declared
        .map(|declared| {
            let commit: String = declared.commit.chars().take(DIGITS).collect();
            format!("`{}` in {} at {commit}", declared.path, declared.at)
        })
        .collect();
    if places.is_empty() {
        return None;
    }
    let shown = places.iter().take(ENTRIES).map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(format!("the policy of the repository last declared {shown}{}", more(places.len())))
}

/// Returns the number of the entries that a sentence does not show.
fn more(count: usize) -> String {
    match count.saturating_sub(ENTRIES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::PolicyLocation;
    use beadle_engine::journal::PolicyInForce;
    use beadle_repositories::controls::LastDeclared;
    use serde_json::{Value, json};

    use super::*;

    fn known(entry: u64, author: &str, base: Option<&str>) -> KnownPolicy {
        let committed = |author: &str| PolicyCommitted {
            repository: "acme/admin".into(),
            commit: "0".repeat(40),
            author: author.into(),
            subject: "Drop teams".into(),
        };
        let (from, base) = (committed(author), base.map(committed));
        KnownPolicy { entry, policy: PolicyInForce { in_force: "g".into(), from, base } }
    }

    fn change(aspect: &str, what: &str, names: &[&str], generation: &str) -> IntendedChange {
        let field = |name: &&str| json!({ "name": name, "before": "push", "after": null, "asked": null, "risk": "removes" });
        let fields: Vec<Value> = names.iter().map(field).collect();
        let stored = json!({
            "aspect": aspect, "what": what, "fields": fields, "mode": "enforce", "after": [], "write": null,
            "generation": generation,
        });
        serde_json::from_value(stored).unwrap()
    }

    fn all(intended: &IntendedChange, attribution: &Attribution) -> String {
        clauses(intended, &intended.change.fields, attribution).join("; ")
    }

    fn declared(path: &str, line: u32) -> LastDeclared {
        let at = PolicyLocation { file: "settings.yml".into(), line };
        LastDeclared { path: path.into(), at, commit: "1a2b3c4d5e6f7a8b".into() }
    }

    #[test]
    fn a_removal_names_the_list_the_author_and_the_last_line_of_the_entry() {
        let attribution = Attribution {
            policy: Some(known(269, "mona", Some("bob"))),
            first: None,
            declared: [("permission".to_owned(), declared("teams[core]", 9))].into(),
        };
        let mut removal = change("teams", "team core", &["permission"], "3c9f");
        assert_eq!(
            all(&removal, &attribution),
            "the list `teams` does not have core; policy 3c9f by mona: Drop teams, base by bob: Drop teams (entry 269); \
             the policy of the repository last declared `teams[core]` in settings.yml:9 at 1a2b3c4d5e6f"
        );
        // The guard held the change until a later policy was in force.
        removal.first_asked = Some("2a1b".into());
        let late = Attribution {
            policy: Some(known(300, "zoe", None)),
            first: Some(known(269, "mona", None)),
            ..attribution.clone()
        };
        assert_eq!(
            all(&removal, &late),
            "the list `teams` does not have core; policy 3c9f by zoe: Drop teams (entry 300); policy 2a1b first asked for \
             it, by mona: Drop teams (entry 269); the policy of the repository last declared `teams[core]` in \
             settings.yml:9 at 1a2b3c4d5e6f"
        );
        let undo = change("teams", "team core", &["permission"], "undo of 7");
        assert_eq!(all(&undo, &attribution), "");
    }

    #[test]
    fn the_last_line_of_an_entry_names_no_policy_that_removed_it() {
        // The policy 2a1b deleted the entry. Then 3c9f came into force before the next run.
        let removal = change("topics", "", &["a", "b"], "3c9f");
        let fields = [("a".to_owned(), declared("repository.topics[a]", 4))];
        let attribution = Attribution { declared: fields.into(), ..Attribution::default() };
        let last = "the policy of the repository last declared `repository.topics[a]` in settings.yml:4 at \
                    1a2b3c4d5e6f";
        let list = "the list `repository.topics` does not have a, b";
        assert_eq!(clauses(&removal, &removal.change.fields, &attribution), [list, last]);
    }

    #[test]
    fn a_sentence_has_few_entries() {
        let topics = change("topics", "", &["a", "b", "c", "d", "e"], "3c9f");
        let expected = "the list `repository.topics` does not have a, b, c and 2 more";
        assert_eq!(all(&topics, &Attribution::default()), expected);
        let setting = change("settings", "", &["homepage"], "3c9f");
        assert_eq!(all(&setting, &Attribution::default()), "");
    }
}
