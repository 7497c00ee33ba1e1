//! Makes random values that fit the description of a policy's files.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use crate::policy::described::{Key, Shape, Status};

pub(super) const USERS: &[&str] = &["ann", "bob", "Cara-X", "dan_acme", "erin"];
pub(super) const TEAMS: &[&str] = &["platform", "child", "core_team-2", "security", "outsiders"];
pub(super) const APPS: &[(&str, u64)] = &[("ci", 15_368), ("deployer", 777)];
pub(super) const BRANCHES: &[&str] = &["main", "develop", "release/1.0", "früh"];
pub(super) const PROPERTIES: &[&str] = &["tier", "Team", "cost-centre_2", "level$"];
pub(super) const TOPICS: &[&str] = &["rust", "c-plus-plus", "3d", "infra", "legacy", "team-a"];
/// Names of live labels. These names cannot be part of an API path.
pub(super) const UNREACHABLE: &[&str] = &["..", "."];
const PATTERNS: &[&str] = &["default", "release/*", "*-lts", "feature/[0-9]*"];
const LABELS: &[&str] = &[
    "bug",
    "Wontfix",
    "area/ui",
    "späte Änderung",
    "good first issue",
    "..x",
    "p0 🔥",
    "a%2Fb",
    "c++",
    "what?",
];
const PREFIXES: &[&str] = &["APO-", "TICKET-", "x/", "JIRA:", "g#"];
const KEYS: &[&str] = &[
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIb",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgR",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY",
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI+/=",
];
const URLS: &[&str] = &[
    "https://ci.example.com/hook",
    "https://ci.example.com/hook?x=1",
    "https://CI.example.com/hook",
    "http://a.example.com/b/../c",
];
const NAMES: &[&str] = &["main", "Main", "tags / v*", "späte Regel", "no force", "ci / build (ubuntu)"];
const ENVIRONMENTS: &[&str] = &["prod", "prod/eu", "Staging"];
const VARIABLES: &[&str] = &["REGION", "Debug_Level", "_x2"];
const ROLES: &[&str] = &["pull", "triage", "push", "maintain", "admin"];
const SENTENCES: &[&str] =
    &["", "What it is.", "Zwei Sätze. And ünïcode", "a \"quoted\" word: yes", "no # comment"];
const COLORS: &[&str] = &["cc0000", "00FF00", "12e456", "000000", "#abcdef"];

