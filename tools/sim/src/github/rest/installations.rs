//! Lists the Apps that an organisation has installed.
//!
//! <https://docs.github.com/rest/orgs/orgs#list-app-installations-for-an-organization>

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Call, Reply, in_object};
use crate::github::APP_SLUG;
use crate::github::manifest::is_installed;
use crate::github::shapes;
use crate::github::world::World;

/// Answers a call to `/orgs/{org}/installations`.
pub(super) fn of_organisation(world: &World, call: &Call<'_>, org: &str) -> Reply {
    let Some(org) = world.org(org) else { return Reply::not_found() };
    let described = world.doc["apps"].as_object().into_iter().flatten().map(|(slug, _)| slug.as_str());
    // The simulator has its own App even if the state does not describe the App.
    let slugs: BTreeSet<&str> = described.chain([APP_SLUG]).collect();
    let apps = slugs.into_iter().filter_map(|slug| world.acting(slug)).filter(|app| is_installed(app, org));
    let rows: Vec<Value> = apps.map(|app| shapes::installation(world, org, &app)).collect();
    in_object(call, "installations", rows)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::github::rest::answer;

    #[test]
    fn an_organisation_lists_only_the_apps_that_it_has_installed() {
        let mut world = World::from(json!({
            "orgs": { "acme": {} },
            "apps": { "ci": { "id": 7, "installed": ["acme"] }, "other": { "id": 8, "installed": [] } },
        }));
        let path = vec!["orgs", "acme", "installations"];
        let (method, body) = (Method::GET, Value::Null);
        let call = Call { method: &method, path, query: &[], body: &body, sender: "ann", accept: "" };
        let shown = answer(&mut world, &call).body.unwrap();
        let slugs: Vec<&Value> =
            shown["installations"].as_array().unwrap().iter().map(|row| &row["app_slug"]).collect();
        assert_eq!(slugs, [APP_SLUG, "ci"]);
        assert_eq!(shown["total_count"], json!(2));
    }
}
