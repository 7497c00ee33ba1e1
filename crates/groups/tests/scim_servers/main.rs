//! SCIM servers as their users report them: each behaviour is simulated, and nothing is harmed. In
//! simulated time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::{Budgets, Class, Clock, Failure, Time};
use beadle_groups::mapping::Role;
use beadle_groups::sources::Person;
use beadle_groups::targets::{
    Found, NewGroup, ScimReader, ScimWriter, StopNote, TargetAccount, TargetReader, TargetWriter,
};
use beadle_scim::{Api, Dialect, Finding, Members, Removal, probe_writes};
use beadle_sim::scim::{Quirk, ScimSim, Settings};
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

struct InProcess(Arc<ScimSim>);

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// Without a store, nothing is noted.
struct Unnoted;

#[async_trait::async_trait]
impl StopNote for Unnoted {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// Looks at the server at the moment of each note.
struct Noted {
    sim: Arc<ScimSim>,
    /// The number of members of `g1` at each note, and whether the note was put.
    notes: std::sync::Mutex<Vec<(usize, bool)>>,
}

impl Noted {
    fn note(&self, is_put: bool) {
        let members = self.sim.state()["groups"]["g1"]["members"].as_object().unwrap().len();
        self.notes.lock().unwrap().push((members, is_put));
    }
}

#[async_trait::async_trait]
impl StopNote for Noted {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        self.note(true);
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        self.note(false);
        Ok(())
    }
}

/// Notes of writes, as a store holds them, and what a plan wants.
#[derive(Default)]
struct Kept {
    writes: std::sync::Mutex<BTreeMap<String, String>>,
    /// Accounts that the plan does not want.
    unwanted: Vec<String>,
    /// Of them, accounts that it takes out, and about whom nobody is asked before.
    out: Vec<String>,
}

#[async_trait::async_trait]
impl StopNote for Kept {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn note_write(&self, group: &str, write: &str) -> Result<(), Failure> {
        self.writes.lock().unwrap().insert(group.to_owned(), write.to_owned());
        Ok(())
    }

    async fn unread_write(&self, group: &str) -> Result<Option<String>, Failure> {
        Ok(self.writes.lock().unwrap().get(group).cloned())
    }

    async fn forget_write(&self, group: &str) -> Result<(), Failure> {
        self.writes.lock().unwrap().remove(group);
        Ok(())
    }

    fn wants(&self, account: &str) -> bool {
        !self.unwanted.iter().any(|id| id == account)
    }

    fn takes_out(&self, account: &str) -> bool {
        self.out.iter().any(|id| id == account)
    }
}

/// A server, and both sides of it.
struct Stage {
    sim: Arc<ScimSim>,
    reader: ScimReader,
    writer: ScimWriter,
    scim: (beadle_scim::Reader, beadle_scim::Writer),
}

/// Twenty people, one group `g1` of all of them, and an empty one `g2`.
fn state() -> Value {
    let (mut users, mut members) = (json!({}), json!({}));
    for n in 0..20 {
        users[id(n)] = json!({
            "userName": format!("p{n}@acme.example"), "externalId": format!("00u{n}"), "displayName": format!("P{n}"),
            "name": { "givenName": "P", "familyName": "Example" },
        });
        members[id(n)] = json!(true);
    }
    json!({ "users": users, "groups": {
        "g1": { "displayName": "Ops", "externalId": "beadle:corp/00g1", "members": members },
        "g2": { "displayName": "Dev", "externalId": "beadle:corp/00g2" },
    } })
}

/// Ids are numbers, so that a server may show them as such.
fn id(n: usize) -> String {
    format!("{}", 100 + n)
}

fn person(n: usize) -> Person {
    Person {
        id: format!("00u{n}"),
        login: format!("p{n}@acme.example"),
        email: None,
        given: "P".into(),
        family: "Example".into(),
        display: format!("P{n}"),
        is_leaving: false,
        may_be_made: true,
        status: "ACTIVE".into(),
    }
}

