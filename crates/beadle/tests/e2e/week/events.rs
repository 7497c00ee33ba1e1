//! Makes the events of the simulated week. A random seed determines the events. Most events change
//! no value that the policy declares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::kinds::{Kind, Live, Subject};
use super::setup::{LAYER_FILE, Week, group, layer, name, person, staying};

/// The events that make no key due. Each event has an action.
const OTHERS: &[(&str, &str)] = &[
    ("issues", "opened"),
    ("star", "created"),
    ("watch", "started"),
    ("workflow_run", "completed"),
    ("fork", "created"),
];
/// The kinds of drift that a webhook reports.
const DRIFTS: &[Kind] = &[Kind::Team, Kind::Protection, Kind::Topics, Kind::Visibility];
/// The usual payload size of a push.
const PAYLOAD: usize = 6_000;

/// An unrepaired difference between a subject and the policy.
#[derive(Debug)]
struct Pending {
    kind: Kind,
    subject: Subject,
    made: Instant,
}

/// Makes the events of the simulated week.
pub(super) struct Events {
    random: StdRng,
    /// The number of events of each kind on the present day.
    counts: BTreeMap<Kind, usize>,
    pending: Vec<Pending>,
    /// For each kind, the times between the answer to the webhook and the repair.
    pub(super) after_webhook: BTreeMap<Kind, Vec<Duration>>,
    /// For changes whose webhook got no answer, the times between the change and the repair.
    pub(super) without_webhook: BTreeMap<Kind, Vec<Duration>>,
    /// The people of each group.
    pub(super) memberships: Vec<BTreeSet<usize>>,
    /// The names of the repositories that somebody created.
    pub(super) created: Vec<String>,
    has_projects: bool,
    /// The number of the next event.
    nth: u64,
    /// The deliveries in transit to the service.
    sends: JoinSet<()>,
}

impl Events {
    /// Creates the state before the first event. The service has to create the groups of the
    /// target.
    pub(super) fn new(week: &Week) -> Self {
        let memberships = (0..week.size.groups).map(|n| staying(n, &week.size).collect()).collect();
        // The target has no group yet.
        let made = Instant::now();
        let missing = |n| Pending { kind: Kind::Membership, subject: Subject::Group(n), made };
        Self {
            random: StdRng::seed_from_u64(week.size.seed),
            counts: BTreeMap::new(),
            pending: (0..week.size.groups).map(missing).collect(),
            after_webhook: BTreeMap::new(),
            without_webhook: BTreeMap::new(),
            memberships,
            created: Vec::new(),
            has_projects: true,
            nth: 0,
            sends: JoinSet::new(),
        }
    }

    /// Returns a random moment of a day.
    pub(super) fn moment(&mut self, day: Duration) -> Duration {
        day.mul_f64(self.random.random_range(0.1..0.9))
    }

    /// Deletes the recorded times of all repairs.
    pub(super) fn forget_times(&mut self) {
        self.after_webhook.clear();
        self.without_webhook.clear();
    }

    /// Returns how many events of each kind happened since the last call.
    pub(super) fn take_counts(&mut self) -> BTreeMap<Kind, usize> {
        std::mem::take(&mut self.counts)
    }

    fn count(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
        self.nth += 1;
    }

    /// Lets one random event happen.
    pub(super) async fn happen(&mut self, week: &Week) {
        match self.random.random_range(0..100_u32) {
            0..45 => self.deliver(week, Kind::Push),
            45..68 => self.deliver(week, Kind::Other),
            68..80 => {
                let kind = DRIFTS[self.random.random_range(0..DRIFTS.len())];
                self.drift(week, kind).await;
            }
            80..83 => self.drift(week, Kind::Silent).await,
            83..86 => self.drift(week, Kind::Collaborator).await,
            86..87 => self.create(week).await,
            _ => self.change_members(week),
        }
        // The results of finished tasks need memory until the test reads them.
        while let Some(sent) = self.sends.try_join_next() {
            sent.unwrap();
        }
    }

    /// Sends the webhook for an event. The event changes nothing in the state of the simulator.
    fn deliver(&mut self, week: &Week, kind: Kind) {
        let repository = name(self.random.random_range(0..week.size.repositories));
        let (event, action) = if kind == Kind::Push {
            ("push", None)
        } else {
            let (event, action) = OTHERS[self.random.random_range(0..OTHERS.len())];
            (event, Some(action))
        };
        let id = week.world.sim.look(|state| state["orgs"]["acme"]["repos"][&repository]["id"].as_u64());
        let id = id.unwrap();
        let mut body = json!({
            "organization": { "login": "acme" }, "sender": { "login": "ann" }, "padding": "x".repeat(PAYLOAD),
            "repository": { "id": id, "node_id": format!("R_kgDO{id:08}"), "name": repository,
                            "default_branch": "main", "owner": { "login": "acme" } },
        });
        match action {
            Some(action) => body["action"] = json!(action),
            None => body["ref"] = json!("refs/heads/feature"),
        }
        self.count(kind);
        let (traffic, id) = (week.traffic.clone(), format!("week-{}", self.nth));
        self.sends.spawn(async move { traffic.deliver(&id, event, &body).await });
    }

