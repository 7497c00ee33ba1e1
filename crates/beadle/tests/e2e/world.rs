//! A simulated GitHub, a folder with configuration and policy, and the real binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use beadle_sim::{Hook, Settings, Sim, signature};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The maximum wait of a test.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Whether the calls of the test are checked. Some tests make invalid calls on purpose.
    pub(crate) checked: bool,
}

/// The result of a run of the binary.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Runs a command to its end, while the simulations continue to answer.
    pub(crate) async fn of(mut command: Command, args: &[&str]) -> Self {
        command.args(args);
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

impl World {
    pub(crate) async fn new(state: Value) -> Self {
        Self::with(state, Settings { record: true, ..Settings::default() }).await
    }

    /// Settings without GitHub's limits, because many tests make more calls than the limits allow.
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
        let listeners: Vec<_> = (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = [0, 1].map(|n: usize| listeners[n].local_addr().unwrap().port());
        Self {
            sim,
            folder,
            secret,
            ports,
            http: reqwest::Client::new(),
            org_lines: String::new(),
            lines: String::new(),
            mode: "enforce",
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
        // Few tests are about the distance between bulk writes.
        let quick = "write_every = \"0s\"\n";
        let org_lines = if self.org_lines.contains("write_every") {
            self.org_lines.clone()
        } else if self.org_lines.contains("[org.budget]\n") {
            self.org_lines.replace("[org.budget]\n", &format!("[org.budget]\n{quick}"))
        } else {
            format!("{}\n[org.budget]\n{quick}", self.org_lines)
        };
        let [listen, operator] = self.ports;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n{}\n\
             [[org]]\nname = \"acme\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
             webhook_secrets = [\"file:webhook.secret\"]\npolicy = \"policy\"\nmode = \"{}\"\n{}\n",
            self.lines,
            self.sim.url(),
            beadle_sim::APP_ID,
            self.mode,
            org_lines
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Runs the binary, while the simulator continues to answer.
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
    #[cfg(feature = "aws")]
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
        self.beadle(&["pause", "--org", "acme", "--for", "1m"]).await.expect(0);
        self.beadle(&["resume", "--org", "acme"]).await.expect(0);
    }

    /// Returns a signed delivery, which a test can change and send.
    pub(crate) fn delivery(&self, id: &str, event: &str, body: &[u8]) -> reqwest::RequestBuilder {
        self.http
            .post(self.hook_url())
            .header("content-type", "application/json")
            .header("x-github-event", event)
            .header("x-github-delivery", id)
            .header("x-hub-signature-256", signature(&self.secret, body))
            .body(body.to_vec())
    }

    /// Changes the state of repositories directly, by a merge patch.
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

    pub(crate) async fn no_faults(&self) {
        self.http.delete(format!("{}/_sim/faults", self.sim.url())).send().await.unwrap();
    }

    pub(crate) fn repository(&self, name: &str) -> Value {
        self.sim.state()["orgs"]["acme"]["repos"][name].clone()
    }

    /// Returns the calls that wrote.
    pub(crate) fn writes(&self) -> Vec<Value> {
        self.sim.calls().into_iter().filter(|call| call["writes"] == Value::Bool(true)).collect()
    }

    /// Waits until this number of calls to paths with this end were answered, and a moment longer.
    pub(crate) async fn until_called(&self, ending: &str, times: usize) {
        for _ in 0..1000 {
            let calls = self.sim.calls();
            let is_one = |call: &&Value| call["path"].as_str().is_some_and(|path| path.ends_with(ending));
            if calls.iter().filter(is_one).count() >= times {
                tokio::time::sleep(Duration::from_millis(700)).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{ending} was not called {times} times");
    }

    /// Waits until a condition holds for a repository.
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

impl Drop for World {
    fn drop(&mut self) {
        if self.checked && !std::thread::panicking() {
            super::contracts::check(&self.sim.calls());
        }
    }
}

/// A running `beadle serve`. A drop kills it.
pub(crate) struct Serving {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Serving {
    /// Starts `serve` without waiting. Its log is in the folder.
    pub(crate) fn start(mut command: Command, folder: &Path) -> Self {
        let path = folder.join("serve.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        command.arg("serve").stderr(log).stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), log: path }
    }

    /// Waits until the service accepts deliveries.
    pub(crate) async fn ready(self, operator: u16) -> Self {
        let url = format!("http://127.0.0.1:{operator}/readyz");
        for _ in 0..400 {
            if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the service did not start:\n{}", self.log());
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
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the service did not stop:\n{}", self.log());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
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
