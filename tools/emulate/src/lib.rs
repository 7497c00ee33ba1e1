//! Emulates AWS on one machine, for tests and benchmarks:
//!
//! - [`Moto`]: DynamoDB, SQS, Secrets Manager, SSM, KMS and STS;
//! - [`Tables`]: DynamoDB, for tests that need a faster emulation than moto;
//! - [`Proxy`]: errors of DynamoDB that [`Moto`] and [`Tables`] never cause;
//! - [`Lambdas`]: the Runtime API of Lambda functions;
//! - [`Pump`]: the event source mapping from a queue to a function;
//! - [`Gateway`]: API Gateway in front of a function.
//!
//! [`Cluster`] is a real PostgreSQL server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::missing_panics_doc, reason = "the same")]

mod cluster;
mod gateway;
mod lambdas;
mod moto;
mod proxy;
mod pump;
mod tables;

pub use cluster::Cluster;
pub use gateway::{Gateway, Shape};
pub use lambdas::{Function, Invoked, Lambdas};
pub use moto::Moto;
pub use proxy::{Odds, Proxy};
pub use pump::{Pump, Source};
pub use tables::Tables;

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The maximum time of a request. This time is long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// Returns a client that does not wait forever for an answer.
fn http_client() -> reqwest::Client {
    reqwest::Client::builder().timeout(LIMIT).build().unwrap()
}

/// Returns the path of a program that `cargo xtask tools` installs from PyPI.
fn python(program: &str) -> PathBuf {
    tool(&format!("python/bin/{program}"))
}

/// Returns the path of a program that `cargo xtask tools` installs.
fn tool(program: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tools").join(program);
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}

/// Returns a free port of this machine. Each call returns a different port.
///
/// A service that restarts must get the same port again. The system assigns ports of a certain
/// range to outgoing connections and to listeners on port 0. This function uses ports below that
/// range. So no other program gets the port by chance while the service is not running.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock();
    loop {
        let port = rand::random_range(10_000..30_000);
        if given.insert(port) && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
