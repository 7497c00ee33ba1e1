//! Events of Okta's System Log, and the keys that these events mark as due. An event hook sends the
//! same events that the System Log contains.

use std::collections::BTreeSet;

use beadle_engine::{Delivery, Key, Lane, Mark, Time};
use serde::Deserialize;
use serde_json::Value;

use super::{EVENTS, is_id};

/// The types of events that mark keys as due.
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

/// The type of an event that reports a changed profile. Such a change does not affect access. If
/// Okta fills in a field for all people, thousands of these events arrive.
const PROFILE: &str = "user.account.update_profile";
/// The prefix of the event types that change only the members of a group.
const MEMBERSHIP: &str = "group.user_membership.";
/// The maximum number of keys that one event marks as due. An event with more keys causes a sweep
/// of all groups instead.
const MOST_KEYS: usize = 100;

/// The prefix in the id of a `group` key. The id has this prefix if the event might have changed
/// more than the group's members.
pub const WHOLE: &str = "whole/";

#[derive(Clone, Debug)]
struct EventTarget {
    kind: String,
    id: String,
}

/// An event. Beadle treats a field with an invalid value as missing. So one invalid event does not
/// make a whole delivery or a whole page of the log unreadable.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id of the event. The id is the same in the System Log and in an event hook. The text is
    /// empty if the event has no id.
    pub uuid: String,
    /// The type of the event, such as `group.user_membership.add`.
    pub event_type: String,
    /// True if the reported action succeeded.
    succeeded: bool,
    /// The objects in the event. The order of the objects has no meaning.
    targets: Vec<EventTarget>,
    actor: Option<String>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let event = Value::deserialize(from)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let targets = event["target"].as_array().into_iter().flatten();
        // The comparison ignores case, because Okta's console shows an example that uses a
        // different case.
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
    /// Returns the event as a delivery, and the marks for the event's keys. Returns `None` if the
    /// uuid of the event is missing or invalid.
    pub fn stored(&self, instance: &str, now: Time) -> Option<(Delivery, Vec<Mark>)> {
        is_id(&self.uuid).then(|| self.stored_as(self.uuid.clone(), instance, now))
    }

    /// Returns the event as a delivery with this id, and the marks for the event's keys.
    pub(super) fn stored_as(&self, id: String, instance: &str, now: Time) -> (Delivery, Vec<Mark>) {
        let delivery = Delivery {
            source: EVENTS.into(),
            id,
            event: self.event_type.clone(),
            actor: self.actor.clone(),
            instance: instance.to_owned(),
            received: now,
            // Beadle stores no body with the event. The body is in the delivery of the event, or in
            // the System Log.
            body: Vec::new(),
        };
        (delivery, self.marks(instance))
    }

    /// Returns the marks for the keys that the event affects.
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
        // A profile update has the lane `sweep`. An important event, such as a deactivation, must
        // not wait behind thousands of profile updates.
        let lane = if kind == PROFILE { Lane::Sweep } else { Lane::Event };
        let is_whole = of == "group" && !kind.starts_with(MEMBERSHIP);
        let begin = if is_whole { WHOLE } else { "" };
        ids.into_iter()
            .map(|id| Mark::new(Key::new(of, instance, format_args!("{begin}{id}")), lane))
            .collect()
    }
}
