//! An event of the System Log, and the keys that it names. Hooks and the log tell the same events.

use beadle_engine::{Delivery, Key, Lane, Mark, Time};
use serde::Deserialize;

use super::{EVENTS, is_id};

/// The types that mark something.
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
    "user.account.update_profile",
    "application.user_membership.add",
    "application.user_membership.remove",
    "application.user_membership.update",
];

#[derive(Clone, Debug, Default, Deserialize)]
struct Outcome {
    result: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Actor {
    alternate_id: Option<String>,
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The same in the log and in a hook's delivery.
    pub uuid: String,
    /// Such as `group.user_membership.add`.
    pub event_type: String,
    outcome: Option<Outcome>,
    /// In no order.
    target: Option<Vec<Target>>,
    actor: Option<Actor>,
}

impl Event {
    /// The event as it is stored, and what it makes due. `None` where its uuid is none.
    pub fn stored(&self, instance: &str, now: Time) -> Option<(Delivery, Vec<Mark>)> {
        if !is_id(&self.uuid) {
            return None;
        }
        let delivery = Delivery {
            source: EVENTS.into(),
            id: self.uuid.clone(),
            event: self.event_type.clone(),
            actor: self.actor.as_ref().and_then(|actor| actor.alternate_id.clone()),
            instance: instance.to_owned(),
            received: now,
            // The delivery has it, or the log.
            body: Vec::new(),
        };
        Some((delivery, self.marks(instance)))
    }

    fn marks(&self, instance: &str) -> Vec<Mark> {
        // Okta's console shows an example with another case.
        let failed = |outcome: &Outcome| {
            outcome.result.as_deref().is_some_and(|result| !result.eq_ignore_ascii_case("SUCCESS"))
        };
        if !TYPES.contains(&self.event_type.as_str()) || self.outcome.as_ref().is_some_and(failed) {
            return Vec::new();
        }
        let (wanted, kind) = match self.event_type.split('.').next() {
            Some("group") => ("UserGroup", "group"),
            _ => ("User", "user"),
        };
        let targets = self.target.iter().flatten().filter(|target| target.kind == wanted);
        let ids = targets.filter_map(|target| target.id.as_deref()).filter(|id| is_id(id));
        ids.map(|id| Mark::new(Key::new(kind, instance, id), Lane::Event)).collect()
    }
}
