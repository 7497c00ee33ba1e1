//! What the System Log no longer tells is covered by a sweep.

use std::sync::Arc;

use beadle_engine::{Clock, Key, Store, Time};
use beadle_groups::catchup::Catchup;
use beadle_okta::{Credential, Okta};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use http::HeaderMap;
use secrecy::SecretString;

/// A directory whose log has nothing to tell.
struct Silent;

#[async_trait::async_trait]
impl Wire for Silent {
    async fn exchange(&self, _: http::Request<Bytes>) -> Result<Exchanged, String> {
        Ok((200, HeaderMap::new(), Bytes::from_static(b"[]")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_log_is_marked_by_who_stores_the_new_place() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("beadle.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default())?);
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let settings =
        ClientSettings { rest_points: u32::MAX, wire: Some(Arc::new(Silent)), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let okta = Okta::new("https://okta.test", "corp", token, 0, &clock, &settings)?;
    store.put("log:corp", r#"{"cursor":null,"until":0}"#).await?;
    let catchup = Catchup { okta, store: store.clone(), clock };
    let caught = catchup.read_on().await.map_err(|failure| failure.text)?;
    assert!(caught.beyond);
    assert!(store.row(&Key::new("sweep", "corp", "groups")).await?.is_some(), "a sweep covers it");
    assert!(!catchup.read_on().await.map_err(|failure| failure.text)?.beyond, "the place is stored");
    Ok(())
}
