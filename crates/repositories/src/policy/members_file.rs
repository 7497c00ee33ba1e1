//! Reads the file `members.yml`. This file declares the members and the owners of an organisation.

use std::collections::BTreeMap;

use super::forms::LOGIN;
use super::node::{Kind, Node};
use super::problem::{Problem, nearest};

/// The file of a policy that declares the members of the organisation.
pub const MEMBERS: &str = "members.yml";

/// The keys of the file.
const KEYS: [&str; 2] = ["members", "owners"];

/// The people that `members.yml` declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredMembers {
    /// The logins of the members who are not owners.
    pub members: Vec<String>,
    /// The logins of the owners.
    pub owners: Vec<String>,
}

/// Reads the members from the file `file`. For each mistake, the function returns an error that
/// shows the line.
pub fn read_members(file: &str, text: &str) -> Result<DeclaredMembers, Vec<Problem>> {
    let root = Node::parse(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    for (key, _) in root.entries() {
        let name = key.text().unwrap_or_default();
        if !KEYS.contains(&name) {
            let problem = wrong(key, &format!("unknown key `{name}`"));
            problems.push(match nearest(name, KEYS) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("the keys are `members` and `owners`"),
            });
        }
    }
    let mut lines = BTreeMap::new();
    let members = logins(&root, "members", &mut lines, &mut problems);
    let owners = logins(&root, "owners", &mut lines, &mut problems);
    if owners.is_empty() && problems.is_empty() {
        problems.push(wrong(&root, "`owners` must have at least one login"));
    }
    if problems.is_empty() { Ok(DeclaredMembers { members, owners }) } else { Err(problems) }
}

fn wrong(at: &Node, text: &str) -> Problem {
    Problem::error(at.asked.clone(), at.column, text)
}

/// Returns the logins below a key. `lines` contains the line of each login that the function has
/// already seen in the file. The key of the map is the login in lower case.
fn logins(
    root: &Node,
    key: &str,
    lines: &mut BTreeMap<String, u32>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let Some(list) = root.get(key) else {
        // Without this error, an incompletely written file would look like a file without members.
        problems.push(wrong(root, &format!("the file must have the key `{key}` with a list of logins")));
        return Vec::new();
    };
    if !matches!(list.kind, Kind::List(_)) {
        problems.push(wrong(list, &format!("`{key}` must be a list of logins")));
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in list.items() {
        let Some(login) = item.text() else {
            problems.push(wrong(item, &format!("each entry of `{key}` must be a string")));
            continue;
        };
        if let Err(misfit) = LOGIN.check(login) {
            problems.push(wrong(item, &format!("a login must {}, found `{login}`", misfit.must)));
        }
        if let Some(line) = lines.insert(login.to_lowercase(), item.asked.line) {
            problems.push(wrong(item, &format!("line {line} has the login `{login}` too")));
        }
        found.push(login.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_members_and_owners() {
        let read = read_members(MEMBERS, "members: [ada, Bob]\nowners:\n  - mona\n  - olaf\n").unwrap();
        assert_eq!(read.members, ["ada", "Bob"]);
        assert_eq!(read.owners, ["mona", "olaf"]);
        assert!(read_members(MEMBERS, "members: []\nowners: [mona]\n").unwrap().members.is_empty());
    }

    #[test]
    fn a_mistake_is_an_error_with_its_line_and_never_an_empty_list() {
        for (text, expected) in [
            ("", "1: the file must have the key `members`"),
            ("owners: [mona]\n", "1: the file must have the key `members`"),
            ("members: [ada]\n", "1: the file must have the key `owners`"),
            ("members:\nowners: [mona]\n", "1: `members` must be a list"),
            ("members: [ada]\nowners: []\n", "1: `owners` must have at least one login"),
            ("members: [7]\nowners: [mona]\n", "1: each entry of `members` must be a string"),
            ("members: []\nowners: [\"a b\"]\n", "2: a login must "),
            ("members: [Mona]\nowners: [mona]\n", "2: line 1 has the login `mona` too"),
            ("members: []\nowners: [mona]\nadmins: [ada]\n", "3: unknown key `admins`"),
        ] {
            let problems = read_members(MEMBERS, text).unwrap_err();
            let lines = problems.iter().map(|one| format!("{}: {}\n", one.asked.line, one.message));
            let found = lines.collect::<Vec<_>>().concat();
            assert!(found.contains(expected), "{text}\n{found}");
        }
    }
}
