//! The REST API of the simulated SCIM server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::patch::{patch_group, patch_user, refused_by_aws};
use super::quirks::{Quirk, Quirks};
use super::{Scim, filter};
use crate::sim_state::{Call, Reply, SimState, lock, now};

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The maximum number of entries in a page. Also the maximum number of members in a request.
pub(super) const MOST: usize = 100;

/// Returns an error in the form that AWS uses: it has both `schema` and `schemas`, a status in
/// words, and no `scimType`.
pub(super) fn error(status: u16, text: &str) -> Reply {
    let id = format!("{:032x}", rand::random::<u128>());
    let body = json!({
        "schema": [ERROR], "schemas": [ERROR], "status": status.to_string(), "detail": text,
        "exceptionRequestId": id, "timeStamp": now(),
    });
    Reply::json(status, body)
}

pub(super) fn answer(scim: &Scim, sim_state: &SimState, call: &Call<'_>) -> Reply {
    let segments = call.segments();
    let Some(at) = segments.windows(2).position(|pair| pair == ["scim", "v2"]) else {
        return error(403, "Forbidden");
    };
    let token = call.header("authorization").strip_prefix("Bearer ");
    if !token.is_some_and(|token| lock(&sim_state.tokens).contains(token)) {
        return error(401, "Session token not found or invalid");
    }
    let quirks = &lock(&scim.quirks).clone();
    let state = &mut *lock(&sim_state.state);
    match (call.method, &segments[at + 2..]) {
        ("GET", ["ServiceProviderConfig"]) => Reply::json(200, config()),
        ("GET", [kind @ ("Users" | "Groups")]) => list(scim, quirks, state, call, kind),
        ("POST", [kind @ ("Users" | "Groups")]) => create(scim, quirks, state, call, kind),
        (method, [kind @ ("Users" | "Groups"), id]) => one(scim, quirks, state, call, method, kind, id),
        _ => error(404, "Resource not found"),
    }
}

fn config() -> Value {
    let supported = |supported: bool| json!({ "supported": supported });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "https://docs.aws.amazon.com/singlesignon/latest/userguide/manage-your-identity-source-idp.html",
        "patch": supported(true), "etag": supported(false), "sort": supported(false), "changePassword": supported(false),
        "bulk": { "supported": false, "maxOperations": 1, "maxPayloadSize": 1_048_576 },
        "filter": { "supported": true, "maxResults": 100 },
        "authenticationSchemes": [{ "name": "OAuth Bearer Token", "type": "oauthbearertoken", "primary": true }],
    })
}

fn collection(kind: &str) -> &'static str {
    if kind == "Users" { "users" } else { "groups" }
}

/// Returns a resource as the server shows it. AWS never shows the members of a group.
fn shown(quirks: &Quirks, kind: &str, resource: &Value) -> Value {
    let mut shown = resource.clone();
    let (schema, name) = if kind == "Users" { ("User", "User") } else { ("Group", "Group") };
    shown["schemas"] = json!([format!("urn:ietf:params:scim:schemas:core:2.0:{schema}")]);
    shown["meta"] = json!({ "resourceType": name, "created": "2026-01-01T00:00:00Z", "lastModified": "2026-01-01T00:00:00Z" });
    if kind == "Groups" {
        shown["members"] = json!([]);
    }
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("password"); // the server accepts a password, but never shows it
    }
    quirks.shown(shown, &resource["members"])
}

