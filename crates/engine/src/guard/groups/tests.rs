use super::super::Rejection;
use super::*;
use crate::key::Key;
use crate::plan::Field;

const LIMIT: &str = "guard limit reached: at most 50 removals in 60 min, 50 used";

fn line(line: u32) -> PolicyLocation {
    PolicyLocation { file: "settings.yml".into(), line }
}

/// Returns a held removal of the team engineering in the repository `acme/rN`.
fn hold(n: u64) -> Hold {
    let mut change = crate::testing::hold(n).change;
    change.fields[0].asked = Some(line(2));
    Hold {
        digest: format!("d{n:03}"),
        subject: format!("acme/r{n:03}"),
        since: Time(i64::try_from(n).unwrap()),
        why: LIMIT.into(),
        generation: "g1".into(),
        change,
        ..crate::testing::hold(n)
    }
}

fn with(of: Hold, change: impl FnOnce(&mut Change<()>)) -> Hold {
    let mut hold = of;
    change(&mut hold.change);
    hold
}

#[test]
fn equal_changes_of_many_repositories_are_one_group() {
    let groups = group_holds((0..170).rev().map(hold).collect());
    assert_eq!(groups.len(), 1);
    let group = &groups[0];
    assert_eq!((group.aspect.as_str(), group.title.as_str()), ("teams", "team engineering"));
    assert_eq!((group.risk, group.generation.as_str()), (Risk::Removes, "g1"));
    assert_eq!(group.asked.as_ref().map(ToString::to_string).as_deref(), Some("settings.yml:2"));
    assert_eq!((group.subjects().len(), group.subjects()[0]), (170, "acme/r000"));
    assert_eq!((group.since(), group.why(), group.reaches()), (Time(0), LIMIT, 170));
    assert_eq!(group.state, HoldState::Open);
}

#[test]
fn a_hold_joins_the_group_only_if_the_change_and_the_cause_are_the_same() {
    let rejected = Rejection { by: "bob".into(), reason: None, at: Time(9) };
    let stop = || Some("the team has members 7".to_owned());
    let cases: Vec<(&str, bool, Hold)> = vec![
        ("another use of the limit", true, Hold { why: LIMIT.replace("50 used", "49 used"), ..hold(1) }),
        ("another previous value", true, with(hold(1), |change| change.fields[0].before = "pull".into())),
        ("another time", true, Hold { since: Time(99), ..hold(1) }),
        ("another limit", false, Hold { why: "changes of `teams` reach too many".into(), ..hold(1) }),
        ("contested", false, Hold { contested: true, ..hold(1) }),
        (
            "a stop of the planner",
            false,
            with(Hold { why: stop().unwrap(), ..hold(1) }, |change| change.stop = stop()),
        ),
        ("another team", false, with(hold(1), |change| change.what = "team core".into())),
        ("another aspect", false, with(hold(1), |change| change.aspect = "collaborators".into())),
        ("another line", false, with(hold(1), |change| change.fields[0].asked = Some(line(3)))),
        ("no line", false, with(hold(1), |change| change.fields[0].asked = None)),
        ("a new value", false, with(hold(1), |change| change.fields[0].after = "pull".into())),
        (
            "a further exposure",
            false,
            with(hold(1), |change| {
                let exposed = Field { risk: Risk::Exposes, ..change.fields[0].clone() };
                change.fields.push(Field { name: "visibility".into(), after: true.into(), ..exposed });
            }),
        ),
        ("a weakening", false, with(hold(1), |change| change.fields[0].risk = Risk::Weakens)),
        ("another generation", false, Hold { generation: "g2".into(), ..hold(1) }),
        ("another organisation", false, Hold { key: Key::new("repository", "labs", 1), ..hold(1) }),
        ("a group of a directory", false, Hold { key: Key::new("target-group", "acme", 1), ..hold(1) }),
        ("approved", false, Hold { approved_by: Some("ann".into()), ..hold(1) }),
        ("rejected", false, Hold { rejected: Some(rejected), ..hold(1) }),
    ];
    for (what, joins, other) in cases {
        let groups = group_holds(vec![hold(0), other]);
        assert_eq!(groups.len(), if joins { 1 } else { 2 }, "{what}");
    }
}

#[test]
fn the_title_of_a_group_names_every_risk_of_its_changes() {
    let exposing = |n| {
        with(hold(n), |change| {
            change.what.clear();
            let field = Field { before: true.into(), after: false.into(), ..change.fields[0].clone() };
            let more = Field { name: "y".into(), risk: Risk::Exposes, ..field.clone() };
            change.fields = vec![field, more];
        })
    };
    let groups = group_holds(vec![exposing(1), exposing(2)]);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].title, "x → false; exposes y → false");
}