async fn stage(dialect: Dialect, quirks: &[Quirk]) -> Stage {
    let settings =
        Settings { record: true, quirks: quirks.to_vec(), state: Some(state()), ..Settings::default() };
    let sim = Arc::new(ScimSim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap());
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let settings =
        beadle_transport::ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..Default::default() };
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let token = SecretString::from(sim.token());
    let api = Api::new(&sim.url(), &token, dialect, Budgets::new("scim", 0), &clock, settings).unwrap();
    let scim = (beadle_scim::Reader::new(api.clone()), beadle_scim::Writer::new(api));
    let reader = ScimReader::new(scim.0.clone());
    let writer = ScimWriter::new(scim.1.clone(), &reader);
    Stage { sim, reader, writer, scim }
}

/// A server that follows RFC 7644, but for these.
async fn generic(quirks: &[Quirk]) -> Stage {
    let mut all = vec![Quirk::Generic];
    all.extend_from_slice(quirks);
    stage(Dialect::RFC7644, &all).await
}

impl Stage {
    fn held(&self, group: &str) -> usize {
        self.sim.state()["groups"][group]["members"].as_object().unwrap().len()
    }

    async fn members(&self, group: &str) -> Vec<TargetAccount> {
        self.reader.members(group).await.unwrap().unwrap()
    }

    async fn remove(&self, group: &str, members: &[usize]) -> Result<(), Failure> {
        let ids: Vec<String> = members.iter().copied().map(id).collect();
        self.writer.remove(group, &ids, &Unnoted).await.map(drop)
    }

    async fn add(&self, group: &str, members: &[usize]) -> Result<(), Failure> {
        let ids: Vec<String> = members.iter().copied().map(id).collect();
        self.writer.add(group, &ids, Role::Member, &Unnoted).await.map(drop)
    }

    async fn find(&self, n: usize) -> Result<Found, Failure> {
        self.reader.find(None, &[person(n)]).await.pop().unwrap()
    }

    async fn finds(&self, n: usize) -> bool {
        matches!(self.find(n).await, Ok(Found::TargetAccount(account)) if account.id == id(n))
    }
}

#[tokio::test(start_paused = true)]
async fn whom_a_removal_took_out_beside_is_put_back_and_the_target_is_stopped() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    assert_eq!(stage.members("g1").await.len(), 20);
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(
        failure.text.contains("19 other members") && failure.text.contains("19 were put back"),
        "{failure}"
    );
    assert_eq!(failure.class, Class::Rejected);
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.sim.state()["groups"]["g1"]["members"].get(id(3)).is_none());
    let writes = |stage: &Stage| stage.sim.calls().iter().filter(|call| call["method"] != "GET").count();
    let before = writes(&stage);
    assert!(stage.add("g1", &[3]).await.unwrap_err().text.contains("the target is stopped"));
    assert!(stage.remove("g1", &[4]).await.is_err());
    assert_eq!(writes(&stage), before, "nothing more is written");
}

#[tokio::test(start_paused = true)]
async fn the_stop_is_noted_before_anybody_is_put_back() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    stage.members("g1").await;
    let noted = Noted { sim: stage.sim.clone(), notes: std::sync::Mutex::default() };
    let failure = stage.writer.remove("g1", &[id(3)], &noted).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
    assert_eq!(*noted.notes.lock().unwrap(), [(0, true)], "a kill after it leaves the target stopped");
    assert_eq!(stage.held("g1"), 19);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_read_back_too() {
    let patch = |fault: beadle_sim::Fault| beadle_sim::Fault {
        method: Some("PATCH".into()),
        count: Some(1),
        ..fault
    };
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    stage.members("g1").await;
    stage.sim.fault(patch(beadle_sim::Fault { reset: true, ..Default::default() }));
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.add("g2", &[3]).await.unwrap_err().text.contains("the target is stopped"));
    // Where nothing was done, or what was asked for, it is planned again.
    for lost in [
        beadle_sim::Fault { status: Some(500), ..Default::default() },
        beadle_sim::Fault { reset: true, ..Default::default() },
    ] {
        let stage = generic(&[]).await;
        stage.members("g1").await;
        stage.sim.fault(patch(lost));
        let failure = stage.remove("g1", &[3]).await.unwrap_err();
        assert_eq!(failure.class, Class::Retry, "{failure}");
        stage.remove("g1", &[4]).await.unwrap();
    }
}

