//! The control calls of the simulator. The paths of these calls begin with `/_sim/`. The tests and
//! the demo use these calls.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use serde_json::{Value, json};

use crate::faults::Fault;
use crate::github::deliver::Hook;
use crate::github::events::{self, Event};
use crate::github::installations;
use crate::github::limits::Accounts;
use crate::github::log::LogLies;
use crate::github::pull_events;
use crate::github::server::{Shared, lock};
use crate::github::world::World;
use crate::sim_state::merge;

/// The default login of the person who changes the state. A call can set another person.
const SENDER: &str = "octocat";

/// Answers a control call.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    method: &Method,
    path: &str,
    query: &str,
    body: &[u8],
) -> Response {
    let tell = query.split('&').any(|part| part == "webhooks=true");
    let parsed = || serde_json::from_slice::<Value>(body).map_err(|error| error.to_string());
    // The webhooks name this person or App as the sender.
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "sender");
    let sender = named.map_or_else(|| SENDER.to_owned(), |(_, login)| login.into_owned());
    let changed = || {
        let is_known = sender == SENDER || is_known(&lock(&shared.world), &sender);
        if is_known { parsed() } else { Err(format!("the state has no user and no App `{sender}`")) }
    };
    let result: Result<Option<Value>, String> = match (method.as_str(), path) {
        ("GET", "state") => Ok(Some(lock(&shared.world).doc.clone())),
        ("PUT", "state") => changed().map(|doc| {
            let changed = replace(&mut lock(&shared.world), doc, &sender);
            shared.flush(tell && changed);
            None
        }),
        ("PATCH", "state") => changed().map(|patch| {
            self::patch(&mut lock(&shared.world), &patch, &sender);
            shared.revoke();
            shared.flush(tell);
            None
        }),
        ("GET", "calls") => {
            let calls = lock(&shared.calls);
            Ok(Some(calls.iter().map(|call| call.line.clone()).collect()))
        }
        ("DELETE", "calls") => {
            lock(&shared.calls).clear();
            Ok(None)
        }
        ("PUT", "limits") => parsed().map(|limits| {
            lock(&shared.accounts).spend(&limits);
            None
        }),
        ("PUT", "log") => {
            serde_json::from_slice::<LogLies>(body).map_err(|error| error.to_string()).map(|lies| {
                lock(&shared.log).lie(lies);
                None
            })
        }
        ("DELETE", "log") => {
            lock(&shared.log).lie(LogLies::default());
            Ok(None)
        }
        ("GET", "deliveries") => Ok(Some(lock(&shared.log).all())),
        ("DELETE", "limits") => {
            *lock(&shared.accounts) = Accounts::new(shared.limits);
            Ok(None)
        }
        ("POST", "faults") => {
            serde_json::from_slice::<Fault>(body).map_err(|error| error.to_string()).map(|fault| {
                lock(&shared.faults).add(fault);
                None
            })
        }
        ("DELETE", "faults") => {
            shared.no_faults();
            Ok(None)
        }
        ("POST", "tokens") => Ok(Some(json!({ "token": shared.mint("ghp_", None) }))),
        ("DELETE", "tokens") => {
            lock(&shared.tokens).clear();
            Ok(None)
        }
        ("GET", "app.pem") => return text(200, "application/x-pem-file", shared.app_key.pem.clone()),
        ("PUT", "hook") => {
            serde_json::from_slice::<Hook>(body).map_err(|error| error.to_string()).map(|hook| {
                shared.set_hook(Some(hook));
                None
            })
        }
        ("DELETE", "hook") => {
            shared.set_hook(None);
            Ok(None)
        }
        ("POST", "rerequest") => parsed().and_then(|of| {
            let event = rerequested(&lock(&shared.world), &of)?;
            lock(&shared.world).outbox.push(event);
            shared.flush(true);
            Ok(None)
        }),
        ("PUT", "latency") => parsed().map(|value| {
            *lock(&shared.latency) = std::time::Duration::from_millis(value["ms"].as_u64().unwrap_or(0));
            None
        }),
        _ => {
            return text(
                404,
                "text/plain",
                format!("{method} /_sim/{path} is not a control of the simulator\n"),
            );
        }
    };
    match result {
        Ok(Some(value)) => text(200, "application/json", value.to_string()),
        Ok(None) => text(204, "application/json", String::new()),
        Err(why) => text(400, "text/plain", format!("{why}\n")),
    }
}

/// Returns the event that GitHub sends when a person asks for another run of a check.
fn rerequested(world: &World, of: &Value) -> Result<Event, String> {
    let name = |key: &str| of[key].as_str().unwrap_or_default();
    let id = of["id"].as_u64().unwrap_or_default();
    pull_events::rerequested(world, name("org"), name("repo"), id)
        .ok_or_else(|| format!("there is no check run {id} of a pull request"))
}

