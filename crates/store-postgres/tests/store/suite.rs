//! Runs the tests that every store must pass.

use std::sync::Arc;

use beadle_engine::Store;

use crate::cluster::{new_schema, open};

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_engines_suite() {
    beadle_engine::testing::suite(async || {
        let url = new_schema().await;
        Arc::new(open(&url).await) as Arc<dyn Store>
    })
    .await;
}
