use super::*;

#[test]
fn every_value_knows_its_line() {
    let node = Node::parse(
        "settings.yml",
        "repository:\n  has_wiki: false\n\nteams:\n  - name: a\n    permission: yes\n",
    )
    .unwrap();
    let wiki = node.get("repository").unwrap().get("has_wiki").unwrap();
    assert_eq!((wiki.asked.line, wiki.column, wiki.bool()), (2, 13, Some(false)));
    let team = &node.get("teams").unwrap().items()[0];
    assert_eq!(team.get("permission").unwrap().text(), Some("yes"), "YAML 1.1's booleans are texts");
    assert_eq!(team.get("permission").unwrap().asked.line, 6);
}

#[test]
fn a_number_in_another_spelling_keeps_it() {
    for written in [
        "0042",
        "010",
        "1.50",
        "1e3",
        "1_000",
        "0x1F",
        "+5",
        "5319e7",
        "008672",
        "12e456",
        ".5",
        "18446744073709551615",
    ] {
        let text = format!("a: {written} # why\nc: [{written}, {{ d: {written} }}]\n");
        let node = Node::parse("f.yml", &text).unwrap();
        let list = node.get("c").unwrap().items();
        let found = [node.get("a"), list.first(), list[1].get("d")];
        for found in found.into_iter().flatten() {
            assert_eq!(found.text(), Some(written), "{text}: {found:?}");
        }
    }
    for (written, value) in [("0", 0), ("42", 42), ("-7", -7)] {
        let node = Node::parse("f.yml", &format!("a: {written}\n")).unwrap();
        assert_eq!(node.get("a").unwrap().int(), Some(value));
    }
}

#[test]
fn an_anchor_can_have_many_aliases() {
    let labels = "- { name: a, color: *grey }\n".repeat(1_000);
    let text = format!("grey: &grey cccccc\nlabels:\n{labels}");
    assert_eq!(Node::parse("f.yml", &text).unwrap().get("labels").unwrap().items().len(), 1_000);
}

#[test]
fn a_limit_of_the_parser_is_explained() {
    let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, at| {
        let inner = format!("*a{}, ", at - 1).repeat(10);
        format!("{text}a{at}: &a{at} [{inner}]\n")
    });
    for (text, expected) in [
        (format!("a: {}{}\n", "[".repeat(70), "]".repeat(70)), "64 levels"),
        (bomb, "too many values"),
        (format!("a: [{}]\n", "x, ".repeat(260_000)), "too many values"),
        ("a: &a [*a]\n".to_owned(), "alias of itself"),
    ] {
        let problem = Node::parse("f.yml", &text).unwrap_err();
        assert!(problem.message.contains(expected) && problem.hint.is_some(), "{problem:?}");
    }
}

#[test]
fn a_lone_carriage_return_is_refused_with_its_line() {
    for (text, line) in [("# a\r# b\nc: 1\n", 1), ("a: 1\r\nb: 2\r\r\nc: 3\r\n", 2), ("a: 1\nb: 2\r", 2)] {
        let problem = Node::parse("f.yml", text).unwrap_err();
        assert_eq!(problem.asked.line, line, "{text:?}");
    }
    assert!(Node::parse("f.yml", "a: 1\r\nb: 2\r\n").is_ok());
}

#[test]
fn comments_stand_before_a_list_in_any_number() {
    for count in [33, 97, 1_000] {
        let text = format!("teams:\n{}  - name: a\n", "  # why\n".repeat(count));
        assert_eq!(Node::parse("f.yml", &text).unwrap().get("teams").unwrap().items().len(), 1);
    }
}

#[test]
fn an_at_sign_must_be_in_quotes() {
    let refused = Node::parse("f.yml", "collaborators:\n- username: @mona\n").unwrap_err();
    assert_eq!((refused.asked.line, refused.column), (2, 13), "{refused:?}");
    assert!(refused.message.contains("cannot begin with `@`"), "{refused:?}");
    assert!(Node::parse("f.yml", "a: '@mona'\nb: mona@acme\n").is_ok());
}

#[test]
fn only_comments_are_no_value() {
    for text in ["", "\u{feff}", "# a\r# b\r", "---\r\n# a\r\n"] {
        assert!(Node::parse("f.yml", text).unwrap().is_null(), "{text:?}");
    }
    assert!(Node::parse("f.yml", "# a\rteams: [core]\r").is_err());
}

#[test]
fn a_null_that_is_written_is_not_a_missing_value() {
    for (text, kind) in [
        ("a: null\nb: 1\n", Kind::Null),
        ("a: ~ # why\n", Kind::Null),
        ("a: NULL\r\n", Kind::Null),
        ("{ a: null, b: 1 }", Kind::Null),
        ("{\"a\":null}", Kind::Null),
        ("b: &x null\na: *x\n", Kind::Null),
        ("a:\n  null\n", Kind::Null),
        ("a:\nb: null\n", Kind::Blank),
        ("a: # null\nnull-b: 1\n", Kind::Blank),
        ("a:\n", Kind::Blank),
        ("{ a: , b: null }", Kind::Blank),
    ] {
        let node = Node::parse("f.yml", text).unwrap();
        let value = node.get("a").unwrap();
        assert!(value.is_null() && value.kind == kind, "{text:?}: {value:?}");
    }
}

#[test]
fn a_duplicate_key_names_its_line() {
    let problem = Node::parse("f.yml", "a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(problem.asked.line, 3, "{problem:?}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let item = format!("*a{}", n - 1);
        text = format!("{text}a{n}: &a{n} [{}]\n", vec![item; 9].join(", "));
    }
    assert!(Node::parse("f.yml", &text).is_err());
}
