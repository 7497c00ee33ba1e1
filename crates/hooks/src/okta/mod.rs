//! Verifies requests of Okta's event hooks, and finds the keys that these requests mark as due.
//!
//! <https://developer.okta.com/docs/concepts/event-hooks/>

mod event;
mod secret;

use beadle_engine::{Delivery, Mark, Time};
use secrecy::SecretString;
use serde::Deserialize;

pub use event::{Event, TYPES, WHOLE};

/// A header that proves the identity of the sender, and the valid values of this header. During a
/// rotation, two values are valid.
#[derive(Clone, Debug)]
pub struct HeaderSecret {
    /// The name of the header.
    pub header: String,
    /// The valid values.
    pub values: Vec<SecretString>,
}

/// A directory that is allowed to send event hooks.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The name of the directory in keys and in the configuration.
    pub instance: String,
    /// The required headers of a request. Each header must have a valid value. If the list is
    /// empty, Beadle accepts no request.
    pub header_secrets: Vec<HeaderSecret>,
}

/// The reason why Beadle refuses a request of an event hook. Each reason determines the HTTP status
/// of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookRefusal {
    /// A required header is missing or has an invalid value. The status is 401.
    #[error("the header with the hook's secret is missing, or its value matches no configured secret")]
    Unproved,
    /// The body is not a delivery of an event hook. The status is 400.
    #[error("the body is not a delivery of an event hook: {0}")]
    Body(String),
}

/// A verified request: the events and the delivery to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHook {
    /// The events of the request, each with the marks of its keys. The store must get the events
    /// before the delivery. The store might already have an event, from another delivery or from
    /// the System Log. In this case, the event's keys do not become due again.
    pub events: Vec<(Delivery, Vec<Mark>)>,
    /// The delivery itself. The store must get the delivery after all events of the delivery. If
    /// the store contains a delivery, it therefore also contains all events of the delivery.
    pub delivery: Delivery,
}

/// The source of stored deliveries.
pub const SOURCE: &str = "okta";
/// The source of stored events. Events and deliveries have different sources, because an event and
/// a delivery could have the same id.
pub const EVENTS: &str = "okta-event";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_id: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    events: Vec<Event>,
}

/// Returns whether a text can be an id at Okta. Such an id is a short word. Beadle puts no other
/// text into a key.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Returns the sender whose required headers the request has. `header` returns the value of a
/// request header.
pub fn sender<'a, 'h>(
    senders: &'a [Sender],
    header: &dyn Fn(&str) -> Option<&'h [u8]>,
) -> Result<&'a Sender, HookRefusal> {
    // The check tries every sender, so that its duration does not reveal which sender matches.
    let proved = |sender: &&Sender| secret::all_shown(&sender.header_secrets, header);
    let found: Vec<&Sender> = senders.iter().filter(proved).collect();
    found.first().copied().ok_or(HookRefusal::Unproved)
}

