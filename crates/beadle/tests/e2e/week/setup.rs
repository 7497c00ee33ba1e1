//! Defines the size of the simulated week, and makes the simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::{Hook, Limits, Settings, okta, scim};
use serde_json::{Value, json};

use crate::directory::world::{accounts, of, people};
use crate::repair::{POLICY, declared};
use crate::world::{Serving, WIDE_GATE, World, acme};

use super::traffic::Traffic;

/// The number of repositories in the layer of the policy. The names of these repositories begin
/// with `r0000`.
pub(super) const LAYER: usize = 10;
/// The number of people who never leave a group.
pub(super) const STAYING: usize = 4;
/// The retention in the configuration, for the keys `ids` and `journal`. This is the shortest valid
/// value.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3600);
/// The shortest retention of a test. A process deletes old rows when it starts. But the check at
/// the end of a short day still needs these rows.
const SHORTEST: Duration = Duration::from_secs(15);
const MOST: u64 = 1_000_000_000;

/// The size of a week.
#[derive(Clone, Debug)]
pub(super) struct Size {
    pub(super) seed: u64,
    pub(super) repositories: usize,
    pub(super) groups: usize,
    pub(super) days: usize,
    /// The length of a day, without the checks at its end.
    pub(super) day: Duration,
    /// The number of events in a second.
    pub(super) rate: u32,
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

impl Size {
    /// Reads the size from the environment variables.
    pub(super) fn asked() -> Self {
        let seconds: Option<u32> = number("STORM_SECONDS");
        let (repositories, groups, days) = if seconds.is_some() { (10_000, 2_000, 7) } else { (60, 10, 3) };
        let days = number("WEEK_DAYS").unwrap_or(days).max(3);
        let whole = Duration::from_secs(seconds.unwrap_or(15).into());
        Self {
            seed: number("STORM_FROM").unwrap_or(0),
            repositories: number("WEEK_REPOSITORIES").unwrap_or(repositories).max(2 * LAYER),
            groups: number("WEEK_GROUPS").unwrap_or(groups).max(1),
            days,
            day: whole / u32::try_from(days).unwrap(),
            rate: number("WEEK_RATE").unwrap_or(10),
        }
    }

    /// Returns the number of people in the directory.
    pub(super) fn people(&self) -> usize {
        2 * self.groups + 20
    }

    /// Returns the number of days with kills. These days are at the beginning of the week.
    pub(super) fn days_with_kills(&self) -> usize {
        self.days / 2
    }

    /// Returns the divisor of the retention in the configuration. With this divisor, the service
    /// keeps the deliveries of two days.
    fn divisor(&self) -> u32 {
        let kept = (2 * self.day).max(SHORTEST);
        u32::try_from(KEPT.as_secs() / kept.as_secs().max(1)).unwrap()
    }

    /// Returns how long the service keeps the ids of deliveries and the journal.
    pub(super) fn kept(&self) -> Duration {
        KEPT / self.divisor()
    }

    /// Returns how long the service keeps the bodies of deliveries.
    pub(super) fn bodies_kept(&self) -> Duration {
        KEPT / 2 / self.divisor()
    }

