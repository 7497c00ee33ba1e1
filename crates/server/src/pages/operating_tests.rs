//! Tests the operations of signed-in people. The requests come from a browser, a program or an
//! attacker.

use std::time::Duration;

use serde_json::{Value, json};

use super::operating::API;
use super::signed_in_tests::{HOST, ORIGIN, PLAN, World, world};
use crate::sign_in::{Operation, OperationRequest, Role, ScopeRequest, UndoRequest};

/// An operation with the requests that ask for it.
struct Case {
    role: Role,
    /// The path of the form, and its fields.
    form: (&'static str, &'static str),
    /// The address at the API, and the body.
    api: (&'static str, Value),
    operation: Operation,
}

fn repository() -> ScopeRequest {
    ScopeRequest::Repository("acme/shop".to_owned())
}

fn cases() -> Vec<Case> {
    let (runs, keys) = (vec!["7".to_owned()], vec!["teams".to_owned()]);
    let request = UndoRequest { runs, keys, ..UndoRequest::default() };
    vec![
        Case {
            role: Role::Approver,
            form: ("/policy/approve", "plan=0a1b2c3d4e5f&generation=g1&reason=read+it"),
            api: ("/api/v1/policy/0a1b2c3d4e5f/approve", json!({ "generation": "g1", "reason": "read it" })),
            operation: Operation::ApprovePolicy {
                plan: PLAN.to_owned(),
                generation: "g1".to_owned(),
                reason: "read it".to_owned(),
            },
        },
        Case {
            role: Role::Operator,
            form: ("/pauses", "scope=organisation%2Facme&for=2h"),
            api: ("/api/v1/pauses", json!({ "organisation": "acme", "for": "2h" })),
            operation: Operation::Pause {
                scope: ScopeRequest::Organisation("acme".to_owned()),
                time: Duration::from_secs(7200),
            },
        },
        Case {
            role: Role::Operator,
            form: ("/pauses/end", "target=aws"),
            api: ("/api/v1/pauses/end", json!({ "target": "aws" })),
            operation: Operation::Resume { scope: ScopeRequest::Target("aws".to_owned()) },
        },
        Case {
            role: Role::Operator,
            form: ("/queue/retry", "key=repository%3Aacme%3A7"),
            api: ("/api/v1/queue/retry", json!({ "key": "repository:acme:7" })),
            operation: Operation::Retry { name: "repository:acme:7".to_owned() },
        },
        Case {
            role: Role::Operator,
            form: ("/sweeps", "name=acme"),
            api: ("/api/v1/sweeps", json!({ "name": "acme" })),
            operation: Operation::Sweep { name: "acme".to_owned() },
        },
        Case {
            role: Role::Approver,
            form: ("/waivers/end", "code=0a1b2c3d"),
            api: ("/api/v1/waivers/end", json!({ "code": "0a1b2c3d" })),
            operation: Operation::EndWaiver { code: "0a1b2c3d".to_owned() },
        },
        Case {
            role: Role::Approver,
            form: ("/configuration/reload", ""),
            api: ("/api/v1/configuration/reload", Value::Null),
            operation: Operation::Reload,
        },
        Case {
            role: Role::Operator,
            form: ("/tasks/run", "name=policy+of+acme"),
            api: ("/api/v1/tasks/policy%20of%20acme/run", Value::Null),
            operation: Operation::RunTask { name: "policy of acme".to_owned() },
        },
        Case {
            role: Role::Approver,
            form: (
                "/undo",
                "plan=0a1b2c3d4e5f&runs=7&since=&organisation=&repositories=&keys=teams&reason=wrong+team&seen=yes",
            ),
            api: (
                "/api/v1/undo",
                json!({
                    "plan": PLAN, "request": { "runs": ["7"], "keys": ["teams"] }, "reason": " wrong team ",
                }),
            ),
            operation: Operation::Undo {
                request,
                plan: PLAN.to_owned(),
                reason: Some("wrong team".to_owned()),
            },
        },
        Case {
            role: Role::Approver,
            form: ("/undo/end", "repository=acme%2Fshop"),
            api: ("/api/v1/undo/end", json!({ "repository": "acme/shop" })),
            operation: Operation::EndUndo { scope: repository() },
        },
    ]
}

impl World {
    /// Sends a request to the API.
    async fn call(&self, path: &str, session: &str, token: &str, body: &Value) -> (u16, String) {
        let headers = [HOST, ("cookie", session), ("origin", ORIGIN), ("x-beadle-token", token)];
        let (head, text) = self.send("POST", path, &headers, &body.to_string()).await;
        (head.status.as_u16(), text)
    }

