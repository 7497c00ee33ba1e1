//! Adds the default values to the state, and creates the events that Okta records for a change of
//! the state.
//!
//! <https://developer.okta.com/docs/reference/api/event-types/>

use serde_json::{Map, Value, json};

use crate::sim_state::now;

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn set(object: &mut Value, name: &str, value: Value) {
    if object[name].is_null() {
        object[name] = value;
    }
}

/// Adds the default values that the state lacks.
pub(super) fn complete(state: &mut Value) {
    for list in ["users", "groups"] {
        if !state[list].is_object() {
            state[list] = json!({});
        }
    }
    for (_, pushes) in state["pushes"].as_object_mut().into_iter().flatten() {
        for (id, mapping) in pushes.as_object_mut().into_iter().flatten() {
            mapping["id"] = json!(id);
            set(mapping, "status", json!("ACTIVE"));
            for field in ["created", "lastUpdated"] {
                // Okta shows these times without fractions of a second.
                set(mapping, field, json!("2026-01-01T00:00:00Z"));
            }
        }
    }
    if !state["log"].is_array() {
        state["log"] = json!([]);
    }
    let since = "2026-01-01T00:00:00.000Z";
    for (id, user) in state["users"].as_object_mut().into_iter().flatten() {
        let login =
            user["profile"]["login"].as_str().map_or_else(|| format!("{id}@acme.example"), str::to_owned);
        let name = login.split('@').next().unwrap_or_default().to_owned();
        // If a new user lacks a field, the field gets a default value. A field that is null is not
        // changed.
        let is_new = user["created"].is_null();
        user["id"] = json!(id);
        set(user, "status", json!("ACTIVE"));
        for field in ["created", "lastUpdated", "statusChanged"] {
            set(user, field, json!(since));
        }
        set(user, "type", json!({ "id": "oty1" }));
        let profile = &mut user["profile"];
        let usual = [("email", login.as_str()), ("firstName", name.as_str()), ("lastName", "Example")];
        for (field, value) in usual {
            if is_new && profile.get(field).is_none() {
                profile[field] = json!(value);
            }
        }
        profile["login"] = json!(login);
    }
    for (id, group) in state["groups"].as_object_mut().into_iter().flatten() {
        group["id"] = json!(id);
        for field in ["created", "lastUpdated", "lastMembershipUpdated"] {
            set(group, field, json!(since));
        }
        set(group, "type", json!("OKTA_GROUP"));
        set(group, "objectClass", json!(["okta:user_group"]));
        set(group, "members", json!({}));
        set(&mut group["profile"], "name", json!(id));
        set(&mut group["profile"], "description", Value::Null);
    }
    apply_rules(state);
}

/// Applies the group rules of the state. A rule `rules.<id>` has `groups`, and the `profile` of the
/// users who belong to these groups. If a user is deactivated, the user stays in the groups of a
/// rule, and Okta records no event.
///
/// <https://help.okta.com/oie/en-us/content/topics/users-groups-profiles/usgp-about-group-rules.htm>
fn apply_rules(state: &mut Value) {
    for (rule, it) in state["rules"].as_object().cloned().into_iter().flatten() {
        for group in it["groups"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for (id, user) in state["users"].as_object().cloned().into_iter().flatten() {
                let is_meant = entries(&it["profile"]).all(|(key, value)| user["profile"][key] == *value);
                let Some(members) = state["groups"][group]["members"].as_object_mut() else { continue };
                if user["status"] == "DEPROVISIONED" {
                    continue;
                }
                if is_meant {
                    members.entry(id).or_insert(json!(rule));
                } else if members.get(&id) == Some(&json!(rule)) {
                    members.remove(&id);
                }
            }
        }
    }
}

