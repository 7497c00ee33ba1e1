//! Tests unusual deliveries, hostile deliveries, and deliveries during a fault. Each delivery gets
//! the documented answer.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use beadle_sim::signature;
use serde_json::{Value, json};

use crate::process::LIMIT;
use crate::repair::{POLICY, declared};
use crate::world::{Serving, World, acme};

const MAX: usize = 25 * 1024 * 1024;

fn payload() -> Value {
    json!({ "action": "edited", "organization": { "login": "Acme" },
        "repository": { "id": 1, "node_id": "R_kgDO00000001", "owner": { "login": "acme" } } })
}

async fn world() -> World {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world
}

async fn stored(world: &World) -> Vec<Value> {
    let listed = world.beadle(&["deliveries", "--json", "--limit", "100000"]).await.expect(0);
    listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_delivery_has_its_documented_answer() {
    let world = world().await;
    let _serving = world.serve().await;
    let text = payload().to_string();
    let body = text.as_bytes();
    let send = |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status().as_u16() };
    let bare = |id: &str, body: Vec<u8>| {
        let request = world.http.post(world.hook_url()).header("content-type", "application/json");
        request.header("x-github-event", "repository").header("x-github-delivery", id).body(body)
    };

    assert_eq!(send(world.delivery("fine", "repository", body)).await, 202);
    assert_eq!(send(world.delivery("fine", "repository", body)).await, 200, "already had it");
    assert_eq!(send(world.delivery("ping", "ping", br#"{"zen":"x","hook":{}}"#)).await, 202);
    assert_eq!(send(world.delivery("unknown", "brand_new_event", body)).await, 202);
    assert_eq!(
        send(world.delivery("norepo", "repository", br#"{"organization":{"login":"acme"}}"#)).await,
        202
    );
    let odd = payload().to_string().replace("edited", "edited with %20 and + and ü");
    assert_eq!(send(world.delivery("percent", "repository", odd.as_bytes())).await, 202);

    // Deliveries with a wrong signature or without a signature.
    let other = signature("another secret", body);
    assert_eq!(send(bare("s1", body.to_vec()).header("x-hub-signature-256", other)).await, 401);
    assert_eq!(send(bare("s2", body.to_vec())).await, 401, "none at all");
    assert_eq!(
        send(bare("s3", body.to_vec()).header("x-hub-signature", "sha1=00")).await,
        401,
        "SHA-1 alone"
    );
    let encoded_again = serde_json::to_string_pretty(&payload()).unwrap();
    let of_the_pretty = signature(&world.secret, encoded_again.as_bytes());
    assert_eq!(send(bare("s4", body.to_vec()).header("x-hub-signature-256", of_the_pretty)).await, 401);
    for tag in ["sha256=", "sha256=zz", "sha512=00", "sha256=00", ""] {
        assert_eq!(send(bare("s5", body.to_vec()).header("x-hub-signature-256", tag)).await, 401, "{tag}");
    }

    // Deliveries of both content types. The signature is for the raw bytes of each body.
    let form = format!("payload={}", urlencoded(&odd));
    let of_the_form = signature(&world.secret, form.as_bytes());
    let request =
        world.http.post(world.hook_url()).header("content-type", "application/x-www-form-urlencoded");
    let request = request.header("x-github-event", "repository").header("x-github-delivery", "form");
    assert_eq!(send(request.header("x-hub-signature-256", of_the_form).body(form)).await, 202);
    let request = world.http.post(world.hook_url()).header("content-type", "application/xml");
    let request = request.header("x-hub-signature-256", signature(&world.secret, body));
    assert_eq!(send(request.body(body.to_vec())).await, 415);

    // Bodies that do not match their content type.
    for (at, bad) in ["{", "[1,2]", "", "payload=1", "{\"repository\": 7}", "\u{0}"].iter().enumerate() {
        assert_eq!(
            send(world.delivery(&format!("bad{at}"), "repository", bad.as_bytes())).await,
            400,
            "{bad}"
        );
    }
    assert_eq!(send(world.delivery("", "repository", body)).await, 400);
    let request = world.http.post(world.hook_url()).header("content-type", "application/json");
    assert_eq!(
        send(request.header("x-hub-signature-256", signature(&world.secret, body)).body(body.to_vec())).await,
        400
    );

    // Senders that are not in the configuration. The signature is valid, so the journal gets an
    // entry about the sender.
    let stranger = text.replace("Acme", "stranger").replace("acme", "stranger");
    assert_eq!(send(world.delivery("stranger", "repository", stranger.as_bytes())).await, 403);
    let app = world
        .delivery("app", "repository", body)
        .header("x-github-hook-installation-target-type", "integration");
    assert_eq!(send(app.header("x-github-hook-installation-target-id", "999")).await, 403);
    let journal = world.beadle(&["journal"]).await.expect(0);
    assert!(journal.out.contains("the organisation stranger"), "{}", journal.out);

    assert_eq!(world.http.get(world.hook_url()).send().await.unwrap().status(), 405);
    let health = world.hook_url().replace("/hooks/github", "/healthz");
    assert_eq!(world.http.get(health).send().await.unwrap().status(), 200);
    assert!(world.beadle(&["healthcheck"]).await.expect(0).out.contains("answers"));
    for private in ["/metrics", "/readyz", "/"] {
        let url = world.hook_url().replace("/hooks/github", private);
        assert_eq!(
            world.http.get(url).send().await.unwrap().status(),
            404,
            "{private} is no business of the public"
        );
    }

    let rows = stored(&world).await;
    let ids: Vec<&str> = rows.iter().rev().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["fine", "ping", "unknown", "norepo", "percent", "form"]);
    let body = world.beadle(&["deliveries", "--body", "form"]).await.expect(0);
    assert_eq!(body.out.trim_end(), odd, "a form is kept as its JSON");
    let log = std::fs::read_to_string(world.path().join("serve.log")).unwrap();
    assert!(!log.contains(&world.secret), "the log holds the secret");
}

fn urlencoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_are_valid_during_a_rotation() {
    let world = world().await;
    std::fs::write(world.path().join("next.secret"), "the next secret").unwrap();
    let config = std::fs::read_to_string(world.config()).unwrap();
    let both = config.replace("[\"file:webhook.secret\"]", "[\"file:webhook.secret\", \"file:next.secret\"]");
    let path = world.path().join("both.toml");
    std::fs::write(&path, both).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_beadle"));
    command.arg("--config").arg(path);
    let serving = Serving::start(command, world.path());
    let body = payload().to_string();
    let mut statuses = Vec::new();
    for _ in 0..800 {
        let old = world.delivery("old", "repository", body.as_bytes()).send().await;
        if let Ok(old) = old {
            statuses.push(old.status().as_u16());
            let next = world.http.post(world.hook_url()).header("content-type", "application/json");
            let next = next.header("x-github-event", "repository").header("x-github-delivery", "next");
            let next = next.header("x-hub-signature-256", signature("the next secret", body.as_bytes()));
            statuses.push(next.body(body.clone()).send().await.unwrap().status().as_u16());
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(statuses, [202, 202], "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_accepted_up_to_the_limit() {
    let mut world = world().await;
    world.lines = "in_flight_mib = 64\n".into();
    let serving = world.serve().await;
    let mut text = r#"{"organization":{"login":"acme"},"pad":""#.to_owned();
    text += &"x".repeat(MAX - text.len() - 2);
    text += "\"}";
    assert_eq!(text.len(), MAX);
    let tag = signature(&world.secret, text.as_bytes());
    let body = axum_bytes(text);
    let send = |id: String, body: reqwest::Body| {
        let request = world.http.post(world.hook_url()).header("content-type", "application/json");
        let request = request.header("x-github-event", "push").header("x-github-delivery", id);
        let request = request.header("x-hub-signature-256", tag.clone()).body(body);
        async move { request.send().await.map(|answer| answer.status().as_u16()) }
    };
    let mut over = body.to_vec();
    over.push(b' ');
    // The server answers before it has read the whole body. A client sees either the answer or the
    // closed connection.
    let answered = send("over".into(), over.into()).await;
    assert!(answered.as_ref().map_or(true, |status| *status == 413), "{answered:?}");

    let all: Vec<_> = (0..64).map(|n| send(format!("large{n}"), body.clone().into())).collect();
    let answers = futures::future::join_all(all).await;
    let count = |wanted: u16| {
        answers.iter().filter(|answer| answer.as_ref().is_ok_and(|status| *status == wanted)).count()
    };
    let (taken, refused) = (count(202), count(503));
    assert_eq!(taken + refused, 64, "{answers:?}");
    assert!(taken > 0, "none was taken");
    let rows = stored(&world).await;
    assert_eq!(rows.len(), taken, "what was answered 202 is in the inbox, and nothing else");
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.child.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    assert!(peak < 400 * 1024, "{peak} KiB for 64 MiB in flight");
    eprintln!("{taken} taken, {refused} refused, {} MiB at most", peak / 1024);
}

fn axum_bytes(text: String) -> bytes::Bytes {
    bytes::Bytes::from(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_incomplete_body_is_not_stored() {
    let world = world().await;
    let _serving = world.serve().await;
    let body = payload().to_string();
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-github-event: repository\r\n\
         x-github-delivery: slow\r\nx-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n",
        signature(&world.secret, body.as_bytes()),
        body.len()
    );
    let address = format!("127.0.0.1:{}", world.ports[0]);
    let slow = {
        let (address, head, body) = (address.clone(), head.clone(), body.clone());
        tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body.as_bytes()[..10]).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        })
    };
    let cut = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..10]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer); // the server may close the connection without an answer
        answer
    });
    let slow = slow.await.unwrap();
    assert!(slow.starts_with("HTTP/1.1 408 "), "{slow}");
    let cut = cut.await.unwrap();
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 400 "), "{cut}");
    assert_eq!(stored(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_with_503_and_no_accepted_delivery_is_lost() {
    let mut world = world().await;
    world.lines = "[store]\nmax_mib = 1\n".into();
    let _serving = world.serve().await;
    let mut taken = Vec::new();
    let mut refused = 0;
    for n in 0..200 {
        // Bodies that cannot be compressed.
        let noise: String = (0..20_000).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect();
        let body = json!({ "organization": { "login": "acme" }, "noise": noise }).to_string();
        let answer = world.delivery(&format!("d{n}"), "push", body.as_bytes()).send().await.unwrap();
        match answer.status().as_u16() {
            202 => taken.push(format!("d{n}")),
            503 => {
                assert!(answer.headers().contains_key("retry-after"));
                refused += 1;
                if refused > 5 {
                    break;
                }
            }
            other => panic!("answered {other}"),
        }
    }
    assert!(refused > 5 && taken.len() > 5, "{} taken, {refused} refused", taken.len());
    let rows = stored(&world).await;
    let ids: Vec<String> = rows.iter().rev().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, taken);
}

/// Runs the service as the user `nobody`, because root can write to a read-only file.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_answered_with_503() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let world = world().await;
    let config = world.config();
    world.make_store().await;
    let database = world.path().join("beadle.db");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o444)).unwrap();
    std::fs::set_permissions(world.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // The other files of the database stay writable.
    for beside in ["beadle.db-wal", "beadle.db-shm"] {
        let path = world.path().join(beside);
        if path.exists() {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
        }
    }
    let root = chown(&database, Some(0), None).is_ok();
    let program = world.path().join("beadle-program");
    // Another process makes the copy. If this process wrote the file, a child process of another
    // test could inherit the open file. The system does not execute a file while it is open for
    // writing.
    let mut copy = std::process::Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_beadle")).arg(&program);
    let copied = copy.output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let mut command = std::process::Command::new(&program);
    command.arg("--config").arg(config);
    if root {
        command.uid(NOBODY);
    }
    let serving = Serving::start(command, world.path());
    let body = payload().to_string();
    let mut status = 0;
    for _ in 0..800 {
        if let Ok(answer) = world.delivery("d", "repository", body.as_bytes()).send().await {
            status = answer.status().as_u16();
            assert!(answer.headers().contains_key("retry-after"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ready = world.http.get(format!("http://127.0.0.1:{}/readyz", world.ports[1])).send().await;
    assert_eq!(status, 503, "{}", serving.log());
    assert_eq!(ready.unwrap().status(), 503);
}
