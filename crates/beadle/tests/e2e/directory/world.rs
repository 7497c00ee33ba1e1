//! A simulated directory, a simulated target, a folder with a configuration, and the real binary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use beadle_sim::{Sim, okta, scim};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Ran, Serving, http_client, until_idle};

/// The maximum time that a test waits.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) okta: okta::OktaSim,
    pub(crate) aws: scim::ScimSim,
    folder: TempDir,
    pub(crate) secret: String,
    pub(crate) key: String,
    ports: [u16; 2],
    pub(crate) http: reqwest::Client,
    /// Further lines of `[[okta]]`.
    pub(crate) okta_lines: String,
    /// Further lines of `[[target]]`.
    pub(crate) target_lines: String,
    /// The lines of `[[groups]]` after `source` and `target`.
    pub(crate) groups: String,
    /// The lines of the configuration file before all tables.
    pub(crate) lines: String,
    /// The first lines of the configuration file.
    pub(crate) first: String,
    /// The address of a target that replaces the simulated target.
    pub(crate) scim: Option<String>,
    /// The dialect of the target, and further configuration keys of the target.
    pub(crate) dialect: String,
    /// A simulated GitHub, if the target consists of teams.
    pub(crate) github: Option<Sim>,
    /// The configuration lines of a target that consists of teams, such as `match`.
    pub(crate) teams: String,
    /// Further lines of the organisation that the teams belong to.
    pub(crate) org_lines: String,
    /// The value of the organisation's configuration key `policy`, in TOML.
    pub(crate) source: String,
}

/// Returns people of a directory: `00u<n>`, with the login `p<n>@acme.example`.
pub(crate) fn people(count: usize) -> Value {
    let mut users = json!({});
    for n in 0..count {
        users[format!("00u{n:05}")] = json!({ "profile": { "login": login(n) } });
    }
    users
}

pub(crate) fn login(n: usize) -> String {
    format!("p{n}@acme.example")
}

/// Returns the accounts that the people of [`people`] have at a target.
pub(crate) fn accounts(count: usize) -> Value {
    let mut users = json!({});
    for n in 0..count {
        users[format!("a{n:05}")] = json!({
            "userName": login(n), "externalId": format!("00u{n:05}"), "displayName": login(n),
            "name": { "givenName": format!("p{n}"), "familyName": "Example" },
        });
    }
    users
}

/// Returns the value of `members` for a group of the directory.
pub(crate) fn of(members: impl IntoIterator<Item = usize>) -> Value {
    members.into_iter().map(|n| (format!("00u{n:05}"), json!(true))).collect::<serde_json::Map<_, _>>().into()
}

/// Returns the value of `members` for a group of the target.
pub(crate) fn held(members: impl IntoIterator<Item = usize>) -> Value {
    members.into_iter().map(|n| (format!("a{n:05}"), json!(true))).collect::<serde_json::Map<_, _>>().into()
}

/// Returns a directory with this number of people and these groups, and a target with the people.
pub(crate) fn state(count: usize, groups: &Value) -> [Value; 2] {
    [json!({ "users": people(count), "groups": groups }), json!({ "users": accounts(count) })]
}

impl World {
    pub(crate) async fn new(states: [Value; 2]) -> Self {
        let aws = scim::Settings { record: true, ..scim::Settings::default() };
        Self::with(
            states,
            okta::Settings { record: true, limit: 1_000_000, ..okta::Settings::default() },
            aws,
        )
        .await
    }

