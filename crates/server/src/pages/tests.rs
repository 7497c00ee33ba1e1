//! Tests the pages and the API with hostile names in the store.

use std::collections::BTreeSet;
use std::net::IpAddr;

use async_trait::async_trait;
use axum::body::Body;
use beadle_engine::gate::{GateSums, Holder};
use beadle_engine::journal::{IntendedChange, PolicyCommitted, SweepEnd, SweepSummary};
use beadle_engine::{
    Clock, Delivery, Detail, Driver, Entry, EntryKind, Hold, Key, KeyState, Lane, Limits, Mark, Outcome,
    ParkReason, Report, Risk, Risks, StoreError, Time, testing,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::exchange::{exchange, request, store};

/// A hostile name. A page that contained this name without encoding would run a script.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";
const HOST: (&str, &str) = ("host", "127.0.0.1:8081");

pub(super) struct HostileFacts;

#[async_trait]
impl Facts for HostileFacts {
    async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError> {
        let commit = PolicyCommitted {
            repository: HOSTILE.into(),
            commit: HOSTILE.into(),
            author: HOSTILE.into(),
            subject: HOSTILE.into(),
        };
        let group = HeldChanges {
            risk: Risk::Removes,
            aspect: HOSTILE.into(),
            what: HOSTILE.into(),
            repositories: 170,
            examples: vec![HOSTILE.into()],
            asked: vec![HOSTILE.into()],
            more_asked: 2,
            names: Vec::new(),
            more_names: 0,
        };
        let held = HeldPolicy {
            generation: HOSTILE.into(),
            commit: Some(commit.clone()),
            held_by: Holder::Service,
            plan: HOSTILE.into(),
            since: Time(0),
            why: HOSTILE.into(),
            sums: GateSums { risks: Risks { removes: 170, ..Risks::default() }, repositories: 170 },
            places: HOSTILE.into(),
            total: 400,
            groups: vec![group],
            more_groups: 1,
            drift: 3,
            delayed: vec![HOSTILE.into()],
            approved_by: Some(HOSTILE.into()),
        };
        let waiver = WaiverFacts {
            code: HOSTILE.into(),
            keys: vec![HOSTILE.into()],
            repositories: vec![HOSTILE.into()],
            until: Time(5),
            reason: HOSTILE.into(),
            owner: HOSTILE.into(),
            in_force: true,
            declared_by: HOSTILE.into(),
            can_end: true,
        };
        Ok(vec![OrganisationFacts {
            name: "acme".into(),
            mode: "enforce".into(),
            modes: vec![(HOSTILE.into(), HOSTILE.into())],
            open: true,
            generation: Some(HOSTILE.into()),
            commit: Some(commit),
            held: vec![held],
            waivers: vec![waiver],
            unreadable_waivers: vec![HOSTILE.into()],
        }])
    }

    fn names(&self) -> Vec<String> {
        vec!["acme".into()]
    }

    async fn pulls(&self) -> Result<Vec<PullFacts>, StoreError> {
        let held = self.organisations().await?.remove(0).held.remove(0);
        let merge = MergeFacts {
            base: Some(HOSTILE.into()),
            base_in_force: false,
            compared: Some(format!("made against {HOSTILE}")),
            sums: held.sums,
            affected: 170,
            total: 400,
            changed_groups: 1,
            drift: 3,
            drifted: Vec::new(),
            more_drifted: 0,
            held: Some(HOSTILE.into()),
            incomplete: 1,
            changes: held.groups,
            more_changes: 1,
        };
        Ok(vec![PullFacts {
            key: "check:acme:9/7".into(),
            organisation: "acme".into(),
            name: HOSTILE.into(),
            number: 7,
            head: HOSTILE.into(),
            checked: Time(1),
            conclusion: HOSTILE.into(),
            title: HOSTILE.into(),
            pull_title: HOSTILE.into(),
            author: Some(HOSTILE.into()),
            link: Some(format!("https://github.com/{HOSTILE}")),
            is_from_fork: true,
            no_preview: None,
            merge: Some(merge),
        }])
    }

    async fn checked_repositories(&self, pull: &PullFacts) -> Result<CheckedRepositories, StoreError> {
        assert_eq!((pull.head.as_str(), pull.checked), (HOSTILE, Time(1)));
        let names = (0..40).map(|n| format!("{HOSTILE}{n}")).collect();
        let changes = vec![ChangedRepositories { names, more: 130 }];
        let drifted = ChangedRepositories { names: vec!["acme/wiki".into(), HOSTILE.into()], more: 5 };
        Ok(CheckedRepositories { changes, drifted })
    }

    async fn installations(&self) -> Result<Vec<InstallationFacts>, StoreError> {
        Ok(vec![InstallationFacts { login: HOSTILE.into(), standing: HOSTILE.into(), since: Time(1) }])
    }

    async fn waivers(&self, organisation: &str, repository: &str) -> Result<CoveringWaivers, StoreError> {
        let acme = self.organisations().await?.remove(0);
        let waivers = if (organisation, repository) == ("acme", "shop") { acme.waivers } else { Vec::new() };
        Ok(CoveringWaivers { waivers, unreadable: acme.unreadable_waivers })
    }

    async fn undone(&self, key: &Key) -> Result<Vec<UndoneFacts>, StoreError> {
        let value = || UndoneFacts {
            aspect: HOSTILE.into(),
            what: HOSTILE.into(),
            name: HOSTILE.into(),
            at: Time(1),
            by: HOSTILE.into(),
        };
        Ok((*key == Key::new("repository", "acme", 7)).then(value).into_iter().collect())
    }

    fn targets(&self) -> Vec<String> {
        vec![HOSTILE.into()]
    }

    async fn keys_called(&self, name: &str) -> Result<Vec<Key>, StoreError> {
        let two = [7, 8].map(|id| Key::new("repository", "acme", id));
        Ok(if name == "acme/shop" { two.into() } else { Vec::new() })
    }
}

pub(super) fn report(subject: &str) -> Report {
    Report { subject: subject.into(), steps: Vec::new(), unknowns: Vec::new(), skipped: None, failure: None }
}

/// Fills a store so that each page contains values from outside.
async fn fill(store: &dyn Store) {
    let shop = Key::new("repository", "acme", 7);
    let group = Key::new("target-group", HOSTILE, HOSTILE);
    let delivery = Delivery {
        source: HOSTILE.into(),
        id: HOSTILE.into(),
        event: HOSTILE.into(),
        actor: Some(HOSTILE.into()),
        instance: HOSTILE.into(),
        received: Time(1),
        body: Vec::new(),
    };
    store.accept(delivery, vec![Mark::new(group.clone(), Lane::Event)]).await.unwrap();
    let parked = Outcome::Park(ParkReason::Failed, HOSTILE.into());
    let named = format!("acme/{HOSTILE}");
    for (key, subject, outcome) in [
        (&shop, "acme/shop", Outcome::Done),
        (&Key::new("repository", "acme", 8), named.as_str(), parked.clone()),
        (&group, HOSTILE, parked),
        (&Key::new("organisation", "acme", 1), "acme", Outcome::Retry(HOSTILE.into())),
    ] {
        KeyState::record(store, key, &report(subject), Time(1)).await.unwrap();
        let claim = store.claim_key(key, Time(1_000_000)).await.unwrap().unwrap();
        store.finish(&claim.lease, outcome, Time(1_000_000)).await.unwrap();
    }
    let mut change = testing::change(HOSTILE, HOSTILE, &[Risk::Removes]);
    change.fields[0].before = json!(HOSTILE);
    let hold = Hold {
        digest: "d1".into(),
        key: shop.clone(),
        subject: "acme/shop".into(),
        since: Time(1),
        why: HOSTILE.into(),
        generation: HOSTILE.into(),
        change: change.clone(),
        ..testing::hold(1)
    };
    store.reserve(None, &Limits::default(), vec![hold], Time(1)).await.unwrap();
    let entry = |kind, detail| Entry {
        seq: 0,
        at: Time(1),
        kind,
        key: shop.to_string(),
        subject: HOSTILE.into(),
        intent: None,
        trace: None,
        detail,
    };
    let intent = IntendedChange { change, generation: HOSTILE.into(), approved_by: None, first_asked: None };
    let summary = SweepSummary { repaired: 1, ..SweepSummary::default() };
    let sweep = entry(EntryKind::Sweep, Detail::Sweep(SweepEnd { summary, took_s: 1, unreadable: 0 }));
    let entries = vec![
        entry(EntryKind::Intent, Detail::Change(intent)),
        entry(EntryKind::Policy, Detail::Other(json!({ HOSTILE: HOSTILE }))),
        Entry { key: "sweep:acme".into(), subject: "acme".into(), ..sweep },
    ];
    store.journal(None, entries, Time(1)).await.unwrap();
    store.pause(HOSTILE, Time(i64::MAX)).await.unwrap();
}

/// Sends a request to pages that listen at `address`.
async fn ask(
    filled: bool,
    path: &str,
    headers: &[(&str, &str)],
    address: IpAddr,
) -> (http::response::Parts, String) {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (store(&folder), Clock::system());
    if filled {
        fill(store.as_ref()).await;
    }
    let driver = Driver::new(store.clone(), clock.clone(), Vec::new());
    let live = Live::new(store.clone(), clock.clone(), driver.clone(), CancellationToken::new());
    let pages = Pages {
        store,
        clock,
        driver,
        facts: Arc::new(HostileFacts),
        access: Access::new(None, address),
        sign_in: None,
        live: Arc::new(live),
        requests: tokio_util::task::TaskTracker::new(),
    };
    exchange(Arc::new(pages).router(), request("GET", path, headers, Body::empty())).await
}

async fn get(path: &str) -> (http::response::Parts, String) {
    ask(true, path, &[HOST], IpAddr::from([127, 0, 0, 1])).await
}

/// The address of the page about the hostile group.
const GROUP_PAGE: &str = concat!(
    "/group?key=target-group%3A%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Dalert%282%29%3E",
    "%3A%22%27%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Dalert%282%29%3E"
);

/// Every page, together with a text that it must contain.
const SHOWN: [(&str, &str); 28] = [
    ("/", "1</a>"),
    ("/", "<code>beadle undo 3</code>"),
    ("/", "onerror=alert(2)&gt; --org acme</code>"),
    ("/", "1 change waits for approval"),
    ("/", "Open pull requests that change the policy"),
    ("/", "Installations of the App"),
    ("/repositories", "<a href=\"/repositories/acme/shop\">acme/shop</a>"),
    ("/repositories?state=parked&text=script&instance=acme", "parked"),
    ("/repositories/acme/shop", "the guard holds 1 change"),
    ("/repositories/acme/shop", "Values that Beadle only observes"),
    ("/groups", "<a href=\"/group?key=target-group"),
    (GROUP_PAGE, "Parked since"),
    ("/holds", "beadle approve d1"),
    ("/journal", "intent"),
    ("/deliveries", "/group?key=target-group"),
    ("/queue", "due"),
    ("/policy", "Removes, weakens or exposes something in"),
    ("/policy", "href=\"/policy/previews\""),
    ("/policy", "onerror=alert(2)&gt; --org acme</code>"),
    ("/policy/previews", "<a href=\"/policy/previews?key=check%3Aacme%3A9%2F7\">"),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "3 (not part of the changes)"),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "<summary>7 repositories: acme/wiki, "),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "<li>and 5 more</li></ul></details></dd>"),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "Compared policy"),
    (
        "/policy/previews?key=check%3Aacme%3A9%2F7",
        "keeps the earlier policy in force until somebody approves",
    ),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "alert(2)&gt;39</li><li>and 130 more</li></ul></details>"),
    ("/policy/previews?key=check%3Aacme%3A9%2F7", "</code></li><li>and 2 more</li></ul>"),
    ("/policy", "The policy in force asks for these changes too"),
];

