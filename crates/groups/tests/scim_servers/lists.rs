//! Tests of servers with incomplete lists, ignored filters and wrong counts.

use beadle_groups::targets::{Found, TargetReader};
use beadle_scim::{Dialect, Finding, Members};
use beadle_sim::scim::Quirk;
use serde_json::json;

use crate::{generic, id, stage};

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
    assert!(failure.text.contains("is incomplete: 119 is missing"), "{failure}");
    stage.sim.patch(&json!({ "groups": { "g1": { "members": { id(3): null } } } }));
    assert_eq!(stage.members("g1").await.len(), 19, "whoever was removed by somebody else is gone");
}

#[tokio::test(start_paused = true)]
async fn a_member_whom_no_list_shows_is_looked_up_by_id() {
    let stage = generic(&[Quirk::Unlisted(id(7)), Quirk::Unlisted(id(8))]).await;
    let members = stage.members("g1").await;
    let seventh = members.iter().find(|account| account.id == id(7)).unwrap();
    assert_eq!((seventh.name.as_deref(), seventh.person.as_deref()), (Some("p7@acme.example"), Some("00u7")));
    // If no answer shows an account, Beadle does not know the owner of the account. A group inside
    // the group is not a member.
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
        // An account with this name but a different id belongs to another person. Beadle must
        // notice this with each way to find the account.
        stage.sim.patch(&json!({ "users": { id(5): { "externalId": "00u-other" } } }));
        assert!(matches!(stage.find(5).await, Ok(Found::Another(_))), "{quirk:?}");
        // The list shows an old name of an account.
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
    // The probe also tests the way to read members that the dialect does not use. That way does not
    // work at this server, so the probe must not recommend it.
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
    // If a member has no id, only the group of this member is unknown.
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
