//! An event of the System Log, and the keys that it names. Event hooks and the System Log have the
//! same events.

use std::collections::BTreeSet;

use beadle_engine::{Delivery, Key, Lane, Mark, Time};
use serde::Deserialize;
use serde_json::Value;

use super::{EVENTS, is_id};

/// The types of events that mark keys.
pub const TYPES: &[&str] = &[
    "group.user_membership.add",
    "group.user_membership.remove",
    "group.lifecycle.create",
    "group.lifecycle.delete",
    "group.profile.update",
    "user.lifecycle.create",
    "user.lifecycle.activate",
    "user.lifecycle.deactivate",
    "user.lifecycle.reactivate",
    "user.lifecycle.suspend",
    "user.lifecycle.unsuspend",
    "user.lifecycle.delete.initiated",
    PROFILE,
    "application.user_membership.add",
    "application.user_membership.remove",
    "application.user_membership.update",
];

/// The type of a profile update. It changes no access. If Okta fills in a field for everybody,
/// thousands of these events arrive.
const PROFILE: &str = "user.account.update_profile";
/// The start of the types that change only the members of a group.
const MEMBERSHIP: &str = "group.user_membership.";
/// The maximum number of keys that one event marks. An event that names more keys marks a sweep of
/// all groups instead.
const MOST_KEYS: usize = 100;

/// The prefix of the id of a `group` key if more than the members may have changed.
pub const WHOLE: &str = "whole/";

#[derive(Clone, Debug)]
struct EventTarget {
    kind: String,
    id: String,
}

/// An event. A field with an invalid value counts as missing, so that one invalid event does not
/// make its delivery or its page of the log unreadable.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id of the event, equal in the log and in the delivery of a hook. Empty if it is missing.
    pub uuid: String,
    /// The type, such as `group.user_membership.add`.
    pub event_type: String,
    /// Whether the action succeeded.
    succeeded: bool,
    /// The objects that the event names, in no order.
    targets: Vec<EventTarget>,
    actor: Option<String>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let event = Value::deserialize(from)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let targets = event["target"].as_array().into_iter().flatten();
        // The console of Okta shows an example with another case.
        let result = event["outcome"]["result"].as_str();
        Ok(Self {
            uuid: text(&event["uuid"]),
            event_type: text(&event["eventType"]),
            succeeded: result.is_none_or(|result| result.eq_ignore_ascii_case("SUCCESS")),
            targets: targets
                .map(|target| EventTarget { kind: text(&target["type"]), id: text(&target["id"]) })
                .collect(),
            actor: event["actor"]["alternateId"].as_str().map(str::to_owned),
        })
    }
}

impl Event {
    /// Returns the event as it is stored, and the marks of its keys. Returns `None` if its uuid is
    /// missing or invalid.
    pub fn stored(&self, instance: &str, now: Time) -> Option<(Delivery, Vec<Mark>)> {
        is_id(&self.uuid).then(|| self.stored_as(self.uuid.clone(), instance, now))
    }

    /// Returns the event as it is stored under another id than its uuid, and the marks of its keys.
    pub(super) fn stored_as(&self, id: String, instance: &str, now: Time) -> (Delivery, Vec<Mark>) {
        let delivery = Delivery {
            source: EVENTS.into(),
            id,
            event: self.event_type.clone(),
            actor: self.actor.clone(),
            instance: instance.to_owned(),
            received: now,
            // The stored delivery or the log has the body.
            body: Vec::new(),
        };
        (delivery, self.marks(instance))
    }

    /// Returns the marks of the keys that the event makes due.
    pub fn marks(&self, instance: &str) -> Vec<Mark> {
        let kind = self.event_type.as_str();
        if !TYPES.contains(&kind) || !self.succeeded {
            return Vec::new();
        }
        let (wanted, of) = match kind.split('.').next() {
            Some("group") => ("UserGroup", "group"),
            _ => ("User", "user"),
        };
        let named = self.targets.iter().filter(|target| target.kind == wanted && is_id(&target.id));
        let ids: BTreeSet<&str> = named.map(|target| target.id.as_str()).collect();
        if ids.len() > MOST_KEYS {
            return vec![Mark::new(Key::new("sweep", instance, "groups"), Lane::Sweep)];
        }
        // A deactivation overtakes profile updates, because the lane of profile updates is `sweep`.
        let lane = if kind == PROFILE { Lane::Sweep } else { Lane::Event };
        let is_whole = of == "group" && !kind.starts_with(MEMBERSHIP);
        let begin = if is_whole { WHOLE } else { "" };
        ids.into_iter()
            .map(|id| Mark::new(Key::new(of, instance, format_args!("{begin}{id}")), lane))
            .collect()
    }
}