    /// Returns the maximum time until the service has no work left. The time is long, because a
    /// sweep reads everything.
    pub(super) fn patience(&self) -> Duration {
        let all = u32::try_from(self.repositories + self.groups).unwrap();
        Duration::from_secs(120) + Duration::from_millis(100) * all
    }
}

/// Returns the name of a repository.
pub(super) fn name(n: usize) -> String {
    format!("r{n:05}")
}

/// Returns the id of a group in the directory.
pub(super) fn group(n: usize) -> String {
    format!("00g{n:05}")
}

/// Returns the name of a group at the target.
pub(super) fn target_group(n: usize) -> String {
    format!("G{n:05}")
}

/// Returns the id of a person's account at the target.
pub(super) fn account(n: usize) -> String {
    format!("a{n:05}")
}

/// Returns the id of a person in the directory.
pub(super) fn person(n: usize) -> String {
    format!("00u{n:05}")
}

/// Returns the people who are always in a group.
pub(super) fn staying(group: usize, size: &Size) -> impl Iterator<Item = usize> {
    let all = size.people();
    (0..STAYING).map(move |n| (2 * group + n) % all)
}

/// Returns the policy file that a commit changes.
pub(super) fn layer(has_projects: bool) -> String {
    format!("suborgrepos: ['r0000*']\nrepository:\n  has_projects: {has_projects}\n")
}

/// The path of [`layer`] in the repository of the policy.
pub(super) const LAYER_FILE: &str = ".github/suborgs/few.yml";

/// The simulators, and the configuration of the service.
pub(super) struct Week {
    pub(super) world: World,
    pub(super) okta: OktaSim,
    pub(super) target: ScimSim,
    pub(super) traffic: Arc<Traffic>,
    pub(super) size: Size,
    failpoints: String,
}

impl Week {
    /// Starts the simulators. All repositories are as declared, and the target has no group yet.
    pub(super) async fn start(size: Size) -> Self {
        let limits = Limits {
            minute: Duration::from_secs(1),
            core: MOST,
            graphql: MOST,
            rest_points: MOST,
            graphql_points: MOST,
            ..Limits::default()
        };
        let settings = Settings { limits, ..Settings::default() };
        let mut world = World::with(acme(repositories(&size)), settings).await;
        world.checked = false; // other tests make the same calls; their bodies would fill the memory
        let any = ([127, 0, 0, 1], 0).into();
        let directory = json!({ "users": people(size.people()), "groups": groups(&size) });
        let directory = okta::Settings { state: Some(directory), limit: MOST, ..okta::Settings::default() };
        let okta = OktaSim::start(any, directory).await.unwrap();
        let accounts = json!({ "users": accounts(size.people()) });
        let accounts = scim::Settings { state: Some(accounts), ..scim::Settings::default() };
        let target = ScimSim::start(any, accounts).await.unwrap();
        let secret = format!("{:032x}", rand::random::<u128>());
        let write = |name: &str, text: &str| std::fs::write(world.path().join(name), text).unwrap();
        write("okta.token", &okta.token());
        write("aws.token", &target.token());
        write("hook.secret", &secret);
        configure(&mut world, &size, [okta.url().as_str(), target.url().as_str()]);
        let traffic = Traffic::start(&world, size.seed).await;
        let url = traffic.url("/hooks/github");
        world.sim.send_webhooks_to(Hook { url, secret: world.secret.clone(), organisation: false });
        let headers = BTreeMap::from([("authorization".to_owned(), secret)]);
        let hook = okta::Hook { url: traffic.url("/hooks/okta"), headers, ..okta::Hook::default() };
        okta.send_events_to(Some(hook));
        let failpoints =
            format!("settle=return;first-generation=return;retention=return({})", size.divisor());
        Self { world, okta, target, traffic, size, failpoints }
    }

    /// Starts the service, and waits until it accepts deliveries.
    pub(super) async fn serve(&self) -> Serving {
        let failpoints = [("FAILPOINTS", self.failpoints.as_str())];
        self.world.spawn(&failpoints).ready(self.world.operator()).await
    }
}

/// Writes the configuration of the service. The periods fit into short days, and a busy week does
/// not reach the limits.
fn configure(world: &mut World, size: &Size, [okta, target]: [&str; 2]) {
    // A sweep of a large organisation takes a part of the sweep period.
    let sweep = (size.day.as_millis() / 2).max(1000);
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world.lines = "[worker]\nlease = \"5s\"\n\
                   [retention]\nbodies = \"4d\"\nids = \"8d\"\njournal = \"8d\"\n\
                   [recovery]\nevery = \"1s\"\n"
        .into();
    world.org_lines = format!(
        "sweep_every = \"{sweep}ms\"\nreread = \"{}ms\"\n\
         [org.budget]\nminute = \"1s\"\nwrite_every = \"0s\"\nrest_points = {MOST}\ngraphql_points = {MOST}\n\
         [org.guard]\nwindow = \"60s\"\nrepeats = 0\npercent = 100\nremoves = 1000000\nweakens = 1000000\n\
         exposes = 1000000\n{WIDE_GATE}\
         [[okta]]\nname = \"corp\"\nurl = \"{okta}\"\ntoken = \"file:okta.token\"\n\
         hook_secrets = [\"file:hook.secret\"]\nsweep_every = \"{sweep}ms\"\nlog_every = \"1s\"\n\
         changes_every = \"2s\"\n\
         [[target]]\nname = \"aws\"\n\
         scim = {{ url = \"{target}\", token = \"file:aws.token\", dialect = \"aws-identity-center\" }}\n\
         budget = {{ points = {MOST}, write_every = \"0s\" }}\n\
         guard = {{ window = \"60s\", removes = 1000000, repeats = 0 }}\n\
         group_guard = {{ percent = 100, count = 1000 }}\n\
         [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"AWS_*\"]\nstrip_prefix = \"AWS_\"\n\
         mode = \"enforce\"\non_missing_group = \"create\"\n",
        2 * sweep,
    );
}

fn repositories(size: &Size) -> Value {
    let files = json!({ ".github/settings.yml": POLICY, LAYER_FILE: layer(true) });
    let mut all = json!({ "admin": { "branches": { "main": {} }, "contents": files } });
    for n in 0..size.repositories {
        all[name(n)] = declared();
    }
    all
}

fn groups(size: &Size) -> Value {
    let mut all = json!({});
    for n in 0..size.groups {
        let profile = json!({ "name": format!("AWS_{}", target_group(n)) });
        all[group(n)] = json!({ "profile": profile, "members": of(staying(n, size)) });
    }
    all
}