/// Whether nobody can tell if a write that failed like this changed anything.
fn is_uncertain(failure: &Failure) -> bool {
    failure.is_partial || !failure.class.changed_nothing()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_made_is_not_refused_whatever_its_read_back_says() {
    for status in [403, 429] {
        let stage = stage(Dialect::AWS, &[]).await;
        stage.members("g1").await;
        let (path, status) = ("groups.value".into(), Some(status));
        stage.sim.fault(beadle_sim::Fault { path, status, count: Some(1), ..Default::default() });
        let failure = stage.remove("g1", &[3]).await.unwrap_err();
        assert!(failure.class.changed_nothing(), "the class is about the read-back: {failure}");
        assert!(is_uncertain(&failure), "the member is out: {failure}");
        assert_eq!(stage.held("g1"), 19);
    }
    // Somebody else removes one at the same moment.
    let first = generic(&[]).await;
    first.members("g1").await;
    first.sim.patch(&json!({ "groups": { "g1": { "members": { id(9): null } } } }));
    let failure = first.remove("g1", &[3]).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(is_uncertain(&failure), "{failure}");
    // The target took the others out, and they are put back.
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let second = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    second.members("g1").await;
    let failure = second.remove("g1", &[3]).await.unwrap_err();
    assert_eq!(failure.class, Class::Rejected, "{failure}");
    assert!(is_uncertain(&failure), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_write_in_halves_that_is_refused_in_the_middle_was_made_in_part() {
    let stage = generic(&[]).await;
    stage.members("g1").await;
    let patch = |status, contains| beadle_sim::Fault {
        method: Some("PATCH".into()),
        status: Some(status),
        contains,
        count: Some(1),
        ..Default::default()
    };
    stage.sim.fault(patch(400, id(3)));
    stage.sim.fault(patch(403, id(4)));
    let failure = stage.remove("g1", &[3, 4]).await.unwrap_err();
    assert_eq!((failure.class, is_uncertain(&failure)), (Class::Rejected, true), "{failure}");
    assert_eq!(stage.held("g1"), 19);
}

#[tokio::test(start_paused = true)]
async fn who_left_by_a_write_that_was_not_read_back_was_not_lost_by_the_next() {
    let (stage, kept) = (stage(Dialect::AWS, &[]).await, Kept::default());
    assert_eq!(stage.members("g1").await.len(), 20);
    // Reads are tried three times.
    let path = "groups.value".into();
    stage.sim.fault(beadle_sim::Fault { path, status: Some(500), count: Some(3), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(3), id(4)], &kept).await.unwrap_err();
    assert!(failure.text.contains("reading back the write"), "{failure}");
    assert!(!kept.writes.lock().unwrap().is_empty());
    stage.writer.remove("g1", &[id(5)], &kept).await.unwrap();
    assert_eq!(stage.held("g1"), 17);
    assert!(kept.writes.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_somebody_deleted_after_a_write_does_not_stop_the_target() {
    let (stage, kept) = (stage(Dialect::AWS, &[]).await, Kept::default());
    stage.members("g1").await;
    // The write is taken, and the read-back finds no group.
    stage.sim.patch(&json!({ "groups": { "g1": null } }));
    let (method, status) = (Some("PATCH".into()), Some(204));
    stage.sim.fault(beadle_sim::Fault { method, status, count: Some(1), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.text.contains("is gone"), "{failure}");
    assert!(stage.writer.stopped().is_none());
    assert!(kept.writes.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_could_read_back_is_read_back_before_the_next() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    let kept = Kept::default();
    stage.members("g1").await;
    // Reads are tried three times.
    let (method, path) = (Some("GET".into()), "/Groups/g1".into());
    let fault = beadle_sim::Fault { method, path, status: Some(500), count: Some(3), ..Default::default() };
    stage.sim.fault(fault);
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(failure.text.contains("reading back the write"), "{failure}");
    assert_eq!(stage.held("g1"), 0, "the server took everybody out");
    // Another process plans the others as additions.
    let reader = ScimReader::new(stage.scim.0.clone());
    let writer = ScimWriter::new(stage.scim.1.clone(), &reader);
    assert_eq!(reader.members("g1").await.unwrap().unwrap().len(), 0);
    let failure = writer.add("g1", &[id(0)], Role::Member, &kept).await.unwrap_err();
    assert!(failure.text.contains("19 other members"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(writer.stopped().is_some());
    assert!(kept.writes.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_of_long_ago_is_not_blamed_for_members_whom_somebody_else_removed() {
    let stage = generic(&[]).await;
    let kept = Kept::default();
    stage.members("g1").await;
    // Reads are tried three times.
    let (method, path) = (Some("GET".into()), "/Groups/g1".into());
    let fault = beadle_sim::Fault { method, path, status: Some(500), count: Some(3), ..Default::default() };
    stage.sim.fault(fault);
    stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(!kept.writes.lock().unwrap().is_empty());
    stage.scim.0.clock().sleep(std::time::Duration::from_secs(3600)).await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    stage.writer.remove("g1", &[id(4)], &kept).await.unwrap();
    assert_eq!(stage.held("g1"), 16);
    assert!(stage.writer.stopped().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_read_back_leaves_no_note() {
    let (stage, kept) = (generic(&[]).await, Kept::default());
    stage.members("g1").await;
    stage.writer.remove("g1", &[id(3)], &kept).await.unwrap();
    assert!(kept.writes.lock().unwrap().is_empty());
    // One that was refused has none, either.
    let (method, status) = (Some("PATCH".into()), Some(403));
    stage.sim.fault(beadle_sim::Fault { method, status, count: Some(1), ..Default::default() });
    let failure = stage.writer.remove("g1", &[id(4)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Rejected, "{failure}");
    assert!(!is_uncertain(&failure) && kept.writes.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whom_somebody_else_removed_before_the_write_is_not_put_back() {
    let stage = generic(&[]).await;
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    stage.scim.0.clock().sleep(std::time::Duration::from_secs(10)).await;
    stage.remove("g1", &[3]).await.unwrap();
    assert_eq!(stage.held("g1"), 17);
    assert!(stage.writer.stopped().is_none());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_put_back_whom_the_plan_takes_out_and_whoever_waits_for_an_approval_is() {
    let stage = generic(&[]).await;
    let kept = Kept { unwanted: vec![id(7), id(8)], out: vec![id(7), id(8)], ..Kept::default() };
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert_eq!(failure.class, Class::Conflict, "{failure}");
    assert!(failure.text.contains("2 members left the group g1"), "{failure}");
    assert_eq!(stage.held("g1"), 17);
    assert!(stage.writer.stopped().is_none());
    // Nobody approved that the same members leave: they stay, and the plan does not want them.
    let stage = generic(&[]).await;
    let kept = Kept { unwanted: vec![id(7), id(8)], ..Kept::default() };
    stage.members("g1").await;
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(7): null, id(8): null } } } }));
    let failure = stage.writer.remove("g1", &[id(3)], &kept).await.unwrap_err();
    assert!(failure.text.contains("2 were put back"), "{failure}");
    assert_eq!(stage.held("g1"), 19);
    assert!(stage.writer.stopped().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_group_is_read_before_it_is_written_to_without_a_plan() {
    let dialect = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::ArrayEmpties]).await;
    // A surprise at the part before made Beadle forget who was in it.
    let failure = stage.remove("g1", &[3]).await.unwrap_err();
    assert!(failure.text.contains("19 were put back"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_addition_that_replaces_is_put_back_and_stops_the_target() {
    let stage = generic(&[]).await;
    stage.remove("g1", &[0]).await.unwrap();
    stage.members("g1").await;
    stage.sim.behave(vec![Quirk::Generic, Quirk::AddReplaces]);
    let failure = stage.add("g1", &[0]).await.unwrap_err();
    assert!(failure.text.contains("19 other members"), "{failure}");
    assert_eq!(stage.held("g1"), 19, "those who were lost are back");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_answered_and_not_done_is_said_to_be_that() {
    let stage = generic(&[Quirk::WritesIgnored]).await;
    stage.members("g1").await;
    stage.members("g2").await;
    for failure in [stage.add("g2", &[0, 1]).await, stage.remove("g1", &[0]).await] {
        let failure = failure.unwrap_err();
        assert!(failure.text.contains("did not make the change"), "{failure}");
        assert_eq!(failure.class, Class::Retry);
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_never_show_members_or_only_some_are_told_apart() {
    let stage = generic(&[Quirk::ShowsMembers(0)]).await;
    stage.members("g2").await;
    let failure = stage.add("g2", &[0]).await.unwrap_err();
    assert!(failure.text.contains("may not show them"), "{failure}");
    let stage = generic(&[Quirk::ShowsMembers(10)]).await;
    assert_eq!(stage.members("g1").await.len(), 10);
    let failure = stage.add("g1", &[15]).await.unwrap_err();
    assert!(failure.text.contains("did not make the change"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_read_back_in_one_call_and_aws_too() {
    for (stage, group) in
        [(stage(Dialect::AWS, &[]).await, "groups.value"), (generic(&[]).await, "/Groups/g2")]
    {
        stage.members("g2").await;
        stage.sim.forget_calls();
        stage.add("g2", &[0, 1]).await.unwrap();
        let calls = stage.sim.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        let asked = format!("{}?{}", calls[1]["path"], calls[1]["query"]);
        assert!(calls[1]["method"] == "GET" && asked.contains(group), "{asked}");
        assert_eq!(stage.held("g2"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_short_for_once_is_no_surprise() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.members("g1").await;
    let path = "groups.value".into();
    stage.sim.fault(beadle_sim::Fault { path, short: true, count: Some(1), ..Default::default() });
    stage.remove("g1", &[0]).await.unwrap();
    assert_eq!(stage.held("g1"), 19);
    stage.add("g1", &[0]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lost_somebody_who_is_still_in_the_group_is_not_believed() {
    let stage = stage(Dialect::AWS, &[]).await;
    assert_eq!(stage.members("g1").await.len(), 20);
    let path = "groups.value".into();
    stage.sim.fault(beadle_sim::Fault { path, short: true, count: Some(1), ..Default::default() });
    let failure = stage.reader.members("g1").await.unwrap_err();
    assert!(failure.text.contains("came back short"), "{failure}");
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(3): null } } } }));
    assert_eq!(stage.members("g1").await.len(), 19, "whoever was removed by somebody else is gone");
}

#[tokio::test(start_paused = true)]
async fn a_member_whom_no_list_shows_is_looked_up_by_id() {
    let stage = generic(&[Quirk::Unlisted(id(7)), Quirk::Unlisted(id(8))]).await;
    let members = stage.members("g1").await;
    let seventh = members.iter().find(|account| account.id == id(7)).unwrap();
    assert_eq!((seventh.name.as_deref(), seventh.person.as_deref()), (Some("p7@acme.example"), Some("00u7")));
    // Whoever is nowhere is not taken for anybody; a group in the group is no member.
    stage.sim.patch(&json!({ "groups": { "g2": { "members": { "gone": true, "g1": true } } } }));
    let members = stage.members("g2").await;
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].id.as_str(), &members[0].name), ("gone", &None));
}

#[tokio::test(start_paused = true)]
async fn people_are_found_where_external_ids_cannot_be_asked_for() {
    for quirk in [Quirk::ExternalIdRefused, Quirk::ExternalIdFindsNobody, Quirk::FiltersIgnored] {
        let stage = generic(std::slice::from_ref(&quirk)).await;
        assert!(stage.finds(4).await, "{quirk:?}");
        // Somebody else's account of this name is another person, however it was found.
        stage.sim.patch(&json!({ "users": { id(5): { "externalId": "00u-other" } } }));
        assert!(matches!(stage.find(5).await, Ok(Found::Another(_))), "{quirk:?}");
        // And one who is called otherwise now is found by the list.
        stage.sim.patch(&json!({ "users": { id(6): { "userName": "new@acme.example" } } }));
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        assert!(stage.finds(6).await, "{quirk:?}");
        assert!(matches!(stage.find(99).await, Ok(Found::Missing(_))), "{quirk:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_goes_on_leaves_unknown_who_is_not_in_it() {
    let stage = generic(&[Quirk::RepeatsFirstPage, Quirk::FiltersIgnored]).await;
    let dialect = Dialect { page: 10, ..Dialect::RFC7644 };
    let small = self::stage(dialect, &[Quirk::Generic, Quirk::RepeatsFirstPage, Quirk::FiltersIgnored]).await;
    assert!(stage.finds(15).await, "one page has all of them");
    assert!(small.finds(5).await);
    assert!(small.find(15).await.unwrap_err().text.contains("unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_filters_shows_no_strangers_as_members() {
    let dialect = Dialect { members: Members::Users, ..Dialect::RFC7644 };
    let stage = stage(dialect, &[Quirk::Generic, Quirk::FiltersIgnored]).await;
    let failure = stage.reader.members("g2").await.unwrap_err();
    assert!(failure.text.contains("members = \"group\""), "{failure}");
    let probed = stage.scim.0.probe().await.unwrap();
    assert!(probed.contradicts(), "{probed:?}");
    // And the probe of the other way does not recommend this one.
    let stage = generic(&[Quirk::FiltersIgnored, Quirk::ShowsMembers(0)]).await;
    let probed = stage.scim.0.probe().await.unwrap();
    assert!(!probed.contradicts(), "{probed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_odd_record_is_left_out_and_the_rest_goes_on() {
    let odd = [Quirk::NullName("g2".into()), Quirk::ActiveWords, Quirk::NumericIds];
    let stage = generic(&odd).await;
    assert_eq!(stage.reader.look().await.unwrap(), 1);
    assert_eq!(stage.members("g1").await.len(), 20);
    assert!(stage.finds(4).await);
    let findings = stage.scim.0.probe().await.unwrap().findings;
    let named = |finding: &Finding| matches!(finding, Finding::Unknown(text) if text.contains("group g2"));
    assert!(findings.iter().any(named), "{findings:?}");
    // A member that cannot be told apart makes one group unknown, and no other.
    let stage = generic(&[Quirk::NoValue("g2".into())]).await;
    assert_eq!(stage.reader.look().await.unwrap(), 2);
    assert!(stage.reader.members("g2").await.unwrap_err().text.contains("Dev"));
    assert_eq!(stage.members("g1").await.len(), 20);
    let stage = generic(&[Quirk::RowsTwice]).await;
    assert_eq!(stage.reader.look().await.unwrap(), 2);
    assert!(stage.finds(0).await);
}

#[tokio::test(start_paused = true)]
async fn smaller_pages_are_tried_where_a_count_is_refused() {
    let stage = generic(&[Quirk::CountAbove(20)]).await;
    assert_eq!(stage.reader.look().await.unwrap(), 2);
    let findings = stage.scim.0.probe().await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.to_string().contains("set page = 20")), "{findings:?}");
    let refused = stage.sim.calls().iter().filter(|call| call["status"] == 422).count();
    assert_eq!(refused, 2, "100 and 50 are tried once");
}

#[tokio::test(start_paused = true)]
async fn lists_without_a_right_count_are_read_to_their_end() {
    for quirk in [Quirk::TotalOfPage, Quirk::NoTotal] {
        let dialect = Dialect { page: 6, ..Dialect::RFC7644 };
        let stage = stage(dialect, &[Quirk::Generic, quirk.clone()]).await;
        let listed = stage.scim.0.users().await.unwrap();
        assert_eq!((listed.rows.len(), listed.short), (20, None), "{quirk:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_filter_takes_is_found_in_the_list() {
    let stage = generic(&[Quirk::QuotesRefused]).await;
    stage.sim.patch(&json!({ "groups": { "g2": { "displayName": "The \"Dev\"" } } }));
    let found = stage.reader.group_named("the \"dev\"").await.unwrap().unwrap();
    assert_eq!(found.id, "g2");
    assert_eq!(stage.reader.group_named("no \"such\"").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn the_name_that_a_server_makes_of_ours_is_told() {
    let stage = generic(&[Quirk::Prefix("PRIMARY/".into())]).await;
    assert_eq!(
        stage.writer.rename("g2", "Developers", &BTreeMap::new()).await.unwrap().as_deref(),
        Some("PRIMARY/Developers")
    );
    let new = NewGroup { name: "New", external_id: "beadle:corp/00g3", description: None, parent: None };
    assert_eq!(stage.writer.create(&new).await.unwrap().name, "PRIMARY/New");
}

#[tokio::test(start_paused = true)]
async fn two_groups_swap_their_names_by_way_of_a_third_one() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.reader.look().await.unwrap();
    for _ in 0..2 {
        for (group, name) in [("g1", "Dev"), ("g2", "Ops")] {
            let known = stage.reader.known(group).unwrap().name;
            if known != name
                && let Err(failure) = stage.writer.rename(group, name, &BTreeMap::new()).await
            {
                assert_eq!(failure.class, Class::Retry, "{failure}");
                assert!(failure.text.contains("beadle:corp/00g"), "it is said whose it is: {failure}");
            }
        }
    }
    let name = |group: &str| stage.sim.state()["groups"][group]["displayName"].clone();
    assert_eq!((name("g1"), name("g2")), (json!("Dev"), json!("Ops")));
}

#[tokio::test(start_paused = true)]
async fn two_groups_swap_their_names_although_beadle_is_started_again_between() {
    let stage = stage(Dialect::AWS, &[]).await;
    let name = |group: &str| stage.sim.state()["groups"][group]["displayName"].clone();
    // What the store keeps is all that is left of the process before.
    let mut waiting = BTreeMap::new();
    for (group, wanted) in [("g1", "Dev"), ("g2", "Ops"), ("g1", "Dev"), ("g2", "Ops")] {
        let reader = ScimReader::new(stage.scim.0.clone());
        let writer = ScimWriter::new(stage.scim.1.clone(), &reader);
        if name(group) != json!(wanted) && writer.rename(group, wanted, &waiting).await.is_err() {
            waiting.insert(group.to_owned(), wanted.to_owned());
        }
    }
    assert_eq!((name("g1"), name("g2")), (json!("Dev"), json!("Ops")));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_somebody_else_s_is_said_to_be_theirs() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.sim.patch(&json!({ "groups": { "g2": { "externalId": "okta-push" } } }));
    let failure = stage.writer.rename("g1", "Dev", &BTreeMap::new()).await.unwrap_err();
    assert!(failure.text.contains("okta-push") && failure.class == Class::Rejected, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn the_probe_tries_writes_on_a_group_of_its_own() {
    let array = Dialect { removal: Removal::Array, ..Dialect::RFC7644 };
    for (dialect, quirks, does) in [
        (Dialect::RFC7644, vec![Quirk::Generic], "removes them"),
        (Dialect::AWS, vec![], "removes them"),
        (array, vec![Quirk::Generic, Quirk::ArrayEmpties], "leaves 0 members where 2 have to be"),
    ] {
        let stage = stage(dialect, &quirks).await;
        let before = stage.sim.state();
        let probed = probe_writes(&stage.scim.0, &stage.scim.1).await.unwrap();
        assert_eq!(probed.evidence.0["remove members"], does, "{probed:?}");
        assert_eq!(probed.contradicts(), does != "removes them");
        assert_eq!(probed.writes_as_asked(), does == "removes them");
        assert!(!stage.scim.0.probe().await.unwrap().writes_as_asked(), "it only asked");
        assert_eq!(stage.sim.state()["groups"], before["groups"], "the probe's group is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn the_probe_deletes_what_a_killed_probe_left_behind_and_nothing_else() {
    let stage = stage(Dialect::AWS, &[]).await;
    let group = |name: &str, external: &str| json!({ "displayName": name, "externalId": external });
    let left = "beadle-probe-1799990000000";
    let running = "beadle-probe-1799999999000";
    stage.sim.patch(&json!({ "groups": {
        "left": group(left, left),
        "running": group(running, running),
        "anothers": group("beadle-probe-1799990000001", "00g9"),
        "renamed": group("Probes", "beadle-probe-1799990000002"),
        "similar": group("beadle-probe-old", "beadle-probe-old"),
        "padded": group("beadle-probe-01799990000000", "beadle-probe-01799990000000"),
    } }));
    let mut wanted = stage.sim.state()["groups"].clone();
    wanted.as_object_mut().unwrap().remove("left");
    let probed = probe_writes(&stage.scim.0, &stage.scim.1).await.unwrap();
    assert!(probed.findings.iter().any(|finding| finding.to_string().contains(left)), "{probed:?}");
    assert_eq!(stage.sim.state()["groups"], wanted);
}

/// How many answers of a server, one after the other, it takes; each takes four seconds.
async fn answers(stage: &Stage, work: impl Future<Output = ()>) -> u64 {
    stage.sim.fault(beadle_sim::Fault { delay_ms: 4000, ..Default::default() });
    let begun = tokio::time::Instant::now();
    work.await;
    stage.sim.no_faults();
    begun.elapsed().as_secs() / 4
}

#[tokio::test(start_paused = true)]
async fn questions_that_do_not_depend_on_each_other_are_asked_side_by_side() {
    let aws = stage(Dialect::AWS, &[]).await;
    let probe = async { drop(aws.scim.0.probe().await.unwrap()) };
    assert_eq!(answers(&aws, probe).await, 2, "what it says and does, and then a group");
    let rfc = generic(&[]).await;
    let probe = async { drop(rfc.scim.0.probe().await.unwrap()) };
    assert_eq!(answers(&rfc, probe).await, 3, "filters only with a page that the server takes");
    let people: Vec<Person> = (0..5).map(person).collect();
    let find = async {
        let found = aws.reader.find(None, &people).await;
        for (n, found) in found.into_iter().enumerate() {
            assert!(
                matches!(found, Ok(Found::TargetAccount(account)) if account.id == id(n)),
                "in their order"
            );
        }
    };
    assert_eq!(answers(&aws, find).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_many_need_at_the_same_moment_is_read_once() {
    let stage = generic(&[]).await;
    let people: Vec<Person> = (0..5).map(person).collect();
    let refused =
        beadle_sim::Fault { path: "filter=".into(), status: Some(400), delay_ms: 4000, ..Default::default() };
    stage.sim.fault(refused);
    let find = async {
        for found in stage.reader.find(None, &people).await {
            assert!(matches!(found, Ok(Found::TargetAccount(_))), "{found:?}");
        }
    };
    assert_eq!(answers(&stage, find).await, 3, "by id, by name, and in the list");
    let lists = |call: &&Value| !call["query"].as_str().unwrap_or_default().contains("filter=");
    assert_eq!(stage.sim.calls().iter().filter(lists).count(), 1, "{:?}", stage.sim.calls());
}

#[tokio::test(start_paused = true)]
async fn a_write_to_a_group_that_is_gone_is_tried_once_and_a_missing_member_is_told_apart() {
    let stage = stage(Dialect::AWS, &[]).await;
    let patches = |stage: &Stage| stage.sim.calls().iter().filter(|call| call["method"] == "PATCH").count();
    stage.members("g2").await;
    stage.sim.fault(beadle_sim::Fault {
        method: Some("PATCH".into()),
        status: Some(404),
        count: Some(1),
        ..Default::default()
    });
    stage.add("g2", &[0, 1]).await.unwrap();
    assert_eq!((patches(&stage), stage.held("g2")), (3, 2), "both halves are tried, as the group is there");
    stage.sim.patch(&json!({ "groups": { "g2": null } }));
    stage.sim.forget_calls();
    let failure = stage.add("g2", &[2, 3, 4, 5, 6, 7, 8, 9]).await.unwrap_err();
    assert!(failure.text.contains("has no group g2 any more"), "{failure}");
    assert_eq!((failure.class, patches(&stage)), (Class::Conflict, 1));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_gone_is_gone_and_not_empty() {
    let stage = stage(Dialect::AWS, &[]).await;
    stage.sim.patch(&json!({ "groups": { "g2": null } }));
    assert_eq!(stage.reader.members("g2").await.unwrap(), None);
}

async fn status(stage: &Stage, method: &str, path: &str, body: &Value) -> u16 {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", stage.sim.url()))
        .header("authorization", format!("Bearer {}", stage.sim.token()))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    stage.sim.exchange(request).await.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn the_simulated_aws_refuses_what_aws_does() {
    let stage = stage(Dialect::AWS, &[]).await;
    let before = stage.sim.state();
    let name = json!({ "givenName": "Ada", "familyName": "" });
    let user = json!({ "userName": "ada", "displayName": "Ada", "name": name });
    let many: Vec<Value> = (0..101).map(|_| json!({ "value": id(0) })).collect();
    let patch = |path: &str, value: Value| json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] });
    for (method, path, body, wanted) in [
        ("POST", "Users", user, 400),
        ("POST", "Groups", json!({ "displayName": "" }), 400),
        ("POST", "Groups", json!({ "displayName": "Many", "members": many }), 400),
        ("PUT", "Users/100", json!({}), 400),
        ("PATCH", "Users/100", patch("shoeSize", json!(42)), 400),
        ("PATCH", "Users/100", patch("name.familyName", json!("")), 400),
        ("GET", "Users?cursor&filter=groups.value%20eq%20%22nowhere%22", Value::Null, 404),
        ("GET", "Groups?cursor&filter=members.value%20eq%20%22nobody%22", Value::Null, 404),
    ] {
        assert_eq!(status(&stage, method, path, &body).await, wanted, "{method} {path}");
    }
    assert_eq!(stage.sim.state(), before);
}
