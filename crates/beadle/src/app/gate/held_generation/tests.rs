use beadle_engine::testing::change;
use beadle_github::Commit;
use beadle_repositories::policy::PolicyOrigin;

use super::*;

fn plans() -> Vec<(Key, Plan<()>)> {
    let plan = |n: u64| {
        let mut plan = Plan::new(format!("acme/r{n:02}"));
        plan.changes.push(change("topics", "", &[Risk::Adds]));
        plan.changes.push(change("settings", "", &[Risk::Changes]));
        if n < 8 {
            plan.changes.push(change("teams", "team engineering", &[Risk::Removes]));
        }
        (Key::new("repository", "acme", n), plan)
    };
    (0..9).map(plan).collect()
}

#[test]
fn a_hold_groups_equal_changes_and_shows_the_most_severe_first() {
    let held = HeldGeneration::new(("acme", "g1"), &plans(), 40, Time(0));
    assert_eq!(held.summary(), "8 removals, 9 additions in 8 of 40 repositories");
    assert_eq!((held.groups[0].unnamed(), held.groups[1].unnamed()), (3, 4));
    let wide = HeldGroup { examples: vec!["acme".into()], ..held.groups[0].clone() };
    assert_eq!(wide.unnamed(), 0, "a change of the organisation");
    let lines: Vec<String> = held.groups.iter().map(HeldGroup::line).collect();
    assert_eq!(
        lines,
        [
            "removes teams: team engineering in 8 repositories, such as acme/r00, acme/r01, acme/r02, acme/r03, \
             acme/r04",
            "adds topics: x in 9 repositories, such as acme/r00, acme/r01, acme/r02, acme/r03, acme/r04",
        ]
    );
}

#[test]
fn a_hold_counts_the_organisation_itself_and_groups_apart_from_the_repositories() {
    let removal = |key: Key, name: &str| {
        let changes = vec![change("teams", "team engineering", &[Risk::Removes])];
        (key, Plan { changes, ..Plan::new(name) })
    };
    let mut plans = plans();
    plans.push(removal(Key::new("organisation", "acme", 1), "acme"));
    let held = HeldGeneration::new(("acme", "g1"), &plans, 40, Time(0));
    assert_eq!(held.summary(), "9 removals, 9 additions in 8 repositories and the organisation itself");
    let older = HeldGeneration { places: None, ..held };
    assert_eq!(older.summary(), "9 removals, 9 additions in 9 of 40 repositories");
    let group = removal(Key::new("target-group", "teams", "into/Ops"), "teams/Ops");
    // A new mapping and new declared members can change the same group.
    let held = HeldGeneration::new(("acme", "g1"), &[group.clone(), group], 40, Time(0));
    assert_eq!(held.places(), "1 group");
}

#[test]
fn a_hold_shows_why_a_change_needs_an_approval_of_its_own() {
    let mut leave = change("members", "remove", &[Risk::Removes]);
    leave.stop = Some("7 of 9 members would leave".to_owned());
    let plan = Plan { changes: vec![leave], ..Plan::new("teams/Ops") };
    let groups = grouped(&[(Key::new("target-group", "teams", "into/Ops"), plan)]);
    assert_eq!(
        groups[0].line(),
        "removes members: remove (held until an approval: 7 of 9 members would leave) in 1 repository, such as \
         teams/Ops"
    );
}

#[test]
fn a_line_names_the_changes_that_wait_for_the_end_of_a_waiver() {
    let delayed = BTreeMap::from([("2027-01-20T08:00:00Z (waivers.yml:2)".to_owned(), plans())]);
    assert_eq!(
        delayed_lines(&delayed, is_counted)[0],
        "waits for the end of a waiver, 2027-01-20T08:00:00Z (waivers.yml:2): removes teams: team engineering in 8 \
         repositories, such as acme/r00, acme/r01, acme/r02, acme/r03, acme/r04"
    );
    assert_eq!(delayed_lines(&delayed, |_| true).len(), 3, "a setting waits too");
}

#[test]
fn a_hold_ends_if_the_limits_are_raised() {
    let held = HeldGeneration::new(("acme", "g1"), &plans(), 40, Time(0));
    let limits = |removes, repositories| GateLimits {
        removes,
        weakens: 0,
        exposes: 0,
        creates: 9,
        percent: 0,
        repositories,
    };
    assert!(held.waits(&limits(7, 8)) && held.waits(&limits(8, 7)));
    assert!(!held.waits(&limits(8, 8)));
}

#[test]
fn a_notice_says_who_holds_which_policy_since_when_and_how_to_approve_it() {
    let mut held = HeldGeneration::new(("acme", "g1"), &plans(), 40, Time(0));
    held.why = "too many".into();
    assert_eq!(
        held.notice(Holder::Service),
        "acme: the service holds the policy g1 since 1970-01-01T00:00:00Z: too many; see `beadle holds`, then \
         run `beadle approve g1 --reason \"TEXT\"`"
    );
    held.approved = Some(GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(1) });
    assert!(held.notice(Holder::Command).ends_with(": approved by ann, not in force yet"));
}

#[test]
fn a_policy_is_held_with_its_limits_and_its_commit() {
    let files = [("settings.yml".to_owned(), "repository: { has_wiki: true }".to_owned())].into();
    let commit = Commit {
        id: "a".repeat(40),
        author: "mona".into(),
        logins: Vec::new(),
        subject: "Remove a team".into(),
    };
    let origin =
        PolicyOrigin { repository: "acme/admin".into(), path: String::new(), commit: commit.clone() };
    let policy = Policy::from_files(files, "admin", origin).unwrap();
    for (removes, is_held) in [(8, false), (7, true)] {
        let limits = GateLimits { removes, weakens: 0, exposes: 0, creates: 9, percent: 0, repositories: 8 };
        let (held, verdict) = HeldGeneration::judge(("acme", &policy), &plans(), 40, &limits, Time(0));
        assert_eq!(verdict != GateVerdict::Passes, is_held);
        assert_eq!(!held.why.is_empty(), is_held, "{}", held.why);
        let named = held.commit.unwrap();
        assert_eq!((named.author, named.subject), (commit.author.clone(), commit.subject.clone()));
    }
}

#[test]
fn a_stored_hold_is_read_back() {
    let held = HeldGeneration::new(("acme", "g1"), &plans(), 40, Time(7));
    let text = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<HeldGeneration>(&text).unwrap(), held);
}

#[test]
fn a_hold_with_a_risk_of_a_newer_version_is_read() {
    let held = HeldGeneration::new(("acme", "g1"), &plans(), 10, Time(0));
    let mut stored = serde_json::to_value(&held).unwrap();
    stored["groups"][1]["risk"] = "transfers".into();
    let read: HeldGeneration = serde_json::from_value(stored).unwrap();
    assert_eq!((read.groups[0].risk, read.groups[1].risk), (held.groups[0].risk, Risk::Removes));
}
