//! Gives each link to a group of held changes its own name.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::PolicyLocation;

/// Returns the name of a group: its title, and the line of the policy that asks for its changes.
pub(super) fn with_line(title: String, asked: Option<&PolicyLocation>) -> String {
    match asked {
        Some(at) => format!("{title} [{at}]"),
        None => title,
    }
}

/// Makes the names of groups unique. `names` has the code and the name of each group. If several
/// groups have the same name, the result adds the code to each of these names. Groups with the same
/// name differ, for example, in their organisation.
pub(super) fn unique(names: &[(&str, String)]) -> Vec<String> {
    let mut codes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (code, name) in names {
        codes.entry(name).or_default().insert(code);
    }
    let named = |(code, name): &(&str, String)| {
        let is_shared = codes.get(name.as_str()).is_some_and(|codes| codes.len() > 1);
        if is_shared { format!("{name} (code {code})") } else { name.clone() }
    };
    names.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_never_have_the_same_name() {
        let at = |line: u32| PolicyLocation { file: "settings.yml".into(), line };
        let name =
            |line: Option<u32>| with_line("removes teams: team auditors".to_owned(), line.map(at).as_ref());
        let names = vec![("a", name(Some(2))), ("b", name(Some(9))), ("c", name(None)), ("d", name(None))];
        assert_eq!(
            unique(&names),
            [
                "removes teams: team auditors [settings.yml:2]",
                "removes teams: team auditors [settings.yml:9]",
                "removes teams: team auditors (code c)",
                "removes teams: team auditors (code d)",
            ]
        );
        // Two links to the same group can have the same name.
        assert_eq!(unique(&[("a", "x".to_owned()), ("a", "x".to_owned())]), ["x", "x"]);
    }
}