/// Returns a page of a list by index, as in RFC 7644.
fn list_by_index(quirks: &Quirks, state: &Value, call: &Call<'_>, kind: &str) -> Reply {
    if call.query("cursor").is_some() {
        return error(400, "cursor is not supported");
    }
    let number =
        |name: &str, usual: usize| call.query(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (start, count) = (number("startIndex", 1).max(1), number("count", MOST));
    if quirks.most().is_some_and(|most| count > most) {
        return error(422, "Unprocessable Entity");
    }
    let filter = call.query("filter").filter(|_| !quirks.has(&Quirk::FiltersIgnored));
    let pairs = match filter.map(|text| (quirks.refuses(text), filter::parse(text))) {
        None => Vec::new(),
        Some((false, Some(pairs))) => pairs,
        Some(_) => return error(400, "invalidFilter"),
    };
    let mut rows = Vec::new();
    for (id, resource) in state[collection(kind)].as_object().into_iter().flatten() {
        let mut fits = !filter.is_some_and(|filter| quirks.finds_nobody(filter));
        for (attribute, value) in &pairs {
            match is(state, kind, id, resource, attribute, value) {
                Some(is) => fits &= is,
                None => return error(400, "invalidFilter"),
            }
        }
        if fits && !quirks.has(&Quirk::Unlisted(id.clone())) {
            rows.push(shown(quirks, kind, resource));
        }
    }
    if quirks.has(&Quirk::RowsTwice) && !rows.is_empty() {
        rows.insert(0, rows[0].clone());
    }
    let all = rows.len();
    let skipped = if quirks.has(&Quirk::RepeatsFirstPage) { 0 } else { start - 1 };
    let mut rows: Vec<Value> = rows.into_iter().skip(skipped).take(count).collect();
    if call.query("excludedAttributes") == Some("members") {
        for row in &mut rows {
            row.as_object_mut().map(|row| row.remove("members"));
        }
    }
    let total = if quirks.has(&Quirk::TotalOfPage) { rows.len() } else { all };
    let mut body = json!({
        "schemas": [LIST], "itemsPerPage": rows.len(), "startIndex": start, "totalResults": total, "Resources": rows,
    });
    if quirks.has(&Quirk::NoTotal) {
        body.as_object_mut().map(|body| body.remove("totalResults"));
    }
    Reply::json(200, body)
}

/// Returns an id that a filter contains but no resource has.
fn unknown_id(state: &Value, kind: &str, pairs: &[(String, String)]) -> Option<String> {
    let (attribute, list) =
        if kind == "Users" { ("groups.value", "groups") } else { ("members.value", "users") };
    let is_unknown = |(name, id): &&(String, String)| {
        name.eq_ignore_ascii_case(attribute) && state[list].get(id.as_str()).is_none()
    };
    pairs.iter().find(is_unknown).map(|(_, id)| id.clone())
}

fn list(scim: &Scim, quirks: &Quirks, state: &Value, call: &Call<'_>, kind: &str) -> Reply {
    if quirks.has(&Quirk::Generic) {
        return list_by_index(quirks, state, call, kind);
    }
    for unsupported in ["startIndex", "attributes", "excludedAttributes", "sortBy"] {
        if call.query(unsupported).is_some() {
            return error(400, &format!("{unsupported} is not supported"));
        }
    }
    let count = match call.query("count").map(str::parse::<usize>) {
        None => MOST,
        Some(Ok(count)) if (1..=MOST).contains(&count) => count,
        Some(_) => return error(400, "count has to be from 1 to 100"),
    };
    let pairs = match call.query("filter").map(|text| (text, filter::parse(text))) {
        None => Vec::new(),
        Some((_, Some(pairs))) => pairs,
        Some((text, None)) => return error(400, &format!("filter is not supported: {text}")),
    };
    if let Some(id) = unknown_id(state, kind, &pairs) {
        return error(404, &format!("{id} was not found"));
    }
    // Without this parameter, AWS returns a list without pages, for older clients.
    let after = match call.query("cursor") {
        None | Some("") => String::new(),
        Some(cursor) => {
            let decoded = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match decoded.and_then(|text| text.strip_prefix("?>after:").map(str::to_owned)) {
                Some(after) => after,
                None => return error(400, "the cursor is not valid"),
            }
        }
    };
    let count = if scim.short_pages { count.div_ceil(3) } else { count };
    let mut rows: Vec<Value> = Vec::new();
    let mut more = false;
    for (id, resource) in state[collection(kind)].as_object().into_iter().flatten() {
        if *id <= after && !after.is_empty() {
            continue;
        }
        let mut fits = true;
        for (attribute, value) in &pairs {
            match is(state, kind, id, resource, attribute, value) {
                Some(is) => fits &= is,
                None => return error(400, &format!("filter on {attribute} is not supported")),
            }
        }
        if !fits || scim.is_hidden(id) {
            continue;
        }
        if rows.len() == count {
            more = true;
            break;
        }
        rows.push(shown(quirks, kind, resource));
    }
    let mut body = json!({ "schemas": [LIST], "itemsPerPage": rows.len(), "Resources": rows });
    if call.query("cursor").is_none() {
        body["totalResults"] = body["itemsPerPage"].clone();
        body["startIndex"] = json!(1);
    } else if more {
        let last = body["Resources"][count - 1]["id"].as_str().unwrap_or_default();
        // The cursor contains characters that a client must encode in an address.
        body["nextCursor"] = json!(STANDARD.encode(format!("?>after:{last}")));
    }
    Reply::json(200, body)
}

/// Returns whether an attribute of a resource has this value. Returns `None` if a filter cannot
/// contain the attribute.
fn is(state: &Value, kind: &str, id: &str, resource: &Value, attribute: &str, value: &str) -> Option<bool> {
    let text = |name: &str| resource[name].as_str().unwrap_or_default();
    Some(match (kind, attribute.to_ascii_lowercase().as_str()) {
        ("Users", "username") => text("userName").eq_ignore_ascii_case(value),
        ("Groups", "displayname") => text("displayName").eq_ignore_ascii_case(value),
        (_, "externalid") => text("externalId") == value,
        ("Users", "groups.value") => state["groups"][value]["members"].get(id).is_some(),
        ("Groups", "members.value" | "member") => resource["members"].get(value).is_some(),
        ("Groups", "id") => id == value,
        _ => return None,
    })
}

/// Returns the first field that must be unique, but has the same value in another resource.
fn taken(state: &Value, kind: &str, id: Option<&str>, resource: &Value) -> Option<&'static str> {
    let name = if kind == "Users" { "userName" } else { "displayName" };
    let others = state[collection(kind)].as_object().into_iter().flatten();
    for (_, other) in others.filter(|(other, _)| Some(other.as_str()) != id) {
        let same = |field: &str| match (other[field].as_str(), resource[field].as_str()) {
            (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
            _ => false,
        };
        if same(name) {
            return Some(name);
        }
        if same("externalId") {
            return Some("externalId");
        }
    }
    None
}

/// Returns the fields that AWS requires for a new user or a new group.
fn needed(kind: &str) -> &'static [&'static str] {
    if kind == "Users" {
        &["/userName", "/displayName", "/name/givenName", "/name/familyName"]
    } else {
        &["/displayName"]
    }
}