    fn operations(&self) -> Vec<OperationRequest> {
        self.decided.2.lock().clone()
    }
}

#[tokio::test]
async fn a_form_and_the_api_ask_for_the_same_operation_and_only_with_its_role() {
    for role in [Role::Viewer, Role::Operator, Role::Approver] {
        let world = world().await;
        let session = world.sign_in(role.as_str()).await;
        let token = world.token(&session).await;
        for Case { role: needed, form: (path, fields), api: (address, body), operation } in cases() {
            let expected = if role >= needed { 200 } else { 403 };
            let (status, text) = world.post(path, &session, &format!("{fields}&token={token}")).await;
            assert_eq!(status, expected, "{path} for {role:?}: {text}");
            assert!(!text.contains("<b>"), "{path}: {text}");
            let (status, text) = world.call(address, &session, &token, &body).await;
            assert_eq!(status, expected, "{address} for {role:?}: {text}");
            let by = "<b>mona</b> (signed in with test)".to_owned();
            let asked = OperationRequest { operation, by, login: Some("mona".to_owned()) };
            let carried_out = std::mem::take(&mut *world.decided.2.lock());
            let count = if expected == 200 { 2 } else { 0 };
            assert_eq!(carried_out, vec![asked; count], "{path} for {role:?}");
        }
    }
}

#[tokio::test]
async fn without_the_token_or_the_origin_no_operation_begins() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    for Case { form: (path, fields), api: (address, body), .. } in cases() {
        for wrong in ["", "&token=", "&token=0"] {
            assert_eq!(world.post(path, &session, &format!("{fields}{wrong}")).await.0, 403, "{path}");
        }
        assert_eq!(world.call(address, &session, "0", &body).await.0, 403, "{address}");
        assert_eq!(world.post(path, "", &format!("{fields}&token={token}")).await.0, 401, "{path}");
        for origin in ["", "null", "https://evil.example"] {
            let headers = [HOST, ("cookie", session.as_str()), ("origin", origin)];
            let (head, _) = world.send("POST", path, &headers, &format!("{fields}&token={token}")).await;
            assert_eq!(head.status, 403, "{path} from {origin}");
        }
        let (head, _) = world.get(path, &session).await;
        assert_eq!(head.status == 200, path == "/undo", "GET {path}");
    }
    assert_eq!(world.operations(), Vec::new());
}

#[tokio::test]
async fn a_person_who_asks_too_often_is_refused_before_the_provider_is_asked() {
    let world = world().await;
    let session = world.sign_in("operator").await;
    let token = world.token(&session).await;
    let fields = format!("name=acme&token={token}");
    for _ in 0..120 {
        assert_eq!(world.post("/sweeps", &session, &fields).await.0, 200);
    }
    assert_eq!(world.post("/sweeps", &session, &fields).await.0, 429);
    assert_eq!(world.operations().len(), 120);
}

#[tokio::test]
async fn a_person_who_lost_the_role_begins_no_operation() {
    for Case { form: (path, fields), .. } in cases() {
        let world = world().await;
        let session = world.sign_in("approver").await;
        let token = world.token(&session).await;
        *world.provider.0.lock() = Some(Role::Viewer);
        assert_eq!(world.post(path, &session, &format!("{fields}&token={token}")).await.0, 403, "{path}");
        assert_eq!(world.operations(), Vec::new(), "{path}");
    }
}

