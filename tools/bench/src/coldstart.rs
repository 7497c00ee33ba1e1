//! Measures how long a function needs from its start to the answer of its first webhook. A local
//! Runtime API sends the webhook. The measurement compares Beadle's intake function with a typical
//! handler that Beadle would replace.
#![expect(clippy::disallowed_methods, reason = "real processes run in real time")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::extract::State;
use http::HeaderMap;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::runtime::Runtime;

/// How many times the benchmark starts each function. The result is the median.
const ROUNDS: usize = 9;
/// The share of a processor that AWS gives a function with 256 MB. A function with 1,769 MB has one
/// whole processor. <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const SHARE: f64 = 256.0 / 1769.0;
/// The maximum time that the benchmark waits for the start of a function.
const PATIENCE: Duration = Duration::from_secs(60);
/// The length of one period. In each period, Lambda gives a function its share of the processor.
const PERIOD: Duration = Duration::from_millis(20);

/// Answers the requests to AWS without delay, so that the measurement contains only the time of the
/// function.
async fn aws(State(secret): State<Arc<str>>, headers: HeaderMap) -> axum::Json<Value> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    axum::Json(match target.rsplit('.').next() {
        Some("GetSecretValue") => json!({ "Name": "github", "SecretString": &*secret }),
        Some("SendMessageBatch") => json!({ "Successful": [], "Failed": [] }),
        _ => json!({}),
    })
}

struct Place {
    aws: String,
    folder: tempfile::TempDir,
    event: Value,
}

#[derive(Clone, Copy)]
enum Kind {
    Intake,
    Old,
}

impl Place {
    fn command(&self, kind: Kind) -> anyhow::Result<Command> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = |path: PathBuf, how: &str| {
            ensure!(path.exists(), "{} is missing: run `{how}`", path.display());
            Ok(Command::new(path))
        };
        let mut command = match kind {
            Kind::Intake => program(root.join("target/lambda/intake/bootstrap"), "cargo xtask package")?,
            Kind::Old => {
                let python = root.join("target/tools/deploy/bin/python");
                let mut command = program(python, "cargo xtask tools")?;
                command.args(["-m", "awslambdaric", "old_handler.handler"]);
                command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
                command.env("PYTHONDONTWRITEBYTECODE", "1").env("DISPATCH_URL", &self.aws);
                command
            }
        };
        command
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL", &self.aws)
            .env("BEADLE_STORE", "dynamodb://beadle")
            .env("BEADLE_CONFIG", self.folder.path().join("beadle.toml"))
            .env("BEADLE_EVENT_QUEUE", format!("{}/event", self.aws))
            .env("BEADLE_SWEEP_QUEUE", format!("{}/sweep", self.aws));
        Ok(command)
    }

    /// Starts a function once. Returns how long the function needed, and its peak memory in KiB.
    async fn once(&self, kind: Kind, throttled: bool) -> anyhow::Result<(Duration, u64)> {
        let runtime = Runtime::start().await?;
        let mut command = self.command(kind)?;
        let log = std::fs::File::create(self.folder.path().join("log"))?;
        command
            .env("AWS_LAMBDA_RUNTIME_API", &runtime.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "any")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let begun = Instant::now();
        let function = Process(command.spawn()?);
        let throttle = throttled.then(|| Throttle::start(&function));
        let answered = tokio::time::timeout(PATIENCE, runtime.invoke(&self.event)).await;
        let took = begun.elapsed();
        drop(throttle);
        let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let answer = answered.with_context(log)?.map_err(|why| anyhow::anyhow!("{why}\n{}", log()))?;
        ensure!(answer["statusCode"] == 202, "{answer}\n{}", log());
        let status = std::fs::read_to_string(format!("/proc/{}/status", function.0.id()))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        Ok((took, most.context("the system does not report the used memory")?))
    }

    async fn median(&self, kind: Kind, throttled: bool) -> anyhow::Result<(Duration, u64)> {
        let (mut times, mut memory) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (time, most) = self.once(kind, throttled).await?;
            times.push(time);
            memory.push(most);
        }
        times.sort_unstable();
        memory.sort_unstable();
        Ok((times[ROUNDS / 2], memory[ROUNDS / 2]))
    }
}

/// A child process. The process is killed when this value is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // this fails if the process has ended
        let _ = self.0.wait();
    }
}

/// Lets a process run only for its share of each period, as a quota of processor time does.
struct Throttle(Option<std::thread::JoinHandle<()>>, Arc<std::sync::atomic::AtomicBool>);

impl Throttle {
    fn start(function: &Process) -> Self {
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let pid = i32::try_from(function.0.id()).ok().and_then(Pid::from_raw);
        let stop = ended.clone();
        let thread = std::thread::spawn(move || {
            let Some(pid) = pid else { return };
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // If the process has ended, the signal has no effect.
                let _ = kill_process(pid, Signal::CONT);
                std::thread::sleep(PERIOD.mul_f64(SHARE));
                let _ = kill_process(pid, Signal::STOP);
                std::thread::sleep(PERIOD.mul_f64(1.0 - SHARE));
            }
            let _ = kill_process(pid, Signal::CONT);
        });
        Self(Some(thread), ended)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.1.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Some(thread) = self.0.take() {
            let _ = thread.join(); // the thread does not panic
        }
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let secret: Arc<str> = format!("{:032x}", rand::random::<u128>()).into();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let aws_url = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(aws).with_state(secret.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir()?;
    let file = "[[org]]\nname = \"acme\"\napp = { id = 1, key = \"aws-kms:any\" }\npolicy = \"policy\"\n\
                webhook_secrets = [\"aws-secretsmanager:github\"]\n";
    std::fs::write(folder.path().join("beadle.toml"), file)?;
    let body = json!({
        "action": "created", "organization": { "login": "acme" },
        "repository": { "id": 7, "node_id": "R_7", "name": "widgets", "owner": { "login": "acme" } },
    })
    .to_string();
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/hooks/github", "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "x-github-event": "repository", "x-github-delivery": "d-1",
            "x-hub-signature-256": beadle_hooks::github::sign(&secret, body.as_bytes()),
        },
        "requestContext": {
            "accountId": "1", "apiId": "api", "domainName": "x", "domainPrefix": "x", "requestId": "r", "routeKey": "$default",
            "stage": "$default", "time": "-", "timeEpoch": 0,
            "http": { "method": "POST", "path": "/hooks/github", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "x" },
        },
        "body": body, "isBase64Encoded": false,
    });
    let place = Place { aws: aws_url, folder, event };
    println!("from the start of a process to its first answered webhook, median of {ROUNDS} starts");
    for throttled in [false, true] {
        let how = if throttled { "with the share of a 256 MB function" } else { "with a whole processor" };
        let (intake, memory) = place.median(Kind::Intake, throttled).await?;
        let (old, old_memory) = place.median(Kind::Old, throttled).await?;
        #[expect(clippy::cast_precision_loss, reason = "kibibytes")]
        let share = memory as f64 / old_memory as f64;
        println!(
            "{how}: intake {:.0} ms, {:.1} MiB; as the old handlers {:.0} ms, {:.1} MiB; ratios {:.3} of the time, {share:.3} of the memory",
            intake.as_secs_f64() * 1e3,
            mib(memory),
            old.as_secs_f64() * 1e3,
            mib(old_memory),
            intake.as_secs_f64() / old.as_secs_f64(),
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes")]
fn mib(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
