use std::path::Path;

use super::*;
use crate::policy::{Node, repository};

/// Calls `lead` with a simulated GitHub. Each element of `called` has three parts: a name, the id
/// of the repository that GitHub finds under this name, and the present name of this repository.
fn leads(name: &str, given: Option<&str>, called: &[(&str, u64, &str)], files: &[&str]) -> Lead {
    let find = |wanted: &str| {
        let found = called.iter().find(|(name, ..)| *name == wanted);
        found.map(|(_, id, name)| Called { id: *id, name: (*name).to_owned() })
    };
    lead(name, given, find, |name| files.contains(&name))
}

#[test]
fn a_file_is_of_whoever_has_its_name_or_had_it() {
    assert_eq!(leads("svc", None, &[("svc", 1, "SVC")], &["svc"]), Lead::Of(1));
    assert_eq!(leads("svc", None, &[("svc", 1, "svc2")], &["svc"]), Lead::Of(1));
    assert_eq!(leads("svc", None, &[], &["svc"]), Lead::Nobody);
}

#[test]
fn a_file_under_an_old_name_does_not_displace_the_file_of_the_new_name() {
    assert_eq!(leads("svc", None, &[("svc", 1, "pay")], &["svc", "pay"]), Lead::Nobody);
}

#[test]
fn a_file_that_renamed_its_repository_is_not_of_whoever_takes_the_name() {
    let both = [("svc", 2, "svc"), ("pay", 1, "pay")];
    assert_eq!(leads("svc", Some("pay"), &both, &["svc"]), Lead::Either(2, 1));
    let taken_and_renamed = [("svc", 2, "svc2"), ("pay", 1, "pay")];
    assert_eq!(leads("svc", Some("pay"), &taken_and_renamed, &["svc"]), Lead::Either(2, 1));
    let renamed = [("svc", 1, "pay"), ("pay", 1, "pay")];
    assert_eq!(leads("svc", Some("pay"), &renamed, &["svc"]), Lead::Of(1));
    let formerly = [("svc", 2, "svc"), ("pay", 1, "checkout")];
    assert_eq!(leads("svc", Some("pay"), &formerly, &["svc"]), Lead::Of(2));
}

#[test]
fn a_file_renames_the_repository_that_has_the_former_name() {
    let found = |called: &[(&str, u64, &str)], files: &[&str]| {
        let find = |wanted: &str| {
            let found = called.iter().find(|(name, ..)| *name == wanted);
            found.map(|(_, id, name)| Called { id: *id, name: (*name).to_owned() })
        };
        to_rename("pay", Some("svc"), find, |name| files.contains(&name))
    };
    assert_eq!(found(&[("svc", 1, "svc")], &["pay"]), Some(1));
    assert_eq!(found(&[("svc", 1, "svc"), ("pay", 2, "pay")], &["pay"]), None, "the name is taken");
    assert_eq!(found(&[("svc", 1, "other")], &["pay"]), None, "it was renamed by somebody else");
    assert_eq!(found(&[("svc", 1, "svc")], &["pay", "svc"]), None, "it has its own file");
    assert_eq!(to_rename("pay", None, |_| None, |_| false), None);
}

/// Returns the policy files that wait for a person's decision about this repository. Also returns
/// whether a policy file belongs to the repository.
async fn standing(overrides: &Overrides, policy: &Policy, id: u64, name: &str) -> (Vec<String>, bool) {
    let given = Node::parse("test.yml", &format!("name: {name}")).unwrap();
    let seen = Repository { id, owner: "acme".into(), ..repository(&given) };
    let OverrideStatus { waits, own, .. } = overrides.of(policy, &seen).await.unwrap();
    (waits.into_iter().map(|(layer, _)| layer.file.clone()).collect(), own.is_some())
}

fn policy(files: &[(&str, &str)]) -> Policy {
    let sources = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    Policy::from_sources(sources.collect(), "admin", Path::new("policy")).unwrap()
}

