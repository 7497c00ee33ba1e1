//! PATCH requests, in AWS's form and in the forms that other servers accept.

use serde_json::{Value, json};

use super::filter;
use super::quirks::{Quirk, Quirks};
use super::rest::MOST;

fn operations(body: &Value) -> Result<&Vec<Value>, String> {
    body["Operations"].as_array().ok_or_else(|| "Operations is missing".to_owned())
}

/// The schema of the enterprise extension (RFC 7643, 4.3).
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The attributes of a user (RFC 7643, 3, 3.1 and 4.1), except `groups`. Servers compute the groups
/// of a user, so a PATCH cannot change them.
const ATTRIBUTES: [&str; 24] = [
    "schemas",
    "id",
    "meta",
    "userName",
    "externalId",
    "name",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "password",
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509Certificates",
];

/// Returns whether a path belongs to an attribute of a user or of an extension.
fn is_known(path: &str) -> bool {
    let first = path.split('.').next().unwrap_or_default();
    path.starts_with("urn:") || ATTRIBUTES.contains(&first)
}

/// Applies a PATCH to a user: to the user's attributes, and to the attributes of the user's
/// extensions.
pub(super) fn patch_user(user: &mut Value, body: &Value) -> Result<(), String> {
    for operation in operations(body)? {
        let op = operation["op"].as_str().unwrap_or_default().to_ascii_lowercase();
        let value = operation["value"].clone();
        match (op.as_str(), operation["path"].as_str()) {
            (_, Some(path)) if !is_known(path) => return Err(format!("the path {path} is not known")),
            // An `add` must have a value (RFC 7644, 3.5.2.1), and `null` is the same as no value (RFC
            // 7643, 2.5). The simulator refuses a `replace` without a value too.
            ("add" | "replace", Some(path)) if value.is_null() => {
                return Err(format!("{op} of {path} has no value"));
            }
            ("add" | "replace", Some(path)) => {
                let mut place = &mut *user;
                for part in parts(path) {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    place = &mut place[part];
                }
                *place = value;
            }
            ("add" | "replace", None) if value.is_object() => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    user[name] = value.clone();
                }
            }
            ("remove", Some(path)) => {
                let mut all = parts(path);
                let last = all.pop().unwrap_or_default();
                let mut place = Some(&mut *user);
                for part in all {
                    place = place.and_then(|place| place.get_mut(part));
                }
                place.and_then(Value::as_object_mut).map(|place| place.remove(last));
            }
            _ => return Err(format!("operation {op} is not supported")),
        }
    }
    Ok(())
}

/// Splits the path of an attribute into its parts. The schema of an extension is one part.
fn parts(path: &str) -> Vec<&str> {
    let (schema, attribute) = match path.rsplit_once(':') {
        Some((schema, attribute)) => (Some(schema), attribute),
        None => (None, path),
    };
    schema.into_iter().chain(attribute.split('.')).collect()
}

/// Returns why AWS refuses a user, or `None`. AWS allows only one value in each of the lists
/// `emails`, `phoneNumbers`, `addresses` and `roles`. AWS allows no unknown attribute, and no
/// extension except the enterprise extension.
///
/// <https://docs.aws.amazon.com/singlesignon/latest/developerguide/createuser.html>
pub(super) fn refused_by_aws(user: &Value) -> Option<String> {
    for (name, value) in user.as_object().into_iter().flatten() {
        let is_extension = name.starts_with("urn:");
        let is_known = if is_extension {
            name == ENTERPRISE
        } else {
            name == "groups" || ATTRIBUTES.contains(&name.as_str())
        };
        if !is_known {
            return Some(format!("{name} is not supported"));
        }
        if ["emails", "phoneNumbers", "addresses", "roles"].contains(&name.as_str())
            && value.as_array().is_some_and(|entries| entries.len() > 1)
        {
            return Some(format!("{name} must have one value"));
        }
    }
    None
}

/// Applies a PATCH to `displayName`, `externalId` and `members` of a group. A request that adds or
/// removes members must list them, and it can list at most 100 members. Some quirks also allow other
/// forms of a removal.
pub(super) fn patch_group(
    quirks: &Quirks,
    group: &mut Value,
    body: &Value,
    users: &Value,
) -> Result<(), String> {
    let mut changed = 0;
    let before = group["members"].clone();
    for operation in operations(body)? {
        let op = operation["op"].as_str().unwrap_or_default().to_ascii_lowercase();
        let value = &operation["value"];
        match (op.as_str(), operation["path"].as_str()) {
            ("replace" | "add", Some(path @ ("displayName" | "externalId"))) if value.is_string() => {
                group[path] = value.clone();
            }
            ("replace", None) if value.is_object() => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if !["displayName", "externalId", "id"].contains(&name.as_str()) {
                        return Err(format!("{name} cannot be replaced"));
                    }
                    if name != "id" {
                        group[name] = value.clone();
                    }
                }
            }
            ("remove", Some("members")) if quirks.has(&Quirk::ArrayEmpties) => {
                group["members"] = json!({});
            }
            ("remove", Some(path)) if quirks.has(&Quirk::Generic) && path.starts_with("members[") => {
                let filter = path.trim_start_matches("members[").trim_end_matches(']');
                let pairs = filter::parse(filter).ok_or("the path is not understood")?;
                for (_, id) in pairs {
                    group["members"].as_object_mut().map(|members| members.remove(&id));
                }
            }
            (op @ ("add" | "remove"), Some("members")) => {
                if op == "add" && quirks.has(&Quirk::AddReplaces) {
                    group["members"] = json!({});
                }
                let members = value.as_array().ok_or("members without a list of them")?;
                if members.is_empty() {
                    return Err("members without a list of them".into());
                }
                changed += members.len();
                for member in members {
                    let id = member["value"].as_str().unwrap_or_default();
                    if users.get(id).is_none() {
                        return Err(format!("the member {id} is no user"));
                    }
                    if op == "add" {
                        group["members"][id] = json!(true);
                    } else {
                        group["members"].as_object_mut().map(|members| members.remove(id));
                    }
                }
            }
            (op, path) => return Err(format!("{op} of {} is not supported", path.unwrap_or("everything"))),
        }
    }
    if changed > MOST {
        return Err(format!("{changed} members are more than the {MOST} that one request may change"));
    }
    if quirks.has(&Quirk::WritesIgnored) {
        group["members"] = before;
    }
    Ok(())
}
