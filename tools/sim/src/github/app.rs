//! Calls that an App makes as itself: the description of the App, its installations and their
//! tokens, and the log of its deliveries.
//!
//! <https://docs.github.com/rest/apps>

use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, Uri};
use serde_json::{Value, json};

use crate::github::APP_SLUG;
use crate::github::deliver;
use crate::github::described;
use crate::github::grants::Grant;
use crate::github::log::Outcome;
use crate::github::manifest::is_installed;
use crate::github::rest::{self, Call, Reply};
use crate::github::server::{Shared, lock};
use crate::github::shapes;
use crate::github::world::World;

/// Answers a call that is authenticated with a JWT of `app`.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    app: &Value,
    method: &Method,
    path: &str,
    uri: &Uri,
    body: &Value,
) -> Reply {
    let world = lock(&shared.world);
    let org = |login: &str| world.org(login).filter(|org| is_installed(app, org));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let refused = || Reply::message(403, "Resource not accessible by integration");
    if !described::is_served(method.as_str(), &segments) {
        return refused();
    }
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["app"]) => Reply::json(200, shapes::app(&world, app)),
        ("GET", ["app", "installations"]) => {
            let orgs = world.doc["orgs"].as_object().into_iter().flatten().map(|(_, org)| org);
            let orgs = orgs.filter(|org| is_installed(app, org));
            let rows = orgs.map(|org| shapes::installation(&world, org, app)).collect();
            let query: Vec<(String, String)> =
                form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
            rest::page(
                &Call { method, path: segments.clone(), query: &query, body, sender: APP_SLUG, accept: "" },
                rows,
            )
        }
        ("GET", ["app", "installations", id]) => match installed(&world, app, id) {
            Some(org) => Reply::json(200, shapes::installation(&world, org, app)),
            None => Reply::not_found(),
        },
        ("GET", ["orgs", login, "installation"]) => match org(login) {
            Some(org) => Reply::json(200, shapes::installation(&world, org, app)),
            None => Reply::not_found(),
        },
        ("GET", ["repos", login, name, "installation"]) => {
            match world.repository(login, name).and_then(|_| org(login)) {
                Some(org) => Reply::json(200, shapes::installation(&world, org, app)),
                None => Reply::not_found(),
            }
        }
        ("POST", ["app", "installations", id, "access_tokens"]) => {
            let Some(org) = installed(&world, app, id) else { return Reply::not_found() };
            if shapes::is_suspended(app, org) {
                return Reply::message(403, "This installation has been suspended");
            }
            if let Some(refusal) = described::refusal(method.as_str(), &segments, body) {
                return refusal;
            }
            let grant = match Grant::asked(&world, org, app, body) {
                Ok(grant) => grant,
                Err(refusal) => return refusal,
            };
            let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            let mut shown = grant.shown(&world);
            shown["expires_at"] = json!(format!("{expires:.0}"));
            shown["token"] = json!(shared.mint("ghs_", Some(grant)));
            Reply::json(201, shown)
        }
        ("GET", ["app", "hook", "deliveries"]) => deliveries(shared, uri),
        ("GET", ["app", "hook", "deliveries", id]) => {
            match id.parse().ok().and_then(|id| lock(&shared.log).find(id)) {
                Some(logged) => Reply::json(200, logged.whole()),
                None => Reply::not_found(),
            }
        }
        ("POST", ["app", "hook", "deliveries", id, "attempts"]) => {
            if id.parse().is_ok_and(|id| deliver::again(shared, id)) {
                Reply::json(202, json!({}))
            } else {
                Reply::not_found()
            }
        }
        _ => refused(),
    }
}

/// Returns the organisation of the App's installation that has this id.
fn installed<'a>(world: &'a World, app: &Value, id: &str) -> Option<&'a Value> {
    let mut orgs = world.doc["orgs"].as_object()?.values();
    orgs.find(|org| is_installed(app, org) && shapes::installation_id(org).to_string() == id)
}

fn deliveries(shared: &Arc<Shared>, uri: &Uri) -> Reply {
    let query: HashMap<String, String> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let outcome = match query.get("status").map(|status| Outcome::parse(status)) {
        Some(None) => return Reply::invalid("Validation Failed: status is `success` or `failure`"),
        Some(outcome) => outcome,
        None => None,
    };
    let size = query.get("per_page").and_then(|size| size.parse::<usize>().ok()).unwrap_or(30).clamp(1, 100);
    let cursor = query.get("cursor").map(String::as_str);
    let (rows, next) = lock(&shared.log).page(outcome, cursor, size);
    let mut reply = Reply::json(200, Value::Array(rows));
    reply.headers.extend(next.map(|next| ("x-sim-next-cursor", next)));
    reply
}
