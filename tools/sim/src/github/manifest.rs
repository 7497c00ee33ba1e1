//! Creates an App from a manifest. There are three steps: GitHub's page that takes the manifest,
//! the exchange of the code for the private key, and the page that installs the App. On both pages,
//! an owner of the organisation is signed in and confirms immediately.
//!
//! <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>

use std::collections::HashMap;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Method, Uri, header};
use serde_json::{Value, json};

use crate::github::address;
use crate::github::described;
use crate::github::rest::Reply;
use crate::github::shapes;
use crate::github::world::World;
use crate::github::{APP_ID, APP_SLUG};

/// The keys that a manifest can have.
const KEYS: &[&str] = &[
    "callback_urls",
    "default_events",
    "default_permissions",
    "description",
    "hook_attributes",
    "name",
    "public",
    "redirect_url",
    "request_oauth_on_install",
    "setup_on_update",
    "setup_url",
    "url",
];
/// The possible events for the subscriptions of an App. For each event, the App needs at least one
/// of the permissions.
///
/// <https://docs.github.com/webhooks/webhook-events-and-payloads>
const EVENTS: &[(&str, &[&str])] = &[
    ("branch_protection_configuration", &["administration"]),
    ("branch_protection_rule", &["administration"]),
    ("check_run", &["checks"]),
    ("check_suite", &["checks"]),
    ("create", &["contents"]),
    ("custom_property", &["organization_custom_properties"]),
    ("custom_property_values", &["organization_custom_properties"]),
    ("delete", &["contents"]),
    ("issue_comment", &["issues", "pull_requests"]),
    ("issues", &["issues"]),
    ("label", &["issues", "pull_requests"]),
    ("member", &["members"]),
    ("membership", &["members"]),
    ("milestone", &["issues", "pull_requests"]),
    ("org_block", &["organization_administration"]),
    ("organization", &["members"]),
    ("public", &["metadata"]),
    ("pull_request", &["pull_requests"]),
    ("pull_request_review", &["pull_requests"]),
    ("push", &["contents"]),
    ("repository", &["metadata"]),
    ("repository_ruleset", &["administration"]),
    ("security_and_analysis", &["administration"]),
    ("team", &["members"]),
    ("team_add", &["members"]),
    ("workflow_run", &["actions"]),
];
/// The maximum length of an App's name, in characters.
const NAME: usize = 34;

/// The answer of a page, and the App that the page installed.
pub(crate) struct Page {
    pub(crate) response: Response,
    pub(crate) installed: Option<Value>,
}

impl Page {
    fn text(status: u16, text: &str) -> Self {
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, "text/plain");
        Self { response: response.body(Body::from(format!("{text}\n"))).unwrap_or_default(), installed: None }
    }

    fn redirect(to: &str) -> Self {
        let response = Response::builder().status(302).header(header::LOCATION, to);
        Self { response: response.body(Body::empty()).unwrap_or_default(), installed: None }
    }
}

/// The pages of GitHub's website that the simulator has.
enum Place<'a> {
    /// The page where an owner of an organisation creates an App.
    NewApp(&'a str),
    /// The page where an owner installs an App.
    Installation(&'a str),
}

fn place(path: &str) -> Option<Place<'_>> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments[..] {
        ["organizations", org, "settings", "apps", "new"] => Some(Place::NewApp(org)),
        ["apps", slug, "installations", "new"] => Some(Place::Installation(slug)),
        _ => None,
    }
}

/// Returns whether a path belongs to one of the pages and not to the API.
pub(crate) fn is_page(path: &str) -> bool {
    place(path).is_some()
}

