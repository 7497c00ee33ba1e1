//! Finds the permissions and webhook events that the GitHub App needs for a policy. The permissions
//! and events come from the aspects.

use std::collections::{BTreeMap, BTreeSet};

use crate::aspects::{self, AccessLevel, AppPermission};
use crate::organisation;
use crate::policy::WHEN_MISSING;

/// The events that every policy needs. These events report three things: a new or renamed
/// repository, a renamed organisation, and a change of a value that selectors can use.
const OF_EVERY_POLICY: &[&str] = &["organization", "public", "repository"];

/// The permissions that every policy needs. With these permissions, Beadle can read who has access.
/// The permissions also make some events possible. These events report new files, new branches, and
/// changes of values that selectors can use.
const FOR_EVERY_POLICY: &[AppPermission] = &[
    AppPermission::write("administration", "administration (repository)"),
    AppPermission::read("contents", "contents (repository)"),
    AppPermission::read("members", "members (organisation)"),
    AppPermission::read("organization_custom_properties", "custom properties (organisation)"),
];
/// The additional events that become possible with [`FOR_EVERY_POLICY`]. The other events are in
/// [`OF_EVERY_POLICY`].
const FOR_SELECTORS: &[&str] = &["create", "custom_property_values", "push"];

/// The permissions and the events that a GitHub App needs for one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppNeeds {
    /// The required level of each permission. The key of the map is the permission's name in the
    /// REST API.
    pub permissions: BTreeMap<&'static str, AccessLevel>,
    /// The events. The list contains the events of a section only if the policy has this section.
    /// GitHub refuses an event if the App lacks the permission for this event.
    pub events: BTreeSet<&'static str>,
}

/// Returns the permissions and events for a policy with these sections.
pub fn app_needs(sections: &BTreeSet<&str>) -> AppNeeds {
    let own = permissions().into_iter().filter(|(section, _)| sections.contains(section));
    let mut levels: BTreeMap<&'static str, AccessLevel> = BTreeMap::new();
    for permission in own.map(|(_, permission)| permission).chain(FOR_EVERY_POLICY.iter().copied()) {
        let level = levels.entry(permission.name).or_insert(permission.level);
        *level = permission.level.max(*level);
    }
    let has = |needed: &[AppPermission]| {
        needed.iter().all(|needed| levels.get(needed.name).is_some_and(|level| *level >= needed.level))
    };
    let of_repositories =
        aspects::ALL.iter().filter(|aspect| has(aspect.permissions)).flat_map(|aspect| aspect.events);
    let of_organisation =
        organisation::ALL.iter().filter(|aspect| has(aspect.permissions)).flat_map(|aspect| aspect.events);
    let always = OF_EVERY_POLICY.iter().chain(FOR_SELECTORS);
    let events = always.chain(of_repositories).chain(of_organisation).copied().collect();
    AppNeeds { permissions: levels, events }
}

/// Returns the permissions that the sections of a policy need. Each permission comes with the name
/// of its section.
pub fn permissions() -> Vec<(&'static str, AppPermission)> {
    let mut needed = Vec::new();
    for aspect in aspects::ALL {
        for section in aspect.owned() {
            needed.extend(aspect.permissions.iter().map(|permission| (section, *permission)));
        }
    }
    // To create or rename a missing default branch, Beadle needs more permissions than for the rest
    // of the section `repository`.
    needed.push((WHEN_MISSING, AppPermission::write("contents", "contents (repository)")));
    for aspect in organisation::ALL {
        needed.extend(aspect.permissions.iter().map(|permission| (aspect.section, *permission)));
    }
    // Several aspects belong to the section `repository`, so the list might contain duplicates
    // here.
    let mut unique = Vec::with_capacity(needed.len());
    for one in needed {
        if !unique.contains(&one) {
            unique.push(one);
        }
    }
    unique
}

/// Returns the webhook events that report drift, sorted by name. Without such an event, Beadle
/// finds the drift only in the next sweep.
pub fn events() -> BTreeSet<&'static str> {
    let of_repositories = aspects::ALL.iter().flat_map(|aspect| aspect.events);
    let of_organisation = organisation::ALL.iter().flat_map(|aspect| aspect.events);
    OF_EVERY_POLICY.iter().chain(of_repositories).chain(of_organisation).copied().collect()
}