    /// Lets a random repository drift.
    async fn drift(&mut self, week: &Week, kind: Kind) {
        // If a repository drifted again before its repair, the test could not measure the repair
        // time of the second drift.
        let random = &mut self.random;
        let picks =
            (0..10).map(|_| Subject::Repository(name(random.random_range(0..week.size.repositories))));
        let picks: Vec<Subject> = picks.collect();
        let Some(subject) = picks.into_iter().find(|subject| !self.is_pending(subject)) else { return };
        self.change(week, kind, subject).await;
    }

    async fn create(&mut self, week: &Week) {
        let name = format!("new-{:05}", self.created.len());
        self.created.push(name.clone());
        self.change(week, Kind::Created, Subject::Repository(name)).await;
    }

    async fn change(&mut self, week: &Week, kind: Kind, subject: Subject) {
        let patch = kind.drift(self.nth);
        self.expect(week, kind, &subject);
        week.world.patch(json!({ subject.told(): patch }), true).await;
        // The policy does not declare collaborators, so the service repairs nothing.
        if kind != Kind::Collaborator {
            self.pending.push(Pending { kind, subject, made: Instant::now() });
        }
    }

    /// Lets a random person join or leave a random group.
    fn change_members(&mut self, week: &Week) {
        let n = self.random.random_range(0..week.size.groups);
        let somebody = self.random.random_range(0..week.size.people());
        let subject = Subject::Group(n);
        if self.is_pending(&subject) || staying(n, &week.size).any(|other| other == somebody) {
            return;
        }
        let members = &mut self.memberships[n];
        let joins = members.insert(somebody);
        if !joins {
            members.remove(&somebody);
        }
        let member = if joins { json!(true) } else { Value::Null };
        self.expect(week, Kind::Membership, &subject);
        let members = json!({ "members": { person(somebody): member } });
        week.okta.patch(&json!({ "groups": { group(n): members } }));
        self.pending.push(Pending { kind: Kind::Membership, subject, made: Instant::now() });
    }

    /// Commits a change of the policy.
    pub(super) async fn commit(&mut self, week: &Week) {
        let subject = Subject::Layer(!self.has_projects);
        if self.pending.iter().any(|pending| pending.kind == Kind::Policy) {
            return;
        }
        self.has_projects = !self.has_projects;
        self.expect(week, Kind::Policy, &subject);
        let files = json!({ LAYER_FILE: layer(self.has_projects) });
        let commit = json!({ "author": "ann", "message": "Change the layer" });
        week.world.patch(json!({ "admin": { "contents": files, "commit": commit } }), true).await;
        self.pending.push(Pending { kind: Kind::Policy, subject, made: Instant::now() });
    }

    fn is_pending(&self, subject: &Subject) -> bool {
        self.pending.iter().any(|pending| pending.subject == *subject)
    }

    /// Counts an event, and forgets the answers to earlier webhooks about its subject.
    fn expect(&mut self, week: &Week, kind: Kind, subject: &Subject) {
        self.count(kind);
        week.traffic.forget_answer(&subject.told());
    }

    /// Reads the state of the simulators, and records the time of each repair.
    pub(super) fn watch(&mut self, week: &Week) {
        let Self { pending, memberships, after_webhook, without_webhook, .. } = self;
        if pending.is_empty() {
            return;
        }
        let memberships: &[BTreeSet<usize>] = memberships;
        let met: Vec<bool> = week.world.sim.look(|github| {
            week.target.look(|target| {
                let live = Live::of(github, target);
                let is_met = |one: &Pending| one.subject.is_declared(&live, memberships);
                pending.iter().map(is_met).collect()
            })
        });
        let now = Instant::now();
        let mut met = met.into_iter();
        pending.retain(|one| {
            if met.next() != Some(true) {
                return true;
            }
            let answered = week.traffic.answered(&one.subject.told());
            let (times, since) = match answered {
                Some(answered) => (&mut *after_webhook, answered),
                None => (&mut *without_webhook, one.made),
            };
            times.entry(one.kind).or_default().push(now.saturating_duration_since(since));
            false
        });
    }

    /// Waits until each delivery has an answer.
    pub(super) async fn until_sent(&mut self) {
        while let Some(sent) = self.sends.join_next().await {
            sent.unwrap();
        }
    }

    /// Returns whether the service has repaired everything.
    pub(super) fn is_repaired(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns a text about the differences that the service has not repaired.
    pub(super) fn unrepaired(&self) -> String {
        format!("{:#?}", self.pending)
    }

    /// Returns the state that the layer of the policy declares.
    pub(super) fn layer(&self) -> Subject {
        Subject::Layer(self.has_projects)
    }
}
