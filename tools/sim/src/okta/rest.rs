//! The part of Okta's API that Beadle reads, and the OAuth endpoint.
//!
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Group/>

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::okta::Okta;
use crate::okta::filter::Filter;
use crate::sim_state::{Call, Reply, SimState, lock};

/// Returns an error in the form that Okta uses.
pub(super) fn error(status: u16, text: &str) -> Reply {
    let (code, summary) = match status {
        401 => ("E0000011", "Invalid token provided".to_owned()),
        403 => ("E0000006", "You do not have permission to perform the requested action".to_owned()),
        404 => ("E0000007", format!("Not found: Resource not found: {text}")),
        429 => ("E0000047", "API call exceeded rate limit due to too many requests.".to_owned()),
        400 => ("E0000001", format!("Api validation failed: {text}")),
        _ => ("E0000009", format!("Internal Server Error: {text}")),
    };
    let id = format!("oae{:016x}", rand::random::<u64>());
    let body = json!({ "errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": id, "errorCauses": [] });
    Reply::json(status, body)
}

pub(super) fn answer(okta: &Okta, sim_state: &SimState, call: &Call<'_>) -> Reply {
    let segments = call.segments();
    if let ("POST", ["oauth2", "v1", "token"]) = (call.method, segments.as_slice()) {
        return token(okta, sim_state, call);
    }
    let authorization = call.header("authorization");
    let token = authorization.strip_prefix("SSWS ").or(authorization.strip_prefix("Bearer "));
    if !token.is_some_and(|token| lock(&sim_state.tokens).contains(token)) {
        return error(401, "");
    }
    let family = match segments.as_slice() {
        ["api", "v1", "groups", ..] => "groups",
        ["api", "v1", "users", ..] => "users",
        ["api", "v1", "apps", ..] => "apps",
        _ => "logs",
    };
    let (headers, admitted) = okta.admit(family);
    let mut reply = if admitted { read(okta, sim_state, call, &segments) } else { error(429, "") };
    reply.headers.extend(headers);
    reply
}

fn token(okta: &Okta, sim_state: &SimState, call: &Call<'_>) -> Reply {
    let form: Vec<(String, String)> = form_urlencoded::parse(call.raw).into_owned().collect();
    let field = |name: &str| {
        form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let refuse = |why: &str| Reply::json(400, json!({ "error": "invalid_client", "error_description": why }));
    if field("grant_type") != "client_credentials" {
        return refuse("the grant type has to be client_credentials");
    }
    if field("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
        return refuse("the client has to authenticate by private_key_jwt");
    }
    let key = DecodingKey::from_rsa_der(&okta.key.public);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[format!("{}/oauth2/v1/token", lock(&okta.base))]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    match jsonwebtoken::decode::<Value>(field("client_assertion"), &key, &validation) {
        Ok(claims) if claims.claims["sub"] == "beadle" && claims.claims["iss"] == "beadle" => {}
        Ok(_) => return refuse("there is no such client"),
        Err(error) => return refuse(&error.to_string()),
    }
    let body = json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": sim_state.mint(), "scope": field("scope") });
    Reply::json(200, body)
}

fn read(okta: &Okta, sim_state: &SimState, call: &Call<'_>, segments: &[&str]) -> Reply {
    let state = lock(&sim_state.state);
    let base = lock(&okta.base).clone();
    let (users, groups) = (&state["users"], &state["groups"]);
    match (call.method, segments) {
        ("GET", ["api", "v1", "groups"]) => match wanted(call) {
            Ok(wanted) => {
                let with_stats = call.query("expand") == Some("stats");
                let rows = every(groups).filter(|group| wanted(group));
                page(&base, call, rows, 10_000, |group| shown(group, with_stats))
            }
            Err(why) => error(400, &why),
        },
        ("GET", ["api", "v1", "groups", id]) => match groups.get(*id) {
            Some(group) => Reply::json(200, shown(group, false)),
            None => error(404, &format!("{id} (UserGroup)")),
        },
        ("GET", ["api", "v1", "groups", id, "users"]) => match groups.get(*id) {
            Some(group) => {
                let ids = group["members"].as_object().into_iter().flatten().map(|(id, _)| id);
                page(&base, call, ids.filter_map(|id| users.get(id)), 1000, Value::clone)
            }
            None => error(404, &format!("{id} (UserGroup)")),
        },
        ("GET", ["api", "v1", "users"]) => match wanted_users(call) {
            Ok(wanted) => page(&base, call, every(users).filter(|user| wanted(user)), 200, Value::clone),
            Err(why) => error(400, &why),
        },
        ("GET", ["api", "v1", "users", id]) => match users.get(*id).or_else(|| with_login(users, id)) {
            Some(user) => Reply::json(200, user.clone()),
            None => error(404, &format!("{id} (User)")),
        },
        ("GET", ["api", "v1", "users", id, "groups"]) => match users.get(*id) {
            Some(_) => {
                let rows = every(groups).filter(|group| group["members"].get(*id).is_some());
                page(&base, call, rows, 200, |group| shown(group, false))
            }
            None => error(404, &format!("{id} (User)")),
        },
        ("GET", ["api", "v1", "apps", app, "group-push", "mappings"]) => {
            page(&base, call, every(&state["pushes"][*app]), 1000, Value::clone)
        }
        ("GET", ["api", "v1", "logs"]) => logs(&base, call, &state["log"]),
        (method, _) => error(404, &format!("{method} {}", call.path.join("/"))),
    }
}

/// Returns the user with this id or login.
fn with_login<'a>(users: &'a Value, login: &str) -> Option<&'a Value> {
    let is_theirs =
        |user: &&Value| user["profile"]["login"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(login));
    every(users).find(is_theirs)
}