/// Returns the events that Okta records for a change of the state, and adds them to the log.
pub(super) fn of_change(before: &Value, state: &mut Value) -> Vec<Value> {
    let mut events = Vec::new();
    let none = Value::Null;
    let known = |list: &str, id: &str| before[list].get(id).filter(|value| value.is_object());
    let user_target = |id: &str, user: &Value| json!({ "id": id, "type": "User", "alternateId": user["profile"]["login"], "displayName": user["profile"]["firstName"], "detailEntry": null });
    let group_target = |id: &str, group: &Value| json!({ "id": id, "type": "UserGroup", "alternateId": "unknown", "displayName": group["profile"]["name"], "detailEntry": null });
    let (mut touched, mut changed) = (Vec::new(), Vec::new());
    for (id, user) in entries(&state["users"]) {
        let target = || vec![user_target(id, user)];
        match known("users", id) {
            None => events.push(event("user.lifecycle.create", &target())),
            Some(old) => {
                if old["status"] != user["status"] || old["profile"] != user["profile"] {
                    changed.push(id.clone());
                }
                if let Some(kind) = lifecycle(&old["status"], &user["status"]) {
                    events.push(event(kind, &target()));
                }
                if old["profile"] != user["profile"] {
                    events.push(event("user.account.update_profile", &target()));
                }
            }
        }
    }
    for (id, user) in entries(&before["users"]) {
        if state["users"].get(id).is_none() {
            events.push(event("user.lifecycle.delete.initiated", &[user_target(id, user)]));
        }
    }
    for (id, group) in entries(&state["groups"]) {
        let old = known("groups", id);
        match old {
            None => events.push(event("group.lifecycle.create", &[group_target(id, group)])),
            Some(old) if old["profile"] != group["profile"] => {
                events.push(event("group.profile.update", &[group_target(id, group)]));
            }
            Some(_) => {}
        }
        let empty = Map::new();
        let is = group["members"].as_object().unwrap_or(&empty);
        let was = old.and_then(|old| old["members"].as_object()).unwrap_or(&empty);
        let pair = |user: &str| {
            let user = user_target(user, state["users"].get(user).unwrap_or(&none));
            let mut pair = vec![user, group_target(id, group)];
            // Okta lists the targets of an event in no fixed order. So the simulator changes the
            // order from event to event.
            if events.len() % 2 == 1 {
                pair.reverse();
            }
            pair
        };
        let came: Vec<_> = is
            .keys()
            .filter(|user| !was.contains_key(*user))
            .map(|user| ("group.user_membership.add", pair(user)))
            .collect();
        let went: Vec<_> = was
            .keys()
            .filter(|user| !is.contains_key(*user))
            .map(|user| ("group.user_membership.remove", pair(user)))
            .collect();
        if came.len() + went.len() > 0 {
            touched.push(id.clone());
        }
        events.extend(came.into_iter().chain(went).map(|(kind, target)| event(kind, &target)));
    }
    for (id, group) in entries(&before["groups"]) {
        if state["groups"].get(id).is_none() {
            events.push(event("group.lifecycle.delete", &[group_target(id, group)]));
        }
    }
    for id in touched {
        touch(&mut state["groups"][&id]["lastMembershipUpdated"]);
    }
    for id in changed {
        touch(&mut state["users"][&id]["lastUpdated"]);
    }
    if let Some(log) = state["log"].as_array_mut() {
        log.extend(events.iter().cloned());
    }
    events
}

/// Sets the time of a change. The new time is always later than the previous time.
fn touch(time: &mut Value) {
    let (at, before) = (now(), time.as_str().unwrap_or_default());
    let next = if at.as_str() > before {
        None
    } else {
        let before = before.parse::<jiff::Timestamp>().ok();
        before.and_then(|before| jiff::Timestamp::from_millisecond(before.as_millisecond() + 1).ok())
    };
    *time = json!(next.map_or(at, |next| format!("{next:.3}")));
}

fn lifecycle(before: &Value, after: &Value) -> Option<&'static str> {
    let (before, after) = (before.as_str().unwrap_or_default(), after.as_str().unwrap_or_default());
    match (before, after) {
        _ if before == after => None,
        (_, "SUSPENDED") => Some("user.lifecycle.suspend"),
        ("SUSPENDED", _) => Some("user.lifecycle.unsuspend"),
        (_, "DEPROVISIONED") => Some("user.lifecycle.deactivate"),
        ("DEPROVISIONED", _) => Some("user.lifecycle.reactivate"),
        ("STAGED" | "PROVISIONED", "ACTIVE") => Some("user.lifecycle.activate"),
        (_, "LOCKED_OUT") => Some("user.account.lock"),
        _ => Some("user.account.unlock"),
    }
}

fn event(kind: &str, target: &[Value]) -> Value {
    let id = format!("{:032x}", rand::random::<u128>());
    json!({
        "uuid": format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
        "published": now(), "eventType": kind, "version": "0", "severity": "INFO",
        "displayMessage": kind, "legacyEventType": null,
        "actor": { "id": "00uadmin", "type": "User", "alternateId": "admin@acme.example", "displayName": "An Administrator", "detailEntry": null },
        "outcome": { "result": "SUCCESS", "reason": null },
        "target": target,
    })
}
