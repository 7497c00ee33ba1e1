//! The page on which a person confirms an approval of several held changes. The page has no script.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Change, Hold, Risk, Time};

use super::detail;
use super::html::{Attribute, Html, Tag, element, hidden, joined, text};
use super::lines::LinesOf;
use super::link::Link;
use super::parts::{code, counted, facts, folded, link, paragraph, short_list, subject, table_of};
use super::ruling_form::{CONFIRMATION_PATH, MOST_CHANGES};
use crate::sign_in::Visitor;

/// The number of codes that the page shows. The form contains all codes.
const CODES: usize = 10;

/// An approval that a person has sent but has not confirmed yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedApproval<'a> {
    /// The codes of the groups, or the digest of the change.
    pub(super) codes: &'a [String],
    /// The reason for the journal.
    pub(super) reason: &'a str,
    /// The time at which the person saw the changes.
    pub(super) shown: Time,
}

/// Returns the content of the page: the changes that Beadle would write, and the form that confirms
/// the approval. Identical changes share one row. If the page cannot show all changes, it has no
/// form.
pub(super) fn content(holds: &[Hold], visitor: &Visitor, asked: AskedApproval<'_>) -> Vec<Html> {
    let groups = equal_changes(holds);
    let changes = table_of(
        "What Beadle would write",
        &["Change", "Where"],
        (groups.iter().map(|equal| row(equal)).collect(), MOST_CHANGES),
        "No change is held.",
    );
    let changes_and_places = format!("{} in {}", counted(holds.len(), "change", "changes"), places(holds));
    let about = facts(vec![
        ("Risks", text(risks(holds))),
        ("You approve as", text(&visitor.person.name)),
        ("Reason", text(asked.reason)),
    ]);
    let back = paragraph([link(&Link::to("/holds"), "Back")]);
    if holds.len() > MOST_CHANGES {
        let why = format!(
            "You asked to approve {changes_and_places}. Nothing is approved, because this page can show only \
             {MOST_CHANGES} changes. "
        );
        let how = match asked.codes {
            [one] => [
                text("To approve all of them, run "),
                code(format!("beadle approve {one} --reason \"TEXT\"")),
            ],
            _ => [text("Use the filter of the page before to choose a part of them."), Html::default()],
        };
        return vec![paragraph(std::iter::once(text(why)).chain(how)), about, back, changes];
    }
    let what = format!("You are about to approve {changes_and_places}.");
    let what = element(Tag::P, &[Attribute::Class("call")], [text(what)]);
    let why = "Nothing is approved yet. If one of the changes below is different when you confirm, Beadle approves \
               none. If one becomes different during the approval, the page says how many are approved.";
    let cut = holds.iter().any(|hold| detail::is_cut(&hold.change)).then(|| {
        let why = "The page cuts some values. To see the complete values, run ";
        paragraph([text(why), code("beadle holds --json")])
    });
    let form = form(visitor, asked, holds.len());
    let head = [Some(what), Some(paragraph([text(why)])), cut, Some(form.clone()), Some(about), Some(back)];
    // The person need not scroll back after reading a long table.
    head.into_iter().flatten().chain([changes, form, by_command(asked.codes)]).collect()
}

/// Returns the command that approves the same changes, and the codes of the changes.
fn by_command(codes: &[String]) -> Html {
    let [only] = codes else {
        let about = paragraph([
            text("In a terminal, "),
            code("beadle approve CODE --reason \"TEXT\""),
            text(" approves exactly the changes of one group on this page. The codes of the groups:"),
        ]);
        return joined([about, short_list(codes.iter().map(code), CODES)]);
    };
    paragraph([
        text("In a terminal, "),
        code(format!("beadle approve {only} --reason \"TEXT\"")),
        text(" approves exactly what this page shows."),
    ])
}

/// Returns the form that confirms the approval. Its only button approves all changes.
fn form(visitor: &Visitor, asked: AskedApproval<'_>, changes: usize) -> Html {
    let name = format!("Approve {}", counted(changes, "change", "changes"));
    let fields = [
        hidden("code", &asked.codes.join(",")),
        hidden("reason", asked.reason),
        hidden("shown", &asked.shown.0.to_string()),
        hidden("token", &visitor.token),
        element(Tag::Button, &[Attribute::Class("primary")], [text(name)]),
    ];
    element(Tag::Form, &[Attribute::Action(CONFIRMATION_PATH), Attribute::Method("post")], fields)
}

