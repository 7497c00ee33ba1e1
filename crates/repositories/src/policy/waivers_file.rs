//! The file `waivers.yml` of a policy. This file is not a layer.

use beadle_engine::PolicyLocation;

use super::keys::{WAIVER, WAIVERS_FILE};
use super::node::Node;
use super::origin::BASE;
use super::pattern::{Pattern, stray_in_glob, unmatchable};
use super::problem::Problem;
use super::waived_key::check_waived_key;
use super::waiver::{Waiver, parse_until};

/// The policy file that contains the waivers.
pub const WAIVERS: &str = "waivers.yml";

/// Returns whether a file contains the waivers of a policy or of the policy's base.
pub(super) fn is_waiver_file(file: &str) -> bool {
    let file = file.strip_prefix(BASE).unwrap_or(file);
    ["waivers.yml", "waivers.yaml"].contains(&file)
}

/// Reads the waivers in a file. The function adds the mistakes in the file to `problems`.
pub(super) fn read_waivers(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Waiver> {
    let whole = |text: &str, hint: &str| {
        Problem::error(PolicyLocation { file: file.into(), line: 1 }, 1, text).hint(hint)
    };
    // A base must not have waivers. Several organisations can share a base, but a waiver is for the
    // repositories of only one organisation.
    if file.starts_with(BASE) {
        let hint = "move the file to the policy of one organisation";
        problems.push(whole("a base must not have waivers", hint));
        return Vec::new();
    }
    if file != WAIVERS {
        problems.push(whole("the name of the file must be `waivers.yml`", "rename the file"));
        return Vec::new();
    }
    let root = match Node::parse(file, text) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    let before = problems.len();
    WAIVERS_FILE.check("", &root, problems);
    if problems.len() > before {
        return Vec::new();
    }
    let Some(list) = root.get("waivers") else {
        let hint = "write `waivers: []` for no waivers";
        problems.push(whole("the file must have the key `waivers`", hint));
        return Vec::new();
    };
    list.items().iter().filter_map(|entry| one(entry, problems)).collect()
}

/// Reads one waiver. Returns `None` if a key is missing.
fn one(entry: &Node, problems: &mut Vec<Problem>) -> Option<Waiver> {
    let wrong = |node: &Node, text: String| Problem::error(node.asked.clone(), node.column, text);
    let mut is_complete = true;
    for name in WAIVER.iter().map(|key| key.name) {
        let is_empty = |node: &Node| match node.text() {
            Some(text) => text.trim().is_empty(),
            None => node.items().is_empty(),
        };
        let text = match entry.get(name) {
            None => format!("a waiver must have `{name}`"),
            Some(node) if is_empty(node) => format!("`{name}` must not be empty"),
            Some(_) => continue,
        };
        problems.push(wrong(entry, text));
        is_complete = false;
    }
    for node in entry.get("repositories").map(Node::items).unwrap_or_default() {
        let Some(text) = node.text() else { continue };
        if let Some(problem) = unmatchable(node, text, stray_in_glob) {
            problems.push(problem);
        } else if let Err(why) = Pattern::glob(text) {
            problems.push(wrong(node, why));
        }
    }
    for node in entry.get("keys").map(Node::items).unwrap_or_default() {
        if let Some(Err(must)) = node.text().map(check_waived_key) {
            problems.push(wrong(node, format!("`{}` must {must}", node.text().unwrap_or_default())));
        }
    }
    let text = |name: &str| entry.get(name).and_then(Node::text).map(|text| text.trim().to_owned());
    let until = entry.get("until")?;
    let end = match parse_until(until.text()?.trim()) {
        Ok(end) => end,
        Err(must) => {
            problems.push(wrong(until, format!("`until` must {must}")));
            return None;
        }
    };
    let waiver = Waiver {
        keys: entry.get("keys")?.texts(),
        repositories: entry.get("repositories")?.texts(),
        until: end,
        reason: text("reason")?,
        owner: text("owner")?,
        asked: Some(entry.asked.clone()),
    };
    is_complete.then_some(waiver)
}

#[cfg(test)]
mod tests {
    use beadle_engine::Time;

    use super::*;

    fn read(file: &str, text: &str) -> (Vec<Waiver>, String) {
        let mut problems = Vec::new();
        let waivers = read_waivers(file, text, &mut problems);
        let lines = problems.iter().map(|problem| format!("{}: {}\n", problem.asked.line, problem.message));
        (waivers, lines.collect())
    }

    const FINE: &str = "waivers:\n  - repositories: [shop, 'api-*']\n    keys: [teams]\n    until: 1970-01-01\n    \
                        reason: release\n    owner: mona\n";

    #[test]
    fn a_waiver_has_its_keys_repositories_end_reason_and_owner() {
        let (waivers, problems) = read(WAIVERS, FINE);
        assert_eq!(problems, "");
        let [waiver] = waivers.as_slice() else { panic!("{waivers:?}") };
        assert_eq!(waiver.keys, ["teams"]);
        assert_eq!(waiver.repositories, ["shop", "api-*"]);
        assert_eq!((waiver.until, waiver.place().as_str()), (Time(86_400_000), "waivers.yml:2"));
        assert_eq!((waiver.reason.as_str(), waiver.owner.as_str()), ("release", "mona"));
        assert_eq!(read(WAIVERS, "waivers: []\n"), (Vec::new(), String::new()));
    }

    #[test]
    fn a_mistake_is_an_error_with_its_line() {
        for (from, to, expected) in [
            ("    until: 1970-01-01\n", "", "2: a waiver must have `until`"),
            ("    owner: mona\n", "", "2: a waiver must have `owner`"),
            ("reason: release", "reason: ''", "2: `reason` must not be empty"),
            ("keys: [teams]", "keys: []", "2: `keys` must not be empty"),
            ("keys: [teams]", "keys: [team]", "3: `team` must name a key"),
            ("keys: [teams]", "keys: teams", "3: `waivers[0].keys` must be a list"),
            ("1970-01-01", "soon", "4: `until` must be a date such as"),
            ("'api-*'", "'api-['", "2: invalid glob `api-[`"),
            ("'api-*'", "acme/api", "2: `acme/api` has `/`, but no name of a repository has this character"),
            ("'api-*'", "'!api'", "2: `!api` has `!`"),
            ("owner:", "owners:", "unknown key `waivers[0].owners`"),
            ("waivers:", "waiver:", "unknown key `waiver`"),
        ] {
            let (_, problems) = read(WAIVERS, &FINE.replace(from, to));
            assert!(problems.contains(expected), "{to}\n{problems}");
        }
        assert!(!read(WAIVERS, "").1.is_empty());
        assert!(read("base/waivers.yml", FINE).1.contains("a base must not have waivers"));
        assert!(read("waivers.yaml", FINE).1.contains("must be `waivers.yml`"));
    }
}
