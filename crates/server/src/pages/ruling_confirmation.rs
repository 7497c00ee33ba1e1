//! The page on which a person confirms an approval of several held changes. The page has no script.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Hold, Risk, Time};

use super::detail;
use super::html::{Attribute, Html, Tag, element, hidden, text};
use super::lines::LinesOf;
use super::link::Link;
use super::parts::{code, counted, facts, link, paragraph, subject, table_of};
use super::ruling_form::CONFIRMATION_PATH;
use crate::sign_in::Visitor;

/// The maximum number of changes on the page.
const MOST: usize = 1000;

/// An approval that a person sent and did not confirm yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedApproval<'a> {
    /// The code of the group, or the digest of the change.
    pub(super) code: &'a str,
    /// The reason for the journal.
    pub(super) reason: &'a str,
    /// The time at which the person saw the changes.
    pub(super) shown: Time,
}

/// Returns the content of the page: the changes that Beadle would write, and the form that confirms
/// the approval. If the page cannot show all changes, it has no form.
pub(super) fn content(holds: &[Hold], visitor: &Visitor, asked: AskedApproval<'_>) -> Vec<Html> {
    let rows = holds.iter().map(|hold| {
        vec![subject(hold.key.as_str(), &hold.subject), detail::change(&hold.change, &LinesOf::default())]
    });
    let changes = table_of(
        "What Beadle would write",
        &["Name", "Change"],
        (rows.collect(), MOST),
        "No change is held.",
    );
    let about = facts(vec![
        ("Changes", text(counted(holds.len(), "change", "changes"))),
        ("Risks", text(risks(holds))),
        ("Where", text(places(holds))),
        ("Code", code(asked.code)),
        ("Approved by", text(&visitor.person.name)),
        ("Reason", text(asked.reason)),
    ]);
    let back = paragraph([link(&Link::to("/holds"), "Back")]);
    if holds.len() > MOST {
        let why = format!(
            "Nothing is approved. This page can show only {MOST} changes. To approve all of them, run "
        );
        let command = code(format!("beadle approve {} --reason TEXT", asked.code));
        return vec![paragraph([text(why), command]), about, back, changes];
    }
    let why = "Nothing is approved yet. The code stands for exactly the changes below. If one of them has \
               changed when you confirm, Beadle approves none. If one changes during the approval, the \
               page says how many are approved.";
    let cut = holds.iter().any(|hold| detail::is_cut(&hold.change)).then(|| {
        let why = "The page cuts some values. To see the complete values, run ";
        paragraph([text(why), code("beadle holds --json")])
    });
    let head = [Some(paragraph([text(why)])), cut, Some(about), Some(form(visitor, asked)), Some(back)];
    head.into_iter().flatten().chain([changes]).collect()
}

/// Returns the form that confirms the approval.
fn form(visitor: &Visitor, asked: AskedApproval<'_>) -> Html {
    let fields = [
        hidden("code", asked.code),
        hidden("reason", asked.reason),
        hidden("shown", &asked.shown.0.to_string()),
        hidden("token", &visitor.token),
        element(Tag::Button, &[], [text("Confirm")]),
    ];
    element(Tag::Form, &[Attribute::Action(CONFIRMATION_PATH), Attribute::Method("post")], fields)
}

/// Returns the number of changes of each risk, the gravest risk first. A change with several risks
/// counts only under its gravest one, so the sum is the number of changes.
fn risks(holds: &[Hold]) -> String {
    let mut counts: BTreeMap<Risk, u32> = BTreeMap::new();
    for hold in holds {
        *counts.entry(hold.change.risks().gravest().unwrap_or(Risk::Changes)).or_default() += 1;
    }
    let texts = counts.iter().rev().map(|(risk, count)| format!("{count} {}", risk.noun(*count)));
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns the number of repositories, organisations and groups that Beadle would write to. If the
/// changes reach further repositories, also returns their number.
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
        texts.push(format!("reaches {reaches} repositories"));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, testing};

    use super::*;
    use crate::pages::html::joined;
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
        // This change also adds something, and counts only as a removal.
        let mut added = holds[0].change.fields[0].clone();
        added.risk = Risk::Adds;
        holds[0].change.fields.push(added);
        assert_eq!(risks(&holds), "3 removals");
        assert_eq!(places(&holds), "2 repositories, 1 group");
        holds[1].change.fields[0].risk = Risk::Exposes;
        assert_eq!(risks(&holds), "2 removals, 1 exposure");
        assert_eq!(places(&[hold(1, "organisation", 60)]), "1 organisation, reaches 60 repositories");
    }

    #[test]
    fn every_value_of_the_approval_is_on_the_page_and_none_becomes_html() {
        let mut holds: Vec<Hold> = (0..170).map(|n| hold(n, "repository", 1)).collect();
        holds[0].subject = HOSTILE.into();
        holds[0].change.what = HOSTILE.into();
        let asked = AskedApproval { code: HOSTILE, reason: HOSTILE, shown: Time(5) };
        let shown = joined(content(&holds, &Visitor::example(Role::Approver), asked));
        let shown = shown.as_str();
        assert!(!shown.contains("<img"), "{shown}");
        for part in [
            "<dd>170 changes</dd>",
            "<dd>170 removals</dd>",
            "<dd>170 repositories</dd>",
            "<dd>mona</dd>",
            "<dd>&lt;img src=x onerror=alert(1)&gt;</dd>",
            "<code>&lt;img src=x onerror=alert(1)&gt;</code>",
            "action=\"/holds/confirm\" method=\"post\"",
            "name=\"shown\" value=\"5\"",
            "name=\"token\" value=\"the-token\"",
            "<a href=\"/holds\">Back</a>",
            "acme/r169",
        ] {
            assert!(shown.contains(part), "`{part}` is not in {shown}");
        }
    }

    #[test]
    fn a_page_that_cannot_show_all_changes_has_no_form() {
        let asked = AskedApproval { code: "c0de", reason: "read it", shown: Time(5) };
        let shown = |count: usize| {
            let mut holds = vec![hold(1, "repository", 1); count];
            holds[0].change.fields[0].after = serde_json::json!("x".repeat(5000));
            joined(content(&holds, &Visitor::example(Role::Approver), asked)).as_str().to_owned()
        };
        let whole = shown(MOST);
        assert!(whole.contains("<form") && whole.contains("<code>beadle holds --json</code>"));
        let short = shown(MOST + 1);
        assert!(!short.contains("<form") && !short.contains("Confirm"));
        assert!(short.contains("<code>beadle approve c0de --reason TEXT</code>"));
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
        assert!(page.contains("<dd>2 changes</dd>") && page.contains("<dd>read it</dd>"), "{page}");
        assert!(page.contains("<dd>&lt;b&gt;mona&lt;/b&gt;</dd>") && page.contains(&token), "{page}");
        assert!(world.decisions().is_empty(), "the first request decides nothing");
        let (status, page) = world.post("/holds/confirm", &session, &format!("{PAIR}&token={token}")).await;
        assert!(status == 200 && page.contains("2 changes approved."), "{page}");
        let decided = world.decisions();
        assert_eq!(decided.len(), 1);
        assert_eq!((decided[0].code.as_str(), decided[0].shown), ("pair", Time(5)));
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
                    assert!(!page.contains("Confirm") && !page.contains(&token), "{role} {path}: {page}");
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
