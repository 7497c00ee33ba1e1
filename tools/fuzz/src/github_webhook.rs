//! Fuzzes GitHub's webhooks.

use std::sync::LazyLock;

use beadle_engine::{Key, Time};
use beadle_hooks::github::{
    CHECK, CheckSubject, Dispatched, Headers, NO_INSTANCE, OrgFacts, Sender, WatchedFiles, WatchedPolicy,
    WebhookRefusal, receive, sign,
};
use secrecy::SecretString;

use crate::seed::Seed;

/// The secrets of all senders.
const SECRETS: [&str; 3] = ["old", "new", "app"];
/// The kinds of key that a webhook can mark.
const KINDS: [&str; 8] =
    ["repository", "organisation", "sweep", "team", "policy", CHECK, "dispatch", "installations"];

static SENDERS: LazyLock<[Sender; 2]> = LazyLock::new(senders);

fn senders() -> [Sender; 2] {
    let known = OrgFacts::default();
    known.watch(["main".to_owned()].into(), WatchedFiles::default());
    known.set_own("beadle[bot]".to_owned());
    let acme = Sender {
        instance: "acme".into(),
        login: "Acme".into(),
        app_id: Some(7),
        secrets: SECRETS[..2].iter().map(|secret| SecretString::from(*secret)).collect(),
        known,
        dispatches: vec![Dispatched { name: "police".into(), event: "repository.created".into() }],
        keeps_teams: true,
        policies: vec![WatchedPolicy {
            instance: "acme".into(),
            repository: "admin".into(),
            reference: "main".into(),
        }],
        takes_installations: false,
    };
    let app = Sender {
        instance: NO_INSTANCE.into(),
        login: String::new(),
        app_id: Some(7),
        secrets: vec![SecretString::from(SECRETS[2])],
        known: OrgFacts::default(),
        dispatches: Vec::new(),
        keeps_teams: false,
        policies: Vec::new(),
        takes_installations: true,
    };
    [acme, app]
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    // Almost no input has a valid signature. So if the input does not have the header with the
    // signature, the target signs the body.
    let signed = sign(seed.value("secret").unwrap_or("new"), seed.body);
    let signature = seed.value("signature").unwrap_or(&signed);
    let headers = Headers {
        signature: Some(signature),
        event: seed.value("event"),
        delivery: seed.value("delivery"),
        content_type: seed.value("type"),
        target_type: seed.value("target-type"),
        target_id: seed.value("target"),
    };
    let take = |headers: Headers<'_>, body: &[u8]| receive(&SENDERS[..], headers, body.to_vec(), Time(1));
    let taken = take(headers, seed.body);
    assert_eq!(taken, take(headers, seed.body), "the same request has two results");
    let Ok(taken) = taken else { return };

    let is_signed = |secret: &&str| sign(secret, seed.body).eq_ignore_ascii_case(signature);
    assert!(SECRETS.iter().any(is_signed), "no configured secret made the signature");
    let longer = [seed.body, b" "].concat();
    assert_eq!(take(headers, &longer), Err(WebhookRefusal::BadSignature), "another body is accepted");
    assert_eq!(take(Headers { signature: None, ..headers }, seed.body), Err(WebhookRefusal::Unsigned));

    assert_eq!(Some(taken.delivery.id.as_str()), headers.delivery);
    assert!(["acme", NO_INSTANCE].contains(&taken.delivery.instance.as_str()));
    for mark in taken.marks {
        assert_eq!(mark.key.as_str().parse::<Key>().as_ref(), Ok(&mark.key));
        assert!(KINDS.contains(&mark.key.kind()), "{}", mark.key);
        assert!(["acme", NO_INSTANCE].contains(&mark.key.instance()), "{}", mark.key);
        if mark.key.kind() == CHECK {
            let subject = mark.key.id().parse::<CheckSubject>();
            assert_eq!(subject.map(|subject| subject.to_string()).as_deref(), Ok(mark.key.id()));
        }
    }
}