    pub(crate) async fn with(states: [Value; 2], okta: okta::Settings, aws: scim::Settings) -> Self {
        let [directory, target] = states;
        let any = ([127, 0, 0, 1], 0).into();
        let okta =
            okta::OktaSim::start(any, okta::Settings { state: Some(directory), ..okta }).await.unwrap();
        let aws = scim::ScimSim::start(any, scim::Settings { state: Some(target), ..aws }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let secret = format!("{:032x}", rand::random::<u128>());
        let key = format!("{:032x}", rand::random::<u128>());
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("okta.token", &okta.token());
        write("okta.pem", okta.app_pem());
        write("aws.token", &aws.token());
        write("hook.secret", &secret);
        write("hook.key", &key);
        let ports = [(); 2].map(|()| beadle_emulate::free_port());
        Self {
            okta,
            aws,
            folder,
            secret,
            key,
            ports,
            http: http_client(),
            okta_lines: String::new(),
            target_lines: String::new(),
            groups: "include = [\"AWS_*\"]\nstrip_prefix = \"AWS_\"\nmode = \"enforce\"\non_missing_group = \"create\"\n".into(),
            lines: String::new(),
            first: String::new(),
            scim: None,
            dialect: "\"aws-identity-center\"".into(),
            github: None,
            teams: "match = [\"saml\"]".into(),
            org_lines: String::new(),
            source: "\"policy\"".into(),
        }
    }

    /// Creates a directory. The target consists of teams of the organisation `acme`.
    pub(crate) async fn of_teams(directory: Value, acme: Value) -> Self {
        let mut world = Self::new([directory, json!({})]).await;
        let any = ([127, 0, 0, 1], 0).into();
        let users = acme["users"].clone();
        let state = json!({
            "orgs": { "acme": acme["org"] }, "users": users,
            "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
        });
        let settings = beadle_sim::Settings { record: true, state: Some(state), ..Default::default() };
        let github = Sim::start(any, settings).await.unwrap();
        let write = |name: &str, text: &str| std::fs::write(world.path().join(name), text).unwrap();
        write("app.pem", github.app_pem());
        write("webhook.secret", &world.secret);
        std::fs::create_dir(world.path().join("policy")).unwrap();
        write("policy/settings.yml", "repository:\n  has_wiki: true\n");
        world.github = Some(github);
        world
    }

    pub(crate) fn github(&self) -> &Sim {
        self.github.as_ref().unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the port of the operator listener.
    pub(crate) fn operator(&self) -> u16 {
        self.ports[1]
    }

    pub(crate) fn config(&self) -> PathBuf {
        let path = self.path().join("beadle.toml");
        let [listen, operator] = self.ports;
        let credential =
            if self.okta_lines.contains("app = ") { "" } else { "token = \"file:okta.token\"\n" };
        let target = match &self.github {
            None => format!(
                "[[target]]\nname = \"aws\"\n\
                 scim = {{ url = \"{}\", token = \"file:aws.token\", dialect = {} }}\n{}\n\
                 [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\n",
                self.scim.clone().unwrap_or_else(|| self.aws.url()),
                self.dialect,
                self.target_lines,
            ),
            Some(github) => format!(
                "[[org]]\nname = \"acme\"\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
                 webhook_secrets = [\"file:webhook.secret\"]\npolicy = {}\nmode = \"enforce\"\n\
                 budget = {{ write_every = \"0s\" }}\n{}\n\
                 [[target]]\nname = \"teams\"\ngithub = {{ org = \"acme\", {} }}\n{}\n\
                 [[groups]]\nsource = \"corp\"\ntarget = \"teams\"\n",
                github.url(),
                beadle_sim::APP_ID,
                self.source,
                self.org_lines,
                self.teams,
                self.target_lines,
            ),
        };
        let text = format!(
            "{}[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n{}\n\
             [[okta]]\nname = \"corp\"\nurl = \"{}\"\n{credential}\
             hook_secrets = [\"file:hook.secret\"]\nhook_key = {{ header = \"X-Api-Key\", secrets = [\"file:hook.key\"] }}\n{}\n\
             {target}{}\n",
            self.first,
            self.lines,
            self.okta.url(),
            self.okta_lines,
            self.groups,
        );
        crate::world::replace_file(&path, &text);
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        // These tests are not about the gate of the first policy, so they skip this gate.
        command.env("FAILPOINTS", "first-generation=return");
        command
    }

    /// Runs the binary. In the meantime, the simulations continue to answer.
    pub(crate) async fn beadle(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(), args).await
    }

    /// Creates an empty store.
    pub(crate) fn make_store(&self) {
        std::fs::File::create(self.path().join("beadle.db")).unwrap();
    }

    /// Starts `serve` and waits until it accepts deliveries.
    pub(crate) async fn serve(&self) -> Serving {
        Serving::start(self.command(), self.path()).ready(self.ports[1]).await
    }

    /// Waits until the service has no work left: no event is in transit, no key is due, and no key
    /// is running.
    pub(crate) async fn until_idle(&self) {
        let calls = || (!self.okta.is_sending()).then(|| self.okta.calls().len() + self.aws.calls().len());
        until_idle(&self.http, self.ports[1], self.path(), calls).await;
    }

    /// Waits until a sweep of the service has ended.
    pub(crate) async fn until_swept(&self, serving: &Serving) {
        serving.until_swept("corp", self.ports[1]).await;
    }

    /// Writes a file in the policy of the organisation with the teams.
    pub(crate) fn policy(&self, file: &str, text: &str) {
        std::fs::write(self.path().join("policy").join(file), text).unwrap();
    }

    /// Makes the service read the policy of the organisation now. A new policy in a folder comes
    /// into force after two reads.
    pub(crate) async fn read_policy(&self) {
        self.run_task("policy%20of%20acme").await;
        self.run_task("policy%20of%20acme").await;
    }

    /// Makes the service run a background task now. `name` is encoded for an address.
    pub(crate) async fn run_task(&self, name: &str) {
        let url = format!("http://127.0.0.1:{}/tasks/{name}/run", self.ports[1]);
        assert!(self.http.post(url).send().await.unwrap().status().is_success());
    }

    pub(crate) fn hook_url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/okta", self.ports[0])
    }

    /// Returns the headers that authenticate the sender.
    pub(crate) fn headers(&self) -> [(String, String); 2] {
        [("authorization".into(), self.secret.clone()), ("x-api-key".into(), self.key.clone())]
    }

    /// Sends the events of the directory to the service.
    pub(crate) fn connect(&self, hook: &okta::Hook) {
        let headers = self.headers().into_iter().collect();
        self.okta.send_events_to(Some(okta::Hook { url: self.hook_url(), headers, ..hook.clone() }));
    }

    /// Sends the events of the organisation to the service.
    pub(crate) fn connect_github(&self) {
        let url = format!("http://127.0.0.1:{}/hooks/github", self.ports[0]);
        let secret = self.secret.clone();
        self.github().send_webhooks_to(beadle_sim::Hook { url, secret, organisation: false });
    }

    /// Changes the state of the organisation directly.
    pub(crate) async fn patch_github(&self, acme: Value, webhooks: bool) {
        let url = format!("{}/_sim/state?webhooks={webhooks}", self.github().url());
        let patch = json!({ "orgs": { "acme": acme } });
        assert!(self.http.patch(url).body(patch.to_string()).send().await.unwrap().status().is_success());
    }

    /// Returns the members of a team with their roles. If the team does not exist, returns `None`.
    pub(crate) fn team(&self, slug: &str) -> Option<Value> {
        let state = self.github().state();
        Some(state["orgs"]["acme"]["teams"].get(slug)?["members"].clone())
    }

    /// Waits until a team has exactly these people with these roles.
    #[track_caller]
    pub(crate) fn until_team(&self, slug: &str, members: &Value) -> impl Future<Output = ()> {
        let (slug, members, place) = (slug.to_owned(), members.clone(), std::panic::Location::caller());
        async move {
            for _ in 0..PATIENCE.as_millis() / 20 {
                if self.team(&slug).as_ref() == Some(&members) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let log = std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default();
            panic!("{place}: {slug} holds {:?}, not {members}\n{log}", self.team(&slug));
        }
    }

    /// Returns the logins of the members of a target's group. If the group does not exist, returns
    /// `None`.
    pub(crate) fn members(&self, name: &str) -> Option<BTreeSet<String>> {
        let state = self.aws.state();
        let groups = state["groups"].as_object().unwrap();
        let group = groups.values().find(|group| group["displayName"] == name)?;
        let login = |id: &String| state["users"][id]["userName"].as_str().unwrap().to_owned();
        Some(group["members"].as_object().unwrap().keys().map(login).collect())
    }

    /// Waits until a group of the target has exactly these people. Returns whether the group got
    /// these people in time.
    pub(crate) async fn comes_to_hold(&self, name: &str, wanted: &BTreeSet<String>) -> bool {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if self.members(name).as_ref() == Some(wanted) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits until a group of the target has exactly these people.
    #[track_caller]
    pub(crate) fn until_holds(
        &self,
        name: &str,
        members: impl IntoIterator<Item = usize>,
    ) -> impl Future<Output = ()> {
        let wanted: BTreeSet<String> = members.into_iter().map(login).collect();
        let place = std::panic::Location::caller();
        async move {
            if self.comes_to_hold(name, &wanted).await {
                return;
            }
            let log = std::fs::read_to_string(self.path().join("serve.log")).unwrap_or_default();
            panic!("{place}: {name} holds {:?}, not {wanted:?}\n{log}", self.members(name));
        }
    }

    /// Returns the calls that wrote to the target.
    pub(crate) fn writes(&self) -> Vec<Value> {
        self.aws.calls().into_iter().filter(|call| call["method"] != "GET").collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let calls = self.okta.calls();
        let recorded = calls.iter().all(|call| call.get("answer").is_some());
        if recorded && !std::thread::panicking() {
            crate::contracts::okta::check(&calls);
            if let Some(github) = &self.github {
                crate::contracts::check(&github.calls());
            }
        }
    }
}