fn text(status: u16, kind: &str, text: String) -> Response {
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Body::from(text)).unwrap_or_default()
}

/// Returns whether a login belongs to a user or an App of the state.
fn is_known(world: &World, login: &str) -> bool {
    world.user(login).is_some() || world.acting(login).is_some()
}

/// Replaces the state, and records the changes that need webhooks. `sender` is the login in the
/// webhooks.
fn replace(world: &mut World, doc: Value, sender: &str) -> bool {
    let before = std::mem::replace(&mut world.doc, doc);
    world.complete();
    let orgs: Vec<String> =
        world.doc["orgs"].as_object().into_iter().flatten().map(|(login, _)| login.clone()).collect();
    for org in orgs {
        note(world, &org, &before["orgs"][&org]["repos"], sender);
        world.tell_teams(&org, &before["orgs"][&org]["teams"], sender);
        if before["orgs"][&org].is_object() {
            world.tell_membership(&org, &before["orgs"][&org], sender);
        }
    }
    true
}

/// Applies a JSON merge patch (RFC 7396). To find the changes for webhooks, the function compares
/// only the parts that are in the patch.
fn patch(world: &mut World, patch: &Value, sender: &str) {
    let installed = installations::present(world);
    let mut touched = Vec::new();
    for (org, part) in patch["orgs"].as_object().into_iter().flatten() {
        let mut before = json!({});
        for (name, _) in part["repos"].as_object().into_iter().flatten() {
            before[name] = world.doc["orgs"][org]["repos"][name].clone();
        }
        touched.push((org.clone(), before, world.doc["orgs"][org]["teams"].clone(), world.membership(org)));
    }
    merge(&mut world.doc, patch);
    world.complete_after(patch);
    for (org, before, teams, members) in touched {
        world.tell_teams(&org, &teams, sender);
        world.tell_membership(&org, &members, sender);
        let names: Vec<String> =
            before.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for name in names {
            told(world, &org, &name, &before[&name], sender);
        }
    }
    let events = installations::of_change(world, &installed, sender);
    world.outbox.extend(events);
}

fn note(world: &mut World, org: &str, before: &Value, sender: &str) {
    let names = |repos: &Value| {
        repos.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let mut all = names(before);
    all.extend(names(&world.doc["orgs"][org]["repos"]));
    all.sort();
    all.dedup();
    for name in all {
        told(world, org, &name, &before[&name], sender);
    }
}

fn told(world: &mut World, org: &str, name: &str, before: &Value, sender: &str) {
    let after = world.doc["orgs"][org]["repos"][name].clone();
    let some = |value: &Value| if value.is_null() { None } else { Some(value.clone()) };
    let events = events::of_change(world, org, some(before).as_ref(), some(&after).as_ref(), sender);
    let pulls = pull_events::of_change(world, org, before, &after, sender);
    world.outbox.extend(events.into_iter().chain(pulls));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_by_hand_has_the_named_sender_in_its_webhooks() {
        for sender in ["ann", SENDER] {
            let mut world = World::from(json!({
                "orgs": { "acme": { "teams": { "core": {} }, "repos": { "shop": { "branches": { "main": {} } } } } },
                "users": { "ann": {} },
            }));
            assert!(is_known(&world, "ann") && !is_known(&world, "nobody"));
            world.outbox.clear();
            let change = json!({ "orgs": { "acme": {
                "teams": { "core": { "description": "new" } },
                "repos": { "shop": { "has_wiki": false, "teams": { "core": "admin" } } },
            } } });
            patch(&mut world, &change, sender);
            let senders: Vec<&Value> =
                world.outbox.iter().map(|event| &event.payload["sender"]["login"]).collect();
            assert!(
                senders.len() >= 2 && senders.iter().all(|login| **login == json!(sender)),
                "{senders:?}"
            );
        }
    }

    #[test]
    fn a_patch_completes_the_repositories_that_it_names_and_no_others() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": {}, "till": {} } } } }));
        for name in ["shop", "till"] {
            world.doc["orgs"]["acme"]["repos"][name].as_object_mut().unwrap().remove("topics");
        }
        let new = json!({ "shop": { "has_wiki": false }, "new": {} });
        patch(&mut world, &json!({ "orgs": { "acme": { "repos": new } } }), SENDER);
        let of = |name: &str| world.repository("acme", name).unwrap();
        assert!(of("shop")["topics"].is_array() && of("new")["topics"].is_array());
        assert!(of("till")["topics"].is_null(), "a patch of one repository looks at all");
        let ids = ["shop", "till", "new"].map(|name| of(name)["id"].as_u64().unwrap());
        assert!(ids[2] > ids[0] && ids[2] > ids[1], "{ids:?}");
    }
}
