//! moto, and tables in it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use beadle_store_dynamodb::{DynamoStore, Settings};

pub(crate) struct Moto {
    child: Child,
    pub(crate) url: String,
    tables: AtomicU32,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Moto {
    pub(crate) async fn start() -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = here.join("../../target/tools/python/bin/python");
        assert!(python.exists(), "{} is missing: run `cargo xtask tools`", python.display());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(python);
        command.arg(here.join("tests/store/single_threaded_moto.py")).arg(port.to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { child, url: format!("http://127.0.0.1:{port}"), tables: AtomicU32::new(0) };
        for _ in 0..600 {
            if reqwest::get(&moto.url).await.is_ok() {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("moto does not start");
    }

    /// A store in a new table, made at once.
    pub(crate) async fn store(&self, settings: Settings) -> DynamoStore {
        let table = format!("beadle-{}", self.tables.fetch_add(1, Ordering::Relaxed));
        let store = DynamoStore::new(client(&self.url).await, &table, settings);
        store.create_table().await.unwrap();
        store
    }

    /// The newest table, by another way.
    pub(crate) async fn by(&self, url: &str, settings: Settings) -> DynamoStore {
        let table = format!("beadle-{}", self.tables.load(Ordering::Relaxed) - 1);
        DynamoStore::new(client(url).await, &table, settings)
    }
}

async fn client(url: &str) -> Client {
    let secret = format!("{:032x}", rand::random::<u128>());
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("any", secret, None, None, "test"))
        .endpoint_url(url);
    Client::new(&loader.load().await)
}
