//! Fuzzes Okta's event hooks.

use std::sync::LazyLock;

use beadle_engine::{Key, Time};
use beadle_hooks::okta::{HeaderSecret, HookRefusal, Sender, receive, sender};
use secrecy::SecretString;

use crate::seed::Seed;

/// The maximum number of keys that one event can make due.
const MOST_KEYS: usize = 100;

static SENDERS: LazyLock<[Sender; 2]> = LazyLock::new(|| {
    let secrets = ["old", "new"].map(SecretString::from).to_vec();
    let proof = HeaderSecret { header: "authorization".into(), values: secrets };
    [
        // If a sender has no secret, the headers of its request prove nothing.
        Sender { instance: "none".into(), header_secrets: Vec::new() },
        Sender { instance: "corp".into(), header_secrets: vec![proof] },
    ]
});

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let shown = seed.value("authorization");
    let header = |name: &str| (name == "authorization").then_some(shown?.as_bytes());
    let found = sender(&SENDERS[..], &header);
    match found {
        Ok(found) => assert!(found.instance == "corp" && matches!(shown, Some("old" | "new")), "{shown:?}"),
        Err(refusal) => assert_eq!(refusal, HookRefusal::Unproved),
    }
    // The parser has to keep its promises for the body of every sender.
    let take = || receive(&SENDERS[1], seed.body.to_vec(), Time(1));
    let taken = take();
    assert_eq!(taken, take(), "the same request has two results");
    let Ok(taken) = taken else { return };

    assert!(is_id(&taken.delivery.id), "{:?}", taken.delivery.id);
    assert_eq!(taken.delivery.body, seed.body);
    for (event, marks) in taken.events {
        assert!(is_id(&event.id), "{:?}", event.id);
        assert!(event.source != taken.delivery.source, "an event could hide a delivery");
        assert!(marks.len() <= MOST_KEYS);
        for mark in marks {
            assert_eq!(mark.key.as_str().parse::<Key>().as_ref(), Ok(&mark.key));
            assert_eq!(mark.key.instance(), "corp");
            assert!(["group", "user", "sweep"].contains(&mark.key.kind()), "{}", mark.key);
            let id = mark.key.id();
            assert!(is_id(id.strip_prefix("whole/").unwrap_or(id)), "{}", mark.key);
        }
    }
}
