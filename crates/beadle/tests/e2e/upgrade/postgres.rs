//! Tests a rolling upgrade on a real PostgreSQL server.

use beadle_emulate::Cluster;

use super::rolling::replace_one_by_one;
use super::{Place, old_program};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_versions_work_on_one_database() {
    let Some(old) = old_program() else { return };
    let cluster = Cluster::start().await;
    let place = Place { env: vec![("BEADLE_STORE", cluster.url())] };
    replace_one_by_one(&place, &old).await;
}