/// Puts changes with exactly the same values into one group. The groups with the gravest risk come
/// first. If groups have the same risk, the group with the most changes comes first.
fn equal_changes(holds: &[Hold]) -> Vec<Vec<&Hold>> {
    let mut found: BTreeMap<String, Vec<&Hold>> = BTreeMap::new();
    for hold in holds {
        // The field `after` does not contain values, but the positions of other changes in a plan.
        let change = Change { after: Vec::new(), ..hold.change.clone() };
        // A change that differs from all other changes has its own row.
        let values = serde_json::to_string(&change).unwrap_or_else(|_| hold.digest.clone());
        found.entry(format!("{} {values}", hold.key.kind())).or_default().push(hold);
    }
    let mut groups: Vec<Vec<&Hold>> = found.into_values().collect();
    groups.sort_by_key(|equal| {
        let risk = equal.first().and_then(|hold| hold.change.risks().gravest());
        (Reverse(risk), Reverse(equal.len()))
    });
    groups
}

/// Returns the row of identical changes. The row has the change with all its values, and the names
/// of all repositories or groups.
fn row(equal: &[&Hold]) -> Vec<Html> {
    let change = equal.first().map(|hold| detail::change(&hold.change, &LinesOf::default()));
    let count = match equal.first().map(|hold| hold.key.kind()) {
        Some("repository") => counted(equal.len(), "repository", "repositories"),
        Some("organisation") => counted(equal.len(), "organisation", "organisations"),
        _ => counted(equal.len(), "group", "groups"),
    };
    let names = equal.iter().map(|hold| (hold.subject.as_str(), subject(hold.key.as_str(), &hold.subject)));
    vec![change.unwrap_or_default(), folded(&count, names, 0)]
}

