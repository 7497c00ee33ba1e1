//! Starts the real binary with a simulated GitHub, and with a folder for the configuration and the
//! policy.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use beadle_sim::{Hook, Settings, Sim, signature};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{LIMIT, signal};

pub(crate) use crate::process::Ran;

/// The maximum time that a test waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// High limits of the gate. No test reaches these limits.
pub(crate) const WIDE_GATE: &str =
    "[org.gate]\npercent = 100\nremoves = 1000000\nweakens = 1000000\nexposes = 1000000\ncreates = 1000000\n";

/// Returns a client for addresses of this machine. The client has no TLS, because a client with TLS
/// reads all root certificates of the machine first.
pub(crate) fn http_client() -> reqwest::Client {
    client().build().unwrap()
}

/// Returns the same client as [`http_client`], but this client follows no redirect.
pub(crate) fn client_without_redirects() -> reqwest::Client {
    client().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only(std::iter::empty()).timeout(LIMIT)
}

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) folder: TempDir,
    pub(crate) secret: String,
    pub(crate) ports: [u16; 2],
    pub(crate) http: reqwest::Client,
    /// Further lines of `[[org]]`.
    pub(crate) org_lines: String,
    /// Lines before `[[org]]`.
    pub(crate) lines: String,
    pub(crate) mode: &'static str,
    /// The value of the configuration key `policy`, in TOML.
    pub(crate) source: String,
    /// True if the test compares all calls with GitHub's description. Some tests make invalid calls
    /// on purpose.
    pub(crate) checked: bool,
}

impl World {
    pub(crate) async fn new(state: Value) -> Self {
        Self::with(state, Settings { record: true, ..Settings::default() }).await
    }

    /// Creates a world without GitHub's limits, because many tests make more calls than the limits
    /// allow.
    pub(crate) async fn unlimited(state: Value) -> Self {
        let most = 1_000_000_000;
        let limits = beadle_sim::Limits {
            core: most,
            graphql: most,
            rest_points: most,
            graphql_points: most,
            ..beadle_sim::Limits::default()
        };
        let mut world = Self::with(state, Settings { record: true, limits, ..Settings::default() }).await;
        world.org_lines = "[org.budget]\nrest_points = 1000000000\ngraphql_points = 1000000000\n".into();
        world
    }

