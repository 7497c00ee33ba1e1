//! Fuzzes a GitHub repository in GraphQL's form, with the first page of each list.

use beadle_engine::{Budgets, Clock, Time};
use beadle_github::{Api, Asks, Credential, Cursor, Endpoint, Known, Reader, Repository};
use bytes::Bytes;
use http::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::wire::{ADDRESS, Vendor, finish};

/// Returns the parts that one query shows.
fn asks() -> Asks {
    Asks {
        topics: true,
        collaborators: true,
        protection: true,
        labels: true,
        milestones: true,
        deploy_keys: true,
        rulesets: true,
        ..Asks::default()
    }
}

/// Reads an organisation that has one repository. The simulated GitHub has no further page of any
/// list.
fn read(node: &Value) -> Vec<Repository> {
    let page = json!({ "totalCount": 1, "nodes": [node], "pageInfo": { "hasNextPage": false } });
    let body = Bytes::from(json!({ "data": { "organization": { "repositories": page } } }).to_string());
    let vendor = Vendor::new(move |_, _| (200, HeaderMap::new(), body.clone()));
    finish(async {
        let clock = Clock::simulated(Time(1_800_000_000_000));
        let token = Credential::Token(SecretString::from("token"));
        let budgets = Budgets::new("acme", 0);
        let api = Api::new(&Endpoint::new(ADDRESS), "acme", token, budgets, &clock, vendor.settings());
        let reader = Reader::new(api.expect("the address is valid"), asks());
        let page = reader.page(&Cursor::default()).await;
        page.map(|page| page.repositories).unwrap_or_default()
    })
}

pub(crate) fn run(data: &[u8]) {
    let Ok(node) = serde_json::from_slice::<Value>(data) else { return };
    let found = read(&node);
    assert_eq!(found, read(&node), "the same answer has two results");
    for repository in found {
        assert_eq!(node["databaseId"], json!(repository.id));
        assert_eq!(node["id"], json!(repository.node_id));
        let rows = |list: &str| counted(&node[list]);
        for (list, known) in [
            ("repositoryTopics", length(&repository.topics)),
            ("labels", length(&repository.labels)),
            ("milestones", length(&repository.milestones)),
            ("deployKeys", length(&repository.deploy_keys)),
            ("branchProtectionRules", length(&repository.protection)),
            ("rulesets", length(&repository.rulesets)),
        ] {
            assert!(known.is_none() || known == rows(list), "{list} is known, and not whole");
        }
        if repository.protection.value().is_some() {
            let page = &node["branchProtectionRules"];
            let rules = page["edges"].as_array().or(page["nodes"].as_array());
            let mut rules = rules.into_iter().flatten();
            assert!(
                rules.all(|rule| rule["id"].is_string() && rule["pattern"].is_string()),
                "a nameless rule"
            );
        }
        // If an account has access only through a team, it is not a collaborator.
        let known = length(&repository.collaborators);
        assert!(known.is_none() || known <= rows("collaborators"), "collaborators are not whole");
    }
}

fn length<T>(part: &Known<Vec<T>>) -> Option<usize> {
    part.value().map(Vec::len)
}

/// Returns the number of rows of a list that has one page. Returns `None` if it is unknown whether
/// the page has all rows.
fn counted(page: &Value) -> Option<usize> {
    let rows = page["edges"].as_array().or(page["nodes"].as_array()).map_or(0, Vec::len);
    let total = usize::try_from(page["totalCount"].as_u64()?).ok()?;
    (page["pageInfo"]["hasNextPage"] == false && total <= rows).then_some(rows)
}
