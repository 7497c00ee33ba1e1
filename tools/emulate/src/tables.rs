//! Runs dynoxide, which emulates DynamoDB, for tests with bursts. moto is too slow for bursts,
//! because it handles approximately 310 calls a second, one after the other.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running dynoxide server. The server is killed when this value is dropped.
pub struct Tables {
    child: Child,
    /// The address of dynoxide.
    pub url: String,
}

impl Drop for Tables {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}

impl Tables {
    /// Starts dynoxide. No tables exist yet.
    pub async fn start() -> Self {
        let port = super::free_port();
        let mut command = Command::new(super::tool("bin/dynoxide"));
        command.args(["serve", "--log", "quiet", "--port", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let tables = Self { child, url: format!("http://127.0.0.1:{port}") };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return tables;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("dynoxide does not start");
    }
}