fn every(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_object().into_iter().flatten().map(|(_, one)| one)
}

/// Returns a group as Okta shows it, without members.
fn shown(group: &Value, with_stats: bool) -> Value {
    let mut shown = group.clone();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("members");
    }
    if with_stats {
        let count = group["members"].as_object().map_or(0, serde_json::Map::len);
        shown["_embedded"] = json!({ "stats": { "usersCount": count, "appsCount": 0, "groupPushMappingsCount": 0, "hasAdminPrivilege": false } });
    }
    shown
}

/// A function that returns whether a row matches the query of a call.
type Wanted = Box<dyn Fn(&Value) -> bool>;

/// Returns a function that selects groups by `filter=id eq "..."`, `search=profile.name sw "..."`
/// or `q=AWS` (the start of the name).
fn wanted(call: &Call<'_>) -> Result<Wanted, String> {
    const FILTER: &[&str] = &["id", "type", "lastUpdated", "lastMembershipUpdated"];
    const SEARCH: &[&str] = &[
        "id",
        "type",
        "lastUpdated",
        "lastMembershipUpdated",
        "created",
        "profile.name",
        "profile.description",
    ];
    let read = |name: &str, attributes: &[&str]| {
        call.query(name).map(|text| Filter::read(text, attributes)).transpose()
    };
    let (filter, search) = (read("filter", FILTER)?, read("search", SEARCH)?);
    let begin = call.query("q").unwrap_or_default().to_lowercase();
    Ok(Box::new(move |group| {
        let name = group["profile"]["name"].as_str().unwrap_or_default().to_lowercase();
        let holds = |filter: Option<&Filter>| filter.is_none_or(|filter| filter.holds(group));
        holds(filter.as_ref()) && holds(search.as_ref()) && name.starts_with(&begin)
    }))
}

