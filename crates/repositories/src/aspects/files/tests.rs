//! Tests Beadle's decision for each state of the branch and the pull requests.

use std::collections::BTreeMap;

use beadle_github::{AtPath, DefaultBranch, FilesBranch, FilesPull, KeptFiles, PullState, blob_id};

use super::decide::{Decision, Place, decide, differing, refused};
use super::text::body;
use super::wanted::Wanted;
use super::write::{Onto, Pull, Write};
use crate::policy::Node;
use crate::policy::file_template::TemplateFacts;

const PLACE: Place<'_> = Place { repository: "R_1", is_public: false };

fn wanted(path: &str, content: &str) -> Wanted {
    let facts = TemplateFacts {
        name: "shop",
        owner: "acme",
        visibility: "private",
        default_branch: "main",
        topics: None,
        properties: None,
    };
    let entry = Node::parse("settings.yml", &format!("{{ path: {path}, content: {content} }}")).unwrap();
    Wanted::of(&entry, facts).unwrap()
}

fn default() -> DefaultBranch {
    DefaultBranch { id: "REF_main".into(), name: "main".into(), head: "head".into() }
}

fn files(contents: &[(&str, &str)]) -> BTreeMap<String, AtPath> {
    contents.iter().map(|(path, content)| ((*path).to_owned(), AtPath::File(blob_id(content)))).collect()
}

fn branch(is_own: bool, contents: &[(&str, &str)]) -> FilesBranch {
    FilesBranch { id: "REF_files".into(), head: "tip".into(), ahead: 1, is_own, files: files(contents) }
}

fn pull(state: PullState, is_own: bool, proposed: &[&Wanted]) -> FilesPull {
    FilesPull { id: "PR_7".into(), number: 7, state, is_own, body: body(proposed, true) }
}

fn seen(main: &[(&str, &str)], branch: Option<FilesBranch>, pulls: Vec<FilesPull>) -> KeptFiles {
    let mut at_head = files(main);
    for path in ["a", "b"] {
        at_head.entry(path.to_owned()).or_insert(AtPath::Nothing);
    }
    KeptFiles { default: Some(default()), files: at_head, branch, pulls }
}

/// Returns a short form of the decision about the branch and the pull request.
fn decided(all: &[Wanted], seen: &KeptFiles) -> String {
    match decide(differing(all, seen), seen, &default(), PLACE) {
        Decision::Nothing => "nothing".into(),
        Decision::Wait(why) => format!("wait: {why}"),
        Decision::Blocked(why) => format!("blocked: {why}"),
        Decision::End { pull, .. } => format!("end {pull:?}"),
        Decision::Propose { write: Write::Propose { onto, commit, pull, .. }, .. } => {
            let onto = match onto {
                Onto::New => "new",
                Onto::Reset(_) => "reset",
                Onto::Present(_) => "present",
            };
            let pull = match pull {
                Pull::Open { instead_of: None, .. } => "open",
                Pull::Open { instead_of: Some(_), .. } => "replace",
                Pull::Update(_) => "update",
            };
            let paths: Vec<&str> = commit.files.keys().map(String::as_str).collect();
            format!("{onto} {pull} {}", paths.join(","))
        }
        Decision::Propose { write, .. } => format!("{write:?}"),
    }
}