/// Returns the names of the webhook events that report a change of an aspect. The list is empty if
/// no event reports such a change.
pub fn events_of(aspect: &str) -> Vec<&'static str> {
    let of_repositories = aspects::ALL.iter().filter(|one| one.name == aspect).flat_map(|one| one.events);
    let of_organisation =
        organisation::ALL.iter().filter(|one| one.name == aspect).flat_map(|one| one.events);
    of_repositories.chain(of_organisation).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::Time;
    use beadle_hooks::github::{EVENTS, Headers, OrgFacts, Sender, receive, sign};
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    /// The documentation page that contains the tables of permissions and events.
    const PAGE: &str = "docs/permissions.md";

    fn page(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap()
    }

    /// Returns whether Beadle marks a key as due after an event.
    fn marks(event: &str) -> bool {
        const SECRET: &str = "secret";
        let sender = Sender {
            instance: "acme".into(),
            login: "acme".into(),
            app_id: None,
            secrets: vec![SecretString::from(SECRET)],
            known: OrgFacts::default(),
            dispatches: Vec::new(),
            keeps_teams: false,
            policies: Vec::new(),
            takes_installations: false,
        };
        let owner = json!({ "login": "acme", "id": 1 });
        let body = json!({
            "action": if event == "organization" { "renamed" } else { "edited" },
            "organization": owner,
            "repository": { "id": 101, "node_id": "R_1", "owner": owner, "default_branch": "main" },
            "ref": if event == "push" { "refs/heads/main" } else { "main" },
            "ref_type": "branch",
            "created": true,
            "pull_request": { "number": 7, "head": { "ref": "beadle/files", "repo": { "id": 101 } } },
        });
        let body = body.to_string().into_bytes();
        let signature = sign(SECRET, &body);
        let headers = Headers {
            signature: Some(&signature),
            event: Some(event),
            delivery: Some("1"),
            content_type: Some("application/json"),
            ..Headers::default()
        };
        let received = receive(&[sender], headers, body, Time::from_seconds(1_800_000_000)).unwrap();
        !received.marks.is_empty()
    }

    #[test]
    fn the_events_of_the_aspects_are_the_events_that_mark_keys() {
        let marking: BTreeSet<&str> = EVENTS.iter().copied().filter(|event| marks(event)).collect();
        let mut needed = events();
        // After the event `delete`, Beadle also marks a key as due. The aspects do not list this
        // event, because GitHub also sends a `push` if somebody deletes a branch.
        needed.insert("delete");
        assert_eq!(marking, needed, "hooks/src/github/keys.rs and `events` of the aspects must agree");
    }

    #[test]
    fn the_table_of_permissions_is_current() {
        let page = page(PAGE);
        let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
        for (section, permission) in permissions() {
            let text = format!("{}: {}", permission.title, permission.level.as_str());
            match rows.iter_mut().find(|(known, _)| *known == section) {
                Some((_, texts)) => texts.push(text),
                None => rows.push((section, vec![text])),
            }
        }
        for (section, texts) in rows {
            let row = format!("| `{section}` | {} |\n", texts.join(", "));
            assert!(page.contains(&row), "{PAGE} must have the row:\n{row}");
        }
    }

    #[test]
    fn an_app_needs_what_its_policy_has_and_no_more() {
        let smallest = app_needs(&BTreeSet::from(["repository"]));
        let levels: Vec<(&str, &str)> =
            smallest.permissions.iter().map(|(name, level)| (*name, level.as_str())).collect();
        assert_eq!(
            levels,
            [
                ("administration", "write"),
                ("contents", "read"),
                ("members", "read"),
                ("organization_custom_properties", "read"),
            ]
        );
        for event in ["push", "repository", "team_add", "member", "custom_property_values"] {
            assert!(smallest.events.contains(event), "{event}");
        }
        // GitHub refuses this event if the App lacks a certain permission. This policy does not
        // need that permission.
        assert!(!smallest.events.contains("label"));
        let branches = app_needs(&BTreeSet::from(["repository", WHEN_MISSING]));
        assert_eq!(branches.permissions.get("contents"), Some(&AccessLevel::Write));
        let larger = app_needs(&BTreeSet::from(["repository", "labels", "rulesets"]));
        assert_eq!(larger.permissions.get("issues"), Some(&AccessLevel::Write));
        assert_eq!(larger.permissions.get("organization_administration"), Some(&AccessLevel::Write));
        assert!(larger.events.contains("label"));
    }

    #[test]
    fn an_app_for_all_sections_receives_all_events() {
        let sections: BTreeSet<&str> = permissions().into_iter().map(|(section, _)| section).collect();
        assert_eq!(app_needs(&sections).events, events());
    }

    #[test]
    fn the_permissions_of_every_policy_are_in_the_page() {
        let page = page(PAGE);
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| the ")).collect();
        for permission in FOR_EVERY_POLICY {
            let text = format!("{}: {}", permission.title, permission.level.as_str());
            assert!(rows.iter().any(|row| row.contains(&text)), "{PAGE} must name {text}");
        }
    }

    #[test]
    fn the_list_of_events_is_current() {
        let page = page(PAGE);
        let mut paragraphs = page.split("\n\n").filter(|text| text.starts_with("`branch_protection_"));
        let list = paragraphs.next().unwrap_or_default();
        let listed: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, events(), "the events of {PAGE}");
    }

    #[test]
    fn the_list_of_aspects_is_current() {
        const PAGE: &str = "docs/configuration.md";
        let page = page(PAGE);
        for name in crate::aspect_names() {
            assert!(page.contains(&format!("`{name}`")), "{PAGE} must name the aspect `{name}`");
        }
    }
}