/// The only script that a page can contain.
const OWN_SCRIPT: &str = "<script defer src=\"/assets/live.js\"></script>";
/// The pages that contain the script.
const LIVE: [&str; 3] = ["/", "/holds", "/queue"];

#[tokio::test]
async fn no_page_contains_a_value_as_it_is() {
    for (path, expected) in SHOWN {
        let (head, page) = get(path).await;
        assert_eq!(head.status, 200, "{path}: {page}");
        assert!(page.contains(expected), "{expected} in {path}: {page}");
        let own = page.matches(OWN_SCRIPT).count();
        assert_eq!(own == 1, LIVE.contains(&path), "{path}: {page}");
        let page = page.replace(OWN_SCRIPT, "");
        for part in ["<script", "<img", "<style", " style=", " onerror=alert(2)\"", "'>"] {
            assert!(!page.contains(part), "{part} in {path}: {page}");
        }
        if path != "/queue" {
            assert!(page.contains("&lt;script&gt;"), "no hostile value in {path}: {page}");
        }
    }
}

#[tokio::test]
async fn the_overview_shows_the_most_important_state_first() {
    let (_, overview) = get("/api/v1/overview").await;
    let overview: Value = serde_json::from_str(&overview).unwrap();
    let states = overview["attention"].as_array().unwrap().iter().map(|thing| thing["state"].as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["parked", "parked", "held", "failing"].map(Some));
}

