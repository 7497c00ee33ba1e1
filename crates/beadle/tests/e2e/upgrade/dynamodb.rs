//! Tests a rolling upgrade on a table of moto.

use beadle_emulate::Moto;
use beadle_store_dynamodb::DynamoSettings;

use super::rolling::replace_one_by_one;
use super::{Place, old_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_versions_work_on_one_table() {
    let Some(old) = old_program() else { return };
    let moto = Moto::start().await;
    moto.table("beadle", DynamoSettings::default()).await;
    let table = format!("dynamodb://beadle?region=eu-west-1&endpoint={}", moto.url);
    let secret = moto.secret.clone();
    let env = vec![
        ("BEADLE_STORE", table),
        ("AWS_ACCESS_KEY_ID", "any".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    replace_one_by_one(&Place { env }, &old).await;
}
