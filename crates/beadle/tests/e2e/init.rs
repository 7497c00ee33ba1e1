//! Tests `beadle init` with the simulated GitHub, and with a browser that submits the forms.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use beadle_sim::{Fault, Hook};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::process::signal;
use crate::world::{Ran, Serving, World, acme, client_without_redirects};

const PATIENCE: Duration = Duration::from_secs(60);
/// An address that no name server knows.
const HOOK: &str = "https://beadle.invalid";

/// An empty folder in which the test sets up Beadle.
struct Place {
    world: World,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let widgets = json!({ "visibility": "private", "branches": { "main": {} } });
        let world = World::new(acme(json!({ "widgets": widgets }))).await;
        Self { world, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Returns the names of the files in the folder, sorted.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("FAILPOINTS", "settle=return");
        command
    }

    async fn beadle(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(), args).await
    }

    /// Starts `init` without waiting for its end.
    fn init(&self, args: &[&str]) -> Init {
        let mut command = self.command();
        command.args(["init", "--yes", "--org", "acme", "--api", &self.world.sim.url()]).args(args);
        let errors = self.world.path().join("init.log");
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&errors).unwrap());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Init { child, lines, out: String::new(), errors }
    }

    /// Returns the number of created Apps.
    fn exchanges(&self) -> usize {
        self.world.sim.calls_that(|call| call["path"].as_str().unwrap().contains("app-manifests")).len()
    }
}

/// A running `beadle init`.
struct Init {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    out: String,
    errors: PathBuf,
}

