//! The second half of the demo: a simulated Okta declares which groups a simulated AWS IAM Identity
//! Center must have.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle::output::Printer;
use beadle_engine::Clock;
use beadle_sim::Fault;
use beadle_sim::okta::{self, Hook, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use serde_json::{Map, Value, json};

use super::acts::seconds;
use super::narration::{Proof, beadle, beadle_quietly, narrate, title};
use super::service::{self, Ports, Service};

/// The maximum time that the demo waits until a group has changed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the demo waits before it checks that a group has not changed.
const CALM: Duration = Duration::from_secs(2);
const PEOPLE: [&str; 12] =
    ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "lea"];

fn id(name: &str) -> String {
    format!("00u{name}")
}

/// Returns the `members` of a group in the form that the state of the simulated Okta uses.
fn of(names: &[&str]) -> Value {
    names.iter().map(|name| (id(name), json!(true))).collect::<Map<_, _>>().into()
}

struct Stage<'a, 'p> {
    okta: OktaSim,
    aws: ScimSim,
    proof: &'a mut Proof<'p>,
}

fn states() -> (Value, Value) {
    let (mut users, mut accounts) = (json!({}), json!({}));
    for name in PEOPLE {
        let login = format!("{name}@acme.example");
        users[id(name)] = json!({ "profile": { "login": login, "firstName": name, "lastName": "Example" } });
        accounts[format!("account-{name}")] = json!({
            "userName": login, "externalId": id(name), "displayName": name,
            "name": { "givenName": name, "familyName": "Example" },
        });
    }
    let groups = json!({
        "00gadmins": { "profile": { "name": "AWS_Admins" }, "members": of(&["ann", "bob"]) },
        "00gdev": { "profile": { "name": "AWS_Developers" }, "members": of(&PEOPLE[..9]) },
        "00gdata": { "profile": { "name": "AWS_Data" }, "members": of(&["ida", "jon"]) },
        "00gall": { "profile": { "name": "Everyone" }, "members": of(&PEOPLE) },
    });
    (json!({ "users": users, "groups": groups }), json!({ "users": accounts }))
}

fn write_files(
    folder: &Path,
    okta: &OktaSim,
    aws: &ScimSim,
    secret: &str,
    ports: Ports,
) -> anyhow::Result<()> {
    for (name, text) in [("okta.pem", okta.app_pem()), ("aws.token", &aws.token()), ("hook.secret", secret)] {
        std::fs::write(folder.join(name), text)?;
    }
    let [listen, operator] = ports;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:{listen}\"\noperator = \"127.0.0.1:{operator}\"\n\n\
         [[okta]]\nname = \"corp\"\nurl = \"{}\"\napp = {{ client_id = \"beadle\", key = \"file:okta.pem\" }}\n\
         hook_secrets = [\"file:hook.secret\"]\n\n\
         [[target]]\nname = \"aws\"\n\
         scim = {{ url = \"{}\", token = \"file:aws.token\", dialect = \"aws-identity-center\" }}\n\n\
         [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_*\"]\nstrip_prefix = \"AWS_\"\n\
         mode = \"enforce\"\non_missing_group = \"create\"\n",
        okta.url(),
        aws.url(),
    );
    Ok(std::fs::write(folder.join("beadle.toml"), text)?)
}

pub(super) async fn act(printer: &Printer, proof: &mut Proof<'_>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let any = ([127, 0, 0, 1], 0).into();
    let (directory, target) = states();
    let okta =
        OktaSim::start(any, okta::Settings { state: Some(directory), ..okta::Settings::default() }).await?;
    let aws =
        ScimSim::start(any, scim::Settings { state: Some(target), ..scim::Settings::default() }).await?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let ports = service::free_ports()?;
    write_files(folder.path(), &okta, &aws, &secret, ports)?;

    title(
        printer,
        "5. Groups: a simulated Okta with 12 people declares the groups of a simulated AWS Identity Center",
    );
    narrate(
        printer,
        "The mapping makes each Okta group `AWS_NAME` the AWS group `NAME`, with the same members.",
    );
    printer.line("");
    let plan = beadle(folder.path(), printer, &["plan"]).await?;
    if plan != Some(2) {
        bail!("`beadle plan` must exit with 2 (changes are pending), found {plan:?}");
    }
    let mut stage = Stage { okta, aws, proof };
    beadle_quietly(folder.path(), &["apply", "--yes"]).await?;
    stage.holds("Developers", &PEOPLE[..9], "`beadle apply` created the groups with their members").await;

    title(printer, "6. Serve: people join, move and leave, and Okta sends an event for each change");
    let mut service = Service::start(folder.path(), ports).await?;
    let headers = [("authorization".to_owned(), secret)].into();
    let hook = Hook { url: service.hook("okta"), headers, ..Hook::default() };
    stage.okta.send_events_to(Some(hook.clone()));
    let verified = stage.okta.verify().await;
    stage.proof.show(
        verified,
        "Beadle answers Okta's verification of the webhook address",
        "no valid answer",
    );
    let result = stage.people(hook, folder.path()).await;
    service.stop().await;
    result
}

