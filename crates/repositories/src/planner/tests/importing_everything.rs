//! Tests the import of an organisation that has a value in every aspect of its repositories and of
//! the organisation itself. Secrets are not included, because GitHub does not show their values.

use std::collections::BTreeMap;

use super::importing::imported;
use super::world::World;
use super::*;
use crate::policy::shape::Shape;

/// The sections that an import does not write: secrets and files. GitHub does not show the values
/// of secrets.
const NOT_IMPORTED: &[&str] = &["secrets", "dependabot_secrets", "codespaces_secrets", "files"];

/// The values that are possible only in a public repository, or only in one repository.
pub(super) const GADGETS: &str = "
repository: { visibility: public }
security:
  private_vulnerability_reporting: true
  code_scanning_default_setup: { state: configured, query_suite: extended, languages: [go] }
pages: { source: { branch: main, path: / } }
deploy_keys: [{ key: ssh-ed25519 AAAA, title: CI, read_only: false }]
rulesets:
  - name: tags
    target: tag
    enforcement: active
    conditions: { ref_name: { include: ['refs/tags/v*'], exclude: [] } }
    rules: [{ type: deletion }]
";

/// Returns the files of a policy that declares every aspect.
pub(super) fn everything() -> BTreeMap<String, String> {
    // The billing email is not public, so an import omits it. GitHub shows no value for
    // `attach_to`, and shows no secrets.
    let organization =
        include_str!("organization.yml").replace("  billing_email: bills@acme.example.com\n", "");
    let (before, secrets) = organization.split_once("  secrets:\n").unwrap();
    let (_, after) = secrets.split_once("  actions:\n").unwrap();
    let organization = format!("{before}  actions:\n{after}");
    let organisation = include_str!("organisation.yml").replace("    attach_to: all\n", "");
    let settings = format!("{}{organization}{organisation}", include_str!("everything.yml"));
    BTreeMap::from([
        ("settings.yml".to_owned(), settings),
        ("repos/gadgets.yml".to_owned(), GADGETS.to_owned()),
    ])
}

/// Returns a world with an organisation. The organisation contains only things that the tested
/// policy does not create: repositories, teams, accounts, Apps and the types of custom properties.
pub(super) async fn world(files: &BTreeMap<String, String>) -> World {
    let tier = json!({ "value_type": "single_select", "allowed_values": ["gold", "lead"] });
    let state = json!({
        "orgs": { "acme": {
            "repos": {
                "widgets": { "id": 501, "branches": { "main": {} }, "visibility": "private" },
                "gadgets": { "id": 502, "branches": { "main": {} }, "visibility": "public" },
            },
            "members": ["mona"], "teams": { "core": { "id": 601 }, "guards": { "id": 602 } },
            "property_definitions": { "tier": tier, "owner": { "value_type": "string" } },
        } },
        "users": { "mona": { "id": 701 }, "spammer": { "id": 702 } },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID }, "gate": { "id": 777 } },
    });
    let mut world = World::new(state, "repository: { has_wiki: false }\n").await;
    world.replace_policy(files);
    world
}

#[test]
fn the_policy_declares_every_section() {
    let text: String = everything().into_values().collect();
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    for section in crate::aspects::ALL.iter().flat_map(|aspect| aspect.sections) {
        let name = section.name;
        assert!(has(&format!("{name}:")) || NOT_IMPORTED.contains(&name), "{name} is not declared");
    }
    for key in crate::organisation::ALL.iter().flat_map(|aspect| aspect.keys) {
        let is_list = matches!(key.shape, Shape::Either(..));
        let is_declared = has(&format!("  {}:", key.name)) || NOT_IMPORTED.contains(&key.name);
        assert!(!is_list || is_declared, "organization.{} is not declared", key.name);
    }
}

#[tokio::test(start_paused = true)]
async fn with_every_aspect_the_plan_is_empty_and_an_empty_copy_becomes_equal() {
    let whole = everything();
    let mut world = Box::pin(self::world(&whole)).await;
    Box::pin(world.apply()).await;
    let files = Box::pin(imported(&world)).await;
    world.replace_policy(&files);
    assert_eq!(Box::pin(world.changes()).await, Vec::<String>::new(), "{files:#?}");
    let mut copy = Box::pin(self::world(&files)).await;
    Box::pin(copy.apply()).await;
    assert_eq!(Box::pin(imported(&copy)).await, files);
    // The import contains every value that the first policy declares.
    copy.replace_policy(&whole);
    assert_eq!(Box::pin(copy.changes()).await, Vec::<String>::new(), "{files:#?}");
}
