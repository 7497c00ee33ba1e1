//! Simulates the accounts that an organisation blocks.
//!
//! <https://docs.github.com/rest/orgs/blocking>

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::shapes;
use crate::github::world::World;

/// Answers calls with a path that begins with `/orgs/{org}/blocks`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let known = world.org(org).and_then(|org| org["blocks"].as_array().cloned());
    let mut blocked = known.unwrap_or_default();
    if let ("GET", []) = (call.method.as_str(), rest) {
        let rows = blocked.iter().filter_map(Value::as_str).map(|login| shapes::user(world, login));
        return page(call, rows.collect());
    }
    let [login] = rest else { return Reply::not_found() };
    let Some(login) = world.user(login).map(|user| user["login"].clone()) else { return Reply::not_found() };
    let is_blocked = blocked.contains(&login);
    let is_member = login.as_str().is_some_and(|login| world.is_member(org, login));
    match call.method.as_str() {
        "GET" => return if is_blocked { Reply::empty(204) } else { Reply::not_found() },
        "PUT" if is_blocked => return Reply::invalid("Validation Failed: the user is already blocked"),
        "PUT" if is_member => return Reply::invalid("Validation Failed: a member cannot be blocked"),
        "PUT" => blocked.push(login),
        "DELETE" => blocked.retain(|other| *other != login),
        _ => return Reply::not_found(),
    }
    if let Some(known) = world.org_mut(org) {
        known["blocks"] = json!(blocked);
    }
    Reply::empty(204)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_member_cannot_be_blocked() {
        let mut world = World::from(json!({
            "orgs": { "acme": { "members": ["mona"] } }, "users": { "mona": {}, "spammer": {} },
        }));
        for (method, login, status) in [
            (Method::PUT, "mona", 422),
            (Method::PUT, "nobody", 404),
            (Method::PUT, "Spammer", 204),
            (Method::GET, "spammer", 204),
            (Method::DELETE, "spammer", 204),
            (Method::GET, "spammer", 404),
        ] {
            let path = vec!["orgs", "acme", "blocks", login];
            let call =
                Call { method: &method, path, query: &[], body: &Value::Null, sender: "octocat", accept: "" };
            assert_eq!(answer(&mut world, &call, "acme", &[login]).status, status, "{method} {login}");
        }
    }
}
