//! The server of this test program. All tests of a process share the server, and each store has its
//! own schema.

use std::time::Duration;

use beadle_emulate::Cluster;
use beadle_store_postgres::{PostgresSettings, PostgresStore};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Returns the address of a schema that does not exist yet.
pub(crate) async fn new_schema() -> String {
    CLUSTER.get_or_init(Cluster::start).await.url()
}

/// Opens a store, as one process does.
pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, PostgresSettings::default()).await.unwrap()
}

/// Runs statements in the schema of a store, as an administrator does.
pub(crate) async fn run(url: &str, statements: &str) {
    connect(url).await.batch_execute(statements).await.unwrap();
}

/// Connects to the schema of a store, as an administrator does.
pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (server, schema) = url.rsplit_once("&schema=").unwrap();
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    client
}

/// Checks a condition in the schema of a store.
pub(crate) async fn check(url: &str, condition: &str) {
    run(url, &format!("DO $$ BEGIN ASSERT {condition}; END $$")).await;
}

/// Waits until a condition is true in the schema of a store.
pub(crate) async fn wait_for(url: &str, condition: &str) {
    let client = connect(url).await;
    let query = format!("SELECT {condition}");
    let is_true = async {
        while !client.query_one(query.as_str(), &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_true).await.unwrap_or_else(|_| panic!("{condition}"));
}
