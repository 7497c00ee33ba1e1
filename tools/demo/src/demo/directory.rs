//! The second act: a simulated Okta, a simulated AWS IAM Identity Center, and what happens to people between them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::Clock;
use beadle_sim::Fault;
use beadle_sim::okta::{self, Hook, OktaSim};
use beadle_sim::scim::{self, ScimSim};
use serde_json::{Map, Value, json};

use super::acts::seconds;
use super::service::{self, Ports, Service};
use super::{Proof, beadle, beadle_quietly, said, title};
use beadle::output::Printer;

/// What does not happen in this time does not happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long is looked at what must not happen.
const CALM: Duration = Duration::from_secs(2);
const PEOPLE: [&str; 12] =
    ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "lea"];

fn id(name: &str) -> String {
    format!("00u{name}")
}

/// `members` of a group of the directory.
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
    let folder = tempfile::tempdir().context("no temporary folder")?;
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
        "The other half: a simulated Okta with 12 people, and a simulated AWS IAM Identity Center",
    );
    said(
        printer,
        "Groups whose names begin with `AWS_` are to be groups of AWS, without that, with the same people:",
    );
    let plan = beadle(folder.path(), printer, &["plan"]).await?;
    if plan != Some(2) {
        bail!("`beadle plan` ended with {plan:?}, and 2 (changes are pending) was expected");
    }
    let mut stage = Stage { okta, aws, proof };
    beadle_quietly(folder.path(), &["apply", "--yes"]).await?;
    stage.holds("Developers", &PEOPLE[..9], "`beadle apply` made the groups, each with its people").await;

    title(printer, "`beadle serve` runs, and Okta tells it what happens to people");
    let mut service = Service::start(folder.path(), ports).await?;
    let headers = [("authorization".to_owned(), secret)].into();
    let hook = Hook { url: service.hook("okta"), headers, ..Hook::default() };
    stage.okta.send_events_to(Some(hook.clone()));
    let verified = stage.okta.verify().await;
    stage.proof.show(verified, "Okta's one-time verification of the address is answered", "it is not");
    let result = stage.people(hook, folder.path()).await;
    service.stop().await;
    result
}

impl Stage<'_, '_> {
    async fn people(&mut self, hook: Hook, folder: &Path) -> anyhow::Result<()> {
        let printer = self.proof.printer;
        said(printer, "kim joins the developers");
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": of(&["kim"]) } } }));
        self.holds("Developers", &[&PEOPLE[..9], &["kim"]].concat(), "kim has the access").await;

        said(
            printer,
            "hal moves to the data group; the two events come in the wrong order, and each comes twice",
        );
        self.okta.send_events_to(Some(Hook { held: true, repeats: 1, ..hook.clone() }));
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": { id("hal"): null } } } }));
        self.okta.patch(&json!({ "groups": { "00gdata": { "members": of(&["hal"]) } } }));
        self.okta.deliver(Some(vec![1, 0]));
        self.holds("Data", &["hal", "ida", "jon"], "hal is among the data people").await;
        let developers = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "ida", "kim"];
        self.holds("Developers", &developers, "and no longer among the developers").await;
        self.okta.send_events_to(Some(hook));

        said(printer, "ida is deactivated; Okta leaves her in her groups, and says nothing of them");
        self.okta.patch(&json!({ "users": { id("ida"): { "status": "DEPROVISIONED" } } }));
        self.holds("Data", &["hal", "jon"], "her access is gone from one group").await;
        let developers = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", "kim"];
        self.holds("Developers", &developers, "and from the other").await;

        said(printer, "the group AWS_Data is renamed to AWS_Analytics");
        let before = self.group("Data").map(|(id, _)| id);
        self.okta.patch(&json!({ "groups": { "00gdata": { "profile": { "name": "AWS_Analytics" } } } }));
        self.holds("Analytics", &["hal", "jon"], "it is renamed in place").await;
        let after = self.group("Analytics").map(|(id, _)| id);
        self.proof.show(
            before == after,
            "it is the same group, so what it is allowed to do stays",
            "it is another",
        );

        said(printer, "fay leaves the developers, and Okta's list of them comes back short");
        self.okta.fault(Fault { path: "/00gdev/users".into(), short: true, ..Fault::default() });
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": { id("fay"): null } } } }));
        tokio::time::sleep(CALM).await;
        let queue = beadle_quietly(folder, &["queue"]).await?;
        self.proof.show(queue.contains("came back short"), "it is said, and tried again", &queue);
        self.holds("Developers", &developers, "nobody is removed on a doubt").await;
        self.okta.no_faults();
        let developers = ["ann", "bob", "cyd", "dan", "eve", "gus", "kim"];
        self.holds("Developers", &developers, "read whole again, fay is out, and nobody else").await;

        said(printer, "somebody empties the group of the developers by mistake");
        let nobody: Map<String, Value> = PEOPLE.iter().map(|name| (id(name), Value::Null)).collect();
        self.okta.patch(&json!({ "groups": { "00gdev": { "members": nobody } } }));
        tokio::time::sleep(CALM).await;
        let held = beadle_quietly(folder, &["holds"]).await?;
        self.proof.show(
            held.contains("the source is empty"),
            "the guard holds it until somebody approves",
            &held,
        );
        self.holds("Developers", &developers, "everybody still has the access").await;
        Ok(())
    }

    /// A group of the target: its id, and who is in it.
    fn group(&self, name: &str) -> Option<(String, BTreeSet<String>)> {
        let state = self.aws.state();
        let groups = state["groups"].as_object()?;
        let group = groups.values().find(|group| group["displayName"] == name)?;
        let members = group["members"].as_object()?.keys();
        let name = |id: &String| id.trim_start_matches("account-").to_owned();
        Some((group["id"].as_str()?.to_owned(), members.map(name).collect()))
    }

    /// Waits until a group of the target holds exactly these people.
    async fn holds(&mut self, name: &str, people: &[&str], what: &str) {
        let wanted: BTreeSet<String> = people.iter().map(|&name| name.to_owned()).collect();
        let clock = Clock::system();
        let started = clock.now();
        let mut found = None;
        while clock.now() < started + PATIENCE {
            found = self.group(name).map(|(_, members)| members);
            if found.as_ref() == Some(&wanted) {
                let what = format!("{what}, {} after", seconds(started, clock.now()));
                return self.proof.show(true, &what, "");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.proof.show(false, what, &format!("{name} holds {found:?}"));
    }
}
