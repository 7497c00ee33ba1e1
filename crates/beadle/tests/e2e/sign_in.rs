//! Tests that people sign in to the pages of a running service and decide about held changes.

use beadle_sim::{OidcClient, OidcSim};
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme, client_without_redirects};

pub(crate) const SECRET: &str = "the-client-secret";

/// The browser of one person. The browser does not follow redirects automatically.
pub(crate) struct Browser<'a> {
    world: &'a World,
    http: reqwest::Client,
    /// The cookie of the session.
    pub(crate) session: String,
}

/// Returns the address of the pages.
pub(crate) fn url(world: &World) -> String {
    format!("http://127.0.0.1:{}", world.operator())
}

/// Returns the name and the value of a cookie that an answer sets.
fn cookie(answer: &reqwest::Response, name: &str) -> Option<String> {
    let lines = answer.headers().get_all(SET_COOKIE).into_iter().map(|line| line.to_str().unwrap());
    let mut pairs = lines.filter_map(|line| line.split(';').next());
    pairs.find(|pair| pair.starts_with(&format!("{name}="))).map(str::to_owned)
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

impl<'a> Browser<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, http: client_without_redirects(), session: String::new() }
    }

    pub(crate) async fn get(&self, address: &str, cookies: &str) -> reqwest::Response {
        self.http.get(address).header(COOKIE, cookies).send().await.unwrap()
    }

    /// Signs in as the person who has a session at the provider. Returns the status of the last
    /// answer.
    async fn sign_in(&mut self) -> u16 {
        let begun = self.get(&format!("{}/sign-in", url(self.world)), "").await;
        assert_eq!(begun.status().as_u16(), 303);
        let attempt = cookie(&begun, "beadle-sign-in").unwrap();
        let consent = self.get(&location(&begun), "").await;
        assert_eq!(consent.status().as_u16(), 302, "{}", consent.text().await.unwrap());
        let back = location(&consent);
        let ended = self.get(&back, &attempt).await;
        let status = ended.status().as_u16();
        self.session = cookie(&ended, "beadle-session").unwrap_or_default();
        assert_eq!(self.session.is_empty(), status != 303, "{}", ended.text().await.unwrap());
        let replayed = self.get(&back, &attempt).await;
        assert_eq!(replayed.status().as_u16(), 400, "a state is valid once");
        status
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(&format!("{}{path}", url(self.world)), &self.session).await;
        answer.text().await.unwrap().parse().unwrap()
    }

    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(&format!("{}{path}", url(self.world)), &self.session).await.status().as_u16()
    }

    /// Returns the codes of the waiting groups of held changes.
    async fn waiting(&self) -> Vec<String> {
        let holds = self.json("/api/v1/holds").await;
        let groups = holds["groups"].as_array().unwrap_or_else(|| panic!("{holds}"));
        let open = groups.iter().filter(|group| group["decision"] == "open");
        open.map(|group| group["code"].as_str().unwrap().to_owned()).collect()
    }

    /// Sends the form of a decision. Returns the status and the page.
    async fn decide(&self, ruling: &str, code: &str) -> (u16, String) {
        let now = jiff::Timestamp::now().as_millisecond();
        self.send("/holds/decide", &format!("ruling={ruling}&code={code}&shown={now}&reason=read+it")).await
    }

    /// Sends the form that confirms an approval. Returns the status and the page.
    async fn confirm(&self, code: &str) -> (u16, String) {
        let now = jiff::Timestamp::now().as_millisecond();
        self.send("/holds/confirm", &format!("code={code}&shown={now}&reason=read+it")).await
    }

    /// Sends the form of a waiver. Returns the status and the page.
    async fn waive(&self, repository: &str, key: &str) -> (u16, String) {
        self.send("/waivers", &format!("repository={repository}&keys={key}&until=2d&reason=release")).await
    }

    /// Sends a form. Returns the status and the page.
    pub(crate) async fn send(&self, path: &str, fields: &str) -> (u16, String) {
        let token = self.json("/api/v1/session").await["token"].as_str().unwrap_or_default().to_owned();
        let form = format!("{fields}&token={token}");
        let asked = self.http.post(format!("{}{path}", url(self.world)));
        let asked = asked.header(COOKIE, &self.session).header(ORIGIN, url(self.world)).body(form);
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends a request to the API in the same way as a program. Returns the status and the answer.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> (u16, Value) {
        let token = self.json("/api/v1/session").await["token"].as_str().unwrap_or_default().to_owned();
        let asked = self.http.post(format!("{}{path}", url(self.world))).body(body.to_string());
        let asked = asked.header(COOKIE, &self.session).header(ORIGIN, url(self.world));
        let answer = asked.header("x-beadle-token", token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap().parse().unwrap())
    }
}