#[tokio::test]
async fn the_undo_of_the_last_writes_follows_what_is_wrong_now() {
    let (_, page) = get("/").await;
    let parts = ["<h2>Needs attention</h2>", "<h2>Undo</h2>", "<h2>Open pull", "<h2>Find who", "<h2>Organ"];
    let places = parts.map(|part| page.find(part).unwrap_or_else(|| panic!("no {part}: {page}")));
    assert!(places.is_sorted(), "{places:?}: {page}");
}

#[tokio::test]
async fn every_answer_limits_what_a_browser_does() {
    for path in SHOWN.map(|(path, _)| path).into_iter().chain([
        "/assets/style.css",
        "/assets/live.js",
        "/holds?group=x",
        "/api/v1/holds",
        "/journal?x=1",
    ]) {
        let (head, _) = get(path).await;
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
        let policy = header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(policy.contains("; script-src 'self'; "), LIVE.contains(&path), "{path}: {policy}");
        assert_eq!(policy.contains("; connect-src 'self'; "), LIVE.contains(&path), "{path}: {policy}");
        assert_eq!(header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(header("set-cookie"), None, "{path}");
        assert_eq!(header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn pages_of_another_address_or_for_another_host_are_refused() {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let wide = IpAddr::from([0, 0, 0, 0]);
    for (headers, address, part) in [
        (&[HOST][..], wide, "authenticating proxy"),
        (&[("host", "evil.example")][..], loopback, "`Host` must name this machine"),
        (&[("host", "")][..], loopback, "`Host` must name this machine"),
    ] {
        for (path, _) in SHOWN {
            let (head, text) = ask(false, path, headers, address).await;
            assert_eq!(head.status, 403, "{path}: {text}");
            assert!(text.contains(part), "{path}: {text}");
        }
        let (head, text) = ask(false, "/live?part=holds", headers, address).await;
        assert_eq!(head.status, 403, "{text}");
    }
}

#[tokio::test]
async fn invalid_requests_get_a_reason() {
    for (path, status, part) in [
        ("/repositories?state=fine", 400, "`state` must be one of as-declared, drifted,"),
        ("/journal?before=x", 400, "`before` must be a number, found `x`"),
        ("/journal?kind=%3Cscript%3E", 400, "found `&lt;script&gt;`"),
        ("/deliveries?skip=99999999999", 400, "`skip` must be at most"),
        ("/repositories?colour=red", 400, "unknown field `colour`"),
        ("/repositories/acme/nothing", 404, "Not found"),
        ("/group", 400, "`key` must be a key"),
        ("/group?key=%3Cscript%3E", 400, "found `&lt;script&gt;`"),
        ("/group?key=target-group:other:1", 404, "Not found"),
        ("/group?key=repository:acme:7", 404, "Not found"),
        ("/policy/previews?key=check:acme:9/8", 404, "Not found"),
        ("/repositories/..%2F..%2Fetc/passwd", 404, "Not found"),
        ("/assets/..%2Fstyle.css", 404, ""),
        ("/api/v1/journal?before=x", 400, "{\"error\":\"`before` must be a number, found `x`\"}"),
        ("/api/v1/repositories/acme/nothing", 404, "\"error\""),
    ] {
        let (head, text) = ask(false, path, &[HOST], IpAddr::from([127, 0, 0, 1])).await;
        assert_eq!(head.status.as_u16(), status, "{path}: {text}");
        let is_page = text.starts_with("<!DOCTYPE");
        let part = if is_page { part.replace('`', "&#96;") } else { part.to_owned() };
        assert!(text.contains(&part), "{path}: {part} in {text}");
    }
}

#[tokio::test]
async fn a_page_only_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let driver = Driver::new(store.clone(), Clock::system(), Vec::new());
        let live = Live::new(store.clone(), Clock::system(), driver.clone(), CancellationToken::new());
        let pages = Pages {
            store: store.clone(),
            clock: Clock::system(),
            driver,
            facts: Arc::new(HostileFacts),
            access: Access::new(None, IpAddr::from([127, 0, 0, 1])),
            sign_in: None,
            live: Arc::new(live),
            requests: tokio_util::task::TaskTracker::new(),
        };
        let router = Arc::new(pages).router();
        for (path, _) in super::pages().into_iter().chain(super::api()) {
            let asked = request(method, path, &[HOST], Body::empty());
            let (head, _) = exchange(router.clone(), asked).await;
            assert_eq!(head.status, 405, "{method} {path}");
        }
    }
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

#[tokio::test]
async fn the_description_names_every_route_and_every_value() {
    let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let routes: BTreeSet<String> = super::api().into_iter().map(|(path, _)| path.to_owned()).collect();
    let mut described = keys(&description["paths"]);
    let of_people = signed_in::API.iter().chain(&operating::API);
    for path in of_people {
        assert!(described.remove(*path), "{path} is not in {described:?}");
    }
    assert_eq!(described, routes);
    for path in routes.iter().filter(|path| *path != "/api/v1/openapi.json") {
        let asked = path.replace("{organisation}", "acme").replace("{name}", "shop");
        let asked = if path.ends_with("/group") { format!("/api/v1{GROUP_PAGE}") } else { asked };
        let (head, text) = get(&asked).await;
        assert_eq!(head.status, 200, "{path}: {text}");
        let operation = &description["paths"][path]["get"];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().unwrap().rsplit('/').next().unwrap();
        let schema = &description["components"]["schemas"][schema];
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(keys(&answer), keys(&schema["properties"]), "{path}");
        assert!(text.contains("script>") || path.ends_with("/tasks"), "no hostile value in {path}: {text}");
    }
    let (_, served) = get("/api/v1/openapi.json").await;
    assert_eq!(serde_json::from_str::<Value>(&served).unwrap(), description);
}