impl Stage<'_, '_> {
    async fn people(&mut self, hook: Hook, folder: &Path) -> anyhow::Result<()> {
        let printer = self.proof.printer;
        narrate(printer, "Kim joins the group of developers.");
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": of(&["kim"]) } } }));
        self.holds(
            "Developers",
            &[&PEOPLE[..9], &["kim"]].concat(),
            "Kim is a member of the AWS group Developers",
        )
        .await;

        narrate(
            printer,
            "Hal moves from Developers to Data. The events arrive in the wrong order, each of them twice.",
        );
        self.okta.send_events_to(Some(Hook { held: true, repeats: 1, ..hook.clone() }));
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": { id("hal"): null } } } }));
        self.okta.patch(&json!({ "groups": { "00gdata": { "members": of(&["hal"]) } } }));
        self.okta.deliver(Some(vec![1, 0]));
        self.holds("Data", &["hal", "ida", "jon"], "Hal is a member of Data").await;
        let developers = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "ida", "kim"];
        self.holds("Developers", &developers, "Hal is no longer a member of Developers").await;
        self.okta.send_events_to(Some(hook));

        narrate(printer, "Ida is deactivated. Okta keeps her in her groups and sends no event for them.");
        self.okta.patch(&json!({ "users": { id("ida"): { "status": "DEPROVISIONED" } } }));
        self.holds("Data", &["hal", "jon"], "Ida is no longer a member of Data").await;
        let developers = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "kim"];
        self.holds("Developers", &developers, "Ida is no longer a member of Developers").await;

        narrate(printer, "The group AWS_Data is renamed to AWS_Analytics.");
        let before = self.group("Data").map(|(id, _)| id);
        self.okta.patch(&json!({ "groups": { "00gdata": { "profile": { "name": "AWS_Analytics" } } } }));
        self.holds("Analytics", &["hal", "jon"], "the AWS group is called Analytics").await;
        let after = self.group("Analytics").map(|(id, _)| id);
        self.proof.show(
            before == after,
            "Beadle renamed the group in place, so its permissions stay",
            "the group has a new id",
        );

        narrate(printer, "Fay leaves the developers, but Okta answers with an incomplete list of members.");
        self.okta.fault(Fault { path: "/00gdev/users".into(), short: true, ..Fault::default() });
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": { id("fay"): null } } } }));
        tokio::time::sleep(CALM).await;
        let queue = beadle_quietly(folder, &["queue", "--json"]).await?;
        let is_retried = values(&queue).any(|row| row["last_error"].is_string());
        self.proof.show(is_retried, "Beadle reports the incomplete list and retries", &queue);
        self.holds("Developers", &developers, "Beadle removes nobody because of an incomplete list").await;
        self.okta.no_faults();
        let developers = ["ann", "bob", "cyd", "dan", "eve", "gus", "kim"];
        self.holds("Developers", &developers, "with a complete list, Beadle removes Fay and nobody else")
            .await;

        narrate(printer, "Somebody removes all members of AWS_Developers by mistake.");
        let nobody: Map<String, Value> = PEOPLE.iter().map(|name| (id(name), Value::Null)).collect();
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": nobody } } }));
        tokio::time::sleep(CALM).await;
        let held = beadle_quietly(folder, &["holds", "--json"]).await?;
        let why = values(&held).find_map(|hold| hold["why"].as_str().map(str::to_owned));
        let what = format!(
            "the guard holds the removals until you approve them ({})",
            why.as_deref().unwrap_or("-")
        );
        self.proof.show(why.is_some(), &what, &held);
        self.holds("Developers", &developers, "the members of Developers keep their access").await;
        Ok(())
    }

    /// Returns the id and the members of a group in the simulated AWS, or `None` if the group does
    /// not exist.
    fn group(&self, name: &str) -> Option<(String, BTreeSet<String>)> {
        let state = self.aws.state();
        let groups = state["groups"].as_object()?;
        let group = groups.values().find(|group| group["displayName"] == name)?;
        let members = group["members"].as_object()?.keys();
        let name = |id: &String| id.trim_start_matches("account-").to_owned();
        Some((group["id"].as_str()?.to_owned(), members.map(name).collect()))
    }

    /// Waits until a group in the simulated AWS has exactly these members, and prints the result.
    async fn holds(&mut self, name: &str, people: &[&str], what: &str) {
        let wanted: BTreeSet<String> = people.iter().map(|&name| name.to_owned()).collect();
        let clock = Clock::system();
        let started = clock.now();
        let mut found = None;
        while clock.now() < started + PATIENCE {
            found = self.group(name).map(|(_, members)| members);
            if found.as_ref() == Some(&wanted) {
                let what = format!("{what}, {} later", seconds(started, clock.now()));
                return self.proof.show(true, &what, "");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.proof.show(false, what, &format!("the members of {name} are {found:?}"));
    }
}

/// Parses an output that has one JSON object in each line.
fn values(output: &str) -> impl Iterator<Item = Value> {
    output.lines().filter_map(|line| serde_json::from_str(line).ok())
}
