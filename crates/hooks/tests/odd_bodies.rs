//! Tests with random requests. No request causes a panic, and Beadle never accepts a request
//! without a valid signature.

use beadle_engine::{Time, read_hint};
use beadle_hooks::github::{
    Headers, OrgFacts, Sender, WatchedFiles, WatchedPolicy, WebhookRefusal, receive, sign,
};
use proptest::prelude::*;

fn senders() -> Vec<Sender> {
    let secret = |text: &str| text.to_owned().into();
    let sender = |instance: &str, secrets| Sender {
        instance: instance.into(),
        login: instance.into(),
        app_id: None,
        secrets,
        known: OrgFacts::default(),
        dispatches: Vec::new(),
        keeps_teams: false,
        policies: Vec::new(),
        takes_installations: false,
    };
    vec![sender("acme", vec![secret("first"), secret("second")]), sender("umbrella", vec![secret("third")])]
}

fn headers<'a>(signature: &'a str, content_type: &'a str) -> Headers<'a> {
    Headers {
        signature: Some(signature),
        event: Some("repository"),
        delivery: Some("id"),
        content_type: Some(content_type),
        ..Headers::default()
    }
}

fn payload(login: &str) -> Vec<u8> {
    format!(r#"{{"organization":{{"login":"{login}"}},"repository":{{"id":7,"node_id":"R_7"}}}}"#)
        .into_bytes()
}

#[test]
fn a_secret_signs_only_for_its_own_organisation() {
    for (secret, login, fits) in [
        ("first", "acme", true),
        ("second", "ACME", true),
        ("third", "umbrella", true),
        ("third", "acme", false),
    ] {
        let body = payload(login);
        let tag = sign(secret, &body);
        let received = receive(&senders(), headers(&tag, "application/json"), body, Time(0));
        assert_eq!(received.is_ok(), fits, "{secret} {login}: {received:?}");
        if !fits {
            assert!(matches!(received, Err(WebhookRefusal::NotConfigured(_))));
        }
    }
}

#[test]
fn an_empty_secret_makes_no_valid_signature() {
    let nobody = vec![Sender { secrets: vec![String::new().into()], ..senders().remove(0) }];
    let body = payload("acme");
    let tag = sign("", &body);
    assert_eq!(
        receive(&nobody, headers(&tag, "application/json"), body, Time(0)),
        Err(WebhookRefusal::BadSignature)
    );
}

proptest! {
    #[test]
    fn any_signed_body_is_taken_or_refused(body: Vec<u8>, form: bool) {
        let tag = sign("first", &body);
        let kind = if form { "application/x-www-form-urlencoded" } else { "application/json; charset=utf-8" };
        let received = receive(&senders(), headers(&tag, kind), body, Time(0));
        prop_assert!(!matches!(received, Err(WebhookRefusal::BadSignature | WebhookRefusal::Unsigned)));
    }

    #[test]
    fn any_cut_or_changed_payload_is_taken_or_refused(cut in 0usize..90, at in 0usize..90, byte: u8) {
        let mut body = payload("acme");
        let place = at % body.len();
        body[place] = byte;
        body.truncate(body.len().saturating_sub(cut));
        let tag = sign("second", &body);
        let _ = receive(&senders(), headers(&tag, "application/json"), body, Time(0)); // must not panic
    }

    #[test]
    fn no_other_tag_passes(tag in "sha256=[0-9a-f]{0,70}|[ -~]{0,80}") {
        let body = payload("acme");
        prop_assume!(tag != sign("first", &body) && tag != sign("second", &body) && tag != sign("third", &body));
        let received = receive(&senders(), headers(&tag, "application/json"), body, Time(0));
        prop_assert_eq!(received.unwrap_err(), WebhookRefusal::BadSignature);
    }
}

/// Returns the keys that a signed event marks as due, each in the form `LANE KEY`.
fn marked(sender: &Sender, event: &str, body: &str) -> Vec<String> {
    let tag = sign("first", body.as_bytes());
    let headers = Headers { event: Some(event), ..headers(&tag, "application/json") };
    let received = receive(std::slice::from_ref(sender), headers, body.as_bytes().to_vec(), Time(0));
    received
        .iter()
        .flat_map(|received| &received.marks)
        .map(|mark| format!("{} {}", mark.lane, mark.key))
        .collect()
}

#[test]
fn only_events_about_installations_are_taken_from_an_unknown_organisation() {
    let app = Sender {
        instance: "-".into(),
        login: String::new(),
        app_id: Some(7),
        takes_installations: true,
        ..senders().remove(0)
    };
    let installed = |login: &str| {
        format!(r#"{{"action":"created","installation":{{"id":9,"account":{{"login":"{login}","id":3}}}}}}"#)
    };
    let other = installed("other");
    assert_eq!(marked(&app, "installation", &other), ["event installations:-:7"]);
    assert!(marked(&app, "installation_repositories", &other).is_empty());
    let received = |senders: &[Sender], event: &str, body: &str, secret: &str| {
        let tag = sign(secret, body.as_bytes());
        let headers = Headers {
            event: Some(event),
            target_type: Some("integration"),
            target_id: Some("7"),
            ..headers(&tag, "application/json")
        };
        receive(senders, headers, body.as_bytes().to_vec(), Time(0))
    };
    let acme = Sender { app_id: Some(7), ..senders().remove(0) };
    let all = [acme, senders().remove(1), app];
    let taken = received(&all, "installation", &other, "first").unwrap();
    assert_eq!(
        (taken.delivery.instance.as_str(), taken.delivery.event.as_str()),
        ("-", "installation.created")
    );
    // A known organisation also becomes due.
    let known = received(&all, "installation", &installed("acme"), "first").unwrap();
    let keys: Vec<&str> = known.marks.iter().map(|mark| mark.key.as_str()).collect();
    assert_eq!((known.delivery.instance.as_str(), keys), ("acme", vec!["sweep:acme:3", "installations:-:7"]));
    for (event, body, secret) in [
        ("repository", payload("other"), "first"),
        ("installation", other.clone().into_bytes(), "third"),
        ("installation", installed("").into_bytes(), "third"),
        ("repository", payload(""), "first"),
    ] {
        let body = String::from_utf8(body).unwrap();
        let refused = received(&all, event, &body, secret);
        assert!(matches!(refused, Err(WebhookRefusal::NotConfigured(_))), "{event} {body}: {refused:?}");
    }
}

const IN_ACME: &str =
    r#""organization":{"login":"acme","id":3},"repository":{"id":7,"default_branch":"main"}"#;

#[test]
fn only_the_default_branch_and_the_branches_of_the_policy_matter() {
    let sender = senders().remove(0);
    sender.known.watch(["develop".to_owned()].into(), WatchedFiles::default());
    let push = |branch: &str, what: &str| {
        marked(&sender, "push", &format!(r#"{{{IN_ACME},"ref":"refs/heads/{branch}",{what}}}"#))
    };
    assert_eq!(push("main", r#""created":true"#), ["event repository:acme:7"]);
    assert_eq!(push("develop", r#""deleted":true"#), ["event repository:acme:7"]);
    assert!(push("feature", r#""created":true"#).is_empty());
    assert!(push("main", r#""created":false"#).is_empty(), "commits change no setting");
    let create = |branch: &str| {
        marked(&sender, "create", &format!(r#"{{{IN_ACME},"ref":"{branch}","ref_type":"branch"}}"#))
    };
    assert_eq!(create("develop").len(), 1);
    assert!(create("feature").is_empty());
}

#[test]
fn a_push_to_a_repository_of_policies_marks_each_of_them() {
    let mut sender = senders().remove(0);
    sender.known.set_own("beadle-app[bot]".into());
    sender.known.watch([].into(), WatchedFiles::default());
    let policy = |instance: &str, reference: &str| WatchedPolicy {
        instance: instance.into(),
        repository: "admin".into(),
        reference: reference.into(),
    };
    sender.policies = vec![policy("acme", "main"), policy("umbrella", "main"), policy("other", "next")];
    let push = |name: &str, reference: &str| {
        let repository = format!(r#""repository":{{"id":7,"name":"{name}","default_branch":"main"}}"#);
        let acme = r#""organization":{"login":"acme","id":3},"sender":{"login":"beadle-app[bot]"}"#;
        marked(&sender, "push", &format!(r#"{{{acme},{repository},"ref":"{reference}","created":false}}"#))
    };
    assert_eq!(push("admin", "refs/heads/main"), ["event policy:acme:7", "event policy:umbrella:7"]);
    assert_eq!(push("admin", "refs/heads/next"), ["event policy:other:7"]);
    assert!(push("admin", "refs/heads/topic").is_empty());
    assert!(push("shop", "refs/heads/main").is_empty());
}

#[test]
fn a_change_of_a_kept_file_marks_its_repository() {
    let sender = senders().remove(0);
    sender.known.set_own("beadle-app[bot]".into());
    let files = WatchedFiles { branch: "beadle/files".into(), paths: ["LICENSE".to_owned()].into() };
    sender.known.watch([].into(), files);
    let push = |path: &str, by: &str| {
        let commits = format!(r#""ref":"refs/heads/main","commits":[{{"modified":["{path}"]}}]"#);
        marked(&sender, "push", &format!(r#"{{{IN_ACME},{commits},"sender":{{"login":"{by}"}}}}"#))
    };
    assert_eq!(push("LICENSE", "mona"), ["event repository:acme:7"]);
    assert_eq!(push("LICENSE", "beadle-app[bot]"), ["sweep repository:acme:7"]);
    assert!(push("README.md", "mona").is_empty());
    let pull = r#""pull_request":{"number":1,"head":{"ref":"beadle/files","repo":{"id":7}}}"#;
    let closed = format!(r#"{{{IN_ACME},"action":"closed",{pull}}}"#);
    assert_eq!(marked(&sender, "pull_request", &closed), ["event repository:acme:7"]);
}

#[test]
fn events_of_bots_are_urgent_and_events_of_own_writes_are_not() {
    let sender = senders().remove(0);
    sender.known.set_own("beadle-app[bot]".into());
    let by =
        |login: &str| marked(&sender, "label", &format!(r#"{{{IN_ACME},"sender":{{"login":"{login}"}}}}"#));
    assert_eq!(by("dependabot[bot]"), ["event repository:acme:7"]);
    assert_eq!(by("beadle-app[bot]"), ["sweep repository:acme:7"]);
}

#[test]
fn an_event_about_all_repositories_marks_a_sweep_and_a_ruleset_marks_its_organisation() {
    let sender = senders().remove(0);
    let organisation = r#""organization":{"login":"acme","id":3}"#;
    for (event, action, wanted) in [
        ("team", "edited", "event sweep:acme:3"),
        ("organization", "renamed", "event sweep:acme:3"),
        ("organization", "member_removed", "sweep sweep:acme:3"),
        ("repository_ruleset", "edited", "event organisation:acme:3"),
    ] {
        assert_eq!(marked(&sender, event, &format!(r#"{{{organisation},"action":"{action}"}}"#)), [wanted]);
    }
    assert!(marked(&sender, "membership", &format!(r#"{{{organisation},"action":"added"}}"#)).is_empty());
    let sender = Sender { keeps_teams: true, ..senders().remove(0) };
    let marks = marked(&sender, "organization", &format!(r#"{{{organisation},"action":"member_invited"}}"#));
    assert_eq!(marks, ["event team:acme:organisation"], "the membership of the organisation");
}

#[test]
fn only_a_member_who_joins_or_leaves_starts_a_sweep_that_may_compare_the_last_answers() {
    let sender = senders().remove(0);
    sender.known.set_own("beadle-app[bot]".into());
    for (event, action, by, expected) in [
        ("organization", "member_added", "mona", "sweep true"),
        ("organization", "member_removed", "mona", "sweep true"),
        ("organization", "member_removed", "beadle-app[bot]", "sweep true"),
        ("team", "deleted", "mona", "event false"),
        // GitHub removes a deleted team from the reviewers of environments. It does not matter who
        // deleted the team.
        ("team", "deleted", "beadle-app[bot]", "sweep false"),
        ("installation", "new_permissions_accepted", "mona", "event false"),
    ] {
        let body = format!(
            r#"{{"organization":{{"login":"acme","id":3}},"action":"{action}","sender":{{"login":"{by}"}}}}"#
        );
        let tag = sign("first", body.as_bytes());
        let headers = Headers { event: Some(event), ..headers(&tag, "application/json") };
        let received = receive(std::slice::from_ref(&sender), headers, body.into_bytes(), Time(0)).unwrap();
        let mark = received.marks.iter().find(|mark| mark.key.kind() == "sweep").unwrap();
        let is_swept = mark.hint.as_deref().is_some_and(|hint| read_hint(hint).1);
        assert_eq!(format!("{} {is_swept}", mark.lane), expected, "{event} {action} {by}");
    }
}

#[test]
fn a_delivery_marks_one_dispatch_key_for_each_matching_rule() {
    use beadle_hooks::github::Dispatched;
    let mut sender = senders().remove(0);
    sender.dispatches = vec![Dispatched { name: "police".into(), event: "repository.created".into() }];
    let body = |action: &str| format!(r#"{{{IN_ACME},"action":"{action}"}}"#);
    assert_eq!(
        marked(&sender, "repository", &body("created")),
        ["event repository:acme:7", "event dispatch:acme:id/police"]
    );
    assert_eq!(marked(&sender, "repository", &body("edited")).len(), 1);
}