/// Answers a request for a page.
pub(crate) fn page(world: &mut World, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Page {
    if method != Method::POST {
        return Page::text(405, "the owner confirms with POST");
    }
    let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let query: HashMap<String, String> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    match place(uri.path()) {
        Some(Place::NewApp(org)) => {
            let state = query.get("state").or_else(|| form.get("state")).map(String::as_str);
            let manifest = form.get("manifest").map(String::as_str).unwrap_or_default();
            match register(world, org, manifest, &address::base(headers, uri)) {
                Ok((code, redirect)) => Page::redirect(&back(&redirect, &code, state)),
                Err((status, why)) => Page::text(status, &why),
            }
        }
        Some(Place::Installation(slug)) => match install(world, slug) {
            Some(app) => Page { installed: Some(app), ..Page::text(200, "installed") },
            None => Page::text(404, "Not Found"),
        },
        None => Page::text(404, "Not Found"),
    }
}

fn back(redirect: &str, code: &str, state: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", code);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    format!("{redirect}{}{}", if redirect.contains('?') { '&' } else { '?' }, query.finish())
}

/// Keeps the App of a manifest until somebody exchanges the code of the App. Returns the code, and
/// the address to which GitHub redirects the owner's browser. If GitHub refuses the manifest,
/// returns the status and the text of the refusal.
fn register(
    world: &mut World,
    org: &str,
    manifest: &str,
    base: &str,
) -> Result<(String, String), (u16, String)> {
    let Some(owner) = world.org(org).and_then(|org| org["login"].as_str()).map(str::to_owned) else {
        return Err((404, "Not Found".to_owned()));
    };
    let invalid = |why: String| (422_u16, format!("Invalid GitHub App configuration: {why}"));
    let manifest: Value = serde_json::from_str(manifest).map_err(|error| invalid(error.to_string()))?;
    if let Some(why) = problem(&manifest) {
        return Err(invalid(why));
    }
    let name = manifest["name"].as_str().unwrap_or_default();
    let slug = slug(name);
    let is_taken = slug == APP_SLUG
        || world.app(&slug).is_some()
        || world.pending_apps.values().any(|app| app["slug"] == slug);
    if is_taken {
        return Err(invalid(format!("Name {name} is already taken")));
    }
    let mut permissions = manifest["default_permissions"].as_object().cloned().unwrap_or_default();
    permissions.insert("metadata".to_owned(), json!("read"));
    let hook = &manifest["hook_attributes"];
    let secret = (!hook.is_null()).then(|| random("", 40));
    let events = manifest["default_events"].as_array().cloned().unwrap_or_default();
    let app = json!({
        "id": world.fresh_id(), "slug": slug, "name": name, "owner": owner, "external_url": manifest["url"],
        "html_url": format!("{base}/apps/{slug}"), "permissions": permissions, "events": events,
        "hook_url": hook["url"], "hook_active": hook["active"] != json!(false), "webhook_secret": secret,
        "installed": [],
    });
    let code = random("", 40);
    world.pending_apps.insert(code.clone(), app);
    Ok((code, manifest["redirect_url"].as_str().unwrap_or_default().to_owned()))
}

/// Returns the first problem that makes GitHub refuse a manifest.
fn problem(manifest: &Value) -> Option<String> {
    let Some(keys) = manifest.as_object() else { return Some("the manifest is no object".to_owned()) };
    if let Some(unknown) = keys.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Some(format!("\"{unknown}\" is not a permitted key."));
    }
    let hook = &manifest["hook_attributes"];
    for (at, url) in [
        ("url", &manifest["url"]),
        ("redirect_url", &manifest["redirect_url"]),
        ("hook_attributes/url", &hook["url"]),
    ] {
        let is_optional = at.starts_with("hook") && hook.is_null();
        match url.as_str() {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {}
            None if is_optional => {}
            _ => return Some(format!("\"{at}\" wasn't supplied.")),
        }
    }
    if hook["url"].as_str().is_some_and(is_local) {
        return Some(
            "Hook url is not supported because it isn't reachable over the public Internet".to_owned(),
        );
    }
    let length = manifest["name"].as_str().unwrap_or_default().chars().count();
    if length == 0 || length > NAME {
        return Some(format!("Name is too long (maximum is {NAME} characters) or missing"));
    }
    if let Some(why) = described::unknown_permission(&manifest["default_permissions"]) {
        return Some(format!("Default permission records resource is not included in the list: {why}"));
    }
    let holds = |permission: &str| {
        permission == "metadata" || manifest["default_permissions"][permission].is_string()
    };
    manifest["default_events"].as_array().into_iter().flatten().find_map(|event| {
        let known = EVENTS.iter().find(|(name, _)| event == name);
        match known {
            None => Some(format!("Default events unsupported: {event}")),
            Some((_, needed)) if needed.iter().any(|permission| holds(permission)) => None,
            Some((name, _)) => Some(format!("Default events are not supported by permissions: {name}")),
        }
    })
}

/// Returns whether an address has a host that GitHub cannot reach.
fn is_local(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or_default();
    let host = host.split(['/', ':', '?']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || host == "[" || host.is_empty()
}

fn slug(name: &str) -> String {
    let dashed = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    dashed.collect()
}

fn random(prefix: &str, digits: usize) -> String {
    let bits: [u128; 2] = [rand::random(), rand::random()];
    let hex = format!("{:032x}{:032x}", bits[0], bits[1]);
    format!("{prefix}{}", &hex[..digits.min(hex.len())])
}

/// Returns the code in the path of an exchange.
pub(crate) fn code<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let code = path.strip_prefix("/app-manifests/")?.strip_suffix("/conversions")?;
    (method == Method::POST && !code.contains('/')).then_some(code)
}

/// Exchanges a code for the App and its secrets. A code can be used only once.
pub(crate) fn convert(world: &mut World, code: &str, pem: &str) -> Reply {
    let Some(app) = world.pending_apps.remove(code) else { return Reply::not_found() };
    let mut shown = shapes::app(world, &app);
    shown["client_id"] = json!(random("Iv1.", 16));
    shown["client_secret"] = json!(random("", 40));
    shown["webhook_secret"] = app["webhook_secret"].clone();
    shown["pem"] = json!(pem);
    let slug = app["slug"].as_str().unwrap_or_default().to_owned();
    world.doc["apps"][slug] = app;
    Reply::json(201, shown)
}