/// Reads the body of a verified request.
pub fn receive(sender: &Sender, body: Vec<u8>, now: Time) -> Result<VerifiedHook, HookRefusal> {
    let envelope: Envelope =
        serde_json::from_slice(&body).map_err(|error| HookRefusal::Body(error.to_string()))?;
    if !is_id(&envelope.event_id) {
        return Err(HookRefusal::Body("`eventId` is missing or invalid".into()));
    }
    // An event without a valid uuid gets an id from its position in the delivery, so that the store
    // can keep this event like the other events.
    let stored = |(at, event): (usize, &Event)| {
        let stored = event.stored(&sender.instance, now);
        stored
            .unwrap_or_else(|| event.stored_as(format!("{}-{at}", envelope.event_id), &sender.instance, now))
    };
    let events: Vec<_> = envelope.data.events.iter().enumerate().map(stored).collect();
    let delivery = Delivery {
        source: SOURCE.into(),
        id: envelope.event_id,
        event: match events.as_slice() {
            [(one, _)] => one.event.clone(),
            several => format!("{} events", several.len()),
        },
        actor: None,
        instance: sender.instance.clone(),
        received: now,
        body,
    };
    Ok(VerifiedHook { events, delivery })
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Lane};
    use serde_json::{Value, json};

    use super::*;

    fn corp() -> Vec<Sender> {
        let proof = |header: &str, values: &[&str]| HeaderSecret {
            header: header.into(),
            values: values.iter().map(|value| SecretString::from(*value)).collect(),
        };
        vec![
            Sender { instance: "none".into(), header_secrets: Vec::new() },
            Sender {
                instance: "corp".into(),
                header_secrets: vec![proof("authorization", &["old", "new"]), proof("x-api-key", &["key"])],
            },
        ]
    }

    fn body(events: &Value) -> Vec<u8> {
        json!({ "eventType": "com.okta.event_hook", "eventId": "b5a188b9-5ece-4636-b041-482ffda96311",
                "data": { "events": events } })
        .to_string()
        .into_bytes()
    }

    fn event(uuid: &str, kind: &str, result: &str) -> Value {
        json!({ "uuid": uuid, "eventType": kind, "outcome": { "result": result }, "actor": { "alternateId": "admin@acme.example" },
                "target": [
                    { "type": "UserGroup", "id": "00g1", "alternateId": "unknown", "displayName": "AWS_Ops" },
                    { "type": "User", "id": "00u1", "alternateId": "ann@acme.example", "displayName": "Ann" } ] })
    }

    #[test]
    fn both_headers_are_required_and_two_values_can_be_valid() {
        let senders = corp();
        let with = |pairs: &'static [(&str, &str)]| {
            let header = |name: &str| {
                pairs.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_bytes())
            };
            sender(&senders, &header).map(|sender| sender.instance.clone())
        };
        for taken in [
            [("authorization", "old"), ("x-api-key", "key")],
            [("authorization", "new"), ("x-api-key", "key")],
        ] {
            assert_eq!(with(Box::leak(Box::new(taken))), Ok("corp".into()));
        }
        let refused: [&'static [(&str, &str)]; 5] = [
            &[],
            &[("authorization", "old")],
            &[("x-api-key", "key")],
            &[("authorization", "older"), ("x-api-key", "key")],
            &[("authorization", ""), ("x-api-key", "")],
        ];
        for refused in refused {
            assert_eq!(with(refused), Err(HookRefusal::Unproved), "{refused:?}");
        }
    }

    #[test]
    fn keys_come_from_targets_of_the_right_type_and_a_failed_action_marks_no_key() {
        let kinds = [
            ("group.user_membership.add", "SUCCESS", vec!["group:corp:00g1"]),
            ("group.user_membership.remove", "SUCCESS", vec!["group:corp:00g1"]),
            ("group.user_membership.add", "FAILURE", vec![]),
            ("group.profile.update", "SUCCESS", vec!["group:corp:whole/00g1"]),
            ("group.lifecycle.delete", "SUCCESS", vec!["group:corp:whole/00g1"]),
            ("user.lifecycle.suspend", "SUCCESS", vec!["user:corp:00u1"]),
            ("application.user_membership.add", "SUCCESS", vec!["user:corp:00u1"]),
            ("user.session.start", "SUCCESS", vec![]),
        ];
        for (kind, result, expected) in kinds {
            let verified = receive(&corp()[1], body(&json!([event("u1", kind, result)])), Time(0)).unwrap();
            let keys: Vec<String> = verified.events[0].1.iter().map(|mark| mark.key.to_string()).collect();
            assert_eq!(keys, expected, "{kind} {result}");
            assert_eq!(verified.events[0].0.actor.as_deref(), Some("admin@acme.example"));
        }
    }

    #[test]
    fn an_invalid_delivery_is_refused_as_a_whole() {
        let odd = |body: Vec<u8>| receive(&corp()[1], body, Time(0)).is_err();
        assert!(odd(b"{}".to_vec()) && odd(b"".to_vec()) && odd(b"[]".to_vec()));
        assert!(odd(br#"{"eventId":"a","data":{}}"#.to_vec()));
        assert!(odd(br#"{"eventId":"a:b","data":{"events":[]}}"#.to_vec()));
        let mut cut = body(&json!([event("u1", "group.user_membership.add", "SUCCESS")]));
        cut.truncate(cut.len() - 3);
        assert!(odd(cut));
        assert!(!odd(body(&json!([]))), "a delivery without events is valid");
    }

    #[test]
    fn an_event_without_a_uuid_marks_its_keys_and_does_not_stop_the_other_events() {
        let mut bare = event("", "group.user_membership.add", "SUCCESS");
        bare.as_object_mut().unwrap().remove("uuid");
        let odd = json!({ "uuid": 5, "eventType": ["x"], "target": "none", "outcome": [] });
        let fine = event("u1", "group.user_membership.add", "SUCCESS");
        let delivery = body(&json!([bare, odd, null, fine]));
        let verified = receive(&corp()[1], delivery.clone(), Time(0)).unwrap();
        let ids: Vec<&str> = verified.events.iter().map(|(event, _)| event.id.as_str()).collect();
        let of = "b5a188b9-5ece-4636-b041-482ffda96311";
        assert_eq!(ids, [format!("{of}-0"), format!("{of}-1"), format!("{of}-2"), "u1".into()]);
        let marked: Vec<usize> = verified.events.iter().map(|(_, marks)| marks.len()).collect();
        assert_eq!(marked, [1, 0, 0, 1]);
        assert_eq!(
            receive(&corp()[1], delivery, Time(0)).unwrap(),
            verified,
            "the repeated delivery has the same ids"
        );
    }

    #[test]
    fn an_event_that_names_more_than_a_hundred_keys_marks_one_sweep() {
        let with = |count: usize| {
            let targets: Vec<Value> =
                (0..count).map(|n| json!({ "type": "User", "id": format!("00u{n}") })).collect();
            let mut event = event("u1", "user.lifecycle.suspend", "SUCCESS");
            event["target"] = json!(targets);
            receive(&corp()[1], body(&json!([event])), Time(0)).unwrap().events[0].1.clone()
        };
        assert_eq!(with(100).len(), 100);
        assert_eq!(with(100_000), [Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep)]);
    }

    #[test]
    fn a_deactivation_overtakes_profile_updates() {
        let lane = |kind: &str| {
            let verified =
                receive(&corp()[1], body(&json!([event("u1", kind, "SUCCESS")])), Time(0)).unwrap();
            verified.events[0].1[0].lane
        };
        assert_eq!(lane("user.account.update_profile"), Lane::Sweep);
        for kind in ["user.lifecycle.deactivate", "user.lifecycle.suspend", "group.user_membership.remove"] {
            assert_eq!(lane(kind), Lane::Event, "{kind}");
        }
    }
}