/// Returns a function that selects users. Okta lists deactivated users only if a filter selects
/// them.
fn wanted_users(call: &Call<'_>) -> Result<Wanted, String> {
    const FILTER: &[&str] = &["id", "status", "lastUpdated", "profile.login", "profile.email"];
    match call.query("filter") {
        Some(text) => {
            let filter = Filter::read(text, FILTER)?;
            Ok(Box::new(move |user| filter.holds(user)))
        }
        None => Ok(Box::new(|user| user["status"] != "DEPROVISIONED")),
    }
}

/// Returns a page of rows in the order of their ids. Each link has its own `Link` header.
fn page<'a>(
    base: &str,
    call: &Call<'_>,
    rows: impl Iterator<Item = &'a Value>,
    most: usize,
    show: impl Fn(&Value) -> Value,
) -> Reply {
    let limit = match call.query("limit").map(str::parse::<usize>) {
        None => most,
        Some(Ok(limit)) if (1..=most).contains(&limit) => limit,
        Some(_) => return error(400, "limit"),
    };
    // The cursor is the id of the last row on the page. So if earlier rows change, the next page
    // still begins at the right row.
    let after = call.query("after").unwrap_or_default();
    let mut rest =
        rows.skip_while(|row| !after.is_empty() && row["id"].as_str().unwrap_or_default() <= after);
    let shown: Vec<Value> = rest.by_ref().take(limit).map(show).collect();
    let more = rest.next().is_some();
    let path = format!("{base}/{}", call.path.join("/"));
    let others = call.query.iter().filter(|(name, _)| name != "after");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(others);
    let own = query.finish();
    let mut headers = vec![("link", format!("<{path}?{own}>; rel=\"self\""))];
    if more {
        let last = shown.last().and_then(|row| row["id"].as_str()).unwrap_or_default();
        headers.push(("link", format!("<{path}?after={last}&{own}>; rel=\"next\"")));
    }
    Reply { status: 200, headers, body: Some(Value::Array(shown)) }
}

/// Answers a request for the System Log. Times are compared as text, which is right because all of
/// them are in UTC.
fn logs(base: &str, call: &Call<'_>, log: &Value) -> Reply {
    const FILTER: &[&str] =
        &["uuid", "eventType", "severity", "outcome.result", "actor.id", "target.id", "published"];
    let limit = call.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100usize);
    if limit > 1000 {
        return error(400, "limit");
    }
    let since = call.query("since").unwrap_or_default();
    let until = call.query("until");
    let filter = match call.query("filter").map(|text| Filter::read(text, FILTER)).transpose() {
        Ok(filter) => filter,
        Err(why) => return error(400, &why),
    };
    let newest_first = match call.query("sortOrder") {
        None | Some("ASCENDING") => false,
        Some("DESCENDING") => true,
        Some(other) => return error(400, &format!("sortOrder {other}")),
    };
    let log = log.as_array().map_or(&[][..], Vec::as_slice);
    let ordered: Box<dyn Iterator<Item = &Value>> =
        if newest_first { Box::new(log.iter().rev()) } else { Box::new(log.iter()) };
    let at: usize = call.query("after").and_then(|after| after.parse().ok()).unwrap_or(0);
    let mut end = at;
    let mut rows = Vec::new();
    for event in ordered.skip(at) {
        if rows.len() == limit {
            break;
        }
        end += 1;
        let published = event["published"].as_str().unwrap_or_default();
        let is_within = published >= since && until.is_none_or(|until| published < until);
        if is_within && filter.as_ref().is_none_or(|filter| filter.holds(event)) {
            rows.push(event.clone());
        }
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(call.query.iter().filter(|(name, _)| name != "after"));
    let next = format!("<{base}/api/v1/logs?{}&after={end}>; rel=\"next\"", query.finish());
    // A read without an end time always has a link to a next page. A read with an end time, or with
    // the newest event first, ends when the log ends.
    let is_over = (until.is_some() || newest_first) && rows.len() < limit;
    let headers = if is_over { Vec::new() } else { vec![("link", next)] };
    Reply { status: 200, headers, body: Some(Value::Array(rows)) }
}