/// Returns the first required field that is missing or empty.
fn lacks(kind: &str, resource: &Value) -> Option<&'static str> {
    let has =
        |place: &str| resource.pointer(place).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    needed(kind).iter().copied().find(|place| !has(place))
}

fn violates(place: &str) -> Reply {
    let name = place.trim_start_matches('/').replace('/', ".");
    error(
        400,
        &format!("Request is unparsable, syntactically incorrect, or violates schema: {name} is missing"),
    )
}

fn create(scim: &Scim, quirks: &Quirks, state: &mut Value, call: &Call<'_>, kind: &str) -> Reply {
    let mut resource = call.body.clone();
    if !resource.is_object() {
        return error(400, "the body is no resource");
    }
    if let Some(place) = lacks(kind, &resource).filter(|_| !quirks.has(&Quirk::Generic)) {
        return violates(place);
    }
    if kind == "Users"
        && !quirks.has(&Quirk::Generic)
        && let Some(why) = refused_by_aws(&resource)
    {
        return error(400, &why);
    }
    let members = call.body["members"].as_array().map_or(0, Vec::len);
    if kind == "Groups" && members > MOST {
        return error(
            400,
            &format!("{members} members are more than the {MOST} that one request may change"),
        );
    }
    if let Some(field) = taken(state, kind, None, &resource) {
        return error(409, &format!("Duplicate: {field}"));
    }
    let id = format!("{:032x}", rand::random::<u128>());
    let id = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    if kind == "Groups" {
        let mut members = Map::new();
        for member in call.body["members"].as_array().into_iter().flatten() {
            match member["value"].as_str().filter(|id| state["users"].get(*id).is_some()) {
                Some(user) => members.insert(user.to_owned(), json!(true)),
                None => return error(400, "a member is no user"),
            };
        }
        resource["members"] = Value::Object(members);
    } else if resource["active"].is_null() {
        resource["active"] = json!(true);
    }
    resource["id"] = json!(id);
    state[collection(kind)][&id] = resource.clone();
    scim.hide(&id);
    Reply::json(201, shown(quirks, kind, &resource))
}

fn one(
    scim: &Scim,
    quirks: &Quirks,
    state: &mut Value,
    call: &Call<'_>,
    method: &str,
    kind: &str,
    id: &str,
) -> Reply {
    let list = collection(kind);
    if state[list].get(id).is_none() || scim.is_hidden(id) {
        return error(404, &format!("{id} was not found"));
    }
    match (method, kind) {
        ("GET", _) => Reply::json(200, shown(quirks, kind, &state[list][id])),
        ("DELETE", _) => {
            if let Some(all) = state[list].as_object_mut() {
                all.remove(id);
            }
            if kind == "Users" {
                for (_, group) in state["groups"].as_object_mut().into_iter().flatten() {
                    group["members"].as_object_mut().map(|members| members.remove(id));
                }
            }
            Reply::nothing(204)
        }
        ("PUT", "Users") => {
            let mut new = call.body.clone();
            // A PUT replaces the whole resource. So a body without a required field would remove
            // that field, and AWS refuses the body.
            if let Some(place) = lacks(kind, &new) {
                return violates(place);
            }
            new["id"] = json!(id);
            if let Some(field) = taken(state, kind, Some(id), &new) {
                return error(409, &format!("Duplicate: {field}"));
            }
            state[list][id] = new;
            Reply::json(200, shown(quirks, kind, &state[list][id]))
        }
        ("PATCH", _) => {
            let mut new = state[list][id].clone();
            let patched = if kind == "Users" {
                patch_user(&mut new, &call.body)
            } else {
                patch_group(quirks, &mut new, &call.body, &state["users"])
            };
            if let Err(why) = patched {
                return error(400, &why);
            }
            // AWS refuses an invalid value only if the value was valid before the request.
            if kind == "Users"
                && !quirks.has(&Quirk::Generic)
                && refused_by_aws(&state[list][id]).is_none()
                && let Some(why) = refused_by_aws(&new)
            {
                return error(400, &why);
            }
            // A PATCH does not change a field that is missing in its body. So AWS refuses a missing
            // field only if the resource had this field before.
            if let Some(place) = lacks(kind, &new).filter(|_| lacks(kind, &state[list][id]).is_none()) {
                return violates(place);
            }
            if let Some(field) = taken(state, kind, Some(id), &new) {
                return error(409, &format!("Duplicate: {field}"));
            }
            state[list][id] = new;
            if kind == "Users" {
                Reply::json(200, shown(quirks, kind, &state[list][id]))
            } else {
                Reply::nothing(204)
            }
        }
        _ => error(405, "the method is not supported"),
    }
}