    pub(crate) async fn with(state: Value, settings: Settings) -> Self {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), Settings { state: Some(state), ..settings })
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("policy/repos")).unwrap();
        std::fs::create_dir_all(folder.path().join("policy/suborgs")).unwrap();
        std::fs::write(folder.path().join("app.pem"), sim.app_pem()).unwrap();
        let secret = format!("{:032x}", rand::random::<u128>());
        std::fs::write(folder.path().join("webhook.secret"), &secret).unwrap();
        let ports = [(); 2].map(|()| beadle_emulate::free_port());
        Self {
            sim,
            folder,
            secret,
            ports,
            http: http_client(),
            org_lines: String::new(),
            lines: String::new(),
            mode: "enforce",
            source: "\"policy\"".into(),
            checked: true,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn policy(&self, file: &str, text: &str) -> &Self {
        std::fs::write(self.path().join("policy").join(file), text).unwrap();
        self
    }

    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path().join("beadle.toml");
        // Most tests are not about the time between bulk writes.
        let quick = "write_every = \"0s\"\n";
        let org_lines = if self.org_lines.contains("write_every") {
            self.org_lines.clone()
        } else if self.org_lines.contains("[org.budget]\n") {
            self.org_lines.replace("[org.budget]\n", &format!("[org.budget]\n{quick}"))
        } else {
            format!("{}\n[org.budget]\n{quick}", self.org_lines)
        };
        // Most tests are not about the gate, and many tests change the policy of every repository.
        let org_lines = if self.org_lines.contains("[org.gate]") {
            org_lines
        } else {
            format!("{org_lines}\n{WIDE_GATE}")
        };
        let [listen, operator] = self.ports;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n{}\n\
             [[org]]\nname = \"acme\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
             webhook_secrets = [\"file:webhook.secret\"]\npolicy = {}\nmode = \"{}\"\n{}\n",
            self.lines,
            self.sim.url(),
            beadle_sim::APP_ID,
            self.source,
            self.mode,
            org_lines
        );
        replace_file(&path, &text);
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        // The simulator shows a write immediately, so Beadle does not need to wait. Most tests are
        // not about the gate of the first policy.
        command.env("FAILPOINTS", "settle=return;first-generation=return");
        command
    }

    /// Runs the binary. In the meantime, the simulator continues to answer.
    pub(crate) async fn beadle(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(), args).await
    }

    /// Starts `serve` and waits until it accepts deliveries.
    pub(crate) async fn serve(&self) -> Serving {
        self.spawn(&[]).ready(self.ports[1]).await
    }

    /// Starts `serve` without waiting.
    pub(crate) fn spawn(&self, env: &[(&str, &str)]) -> Serving {
        let mut command = self.command();
        command.envs(env.iter().copied());
        Serving::start(command, self.path())
    }

    /// Returns the port of the operator listener.
    pub(crate) fn operator(&self) -> u16 {
        self.ports[1]
    }

    pub(crate) fn hook_url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/github", self.ports[0])
    }

    /// Sends the webhooks of the simulator to the service.
    pub(crate) fn connect(&self) {
        self.sim.send_webhooks_to(Hook {
            url: self.hook_url(),
            secret: self.secret.clone(),
            organisation: false,
        });
    }

    /// Creates a store without due keys.
    pub(crate) async fn make_store(&self) {
        std::fs::File::create(self.path().join("beadle.db")).unwrap();
        self.beadle(&["pause", "--org", "acme", "--for", "1m"]).await.expect(0);
        self.beadle(&["resume", "--org", "acme"]).await.expect(0);
    }

    /// Returns a signed delivery. A test can change this delivery and send it.
    pub(crate) fn delivery(&self, id: &str, event: &str, body: &[u8]) -> reqwest::RequestBuilder {
        self.delivery_to(self.ports[0], id, event, body)
    }

    /// Returns a signed delivery to the service at a port.
    pub(crate) fn delivery_to(
        &self,
        port: u16,
        id: &str,
        event: &str,
        body: &[u8],
    ) -> reqwest::RequestBuilder {
        self.http
            .post(format!("http://127.0.0.1:{port}/hooks/github"))
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", id)
            .header("x-hub-signature-256", signature(&self.secret, body))
            .body(body.to_vec())
    }

    /// Changes the state of repositories directly with a merge patch.
    pub(crate) async fn patch(&self, repositories: Value, webhooks: bool) {
        let url = format!("{}/_sim/state?webhooks={webhooks}", self.sim.url());
        let patch = json!({ "orgs": { "acme": { "repos": repositories } } });
        let answer = self.http.patch(url).body(patch.to_string()).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let url = format!("{}/_sim/faults", self.sim.url());
        let answer = self.http.post(url).body(fault.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Waits until a fault with `hold` delays a call. `no_faults` lets the call continue.
    pub(crate) async fn until_held(&self) {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if self.sim.is_holding() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no call is held");
    }

    pub(crate) async fn no_faults(&self) {
        self.http.delete(format!("{}/_sim/faults", self.sim.url())).send().await.unwrap();
    }

    pub(crate) fn repository(&self, name: &str) -> Value {
        self.sim.look(|state| state["orgs"]["acme"]["repos"][name].clone())
    }

    /// Returns the calls that wrote something.
    pub(crate) fn writes(&self) -> Vec<Value> {
        self.sim.calls_that(|call| call["writes"] == Value::Bool(true))
    }

    /// Waits until the service has no work left: no webhook is in transit, no key is due, and no
    /// key is running. A key counts as due if it is paused or waits for another attempt.
    pub(crate) async fn until_idle(&self) {
        let calls = || (!self.sim.is_sending()).then(|| self.sim.call_count());
        until_idle(&self.http, self.ports[1], self.path(), calls).await;
    }

    /// Waits until a sweep of the service has ended.
    pub(crate) async fn until_swept(&self, serving: &Serving) {
        serving.until_swept("acme", self.ports[1]).await;
    }

    /// Makes the service read the policy now. Without this request, the service reads the policy
    /// only every ten seconds.
    pub(crate) async fn read_policy(&self) {
        self.run_task("policy%20of%20acme").await;
    }

    /// Makes the service run a background task now. `name` is encoded for an address.
    pub(crate) async fn run_task(&self, name: &str) {
        let url = format!("http://127.0.0.1:{}/tasks/{name}/run", self.ports[1]);
        assert!(self.http.post(url).send().await.unwrap().status().is_success());
    }

    /// Waits until the service has looked for missed webhooks.
    pub(crate) async fn until_looked_for_missed_webhooks(&self) {
        let task = format!("missed webhooks of App {}", beadle_sim::APP_ID);
        let url = format!("http://127.0.0.1:{}/tasks", self.ports[1]);
        let mut tasks = Value::Null;
        for _ in 0..PATIENCE.as_millis() / 20 {
            tasks = self.http.get(&url).send().await.unwrap().text().await.unwrap().parse().unwrap();
            let ran = |one: &Value| one["name"] == task && one["runs"].as_u64() > Some(0);
            if tasks.as_array().unwrap().iter().any(ran) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{task} did not run: {tasks:#}");
    }

    /// Waits until the simulator has sent every webhook, and has an answer or a failure for each of
    /// them.
    pub(crate) async fn until_sent(&self) {
        for _ in 0..2 * PATIENCE.as_millis() / 20 {
            if !self.sim.is_sending() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a webhook has no answer");
    }

    /// Waits until a repository meets a condition.
    pub(crate) async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
        let attempts = PATIENCE.as_millis() / 20;
        for _ in 0..attempts {
            if holds(&self.repository(name)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default();
        panic!("{name}: {what} did not come true: {:#}\n{log}", self.repository(name));
    }
}

/// Waits until a service has no work left. `calls` returns the number of the service's calls to
/// vendors. `calls` returns `None` while a vendor sends a webhook.
pub(crate) async fn until_idle(
    http: &reqwest::Client,
    operator: u16,
    folder: &Path,
    calls: impl Fn() -> Option<usize>,
) {
    let url = format!("http://127.0.0.1:{operator}/metrics");
    let (mut metrics, mut quiet) = (String::new(), 0);
    for _ in 0..2 * PATIENCE.as_millis() / 20 {
        let before = calls();
        metrics = http.get(&url).send().await.unwrap().text().await.unwrap();
        // The test looks at the webhooks and then at the keys. If a run took place in between, the
        // number of calls has changed.
        let is_quiet = before.is_some() && before == calls() && has_no_work(&metrics);
        quiet = if is_quiet { quiet + 1 } else { 0 };
        // The service must have no work at two successive looks, because the metrics first count
        // the due keys and then the running keys.
        if quiet == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = std::fs::read_to_string(folder.join("serve.log")).unwrap_or_default();
    panic!("the service has work left:\n{metrics}\n{log}");
}

/// Returns whether metrics show that no key is due or running.
pub(crate) fn has_no_work(metrics: &str) -> bool {
    let names = ["beadle_keys_due", "beadle_keys_leased"];
    let mut keys = metrics.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).peekable();
    keys.peek().is_some() && keys.all(|line| line.ends_with(" 0"))
}

impl Drop for World {
    fn drop(&mut self) {
        if self.checked && !std::thread::panicking() {
            super::contracts::check(&self.sim.calls());
        }
    }
}

/// A running `beadle serve`. When the value is dropped, the service is killed.
pub(crate) struct Serving {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Serving {
    /// Starts `serve` without waiting. The log of the service is in the folder.
    pub(crate) fn start(mut command: Command, folder: &Path) -> Self {
        let path = folder.join("serve.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().unwrap(), log: path }
    }

    /// Waits until the service accepts deliveries.
    pub(crate) async fn ready(self, operator: u16) -> Self {
        let url = format!("http://127.0.0.1:{operator}/readyz");
        let http = http_client();
        for _ in 0..1600 {
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the service did not start:\n{}", self.log());
    }

    /// Waits for the log line of an ended sweep. The service looks for ended sweeps only every 10
    /// s. So the test itself starts the task that looks for them.
    pub(crate) async fn until_swept(&self, of: &str, operator: u16) {
        let http = http_client();
        let url = format!("http://127.0.0.1:{operator}/tasks/sweep%20summary%20of%20{of}/run");
        for _ in 0..4 * PATIENCE.as_millis() / 50 {
            if self.log().contains("sweep ended") {
                return;
            }
            assert!(http.post(&url).send().await.unwrap().status().is_success());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no sweep has ended:\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills the service with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the service with SIGTERM, and returns the exit code.
    pub(crate) async fn stop(mut self) -> Option<i32> {
        signal("TERM", self.child.id());
        self.until_ended().await.code()
    }

    /// Waits until the service has ended.
    pub(crate) async fn until_ended(&mut self) -> ExitStatus {
        for _ in 0..4000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service did not stop:\n{}", self.log());
    }

    /// Waits until the log contains a text.
    pub(crate) async fn until_logged(&self, text: &str) {
        for _ in 0..4 * PATIENCE.as_millis() / 50 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the log has no `{text}`:\n{}", self.log());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill(); // the process may have ended by itself
        let _ = self.child.wait();
    }
}

/// Replaces a file in one atomic step. So a command never reads only a part of the text.
pub(crate) fn replace_file(path: &Path, text: &str) {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    // Some tests run the program as another user.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).unwrap();
    file.persist(path).unwrap();
}

/// Returns an organisation with teams, people and Apps, and these repositories.
#[expect(clippy::needless_pass_by_value, reason = "it is written in place, every time")]
pub(crate) fn acme(repositories: Value) -> Value {
    json!({
        "orgs": { "acme": {
            "members": ["ann", "bob", "cyd"],
            "teams": { "platform": {}, "engineering": {}, "security": {}, "contractors": {} },
            "repos": repositories,
        } },
        "users": { "octocat": {}, "ann": {}, "bob": {}, "cyd": {}, "dan": {}, "eve": {} },
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID }, "ci": { "id": 15368 }, "deployer": { "id": 777 } },
    })
}