#[test]
#[expect(clippy::many_single_char_names, reason = "the rows of the table stay short")]
fn a_pull_request_is_opened_updated_and_ended() {
    use PullState::{Closed, Merged, Open};
    let (a, b, old) = (wanted("a", "x"), wanted("b", "v"), wanted("a", "w"));
    let all = [a.clone(), b.clone()];
    let (x, y, w) = (("a", "x"), ("b", "v"), ("a", "w"));
    let own = |contents: &[(&str, &str)]| Some(branch(true, contents));
    for (what, state, expected) in [
        ("the files match", seen(&[x, y], None, vec![]), "nothing"),
        ("nothing is there", seen(&[], None, vec![]), "new open a,b"),
        ("one file matches", seen(&[x], None, vec![]), "new open b"),
        ("the branch is left from a kill", seen(&[], own(&[x]), vec![]), "reset open a,b"),
        (
            "it is proposed",
            seen(&[], own(&[x, y]), vec![pull(Open, true, &[&a, &b])]),
            "wait: the pull request #7 waits for a merge",
        ),
        (
            "the policy changed",
            seen(&[], own(&[w, y]), vec![pull(Open, true, &[&old, &b])]),
            "present update a",
        ),
        ("the policy got a file", seen(&[], own(&[x]), vec![pull(Open, true, &[&a])]), "present update b"),
        (
            "the text is not updated yet",
            seen(&[], own(&[x, y]), vec![pull(Open, true, &[&a])]),
            "present update ",
        ),
        (
            "a proposed file is not needed",
            seen(&[x], own(&[w, y]), vec![pull(Open, true, &[&old, &b])]),
            "reset replace b",
        ),
        ("it is mended", seen(&[x, y], own(&[x, y]), vec![pull(Open, true, &[&a, &b])]), "end Some(7)"),
        ("it is merged", seen(&[x, y], own(&[x, y]), vec![pull(Merged, true, &[&a, &b])]), "end None"),
        (
            "it is undone after the merge",
            seen(&[], own(&[x]), vec![pull(Merged, true, &[&a, &b])]),
            "reset open a,b",
        ),
        ("it is refused", seen(&[], own(&[x, y]), vec![pull(Closed, true, &[&a, &b])]), "nothing"),
        ("only one file is refused", seen(&[], own(&[x]), vec![pull(Closed, true, &[&a])]), "reset open b"),
        (
            "an older content is refused",
            seen(&[y], own(&[w]), vec![pull(Closed, true, &[&old])]),
            "reset open a",
        ),
        (
            "a refused one is merged later",
            seen(&[y], None, vec![pull(Merged, true, &[&a]), pull(Closed, true, &[&a])]),
            "new open a",
        ),
        ("somebody else closed the like", seen(&[y], None, vec![pull(Closed, false, &[&a])]), "new open a"),
    ] {
        assert_eq!(decided(&all, &state), expected, "{what}");
    }
}

#[test]
fn what_others_made_is_left_alone() {
    use PullState::Open;
    let a = wanted("a", "x");
    let all = [a.clone()];
    let foreign = || Some(branch(false, &[("a", "z")]));
    for (what, state, expected) in [
        ("a branch", seen(&[], foreign(), vec![]), "blocked: the branch `beadle/files` has commits of other"),
        (
            "commits on the pull request",
            seen(&[], foreign(), vec![pull(Open, true, &[&a])]),
            "wait: the branch of the pull request #7 has commits of other people",
        ),
        (
            "a pull request",
            seen(&[], foreign(), vec![pull(Open, false, &[])]),
            "blocked: the pull request #7",
        ),
        ("a branch that nobody needs", seen(&[("a", "x")], foreign(), vec![]), "nothing"),
        (
            "a pull request that nobody needs",
            seen(&[("a", "x")], foreign(), vec![pull(Open, false, &[])]),
            "nothing",
        ),
        (
            "commits on a pull request that nobody needs",
            seen(&[("a", "x")], foreign(), vec![pull(Open, true, &[&a])]),
            "wait: the files match the policy",
        ),
    ] {
        let decided = decided(&all, &state);
        assert!(decided.starts_with(expected), "{what}: {decided}");
    }
    let reserved = FilesBranch { ahead: 0, ..branch(true, &[]) };
    assert_eq!(decided(&all, &seen(&[("a", "x")], Some(reserved), vec![])), "nothing");
}

#[test]
fn a_refused_content_is_named_with_its_pull_request() {
    let (a, b) = (wanted("a", "x"), wanted("b", "v"));
    let all = [a.clone(), b];
    let state = seen(&[], None, vec![pull(PullState::Closed, true, &[&a])]);
    let refused = refused(&differing(&all, &state), &state);
    assert_eq!(
        refused.iter().map(|(file, number)| (file.path.as_str(), *number)).collect::<Vec<_>>(),
        [("a", 7)]
    );
}

#[test]
fn a_text_in_a_public_repository_does_not_name_the_policy() {
    let all = [wanted("a", "x")];
    let state = seen(&[], None, vec![]);
    for is_public in [false, true] {
        let place = Place { is_public, ..PLACE };
        let decision = decide(differing(&all, &state), &state, &default(), place);
        let Decision::Propose { write: Write::Propose { body, .. }, .. } = &decision else {
            panic!("{decision:?}")
        };
        assert_eq!(body.contains("settings.yml"), !is_public);
    }
}
