//! The answers of the simulated GitHub for this test. In the answers, dangerous texts replace names
//! and other live values.

use beadle_transport::testing::{Arrived, Texts};
use serde_json::{Value, json};

fn page(nodes: &Value) -> Value {
    let total = nodes.as_array().map_or(0, Vec::len);
    let info = json!({ "hasNextPage": false, "endCursor": null });
    json!({ "totalCount": total, "pageInfo": info, "nodes": nodes })
}

/// Returns GraphQL's answer to a request. The answer fits every document of the client.
pub(crate) fn data(arrived: &Arrived, texts: &Texts) -> Value {
    let document = arrived.body["query"].as_str().unwrap_or_default();
    let mut repositories = page(&json!([]));
    if arrived.body["variables"]["after"].is_null() {
        repositories["pageInfo"] = json!({ "hasNextPage": true, "endCursor": texts.pick("cursor") });
    }
    let team = json!({
        "__typename": "Team", "id": "T_5", "databaseId": 5, "slug": texts.pick("slug"), "name": "Team",
        "description": "", "childTeams": { "totalCount": 0 }, "parentTeam": null,
        "repositories": page(&json!([])), "members": page(&json!([])), "invitations": page(&json!([])),
    });
    let repository = json!({
        "__typename": "Repository", "id": texts.pick("node"), "databaseId": 1, "name": texts.pick("name"),
        "owner": { "login": texts.pick("owner") }, "visibility": "PRIVATE", "collaborators": page(&json!([])),
    });
    let person =
        json!({ "__typename": "User", "databaseId": 9, "login": texts.pick("login"), "organization": null });
    let nodes = if document.contains("... on User") { json!([team, person]) } else { json!([repository]) };
    let actor = json!({ "id": "A_1", "databaseId": 1, "login": "mona", "team": team });
    let compared = json!({ "aheadBy": 0, "commits": { "nodes": [] } });
    json!({
        "viewer": { "login": "mona" },
        "organization": {
            "id": "O_1", "team": team, "teams": page(&json!([team])), "membersWithRole": page(&json!([])),
            "repositories": repositories, "samlIdentityProvider": { "externalIdentities": page(&json!([])) },
        },
        "node": {
            "__typename": "Repository", "databaseId": 1, "name": texts.pick("name"),
            "owner": { "login": texts.pick("organisation") }, "ref": { "id": "REF_1", "name": "main", "target": { "oid": "1" }, "associatedPullRequests": { "nodes": [] } },
            "defaultBranchRef": { "id": "REF_2", "name": "main", "target": { "oid": "1" }, "compare": compared },
            "pullRequests": { "nodes": [] }, "f0": null,
        },
        "nodes": nodes, "a0": actor, "a1": actor,
        // If the text is null, the client reads the whole file by REST.
        "repository": { "b0": { "text": null } },
    })
}

/// Returns REST's answer to a request.
pub(crate) fn rest(arrived: &Arrived, texts: &Texts) -> (u16, Value) {
    let path: Vec<&str> = arrived.segments.iter().map(String::as_str).collect();
    let body = match (arrived.method.as_str(), path.as_slice()) {
        ("GET", ["repos", _, _, "teams"]) => {
            json!([{ "id": 1, "slug": texts.pick("slug"), "permission": "push" }])
        }
        (
            "GET",
            ["repos", _, _, "invitations"]
            | ["orgs", _, "invitations"]
            | ["orgs", _, "teams", _, "repos"]
            | [.., "properties", "values" | "schema"]
            | [.., "rules", "branches", _]
            | [.., "list", _],
        ) => json!([]),
        ("GET", [.., "branches", _]) => json!({ "commit": { "sha": "1".repeat(40) } }),
        ("GET", [.., "rows", _]) => json!({ "total_count": 0, "rows": [] }),
        ("GET", [.., "permission"]) => json!({ "role_name": "push" }),
        ("GET", [.., "runs"]) => json!({ "workflow_runs": [] }),
        ("GET", [.., "custom-repository-roles"]) => json!({ "total_count": 1 }),
        ("GET", ["apps", _]) => json!({ "id": 1, "node_id": "A_1", "slug": "app" }),
        ("GET", ["orgs", _, "members", _]) => return (204, Value::Null),
        ("POST", ["orgs", _, "teams"]) => {
            json!({ "id": 5, "node_id": "T_5", "slug": "team", "name": "Team", "description": null })
        }
        ("PATCH" | "GET", _) => json!({ "id": 1, "default_branch": "main", "groups": [] }),
        _ => return (204, Value::Null),
    };
    (200, body)
}
