//! The installations of the App that the simulator always has. In the state, two keys of the App
//! describe its installations. `installed` lists the organisations that installed the App. Without
//! this key, all organisations have the App. `suspended` lists the organisations that suspended the
//! installation.
//!
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#installation>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::github::APP_SLUG;
use crate::github::events::Event;
use crate::github::manifest::is_installed;
use crate::github::shapes;
use crate::github::world::World;

/// The organisations that installed the App. The flag is true if the installation is suspended.
pub(crate) type Installations = BTreeMap<String, bool>;

/// Returns the present installations of the App.
pub(crate) fn present(world: &World) -> Installations {
    let Some(app) = world.acting(APP_SLUG) else { return Installations::new() };
    let orgs = world.doc["orgs"].as_object().into_iter().flatten().map(|(_, org)| org);
    let installed = orgs.filter(|org| is_installed(&app, org));
    let entry =
        |org: &Value| (org["login"].as_str().unwrap_or_default().to_owned(), shapes::is_suspended(&app, org));
    installed.map(entry).collect()
}

/// Returns whether an App's token for an organisation is still valid.
pub(crate) fn is_valid(world: &World, app: &str, org: &str) -> bool {
    let (Some(app), Some(org)) = (world.acting(app), world.org(org)) else { return false };
    is_installed(&app, org) && !shapes::is_suspended(&app, org)
}

/// Compares the present installations with `before`, and returns an event for each difference.
pub(crate) fn of_change(world: &World, before: &Installations, sender: &str) -> Vec<Event> {
    let now = present(world);
    let is_listed = world.acting(APP_SLUG).is_some_and(|app| app["installed"].is_array());
    let mut events = Vec::new();
    for login in before.keys().chain(now.keys().filter(|login| !before.contains_key(*login))) {
        let action = match (before.get(login), now.get(login)) {
            // Without the key `installed`, a new organisation of the state has the App from the
            // start.
            (None, Some(_)) if is_listed => "created",
            (Some(_), None) => "deleted",
            (Some(false), Some(true)) => "suspend",
            (Some(true), Some(false)) => "unsuspend",
            _ => continue,
        };
        events.extend(event(world, login, action, sender));
    }
    events
}

fn event(world: &World, login: &str, action: &str, sender: &str) -> Option<Event> {
    let (app, org) = (world.acting(APP_SLUG)?, world.org(login)?);
    let repository = |repository: &Value| {
        let whole = shapes::repository(world, login, repository, false);
        let keys = ["id", "node_id", "name", "full_name", "private"];
        keys.iter().map(|key| ((*key).to_owned(), whole[*key].clone())).collect::<Value>()
    };
    let repositories: Vec<Value> = world.repositories(login).into_iter().map(repository).collect();
    Some(Event {
        name: "installation",
        payload: json!({
            "action": action,
            "installation": shapes::installation(world, org, &app),
            "repositories": repositories,
            "requester": null,
            "sender": shapes::sender(world, sender),
        }),
        repository_id: None,
        organisation_only: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(installed: &[&str], suspended: &[&str]) -> World {
        World::from(json!({
            "orgs": { "acme": { "repos": { "svc": {} } }, "other": {} },
            "apps": { APP_SLUG: { "id": crate::github::APP_ID, "installed": installed, "suspended": suspended } },
        }))
    }

    #[test]
    fn each_change_of_an_installation_is_one_event() {
        let actions = |before: &World, now: &World| {
            let events = of_change(now, &present(before), "octocat");
            let text = |event: &Event| {
                let account = event.payload["installation"]["account"]["login"].clone();
                format!("{} {}", event.payload["action"].as_str().unwrap(), account.as_str().unwrap())
            };
            events.iter().map(text).collect::<Vec<_>>()
        };
        let (acme, both) = (world(&["acme"], &[]), world(&["acme", "other"], &[]));
        let suspended = world(&["acme", "other"], &["other"]);
        assert!(actions(&acme, &acme).is_empty());
        assert_eq!(actions(&acme, &both), ["created other"]);
        assert_eq!(actions(&both, &acme), ["deleted other"]);
        assert_eq!(actions(&both, &suspended), ["suspend other"]);
        assert_eq!(actions(&suspended, &both), ["unsuspend other"]);
        let valid = |world: &World| ["acme", "other"].map(|org| is_valid(world, APP_SLUG, org));
        assert_eq!(
            (valid(&both), valid(&acme), valid(&suspended)),
            ([true; 2], [true, false], [true, false])
        );
        let created = of_change(&both, &present(&world(&["other"], &[])), "octocat");
        assert_eq!(created[0].payload["repositories"][0]["full_name"], "acme/svc");
    }
}
