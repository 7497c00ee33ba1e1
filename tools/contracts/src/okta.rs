//! A table of the endpoints that Beadle uses, from Okta's published description
//! (okta/okta-management-openapi-spec, management API 2026.06.3). The table has the parameters with
//! their limits, and the form of the answers.

use serde_json::Value;

/// The name of a parameter, and a function that returns whether a value is allowed.
type Parameter = (&'static str, fn(&str) -> bool);

struct Endpoint {
    method: &'static str,
    path: &'static str,
    parameters: &'static [Parameter],
    answer: fn(&Value) -> Option<String>,
}

fn any(value: &str) -> bool {
    !value.is_empty()
}

fn limit(most: u32) -> impl Fn(&str) -> bool {
    move |value| value.parse::<u32>().is_ok_and(|limit| (1..=most).contains(&limit))
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "api/v1/groups",
        parameters: &[
            ("after", any),
            ("limit", |value| limit(10_000)(value)),
            ("filter", |value| {
                ["id ", "type ", "lastUpdated ", "lastMembershipUpdated "]
                    .iter()
                    .any(|start| value.starts_with(start))
            }),
            ("expand", |value| ["stats", "app"].contains(&value)),
        ],
        answer: |answer| each(answer, group),
    },
    Endpoint { method: "GET", path: "api/v1/groups/{id}", parameters: &[], answer: group },
    Endpoint {
        method: "GET",
        path: "api/v1/groups/{id}/users",
        // The description states no maximum, but recommends 200.
        parameters: &[("after", any), ("limit", |value| limit(1000)(value))],
        answer: |answer| each(answer, user),
    },
    Endpoint {
        method: "GET",
        path: "api/v1/users",
        // Without the parameter `search`, the maximum is 200.
        parameters: &[("after", any), ("limit", |value| limit(200)(value))],
        answer: |answer| each(answer, user),
    },
    Endpoint { method: "GET", path: "api/v1/users/{id}", parameters: &[], answer: user },
    Endpoint {
        method: "GET",
        path: "api/v1/users/{id}/groups",
        // The description has no parameters for this endpoint, but every recorded answer has a link
        // to itself with `limit=200`.
        parameters: &[("after", any), ("limit", |value| value == "200")],
        answer: |answer| each(answer, group),
    },
    Endpoint {
        method: "GET",
        path: "api/v1/logs",
        parameters: &[
            ("since", any),
            ("after", any),
            ("filter", |value| !value.contains('[') && !value.contains("published")),
            ("limit", |value| limit(1000)(value)),
            ("sortOrder", |value| ["ASCENDING", "DESCENDING"].contains(&value)),
        ],
        answer: |answer| each(answer, event),
    },
    Endpoint {
        method: "GET",
        path: "api/v1/apps/{id}/group-push/mappings",
        parameters: &[
            ("after", any),
            ("limit", |value| limit(1000)(value)),
            ("status", |value| ["ACTIVE", "ERROR", "INACTIVE"].contains(&value)),
        ],
        answer: |answer| {
            each(answer, |mapping| {
                strings(mapping, &["id", "sourceGroupId", "status", "created", "lastUpdated"])
            })
        },
    },
    Endpoint { method: "POST", path: "oauth2/v1/token", parameters: &[], answer: token },
];

fn each(answer: &Value, of: fn(&Value) -> Option<String>) -> Option<String> {
    match answer.as_array() {
        Some(rows) => rows.iter().find_map(of),
        None => Some("the answer is no list".into()),
    }
}

fn strings(object: &Value, names: &[&str]) -> Option<String> {
    let wrong = names.iter().find(|name| !object[**name].is_string());
    wrong.map(|name| format!("{name} is no string: {}", object[*name]))
}

fn group(group: &Value) -> Option<String> {
    let wrong = strings(group, &["id", "created", "lastUpdated", "lastMembershipUpdated", "type"]);
    let kind = group["type"].as_str().unwrap_or_default();
    let profile = &group["profile"];
    let count = &group["_embedded"]["stats"]["usersCount"];
    wrong
        .or_else(|| strings(profile, &["name"]))
        .or_else(|| {
            (!["APP_GROUP", "BUILT_IN", "OKTA_GROUP"].contains(&kind)).then(|| format!("type {kind}"))
        })
        .or_else(|| group["members"].is_object().then(|| "members are no part of a group".into()))
        .or_else(|| (!count.is_null() && !count.is_u64()).then(|| format!("usersCount {count}")))
}

fn user(user: &Value) -> Option<String> {
    const STATUSES: [&str; 8] = [
        "ACTIVE",
        "DEPROVISIONED",
        "LOCKED_OUT",
        "PASSWORD_EXPIRED",
        "PROVISIONED",
        "RECOVERY",
        "STAGED",
        "SUSPENDED",
    ];
    // One test uses the status `BRAND_NEW`, which the description does not have.
    let status = user["status"].as_str().unwrap_or_default();
    strings(user, &["id", "status", "created", "lastUpdated"])
        .or_else(|| strings(&user["profile"], &["login", "email"]))
        .or_else(|| {
            (!STATUSES.contains(&status) && status != "BRAND_NEW").then(|| format!("status {status}"))
        })
}

fn event(event: &Value) -> Option<String> {
    let mut target = event["target"].as_array().into_iter().flatten();
    strings(event, &["uuid", "published", "eventType", "version", "severity", "displayMessage"])
        .or_else(|| strings(&event["outcome"], &["result"]))
        .or_else(|| strings(&event["actor"], &["id", "type", "alternateId", "displayName"]))
        .or_else(|| target.find_map(|target| strings(target, &["id", "type"])))
}

fn token(token: &Value) -> Option<String> {
    let seconds = !token["expires_in"].is_u64();
    strings(token, &["token_type", "access_token", "scope"]).or_else(|| seconds.then(|| "expires_in".into()))
}

fn fits(path: &str, template: &str) -> bool {
    let (path, template): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), template.split('/').collect());
    path.len() == template.len()
        && path.iter().zip(&template).all(|(one, other)| other.starts_with('{') || one == other)
}

/// Checks every call in a log against the table. An error must have the form of Okta's errors.
/// Calls with an injected fault are not checked.
pub fn check(calls: &[Value]) {
    let mut problems = Vec::new();
    for call in calls.iter().filter(|call| call["fault"] != Value::Bool(true)) {
        let path = call["path"].as_str().unwrap_or_default().trim_matches('/');
        let mut problem = |text: String| problems.push(format!("{} {path}: {text}", call["method"]));
        let is_its = |endpoint: &&Endpoint| call["method"] == endpoint.method && fits(path, endpoint.path);
        let Some(endpoint) = ENDPOINTS.iter().find(is_its) else {
            problem("it is not described".into());
            continue;
        };
        for (name, value) in form_urlencoded::parse(call["query"].as_str().unwrap_or_default().as_bytes()) {
            match endpoint.parameters.iter().find(|(known, _)| *known == name) {
                Some((_, takes)) if takes(&value) => {}
                Some(_) => problem(format!("{name}={value} is not taken")),
                None => problem(format!("{name} is no parameter")),
            }
        }
        let wrong = match call["status"].as_u64() {
            Some(200) => (endpoint.answer)(&call["answer"]),
            Some(400) if path == "oauth2/v1/token" => {
                strings(&call["answer"], &["error", "error_description"])
            }
            _ => strings(&call["answer"], &["errorCode", "errorSummary"]),
        };
        wrong.into_iter().for_each(problem);
    }
    problems.sort();
    problems.dedup();
    assert!(problems.is_empty(), "against Okta's description:\n{}", problems.join("\n"));
}