/// Returns the number of changes of each risk, the gravest risk first. A change with several risks
/// counts only under its gravest risk, so the sum is the number of changes.
fn risks(holds: &[Hold]) -> String {
    let mut counts: BTreeMap<Risk, u32> = BTreeMap::new();
    for hold in holds {
        *counts.entry(hold.change.risks().gravest().unwrap_or(Risk::Changes)).or_default() += 1;
    }
    let texts = counts.iter().rev().map(|(risk, count)| format!("{count} {}", risk.noun(*count)));
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns the number of repositories, organisations and groups that Beadle would write to. If the
/// changes reach further repositories, also returns the number of these repositories.
fn places(holds: &[Hold]) -> String {
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for hold in holds {
        keys.entry(hold.key.kind()).or_default().insert(hold.key.as_str());
    }
    let mut texts: Vec<String> = keys
        .into_iter()
        .map(|(kind, keys)| match kind {
            "repository" => counted(keys.len(), "repository", "repositories"),
            "organisation" => counted(keys.len(), "organisation", "organisations"),
            _ => counted(keys.len(), "group", "groups"),
        })
        .collect();
    let reaches: u64 = holds.iter().map(|hold| u64::from(hold.change.reaches)).sum();
    if reaches > holds.len() as u64 {
        texts.push(format!("reaching {reaches} repositories"));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, testing};

    use super::*;
    use crate::pages::signed_in_tests::{HOST, ORIGIN, world};
    use crate::sign_in::Role;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>";

    fn hold(n: u64, kind: &str, reaches: u32) -> Hold {
        let mut hold = Hold { key: Key::new(kind, "acme", n), ..testing::hold(n) };
        hold.change.reaches = reaches;
        hold
    }

    #[test]
    fn the_page_counts_changes_risks_and_places() {
        let mut holds = vec![hold(1, "repository", 1), hold(2, "repository", 1), hold(3, "target-group", 1)];
        // This change also adds something, but counts only as a removal.
        let mut added = holds[0].change.fields[0].clone();
        added.risk = Risk::Adds;
        holds[0].change.fields.push(added);
        assert_eq!(risks(&holds), "3 removals");
        assert_eq!(places(&holds), "2 repositories, 1 group");
        holds[1].change.fields[0].risk = Risk::Exposes;
        assert_eq!(risks(&holds), "2 removals, 1 exposure");
        let mut modified = holds[2].clone();
        modified.change.fields[0].risk = Risk::Changes;
        assert_eq!(risks(&[modified]), "1 modification");
        assert_eq!(places(&[hold(1, "organisation", 60)]), "1 organisation, reaching 60 repositories");
    }

    #[test]
    fn every_value_of_the_approval_is_on_the_page_and_none_becomes_html() {
        let mut holds: Vec<Hold> = (0..170).map(|n| hold(n, "repository", 1)).collect();
        holds[0].subject = HOSTILE.into();
        holds[0].change.what = HOSTILE.into();
        let asked = AskedApproval { codes: &[HOSTILE.into()], reason: HOSTILE, shown: Time(5) };
        let shown = joined(content(&holds, &Visitor::example(Role::Approver), asked));
        let shown = shown.as_str();
        assert!(!shown.contains("<img"), "{shown}");
        // The button is at the top and at the bottom, and no other button is on the page.
        assert_eq!(shown.matches("<button class=\"primary\">Approve 170 changes</button>").count(), 2);
        assert_eq!(shown.matches("<button").count(), 2, "{shown}");
        for part in [
            "<p class=\"call\">You are about to approve 170 changes in 170 repositories.</p>",
            "<dd>170 removals</dd>",
            "<dt>You approve as</dt><dd>mona</dd>",
            "<dd>&lt;img src=x onerror=alert(1)&gt;</dd>",
            "<code>beadle approve &lt;img src=x onerror=alert(1)&gt; --reason &quot;TEXT&quot;</code> approves exactly",
            "action=\"/holds/confirm\" method=\"post\"",
            "name=\"shown\" value=\"5\"",
            "name=\"token\" value=\"the-token\"",
            "<a href=\"/holds\">Back</a>",
            "acme/r169",
        ] {
            assert!(shown.contains(part), "`{part}` is not in {shown}");
        }
        // Before the confirmation, nothing is approved.
        assert!(!shown.contains("Approved by"), "{shown}");
        let order = ["You are about to approve", "acme/r169", "beadle approve"].map(|part| shown.find(part));
        assert!(order.is_sorted(), "{order:?} {shown}");
    }

    #[test]
    fn a_page_that_cannot_show_all_changes_has_no_form() {
        let codes = ["c0de".to_owned()];
        let asked = AskedApproval { codes: &codes, reason: "read it", shown: Time(5) };
        let shown = |count: usize| {
            let mut holds = vec![hold(1, "repository", 1); count];
            holds[0].change.fields[0].after = serde_json::json!("x".repeat(5000));
            joined(content(&holds, &Visitor::example(Role::Approver), asked)).as_str().to_owned()
        };
        let whole = shown(MOST_CHANGES);
        assert!(whole.contains("<form") && whole.contains("<code>beadle holds --json</code>"));
        let short = shown(MOST_CHANGES + 1);
        assert!(!short.contains("<form") && !short.contains("<button"));
        assert!(short.contains("You asked to approve 1001 changes in 1 repository. Nothing is approved"));
        assert!(short.contains("<code>beadle approve c0de --reason &quot;TEXT&quot;</code>"));
    }

    #[test]
    fn equal_changes_have_one_row_with_all_names_and_no_other_value_hides_in_it() {
        let mut holds: Vec<Hold> = (0..170).map(|n| hold(n, "repository", 1)).collect();
        holds[169].change.fields[0].before = serde_json::json!("admin");
        holds.push(hold(170, "organisation", 60));
        let mut exposed = hold(171, "repository", 1);
        exposed.change.fields[0].risk = Risk::Exposes;
        holds.push(exposed);
        let groups = equal_changes(&holds);
        let sizes: Vec<(usize, &str)> =
            groups.iter().map(|equal| (equal.len(), equal[0].subject.as_str())).collect();
        assert_eq!(sizes.iter().map(|(count, _)| count).sum::<usize>(), 172);
        assert_eq!(sizes[0], (169, "acme/r0"), "{sizes:?}");
        assert_eq!(sizes.len(), 4, "{sizes:?}");
        let codes = ["5d0c".to_owned(), "8f0c".to_owned()];
        let asked = AskedApproval { codes: &codes, reason: "read it", shown: Time(5) };
        let shown = joined(content(&holds, &Visitor::example(Role::Approver), asked));
        for part in [
            "<summary>169 repositories: acme/r0, acme/r1, acme/r2 and 166 more</summary>",
            ">acme/r168</a>",
            "name=\"code\" value=\"5d0c,8f0c\"",
            "The codes of the groups:</p><ul><li><code>5d0c</code></li><li><code>8f0c</code></li></ul>",
        ] {
            assert!(shown.as_str().contains(part), "`{part}` is not in {}", shown.as_str());
        }
        assert_eq!(shown.as_str().matches("<tr>").count(), 5, "the head and one row for each change");
    }

    /// The fields of an approval. The group `pair` has two changes.
    const PAIR: &str = "code=pair&shown=5&reason=read+it";

    #[tokio::test]
    async fn an_approval_of_several_changes_needs_a_second_request_on_the_pages_only() {
        let world = world().await;
        let session = world.sign_in("approver").await;
        let token = world.token(&session).await;
        let asked = format!("{PAIR}&ruling=approve&token={token}");
        let (status, page) = world.post("/holds/decide", &session, &asked).await;
        assert!(status == 200 && page.contains("Confirm the approval"), "{page}");
        assert!(
            page.contains("You are about to approve 2 changes in ") && page.contains("<dd>read it</dd>"),
            "{page}"
        );
        assert!(page.contains("<dd>&lt;b&gt;mona&lt;/b&gt;</dd>") && page.contains(&token), "{page}");
        assert!(world.decisions().is_empty(), "the first request decides nothing");
        let (status, page) = world.post("/holds/confirm", &session, &format!("{PAIR}&token={token}")).await;
        assert!(status == 200 && page.contains("2 changes approved."), "{page}");
        assert!(page.contains("writes approved changes in its next run"), "{page}");
        let decided = world.decisions();
        assert_eq!(decided.len(), 1);
        assert_eq!(
            (decided[0].codes.as_slice(), decided[0].shown),
            (["pair".to_owned()].as_slice(), Time(5))
        );
        let partial = format!("code=part&shown=5&reason=read+it&token={token}");
        let (status, page) = world.post("/holds/confirm", &session, &partial).await;
        assert!(status == 409 && page.contains("Decided in part"), "{page}");
        assert!(page.contains("stored only for 1 change") && !page.contains("Not decided"), "{page}");
        // A rejection writes nothing, so it needs no confirmation.
        let rejected = format!("{PAIR}&ruling=reject&token={token}");
        let (status, page) = world.post("/holds/decide", &session, &rejected).await;
        assert!(status == 200 && page.contains("2 changes rejected."), "{page}");
        let headers =
            [HOST, ("cookie", session.as_str()), ("origin", ORIGIN), ("x-beadle-token", token.as_str())];
        let body = "{\"reason\":\"read it\",\"shown\":5}";
        let (head, text) = world.send("POST", "/api/v1/holds/pair/approve", &headers, body).await;
        assert!(head.status == 200 && text.contains("\"changes\":2"), "{text}");
        assert_eq!(world.decisions().len(), 3);
    }

    #[tokio::test]
    async fn several_groups_are_confirmed_and_approved_together() {
        let world = world().await;
        let session = world.sign_in("approver").await;
        let token = world.token(&session).await;
        let asked = format!("code=d1%2Cd2&shown=5&reason=read+it&token={token}");
        let (status, page) = world.post("/holds/decide", &session, &format!("{asked}&ruling=approve")).await;
        assert!(status == 200 && page.contains("name=\"code\" value=\"d1,d2\""), "{page}");
        assert!(world.decisions().is_empty(), "the first request decides nothing");
        let (status, page) = world.post("/holds/confirm", &session, &asked).await;
        assert!(status == 200 && page.contains("2 changes approved."), "{page}");
        assert_eq!(world.decisions()[0].codes, ["d1", "d2"]);
    }

    #[tokio::test]
    async fn a_confirmation_has_the_same_checks_as_every_other_form() {
        let world = world().await;
        for (role, status) in [("viewer", 403), ("operator", 403), ("approver", 200)] {
            let session = world.sign_in(role).await;
            let token = world.token(&session).await;
            let other = world.sign_in(role).await;
            let of_other = world.token(&other).await;
            let of_page = format!("{PAIR}&ruling=approve");
            for (path, fields) in [("/holds/decide", of_page.as_str()), ("/holds/confirm", PAIR)] {
                for wrong in ["token=", &format!("token={of_other}")] {
                    let (status, page) = world.post(path, &session, &format!("{fields}&{wrong}")).await;
                    assert_eq!(status, 403, "{role} {path} {wrong}: {page}");
                    assert!(!page.contains("Approve") && !page.contains(&token), "{role} {path}: {page}");
                }
                let headers = [HOST, ("cookie", session.as_str()), ("origin", "https://evil.example")];
                let body = format!("{fields}&token={token}");
                assert_eq!(world.send("POST", path, &headers, &body).await.0.status, 403, "{role} {path}");
                let (found, page) = world.post(path, &session, &body).await;
                assert_eq!(found, status, "{role} {path}: {page}");
            }
        }
        assert_eq!(world.decisions().len(), 1, "only the confirmation of the approver");
        let session = world.sign_in("approver").await;
        let token = world.token(&session).await;
        for wrong in [
            "code=pair&shown=x&reason=a",
            "code=pair&shown=5&reason=",
            "code=pair&shown=9999999999999&reason=a",
        ] {
            let (status, page) =
                world.post("/holds/confirm", &session, &format!("{wrong}&token={token}")).await;
            assert_eq!(status, 400, "{wrong}: {page}");
        }
        assert_eq!(world.decisions().len(), 1);
    }
}