impl Init {
    /// Waits until the output contains a line with this text, and returns the line.
    async fn line_with(&mut self, part: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.out += &format!("{line}\n");
                if line.contains(part) {
                    return line.trim().to_owned();
                }
            }
            panic!("no line has {part}:\n{}\n{}", self.out, read(&self.errors));
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the command prints the line in time")
    }

    /// Waits for the end of the command.
    async fn end(mut self) -> Ran {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.out += &format!("{line}\n");
            }
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, rest).await.expect("the command ends in time");
        Ran { code: status.code().unwrap_or(-1), out: self.out, err: read(&self.errors) }
    }

    /// Stops the command in the same way as Ctrl-C.
    async fn interrupt(self) -> Ran {
        signal("INT", self.child.id().unwrap());
        self.end().await
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The browser of an owner who is signed in to the simulated GitHub.
struct Browser(reqwest::Client);

impl Browser {
    fn new() -> Self {
        Self(client_without_redirects())
    }

    /// Submits the form of the local page. Returns the address in GitHub's redirect.
    async fn submit(&self, page: &str) -> String {
        let html = self.0.get(page).send().await.unwrap().text().await.unwrap();
        let manifest = encoded(&attribute(&html, "value"));
        let form = self.0.post(attribute(&html, "action"));
        let form = form.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = form.body(format!("manifest={manifest}")).send().await.unwrap();
        assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
        location(&answer)
    }

    /// Creates the App, and returns the address of the installation page of the App.
    async fn create(&self, page: &str) -> String {
        let back = self.submit(page).await;
        let answer = self.get(&back).await;
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        location(&answer)
    }

    async fn install(&self, page: &str) {
        assert_eq!(self.0.post(page).send().await.unwrap().status(), 200, "{page}");
    }

    async fn get(&self, address: &str) -> reqwest::Response {
        self.0.get(address).send().await.unwrap()
    }
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

/// Returns the value of the first attribute with this name. Decodes the escapes in the value.
fn attribute(html: &str, name: &str) -> String {
    let (_, rest) = html.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name}: {html}"));
    let value = rest.split('"').next().unwrap();
    value
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        out += &format!("%{byte:02X}");
        out
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn init_leads_from_nothing_to_a_repaired_drift() {
    let place = Place::new().await;
    let (world, browser) = (&place.world, Browser::new());
    let mut init = place.init(&["--webhook-url", HOOK]);
    let page = init.line_with("http://127.0.0.1").await;
    let installation = browser.create(&page).await;
    assert_eq!(init.line_with("/installations/new").await, installation);
    browser.install(&installation).await;
    let done = init.end().await.expect(0);
    assert!(done.out.contains("administration: write"), "doctor ran: {}", done.out);

    // Only the owner of the files can read the secrets. No other file contains the secrets.
    assert_eq!(place.files(), ["beadle-app.pem", "beadle-webhook.secret", "beadle.toml", "policy"]);
    let secret = place.read("beadle-webhook.secret");
    let known = world.sim.look(|state| state["apps"]["beadle-acme"]["webhook_secret"].clone());
    assert_eq!(known, json!(secret));
    for name in ["beadle-app.pem", "beadle-webhook.secret"] {
        let mode = std::fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let shown = format!("{}{}{}", done.out, done.err, place.read("beadle.toml"));
    assert!(!shown.contains(&secret) && !shown.contains("PRIVATE KEY"), "{shown}");

    // The new organisation has the mode `observe`.
    let plan = place.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("delete_branch_on_merge: false → true"), "{}", plan.out);
    place.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(world.writes(), Vec::<serde_json::Value>::new());

    // The operator changes the mode to `enforce`.
    let [listen, operator] = world.ports;
    let config = place.read("beadle.toml").replace("mode = \"observe\"", "mode = \"enforce\"");
    let server = format!("[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n");
    place.write("beadle.toml", &format!("{config}\n[org.budget]\nwrite_every = \"0s\"\n\n{server}"));
    place.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("widgets")["delete_branch_on_merge"], json!(true));

    // The service accepts the webhooks of the new App. The stored secret is valid for their
    // signatures.
    let serving = Serving::start(place.command(), world.path()).ready(operator).await;
    world.sim.send_webhooks_to(Hook { url: world.hook_url(), secret, organisation: false });
    world.patch(json!({ "gadgets": { "visibility": "private" } }), true).await;
    world.until("gadgets", "it is as declared", |gadgets| gadgets["delete_branch_on_merge"] == true).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_init_continues_with_the_same_app_and_the_existing_policy() {
    let place = Place::new().await;
    let browser = Browser::new();
    let policy = "labels:\n  - name: bug\n    color: \"ff0000\"\n";
    place.write("policy/settings.yml", policy);
    let mut init = place.init(&[]);
    let page = init.line_with("http://127.0.0.1").await;
    let installation = browser.create(&page).await;
    init.line_with("/installations/new").await;
    let stopped = init.interrupt().await.expect(1);
    assert!(stopped.err.contains("run `beadle init` again"), "{}", stopped.err);
    let before = [place.read("beadle.toml"), place.read("beadle-app.pem")];

    let mut init = place.init(&[]);
    assert_eq!(init.line_with("/installations/new").await, installation);
    browser.install(&installation).await;
    let done = init.end().await.expect(0);
    assert!(done.out.contains("continuing the setup"), "{}", done.out);
    assert_eq!(place.exchanges(), 1, "the App was created once");
    assert_eq!([place.read("beadle.toml"), place.read("beadle-app.pem")], before);
    assert_eq!(place.read("policy/settings.yml"), policy);
    // The App has all permissions that this policy needs.
    let app = place.world.sim.look(|state| state["apps"]["beadle-acme"].clone());
    assert_eq!(app["permissions"]["issues"], "write");
    assert!(app["events"].as_array().unwrap().contains(&json!("label")), "{app}");
    assert_eq!(app["hook_active"], json!(false), "no address for webhooks was set");
    // The App is installed now, so a further run has nothing to create.
    place.init(&[]).end().await.expect(0);
    assert_eq!(place.exchanges(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_takes_only_its_own_code_and_repeats_a_failed_exchange() {
    let place = Place::new().await;
    let browser = Browser::new();
    let mut init = place.init(&[]);
    let page = init.line_with("http://127.0.0.1").await;
    let back = browser.submit(&page).await;
    let (start, state) = back.split_once("&state=").unwrap();
    for wrong in [start.to_owned(), format!("{start}&state=0"), format!("{page}created?state={state}")] {
        assert_eq!(browser.get(&wrong).await.status(), 400, "{wrong}");
    }
    assert_eq!(place.exchanges(), 0);
    place.world.sim.fault(Fault {
        path: "/app-manifests/".to_owned(),
        status: Some(503),
        count: Some(1),
        ..Fault::default()
    });
    assert_eq!(browser.get(&back).await.status(), 502);
    assert_eq!(place.files(), Vec::<String>::new());
    let answer = browser.get(&back).await;
    assert_eq!(answer.status(), 303);
    browser.install(&location(&answer)).await;
    let done = init.end().await.expect(0);
    let (_, code) = start.split_once("code=").unwrap();
    assert!(!done.err.contains(code) && done.err.contains("to retry"), "{}", done.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_github_does_not_know_ends_init_without_a_file() {
    let place = Place::new().await;
    let browser = Browser::new();
    let mut init = place.init(&[]);
    let page = init.line_with("http://127.0.0.1").await;
    let back = browser.submit(&page).await;
    let (_, state) = back.split_once("&state=").unwrap();
    let answer = browser.get(&format!("{page}created?code=old&state={state}")).await;
    assert_eq!(answer.status(), 502);
    let failed = init.end().await.expect(1);
    assert!(failed.err.contains("valid once, for one hour"), "{}", failed.err);
    assert_eq!(place.files(), Vec::<String>::new());

    // An interruption before the creation of the App leaves no files either.
    let mut init = place.init(&[]);
    init.line_with("http://127.0.0.1").await;
    let stopped = init.interrupt().await;
    assert_ne!(stopped.code, 0);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn init_refuses_what_it_cannot_set_up_before_it_asks_github() {
    let place = Place::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, said) in [
        (&["--yes"][..], "set `--org ORG`"),
        (&["--org", "a/b"][..], "invalid organisation"),
        (&["--org", "acme", "--webhook-url", "http://127.0.0.1:8080"][..], "cannot send webhooks"),
        (&["--org", "acme", "--port", &port][..], "set another `--port`"),
        (&["--org", "acme", "--app-id", "7"][..], "needs the private key"),
        (&["--org", "acme", "--config", "missing/beadle.toml"][..], "cannot write to missing"),
    ] {
        let url = place.world.sim.url();
        let args = [&["init", "--api", &url][..], args].concat();
        let refused = place.beadle(&args).await.expect(1);
        assert!(refused.err.contains(said), "{args:?}: {}", refused.err);
        assert_eq!(place.files(), Vec::<String>::new(), "{args:?}");
    }
    let token = "[[org]]\nname = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\n";
    place.write("token.toml", token);
    place.write("beadle-app.pem", "a key");
    for (args, said) in [
        (["init", "--org", "acme", "--config", "token.toml"], "names no App"),
        (["init", "--org", "other", "--config", "token.toml"], "without this organisation"),
        (["init", "--org", "acme", "--config", "beadle.toml"], "set `--app-id ID`"),
    ] {
        let refused = place.beadle(&args).await.expect(1);
        assert!(refused.err.contains(said) && refused.err.contains("overwrites no file"), "{}", refused.err);
    }
    assert_eq!((place.read("token.toml").as_str(), place.read("beadle-app.pem").as_str()), (token, "a key"));
    assert_eq!(place.files(), ["beadle-app.pem", "token.toml"]);
    assert_eq!(place.world.sim.call_count(), 0);
}