#[tokio::test]
async fn a_stale_plan_and_an_invalid_value_are_refused() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    for (path, fields, status) in [
        ("/policy/approve", "plan=ffffffffffff&reason=read+it", 409),
        ("/policy/approve", "plan=0a1b2c3d4e5f&reason=", 400),
        ("/undo", "plan=ffffffffffff&runs=7&reason=read+it", 409),
        ("/undo", "plan=0a1b2c3d4e5f&runs=7&reason=", 400),
        ("/undo", "plan=0a1b2c3d4e5f&runs=7&since=x&reason=read+it", 400),
        ("/undo", "plan=0a1b2c3d4e5f&reason=read+it", 400),
        ("/undo", "plan=0a1b2c3d4e5f&runs=7&since=5&reason=read+it", 400),
        ("/undo", "plan=0a1b2c3d4e5f&since=9999999999999&reason=read+it", 400),
        ("/pauses", "scope=organisation%2Facme&for=soon", 400),
        ("/pauses", "organisation=acme&repository=acme%2Fshop&for=2h", 400),
        ("/pauses", "scope=planet%2Facme&for=2h", 400),
        ("/pauses/end", "", 400),
        ("/undo/plan", "", 400),
        ("/undo/plan", "runs=7&last=2h", 400),
        ("/undo/plan", "since=9999999999999", 400),
        ("/undo/plan", "last=yesterday", 400),
        ("/undo/plan", "last=2999-12-01T09%3A00%3A00Z", 400),
    ] {
        let (found, text) = world.post(path, &session, &format!("{fields}&token={token}")).await;
        assert_eq!(found, status, "{path} {fields}: {text}");
        assert!(!text.contains("<plan>"), "{text}");
    }
    for (address, body) in [
        ("/api/v1/policy/0a1b2c3d4e5f/approve", json!({ "reason": "read it" })),
        ("/api/v1/pauses", json!({ "for": "2h" })),
        ("/api/v1/pauses", json!({ "organisation": "acme", "for": "2h", "colour": "red" })),
        ("/api/v1/undo/plan", json!({ "runs": ["7"], "since": 5 })),
        ("/api/v1/undo/plan", json!({ "run": "7" })),
        ("/api/v1/undo", json!({ "plan": PLAN })),
        ("/api/v1/undo", json!({ "plan": PLAN, "request": { "runs": ["7"] }, "reason": " " })),
        ("/api/v1/queue/retry", json!([])),
    ] {
        let (status, text) = world.call(address, &session, &token, &body).await;
        assert_eq!(status, 400, "{address} {body}: {text}");
    }
    assert_eq!(world.operations(), Vec::new());
}

#[tokio::test]
async fn the_plan_of_an_undo_is_shown_and_its_form_confirms_exactly_this_plan() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let asked = "/undo?runs=%22%3E%3Cscript%3E&repositories=acme%2Fshop&keys=branches.main";
    let (head, page) = world.get(asked, &session).await;
    assert!(head.status == 200 && !page.contains("<script") && page.contains("acme/shop"), "{page}");
    assert!(page.contains("name=\"keys\" value=\"branches.main\""), "{page}");
    let form = format!(
        "runs=&last=2h&organisation=acme&repositories=shop%2C+store&keys=teams%5Bcore%5D%2C+labels&token={token}"
    );
    let (status, page) = world.post("/undo/plan", &session, &form).await;
    assert!(status == 200 && page.contains("undo of run 7") && !page.contains("<b>"), "{page}");
    assert!(page.contains(": 1 restoration"), "{page}");
    assert!(page.contains("policy &lt;b&gt;g1&lt;/b&gt; first asked for 1 write"), "{page}");
    assert!(page.contains("policy &lt;b&gt;g1&lt;/b&gt; asked for this write"), "{page}");
    // The Enter key in the field for the reason must not begin the undo.
    for part in ["name=\"reason\"", "<input type=\"checkbox\" required name=\"seen\" value=\"yes\">"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let hidden = |name: &str| {
        let start = format!("name=\"{name}\" value=\"");
        let found = page.split_once(&start).and_then(|(_, rest)| rest.split_once('"'));
        found.unwrap_or_else(|| panic!("no {name} in {page}")).0.to_owned()
    };
    assert_eq!((hidden("plan").as_str(), hidden("repositories").as_str()), (PLAN, "shop,store"));
    assert_eq!(hidden("keys"), "teams[core],labels");
    let since = hidden("since");
    let fields = format!(
        "plan={PLAN}&since={since}&organisation=acme&repositories=shop%2Cstore&reason=read+it&token={token}"
    );
    let (status, page) = world.post("/undo", &session, &fields).await;
    assert!(status == 200 && page.contains("<a href=\"/undo?runs=7%2C8\">Undo this undo</a>"), "{page}");
    assert!(page.contains("; the guard checks that undo too, and can hold its changes."), "{page}");
    let Some(OperationRequest { operation: Operation::Undo { request, .. }, .. }) = world.operations().pop()
    else {
        panic!("no undo")
    };
    assert_eq!(request.since.map(|since| since.0.to_string()), Some(since), "the time does not move");
    assert_eq!(request.repositories, ["shop", "store"]);

    // `/policy` and the journal show times in this form.
    let form = format!("runs=&last=1970-01-01T00%3A00%3A05Z&token={token}");
    let (status, page) = world.post("/undo/plan", &session, &form).await;
    assert!(status == 200 && page.contains("name=\"since\" value=\"5000\""), "{page}");

    let body = json!({ "runs": ["7"] });
    let (status, text) = world.call("/api/v1/undo/plan", &session, &token, &body).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["plan"], &answer["request"]["runs"]), (200, &json!(PLAN), &json!(["7"])));
    let body = json!({ "plan": answer["plan"], "request": answer["request"] });
    assert_eq!(world.call("/api/v1/undo", &session, &token, &body).await.0, 200);

    let operator = world.sign_in("operator").await;
    let token = world.token(&operator).await;
    let (status, _) = world.post("/undo/plan", &operator, &format!("runs=7&token={token}")).await;
    assert_eq!(status, 403, "a plan makes many calls to GitHub");
    let (_, page) = world.get("/undo", &operator).await;
    assert!(page.contains("Only an approver can undo writes."), "{page}");
}