/// Changes the state of the simulator.
pub(crate) async fn change(world: &World, patch: &Value) {
    let address = format!("{}/_sim/state?webhooks=false", world.sim.url());
    let answer = world.http.patch(address).body(patch.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
}

/// Signs a person in with GitHub. Returns the browser, and the status of the last answer.
pub(crate) async fn person<'a>(world: &'a World, login: &str) -> (Browser<'a>, u16) {
    let oauth = json!({
        "client_id": "Iv1.1", "client_secret": SECRET, "user": login,
        "callbacks": [format!("{}/sign-in/return", url(world))],
    });
    change(world, &json!({ "oauth": oauth })).await;
    let mut browser = Browser::new(world);
    let status = browser.sign_in().await;
    (browser, status)
}

/// Returns the configuration lines of the sign-in.
pub(crate) fn lines(world: &World, roles: &str, provider: &str) -> String {
    std::fs::write(world.path().join("client.secret"), SECRET).unwrap();
    format!(
        "[server.sign_in]\nurl = \"{}\"\n{roles}\n{provider}\nclient_secret = \"file:client.secret\"\n",
        url(world)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_author_of_an_earlier_policy_cannot_approve_what_this_policy_first_asked_for() {
    let admin = json!({ "branches": { "main": {} }, "contents": { "settings.yml": POLICY } });
    let mut state = acme(json!({ "widgets": declared(), "gadgets": declared(), "admin": admin }));
    let people = json!({ "ann": "member", "bob": "member", "dan": "member" });
    state["orgs"]["acme"]["teams"]["security"]["members"] = people;
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\" }".into();
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    let provider = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
    world.lines = lines(&world, "approvers = [\"security\"]", provider);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    let removal = POLICY.replace("  - { name: engineering, permission: push }\n", "");
    let removal = removal.replace("has_wiki: false", "has_wiki: true");
    let harmless = removal.replace("delete_branch_on_merge: true", "delete_branch_on_merge: false");
    for (author, policy, setting, value) in
        [("bob", &removal, "has_wiki", true), ("ann", &harmless, "delete_branch_on_merge", false)]
    {
        let contents = json!({ "settings.yml": policy });
        let commit = json!({ "author": author, "message": "Change the policy" });
        world.patch(json!({ "admin": { "contents": contents, "commit": commit } }), true).await;
        for name in ["widgets", "gadgets"] {
            world.until(name, "the policy", |found| found[setting] == json!(value)).await;
        }
        world.until_idle().await;
    }
    let code = person(&world, "dan").await.0.waiting().await.pop().unwrap();
    for (login, expected) in [("bob", 403), ("ann", 403), ("dan", 200)] {
        let (status, page) = person(&world, login).await.0.decide("approve", &code).await;
        assert_eq!(status, expected, "{login}: {page}");
        let part = if status == 200 { "Confirm the approval" } else { "a policy that they wrote" };
        assert!(page.contains(part), "{login}: {page}");
    }
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_approver_who_is_not_the_author_approves_on_the_page() {
    let files = json!({ "settings.yml": POLICY });
    let admin = json!({ "branches": { "main": {} }, "contents": files });
    let mut drifted = declared();
    drifted["teams"]["contractors"] = json!("admin");
    let mut state = acme(json!({ "widgets": drifted, "gadgets": drifted, "admin": admin }));
    state["orgs"]["acme"]["teams"]["security"]["members"] = json!({ "ann": "member", "bob": "member" });
    state["orgs"]["acme"]["teams"]["engineering"]["members"] = json!({ "cyd": "member" });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\" }".into();
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    let provider = "[server.sign_in.github]\norg = \"acme\"\nclient_id = \"Iv1.1\"";
    world.lines = lines(&world, "viewers = [\"engineering\"]\napprovers = [\"security\"]", provider);
    let serving = world.serve().await;
    world.connect();
    let policy = json!({
        "contents": { "settings.yml": POLICY.replace("has_wiki: false", "has_wiki: true") },
        "commit": { "author": "bob", "message": "Turn wikis on" },
    });
    world.patch(json!({ "admin": policy }), true).await;
    for name in ["widgets", "gadgets"] {
        world.until(name, "the policy of bob", |found| found["has_wiki"] == json!(true)).await;
    }
    world.until_idle().await;

    for path in ["/", "/holds", "/api/v1/holds", "/account"] {
        assert_eq!(Browser::new(&world).status(path).await, 401, "{path}");
    }
    assert_eq!(person(&world, "eve").await.1, 403, "a stranger");
    let (author, status) = person(&world, "bob").await;
    assert_eq!(status, 303);
    let code = author.waiting().await.pop().unwrap();
    let (status, page) = author.decide("approve", &code).await;
    assert!(status == 403 && page.contains("a policy that they wrote"), "{page}");
    let (viewer, status) = person(&world, "cyd").await;
    assert_eq!(status, 303);
    for ruling in ["approve", "reject"] {
        assert_eq!(viewer.decide(ruling, &code).await.0, 403, "{ruling}");
    }
    assert_eq!(viewer.confirm(&code).await.0, 403);
    let (approver, status) = person(&world, "ann").await;
    assert_eq!(status, 303);
    assert_eq!(approver.decide("approve", "0123456789ab").await.0, 404, "a stale code");
    assert_eq!(approver.waiting().await, std::slice::from_ref(&code), "nothing is decided yet");

    // The author changed the login after the policy came into force.
    let commit = world.sim.look(|state| {
        let commits = state["orgs"]["acme"]["repos"]["admin"]["commits"].as_object().unwrap();
        commits.iter().find(|(_, commit)| commit["author"] == "bob").unwrap().0.clone()
    });
    for (author, status) in [("ann", 403), ("bob", 200)] {
        world
            .patch(json!({ "admin": { "commits": { (commit.as_str()): { "author": author } } } }), false)
            .await;
        let (found, page) = approver.decide("approve", &code).await;
        assert_eq!(found, status, "{author}: {page}");
        let part = if status == 200 { "Confirm the approval" } else { "a policy that they wrote" };
        assert!(page.contains(part), "{author}: {page}");
    }
    assert_eq!(approver.waiting().await, std::slice::from_ref(&code), "the approval is not confirmed yet");
    let (status, page) = approver.confirm(&code).await;
    assert!(status == 200 && page.contains("2 changes approved."), "{page}");
    let is_removed = |found: &Value| found["teams"].get("contractors").is_none();
    for name in ["widgets", "gadgets"] {
        world.until(name, "the approved removal", is_removed).await;
    }
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    assert!(journal.contains("\"by\":\"ann (signed in with GitHub)\""), "{journal}");

    let key = "branches.main.enforce_admins";
    assert_eq!(viewer.waive("acme/widgets", key).await.0, 403, "a viewer does not waive");
    for (repository, key, status) in [
        ("acme/nothing", key, 404),
        ("acme/widg*", key, 404),
        ("other/widgets", key, 404),
        ("acme/widgets", "", 400),
    ] {
        assert_eq!(approver.waive(repository, key).await.0, status, "{repository} {key}");
    }
    let (status, page) = approver.waive("acme/widgets", key).await;
    assert!(status == 200 && page.contains("The waiver "), "{page}");
    let listed = world.beadle(&["waivers", "--json"]).await.expect(0).json();
    assert_eq!((&listed["owner"], &listed["keys"]), (&json!("ann (signed in with GitHub)"), &json!([key])));
    let (_, page) = approver.waive("acme/widgets", "repository.has_wiki").await;
    assert!(page.contains("The waiver ") && !page.contains("does not declare"), "{page}");
    let (_, page) = approver.waive("acme/widgets", "labels%5Bnope%5D").await;
    assert!(page.contains("does not declare 1 key of the waiver"), "{page}");

    let members = json!({ "security": { "members": { "ann": null } } });
    change(&world, &json!({ "orgs": { "acme": { "teams": members } } })).await;
    assert_eq!(approver.decide("reject", &code).await.0, 403, "a lost role");
    assert_eq!(approver.status("/holds").await, 401, "the session ended with the role");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_a_provider_of_openid_connect_has_the_role_of_the_groups() {
    let mut drifted = declared();
    drifted["teams"]["contractors"] = json!("admin");
    let mut world = World::unlimited(acme(json!({ "widgets": drifted }))).await;
    world.policy("settings.yml", POLICY);
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    let client = OidcClient {
        id: "beadle".into(),
        secret: SECRET.into(),
        callback: format!("{}/sign-in/return", url(&world)),
    };
    let oidc = OidcSim::start(([127, 0, 0, 1], 0).into(), client).await.unwrap();
    let provider = format!("[server.sign_in.oidc]\nissuer = \"{}\"\nclient_id = \"beadle\"", oidc.issuer());
    world.lines = lines(&world, "viewers = [\"staff\"]\noperators = [\"ops\"]", &provider);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;

    let mut browser = Browser::new(&world);
    oidc.sign_in_as(None);
    assert_eq!(browser.sign_in().await, 403, "the person refused");
    let ann = |groups: Value| {
        Some(json!({
            "sub": "00u1", "email": "ann@acme.example", "email_verified": true, "groups": groups,
        }))
    };
    for groups in [json!([]), json!(["STAFF"]), Value::Null] {
        oidc.sign_in_as(ann(groups.clone()));
        assert_eq!(browser.sign_in().await, 403, "{groups}");
    }
    oidc.sign_in_as(ann(json!(["staff", "ops"])));
    for lie in [
        json!({ "nonce": "0" }),
        json!({ "aud": "another" }),
        json!({ "aud": ["beadle", "another"] }),
        json!({ "iss": "https://idp.example" }),
        json!({ "exp": 1_700_000_000 }),
        json!({ "sub": null }),
    ] {
        oidc.lie(lie.clone());
        assert_eq!(browser.sign_in().await, 502, "{lie}");
    }
    oidc.lie(json!({}));
    assert_eq!(browser.sign_in().await, 303);
    let session = browser.json("/api/v1/session").await;
    assert_eq!((&session["name"], &session["role"]), (&json!("ann@acme.example"), &json!("operator")));
    let code = browser.waiting().await.pop().unwrap();
    assert_eq!(browser.decide("approve", &code).await.0, 403, "an operator does not approve");
    let (status, page) = browser.decide("reject", &code).await;
    assert!(status == 200 && page.contains("1 change rejected."), "{page}");
    let shown = world.beadle(&["holds"]).await.expect(0).out;
    assert!(shown.contains("rejected by ann@acme.example (signed in with OIDC) (read it)"), "{shown}");
    assert_eq!(serving.stop().await, Some(0));
}
