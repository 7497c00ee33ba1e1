//! Runs Lambda functions as programs under the Runtime API of `cargo lambda watch`.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running Runtime API, with the address for invocations. The Runtime API stops when this value
/// is dropped.
pub struct Lambdas {
    child: Child,
    url: String,
    http: reqwest::Client,
}

/// The process of a function. The process is killed when this value is dropped.
pub struct Function {
    child: Child,
    log: PathBuf,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub enum Invoked {
    /// The answer of the function.
    Answer(Value),
    /// The function returned an error, or its process ended.
    Failed(String),
}

impl Drop for Lambdas {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}

impl Function {
    /// Returns the log that the function has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns whether the process ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Lambdas {
    /// Starts the Runtime API. If a function does not answer within `limit`, the invocation fails.
    pub async fn start(limit: Duration) -> Self {
        let port = super::free_port();
        let mut command = Command::new(super::python("cargo-lambda"));
        command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1"]);
        command.args(["--invoke-port", &port.to_string(), "--timeout", &limit.as_secs().to_string()]);
        // `cargo lambda watch` works only in the folder of a package.
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let lambdas = Self { child, url: format!("http://127.0.0.1:{port}"), http: super::http_client() };
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return lambdas;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("`cargo lambda watch` does not start");
    }

    /// Runs a program as an instance of the function `name`.
    pub fn run(&self, name: &str, mut program: Command, log: &Path) -> Function {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        program
            .env("AWS_LAMBDA_RUNTIME_API", format!("{}/.rt/{name}", self.url))
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Function { child: program.spawn().unwrap(), log: log.to_owned() }
    }

    /// Invokes a function and waits for its answer.
    pub async fn invoke(&self, name: &str, event: &Value) -> Invoked {
        let url = format!("{}/2015-03-31/functions/{name}/invocations", self.url);
        let sent = self.http.post(url).body(event.to_string()).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Invoked::Failed(error.to_string()),
        };
        let fine = answer.status().is_success();
        let text = answer.text().await.unwrap_or_default();
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if fine && value.get("errorType").is_none() => Invoked::Answer(value),
            _ => Invoked::Failed(text),
        }
    }
}