#[tokio::test]
async fn only_an_approver_waives() {
    let form =
        "repository=acme%2Fshop&keys=repository.topics%2C+labels%5Bbug%5D&until=2d&reason=read+it&token=";
    let json = "{\"repository\":\"acme/shop\",\"keys\":[\"teams\"],\"until\":\"2d\",\"reason\":\"read it\"}";
    for (role, status) in [("viewer", 403), ("operator", 403), ("approver", 200)] {
        let world = world().await;
        let session = world.sign_in(role).await;
        let token = world.token(&session).await;
        assert_eq!(world.post("/waivers", &session, form).await.0, 403, "without a token");
        assert_eq!(world.post("/waivers", &session, &format!("{form}{token}")).await.0, status, "{role}");
        let headers =
            [HOST, ("cookie", session.as_str()), ("origin", ORIGIN), ("x-beadle-token", token.as_str())];
        let (head, text) = world.send("POST", "/api/v1/waivers", &headers, json).await;
        assert_eq!(head.status, status, "{text}");
        let waived = world.decided.1.lock().clone();
        assert_eq!(waived.len(), if status == 200 { 2 } else { 0 }, "{role}");
        if let Some(first) = waived.first() {
            assert_eq!((first.repository.as_str(), first.until.as_str()), ("acme/shop", "2d"));
            assert_eq!(first.keys, ["repository.topics", "labels[bug]"]);
        }
    }
}

#[tokio::test]
async fn the_form_of_a_waiver_has_the_key_of_a_link_of_the_own_pages_only() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let path = "/waivers?repository=acme%2Fshop&keys=labels%5Bbug%5D";
    for (site, status) in [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)] {
        let headers = [HOST, ("cookie", session.as_str()), ("sec-fetch-site", site)];
        let (head, page) = world.send("GET", path, &headers, "").await;
        assert_eq!(head.status, status, "{site}: {page}");
        assert_eq!(page.contains("name=\"keys\" value=\"labels[bug]\""), status == 200, "{site}: {page}");
        assert_eq!(page.contains(&token), status == 200, "{site}: {page}");
    }
    let operator = world.sign_in("operator").await;
    let (_, page) = world.get(path, &operator).await;
    assert!(page.contains("Only an approver can exempt keys.") && !page.contains("<form"), "{page}");
}