/// A source of random numbers. The same seed gives the same numbers.
pub(super) struct Dice(StdRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Returns `true` with the given probability in percent.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100_u32) < percent
    }

    /// Returns a random number from zero to `bound - 1`. `bound` must not be zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    pub(super) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Returns a random selection of values, in their original order. For each value, `percent` is
    /// the probability of its selection.
    pub(super) fn some<T: Clone>(&mut self, of: &[T], percent: u32) -> Vec<T> {
        of.iter().filter(|_| self.chance(percent)).cloned().collect()
    }

    /// Returns the name. Sometimes, the function changes the case of the name's letters.
    pub(super) fn cased(&mut self, name: &str) -> String {
        match self.below(12) {
            0 => name.to_uppercase(),
            1 => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    fn name(&mut self, of: &[&str]) -> String {
        let name = self.one(of);
        self.cased(name)
    }

    /// Returns a block that sets at least one of the keys. Approximately half of the values come
    /// from `live`.
    pub(super) fn block(&mut self, keys: &[Key], percent: u32, live: &Value) -> Map<String, Value> {
        let carried: Vec<&Key> = keys.iter().filter(|key| key.status == Status::Carried).collect();
        let mut chosen = self.some(&carried, percent);
        if chosen.is_empty() && !carried.is_empty() {
            chosen.push(self.one(&carried));
        }
        chosen
            .iter()
            .map(|key| (key.name.to_owned(), self.value(key.name, &key.shape, &live[key.name])))
            .collect()
    }

    /// Returns a random value for a key with this shape.
    pub(super) fn value(&mut self, name: &str, shape: &Shape, live: &Value) -> Value {
        let is_whole =
            !matches!(shape, Shape::Map(_) | Shape::OrNull(_) | Shape::Either(..) | Shape::Named(_));
        if is_whole && !live.is_null() && self.chance(50) {
            return live.clone();
        }
        match shape {
            Shape::Bool => json!(self.chance(50)),
            Shape::Int(least, most) | Shape::Count(least, most) => self.number(name, *least, *most),
            Shape::Text => json!(self.text(name)),
            Shape::Form(form) => json!(self.form(name, form.what)),
            Shape::OneOf(texts) => json!(self.one(texts)),
            Shape::List(item) => self.list(name, item),
            Shape::Layered(list, _) => self.value(name, list, &Value::Null),
            Shape::Named(item) => self.value(name, item, live),
            Shape::Map(keys) => Value::Object(self.block(keys, 45, live)),
            Shape::OrNull(_) if self.chance(12) => Value::Null,
            Shape::OrNull(inner) => self.value(name, inner, live),
            Shape::Either(one, other) => {
                let shape = if self.chance(50) { one } else { other };
                self.value(name, shape, live)
            }
            Shape::Color => json!(self.one(COLORS)),
            Shape::Regex => json!(self.one(&["^wip", "x$", "[A-Z]+"])),
            Shape::Scalar => {
                self.one(&[json!("gold"), json!("Silver"), json!("lead"), json!(true), json!(3)])
            }
            Shape::Free | Shape::Any => json!({}),
        }
    }

    /// Returns a list of several different values.
    fn list(&mut self, name: &str, item: &Shape) -> Value {
        let mut items: Vec<Value> = Vec::new();
        for _ in 0..self.below(4) {
            let item = self.value(name, item, &Value::Null);
            if !items.iter().any(|other| id(other) == id(&item)) {
                items.push(item);
            }
        }
        Value::Array(items)
    }

    fn number(&mut self, name: &str, least: i64, most: i64) -> Value {
        match name {
            "app_id" | "integration_id" => match self.below(4) {
                0 if least < 0 => json!(-1),
                0 => Value::Null,
                _ => json!(self.one(APPS).1),
            },
            "repository_id" => json!(self.one(&[101, 102])),
            _ => {
                // GitHub does not accept zero for this parameter.
                let least = if name.starts_with("max_file") { 1 } else { least };
                json!(self.0.random_range(least..=most.min(least.saturating_add(30))))
            }
        }
    }

    fn text(&mut self, name: &str) -> String {
        let of: &[&str] = match name {
            "events" => &["push", "pull_request", "issues", "release", "team_add"],
            "patterns_allowed" => &["acme/*", "actions/checkout@*", "monalisa/octocat@v2"],
            "languages" => &["go", "python", "ruby", "swift", "actions"],
            "include" | "exclude" => &["shop", "*", "Sho*", "nothing-*"],
            "path" => &[".github/workflows/ci.yml", ".github/workflows/Ci.yml"],
            "ref" => &["main", "refs/heads/main"],
            "sha" => &["1111111111111111111111111111111111111111"],
            "restricted_file_paths" => &["secrets/**", "ü/x"],
            "restricted_file_extensions" => &["*.exe", "*.Jar"],
            _ => &["x", "Y z", "ß"],
        };
        self.one(of).to_owned()
    }

    fn form(&mut self, name: &str, what: &str) -> String {
        match what {
            "a topic" => self.name(TOPICS),
            "a label's name" => self.name(LABELS),
            "a description" => self.one(SENTENCES).to_owned(),
            "an address" if name == "url_template" => {
                self.one(&["https://t.example.com/<num>", "https://T.example.com/a?b=<num>&c=ü"]).to_owned()
            }
            "an address" if name == "homepage" => {
                self.one(&["", "https://example.com", "example.com/ü"]).to_owned()
            }
            "an address" => self.one(URLS).to_owned(),
            "a public key" => self.one(KEYS).to_owned(),
            "a date" => self.one(&["2027-01-31", "2027-02-01"]).to_owned(),
            "a name" if name == "title" => self.one(&["v1", "v2", "Später", "1.0 / beta"]).to_owned(),
            "a claim" => self.one(&["repo", "context", "job_workflow_ref", "environment"]).to_owned(),
            "a prefix" => self.one(PREFIXES).to_owned(),
            "a slug" if name == "apps" => self.one(APPS).0.to_owned(),
            "a slug" if self.chance(4) => "ghost-team".to_owned(),
            "a slug" => self.name(TEAMS),
            "a login" if self.chance(4) => "ghost-user".to_owned(),
            "a login" => self.name(USERS),
            "a branch" if self.chance(4) => "ghost-branch".to_owned(),
            "a branch" => self.one(BRANCHES).to_owned(),
            "a branch or a pattern" if self.chance(50) => self.one(BRANCHES).to_owned(),
            "a branch or a pattern" | "a pattern of branches or tags" => self.one(PATTERNS).to_owned(),
            "a repository's name" => "renamed".to_owned(),
            "a repository to fork" => "acme/base".to_owned(),
            "a template repository" | "a former repository name" => "base".to_owned(),
            "a property's name" if self.chance(4) => "ghost-property".to_owned(),
            "a property's name" => self.name(PROPERTIES),
            "an environment's name" => self.one(ENVIRONMENTS).to_owned(),
            "a variable's name" | "a secret's name" => self.name(VARIABLES),
            "a name" if name == "permission" && self.chance(4) => "auditor".to_owned(),
            "a name" if name == "permission" => self.one(ROLES).to_owned(),
            "a name" => self.one(NAMES).to_owned(),
            other => panic!("there are no random values for {other} yet (`{name}`)"),
        }
    }
}

/// Returns the fields that identify a list's entry.
fn id(item: &Value) -> String {
    let keys = ["context", "tool", "path", "app_id", "integration_id"];
    let parts: Vec<String> = keys.iter().map(|key| item[*key].to_string()).collect();
    if item.is_object() { parts.join(" ") } else { item.to_string().to_lowercase() }
}