#[test]
fn contested_changes_of_several_repositories_are_one_group() {
    let fought = |n| Hold { contested: true, why: format!("contested: see repository:acme:{n}"), ..hold(n) };
    assert_eq!(group_holds(vec![fought(1), fought(2)]).len(), 1);
}

#[test]
fn reasons_of_a_planner_are_compared_with_their_numbers() {
    let stopped = |n: u64, why: &str| {
        with(Hold { why: why.into(), ..hold(n) }, |change| change.stop = Some(why.into()))
    };
    assert_eq!(group_holds(vec![stopped(1, "layer a1"), stopped(2, "layer a1")]).len(), 1);
    assert_eq!(group_holds(vec![stopped(1, "layer a1"), stopped(2, "layer a2")]).len(), 2);
}

#[test]
fn the_code_stands_for_exactly_the_changes_of_the_group() {
    let code = |holds: Vec<Hold>| group_holds(holds).remove(0).code;
    let all = code(vec![hold(1), hold(2)]);
    assert_eq!(all, code(vec![hold(2), hold(1)]), "the order does not matter");
    assert_eq!(all.len(), 12);
    assert_ne!(all, code(vec![hold(1), hold(2), hold(3)]), "a change joined");
    assert_ne!(all, code(vec![hold(1), hold(3)]), "a change differs");
    assert_eq!(code(vec![hold(1)]), "d001", "one change has its digest");
}

#[test]
fn groups_that_wait_come_first_and_then_the_most_severe_and_the_largest() {
    let exposes = with(hold(7), |change| change.fields[0].risk = Risk::Exposes);
    let core = |n| with(hold(n), |change| change.what = "team core".into());
    let approved = Hold { approved_by: Some("ann".into()), ..hold(8) };
    let rejected =
        Hold { rejected: Some(Rejection { by: "bob".into(), reason: None, at: Time(9) }), ..hold(9) };
    let groups = group_holds(vec![rejected, approved, exposes, hold(1), core(2), core(3)]);
    let titles: Vec<_> = groups.iter().map(|group| (group.title.as_str(), group.holds.len())).collect();
    let one = ("team engineering", 1);
    assert_eq!(titles, [("team core", 2), one, one, one, one]);
    assert_eq!((groups[1].risk, groups[2].risk), (Risk::Removes, Risk::Exposes));
    assert_eq!(groups[3].state, HoldState::Approved { by: "ann".into(), reason: None });
    assert_eq!(groups[4].state, HoldState::Rejected { by: "bob".into(), reason: None });
}

#[test]
fn a_name_is_the_code_of_a_group_or_the_digest_of_a_change() {
    let groups = group_holds(vec![hold(1), hold(2), Hold { generation: "g2".into(), ..hold(3) }]);
    let code = groups.iter().find(|group| group.holds.len() == 2).unwrap().code.clone();
    for (name, digests) in
        [(code.as_str(), vec!["d001", "d002"]), ("d001", vec!["d001"]), ("d003", vec!["d003"]), ("x", vec![])]
    {
        let found: Vec<&str> = named_holds(&groups, name).iter().map(|hold| hold.digest.as_str()).collect();
        assert_eq!(found, digests, "{name}");
    }
}

#[test]
fn a_part_of_a_group_is_chosen_by_digest_and_by_repository() {
    let holds = [hold(1), hold(2), hold(3)];
    let holds: Vec<&Hold> = holds.iter().collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    for (only, repositories, expected) in [
        (vec![], vec![], Ok(vec!["d001", "d002", "d003"])),
        (vec!["d002"], vec![], Ok(vec!["d002"])),
        (vec![], vec!["R003", "acme/r001"], Ok(vec!["d001", "d003"])),
        (vec!["d001", "d002"], vec!["r002"], Ok(vec!["d002"])),
        (vec!["d009"], vec![], Err("d009")),
        (vec![], vec!["r001", "labs/r001"], Err("labs/r001")),
        (vec!["d001"], vec!["r002"], Ok(vec![])),
    ] {
        let (only, repositories) = (texts(&only), texts(&repositories));
        let chosen = limit_holds(&holds, &only, &repositories);
        let digests = chosen.map(|holds| holds.iter().map(|hold| hold.digest.as_str()).collect::<Vec<_>>());
        assert_eq!(digests, expected, "{only:?} {repositories:?}");
    }
}