#[tokio::test]
async fn a_refused_waiver_keeps_the_values_and_names_the_fault() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let form = "repository=acme%2Fshop&keys=topics&until=%22%3E%3Cscript%3E&reason=read+it&token=";
    let (status, page) = world.post("/waivers", &session, &format!("{form}{token}")).await;
    assert_eq!(status, 400, "{page}");
    for part in [
        "<h1>Not waived</h1>",
        "<p role=\"alert\">did you mean &#96;repository.topics&#96;?</p>",
        "name=\"repository\" value=\"acme/shop\"",
        "list=\"waivable-keys\" name=\"keys\" value=\"topics\"",
        "<datalist id=\"waivable-keys\"><option value=\"repository.topics\"></option></datalist>",
        "name=\"until\" value=\"&quot;&gt;&lt;script&gt;\"",
        "name=\"reason\" value=\"read it\"",
        &format!("name=\"token\" value=\"{token}\""),
        "<a href=\"/repositories/acme/shop\">acme/shop</a>",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // A request without the token might come from another website.
    let (status, page) = world.post("/waivers", &session, form).await;
    assert!(status == 403 && !page.contains("<form") && !page.contains(&token), "{page}");
}

#[tokio::test]
async fn a_waiver_of_a_key_that_the_policy_does_not_declare_says_so() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let form = "repository=acme%2Fshop&until=2d&reason=read+it&keys=";
    let send = format!("{form}repository.topics%2C+labels%5Bbug%5D&token={token}");
    let (status, page) = world.post("/waivers", &session, &send).await;
    assert!(status == 200 && page.contains("does not declare 1 key of the waiver"), "{page}");
    let send = format!("{form}repository.topics&token={token}");
    let (status, page) = world.post("/waivers", &session, &send).await;
    assert!(status == 200 && !page.contains("does not declare"), "{page}");
    let body = json!({
        "repository": "acme/shop", "keys": ["labels[bug]"], "until": "2d", "reason": "read it",
    });
    let (status, answer) = world.call("/api/v1/waivers", &session, &token, &body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["undeclared"]), (200, &json!(1)), "{answer}");
    let description: Value = serde_json::from_str(super::DESCRIPTION).unwrap();
    let described = &description["components"]["schemas"]["WaiverDone"]["properties"];
    for name in answer.as_object().unwrap().keys() {
        assert!(described.get(name).is_some(), "{name} in {described}");
    }
}

#[tokio::test]
async fn the_description_has_each_operation_with_its_body_and_its_answer() {
    let description: Value = serde_json::from_str(super::DESCRIPTION).unwrap();
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let undo = ("/api/v1/undo/plan", json!({ "runs": ["7"] }));
    let calls = cases().into_iter().map(|case| case.api).chain([undo]);
    let mut described = Vec::new();
    for (address, body) in calls {
        let (status, text) = world.call(address, &session, &token, &body).await;
        assert_eq!(status, 200, "{address}: {text}");
        let is_its = |path: &&&str| {
            let mut parts = path.split('/').zip(address.split('/'));
            let is_same = path.matches('/').count() == address.matches('/').count();
            is_same && parts.all(|(part, found)| part == found || part.starts_with('{'))
        };
        let path = API.iter().find(is_its).unwrap_or_else(|| panic!("no path for {address}"));
        described.push(*path);
        let operation = &description["paths"][*path]["post"];
        let schema = |of: &Value| {
            let name = of["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            description["components"]["schemas"][name].clone()
        };
        let properties = |of: &Value| {
            let known = of["properties"].as_object().into_iter().flatten();
            known.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let answer: Value = serde_json::from_str(&text).unwrap();
        let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (mut found, mut known) = (names(&answer), properties(&schema(&operation["responses"]["200"])));
        found.sort_unstable();
        known.sort_unstable();
        assert_eq!(found, known, "{path}");
        if let Some(body) = body.as_object() {
            let known = properties(&schema(&operation["requestBody"]));
            assert!(body.keys().all(|name| known.contains(name)), "{path}: {known:?}");
        }
        for status in ["400", "401", "403", "409", "429", "503"] {
            assert!(operation["responses"].get(status).is_some(), "{path} has no {status}");
        }
    }
    described.sort_unstable();
    let mut all = API.to_vec();
    all.sort_unstable();
    assert_eq!(described, all, "every operation is called");
}