/// Installs an App on the organisation that owns it. If the App is not public, no other
/// organisation can install it.
fn install(world: &mut World, slug: &str) -> Option<Value> {
    let app = world.doc["apps"].get_mut(slug).filter(|app| app["owner"].is_string())?;
    app["installed"] = json!([app["owner"]]);
    Some(app.clone())
}

/// Returns the App for the issuer of a JWT: the App that the simulator always has, or an App from a
/// manifest.
pub(crate) fn issuer(world: &World, id: &str) -> Option<Value> {
    if id == APP_ID.to_string() {
        return world.acting(APP_SLUG);
    }
    let mut apps = world.doc["apps"].as_object()?.values();
    let is_named = |app: &Value| app["id"].as_u64().is_some_and(|known| known.to_string() == id);
    apps.find(|app| app["owner"].is_string() && is_named(app)).cloned()
}

/// Returns whether an App is installed on an organisation. The App that the simulator always has is
/// installed on all organisations.
pub(crate) fn is_installed(app: &Value, org: &Value) -> bool {
    let Some(installed) = app["installed"].as_array() else { return true };
    installed.contains(&org["login"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://sim";

    fn manifest() -> Value {
        json!({
            "name": "Beadle of acme", "url": "https://example.com", "redirect_url": "http://127.0.0.1:1/created",
            "hook_attributes": { "url": "https://beadle.example.com/hooks/github" }, "public": false,
            "default_permissions": { "administration": "write", "contents": "read", "members": "read" },
            "default_events": ["push", "repository", "team"],
        })
    }

    fn world() -> World {
        World::from(json!({ "orgs": { "acme": {}, "other": {} } }))
    }

    fn registered(world: &mut World, manifest: &Value) -> Result<String, (u16, String)> {
        register(world, "acme", &manifest.to_string(), BASE).map(|(code, _)| code)
    }

    #[test]
    fn a_code_is_valid_once_and_an_app_acts_only_where_it_is_installed() {
        let mut world = world();
        let code = registered(&mut world, &manifest()).unwrap();
        assert_eq!(convert(&mut world, "unknown", "PEM").status, 404);
        let made = convert(&mut world, &code, "PEM");
        assert_eq!(made.status, 201);
        let made = made.body.unwrap();
        assert_eq!((&made["pem"], &made["owner"]["login"]), (&json!("PEM"), &json!("acme")));
        assert_eq!(made["html_url"], "http://sim/apps/beadle-of-acme");
        assert_eq!(convert(&mut world, &code, "PEM").status, 404);
        let installed = |world: &World, org: &str| {
            let app = issuer(world, &made["id"].to_string()).unwrap();
            is_installed(&app, world.org(org).unwrap())
        };
        assert!(!installed(&world, "acme"));
        assert!(install(&mut world, "beadle-of-acme").is_some());
        assert!(installed(&world, "acme") && !installed(&world, "other"));
        assert!(install(&mut world, "ci").is_none());
        assert!(issuer(&world, "1").is_none());
    }

    #[test]
    fn a_manifest_that_github_refuses_is_refused() {
        let cases: [(&str, Value, &str); 11] = [
            ("url", Value::Null, "\"url\" wasn't supplied"),
            ("redirect_url", Value::Null, "\"redirect_url\" wasn't supplied"),
            ("hook_attributes", json!({ "active": false }), "\"hook_attributes/url\" wasn't supplied"),
            ("hook_attributes", json!({ "url": "http://127.0.0.1:8080/hooks" }), "public Internet"),
            ("name", json!("x".repeat(35)), "too long"),
            ("default_permissions", json!({ "repositories": "write" }), "repositories"),
            ("default_permissions", json!({ "members": "admin" }), "members"),
            ("default_events", json!(["installation"]), "unsupported: \"installation\""),
            ("default_events", json!(["label"]), "not supported by permissions: label"),
            ("default_events", json!(["custom_property_values"]), "not supported by permissions"),
            ("permissions", json!({}), "not a permitted key"),
        ];
        for (key, value, about) in cases {
            let mut manifest = manifest();
            manifest[key] = value;
            let (status, why) = registered(&mut world(), &manifest).unwrap_err();
            assert!(status == 422 && why.contains(about), "{key}: {why}");
        }
        assert_eq!(register(&mut world(), "nobody", "{}", BASE).unwrap_err().0, 404);
        assert_eq!(register(&mut world(), "acme", "{", BASE).unwrap_err().0, 422);
        let mut world = world();
        registered(&mut world, &manifest()).unwrap();
        assert!(registered(&mut world, &manifest()).unwrap_err().1.contains("already taken"));
    }

    #[test]
    fn the_browser_returns_with_the_code_and_the_state() {
        assert_eq!(back("http://x/created", "c", Some("a&b")), "http://x/created?code=c&state=a%26b");
        assert_eq!(back("http://x/created?y=1", "c", None), "http://x/created?y=1&code=c");
    }
}
