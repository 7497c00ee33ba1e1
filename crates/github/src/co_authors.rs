//! Finds the co-authors of a commit. The commit's message contains their names. GitHub adds these
//! names when it squashes the commits of several people.
//!
//! <https://docs.github.com/pull-requests/committing-changes-to-your-project/creating-and-editing-commits/creating-a-commit-with-multiple-authors>

/// The key of a message line that contains a co-author.
const TRAILER: &str = "co-authored-by";
/// GitHub gives each account a mail address. The host of this address starts with this text.
const NOREPLY: &str = "users.noreply.";

/// Returns the logins of the author and the committer, followed by the co-authors' logins from
/// `message`. Returns an empty list if one of these logins is unknown.
pub(crate) fn with_co_authors(mut logins: Vec<String>, message: &str) -> Vec<String> {
    match co_authors(message) {
        Some(others) if !logins.is_empty() => {
            logins.extend(others);
            logins
        }
        _ => Vec::new(),
    }
}

/// Returns the logins of the co-authors. If a co-author's mail address does not come from GitHub,
/// the account is unknown, and the function returns `None`.
fn co_authors(message: &str) -> Option<Vec<String>> {
    let people = message.lines().filter_map(|line| {
        let (name, person) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case(TRAILER).then_some(person)
    });
    people.map(login).collect()
}

/// Returns the login in an address such as `ann <7+ann@users.noreply.github.com>`.
fn login(person: &str) -> Option<String> {
    let (address, _) = person.rsplit_once('<')?.1.split_once('>')?;
    let (local, host) = address.trim().rsplit_once('@')?;
    let login = local.rsplit_once('+').map_or(local, |(_, login)| login);
    let is_known = host.to_ascii_lowercase().starts_with(NOREPLY) && !login.is_empty();
    is_known.then(|| login.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_further_authors_of_a_message_are_known_by_the_addresses_of_github() {
        let known =
            |logins: &[&str]| Some(logins.iter().map(|login| (*login).to_owned()).collect::<Vec<_>>());
        for (message, expected) in [
            ("Remove a team", known(&[])),
            ("Remove a team\n\nCo-authored-by: Bob <7+bob@users.noreply.github.com>", known(&["bob"])),
            (
                "A\r\n\r\nCO-AUTHORED-BY: b <bob@users.noreply.ghe.example>\r\n\
                 co-authored-by:c <8+cyd@Users.NoReply.github.com>\r\n",
                known(&["bob", "cyd"]),
            ),
            ("A\n\nCo-authored-by: Bob <bob@acme.example>", None),
            ("A\n\nCo-authored-by: <7+bob@users.noreply.github.com> <bob@acme.example>", None),
            ("A\n\nCo-authored-by: bob", None),
            ("A\n\nCo-authored-by: b <7+@users.noreply.github.com>", None),
        ] {
            assert_eq!(co_authors(message), expected, "{message}");
        }
    }

    #[test]
    fn the_authors_of_a_commit_are_known_only_if_all_of_them_are() {
        let (ann, named) =
            (vec!["ann".to_owned()], "A\n\nCo-authored-by: b <7+bob@users.noreply.github.com>");
        assert_eq!(with_co_authors(ann.clone(), "A"), ["ann"]);
        assert_eq!(with_co_authors(ann.clone(), named), ["ann", "bob"]);
        assert_eq!(with_co_authors(Vec::new(), named), [""; 0]);
        assert_eq!(with_co_authors(ann, "A\n\nCo-authored-by: Bob <bob@acme.example>"), [""; 0]);
    }
}
