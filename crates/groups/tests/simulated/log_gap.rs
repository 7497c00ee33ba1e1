//! Tests that a sweep replaces the events that the System Log no longer contains.

use std::sync::Arc;

use beadle_engine::{Clock, Key, Time};
use beadle_groups::sources::Catchup;
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use http::HeaderMap;

use crate::common;

/// A directory that sends no events.
struct Silent;

#[async_trait::async_trait]
impl Wire for Silent {
    async fn exchange(&self, _: http::Request<Bytes>) -> Result<Exchanged, String> {
        Ok((200, HeaderMap::new(), Bytes::from_static(b"[]")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_log_is_marked_before_the_new_place_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = common::store(&folder.path().join("beadle.db"));
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let okta = common::okta_client("https://okta.test", "token".to_owned(), Arc::new(Silent), &clock);
    store.put("log:corp", r#"{"cursor":null,"until":0}"#).await.unwrap();
    let catchup = Catchup { okta, store: store.clone(), clock };
    let caught = catchup.read_on().await.unwrap();
    assert!(caught.beyond);
    let sweep = store.row(&Key::new("sweep", "corp", "groups")).await.unwrap();
    assert!(sweep.is_some(), "a sweep covers the gap");
    assert!(!catchup.read_on().await.unwrap().beyond, "the place is stored");
}