#[tokio::test]
async fn a_prepared_file_does_not_displace_the_file_of_a_repository_that_takes_its_name() {
    let files =
        [("repos/a.yml", "repository: { topics: [pay] }"), ("repos/b.yml", "repository: { topics: [shop] }")];
    let (both, overrides) = (policy(&files), Overrides::new(None, "acme"));
    assert_eq!(standing(&overrides, &both, 1, "a").await, (vec![], false), "it is its file");
    for _ in 0..2 {
        let (waiting, is_own) = standing(&overrides, &both, 1, "b").await;
        assert_eq!(waiting, ["repos/b.yml", "repos/a.yml"], "neither is made or undone");
        assert!(!is_own);
    }
    overrides.adopt(both.file_of("b").unwrap(), 1).await.unwrap();
    assert_eq!(standing(&overrides, &both, 1, "b").await, (vec![], false));
}

#[tokio::test]
async fn a_file_that_replaces_the_former_one_needs_nobody() {
    let overrides = Overrides::new(None, "acme");
    standing(&overrides, &policy(&[("repos/a.yml", "repository: { topics: [pay] }")]), 1, "a").await;
    let renamed = policy(&[("repos/b.yml", "repository: { topics: [pay] }")]);
    assert_eq!(standing(&overrides, &renamed, 1, "b").await, (vec![], false));
}

#[tokio::test]
async fn a_file_that_gave_the_name_stays_beside_a_prepared_one() {
    let gives = "repository: { name: b }";
    let both = policy(&[("repos/a.yml", gives), ("repos/b.yml", "repository: { topics: [shop] }")]);
    let overrides = Overrides::new(None, "acme");
    standing(&overrides, &both, 1, "a").await;
    assert_eq!(standing(&overrides, &both, 1, "b").await, (vec!["repos/b.yml".to_owned()], true));
}

#[tokio::test]
async fn the_name_of_another_repository_takes_no_file_away() {
    let files =
        [("repos/a.yml", "repository: { topics: [pay] }"), ("repos/c.yml", "repository: { topics: [shop] }")];
    let (both, overrides) = (policy(&files), Overrides::new(None, "acme"));
    standing(&overrides, &both, 1, "a").await;
    standing(&overrides, &both, 2, "c").await;
    let (waiting, _) = standing(&overrides, &both, 2, "a").await;
    assert_eq!(waiting, ["repos/a.yml", "repos/c.yml"]);
}

/// Records that a file might belong to either of two repositories.
fn put_in_doubt(overrides: &Overrides, file: &str, ids: [u64; 2]) {
    let doubt = || (file.to_owned(), "it may be of either".to_owned());
    *overrides.doubts.lock() = ids.into_iter().map(|id| (id, doubt())).collect();
}

#[tokio::test]
async fn a_doubt_about_one_file_does_not_give_a_repository_the_file_of_another_one() {
    let files =
        [("repos/svc.yml", "repository: { name: pay }"), ("repos/pay.yml", "repository: { topics: [pay] }")];
    let (both, overrides) = (policy(&files), Overrides::new(None, "acme"));
    overrides.adopt(both.file_of("pay").unwrap(), 3).await.unwrap();
    put_in_doubt(&overrides, "repos/svc.yml", [1, 2]);
    let (waiting, is_own) = standing(&overrides, &both, 1, "pay").await;
    assert_eq!(waiting, ["repos/svc.yml", "repos/pay.yml"], "the other file belongs to repository 3");
    assert!(!is_own);
    assert_eq!(standing(&overrides, &both, 2, "svc").await, (vec!["repos/svc.yml".to_owned()], false));
}

#[test]
fn an_event_of_a_repository_in_doubt_is_not_decided_by_old_answers() {
    let overrides = Overrides::new(None, "acme");
    let (at, soon, late) = (Time(1_000_000), Time(1_001_000), Time(1_000_000) + AGAIN);
    assert!(overrides.holds(at, late, 1, Lane::Event), "nothing is in doubt");
    put_in_doubt(&overrides, "repos/svc.yml", [1, 2]);
    assert!(!overrides.holds(at, soon, 1, Lane::Event));
    assert!(!overrides.holds(at, soon, 1, Lane::Manual));
    assert!(overrides.holds(at, soon, 1, Lane::Sweep));
    assert!(overrides.holds(at, soon, 3, Lane::Event), "the doubt is about others");
    assert!(!overrides.holds(at, late, 3, Lane::Event));
}
