//! A deployment on one machine: the programs of the functions, moto, a gateway, queues with pumps,
//! and the vendors.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beadle_emulate::{Function, Gateway, Lambdas, Moto, Pump, Shape, Source};
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::directory::world::{World as Directory, login};
use crate::world::{Ran, World};

/// The time that a received message stays hidden from other receivers.
const VISIBILITY: Duration = Duration::from_secs(5);

/// The time limit of a function. If a function was killed, the deployment notices this only after
/// the limit.
const LIMIT: Duration = Duration::from_secs(60);

/// The time after which a test stops waiting for the functions, if no run has ended. The time is
/// twice the length of a lease. If the claim of a key got no answer, the key waits for the end of
/// its lease.
const PATIENCE: Duration = Duration::from_secs(120);
/// The maximum time that a test waits. Without this limit, a test would wait forever if runs end
/// but never do the expected work.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) struct Deployment {
    pub(crate) github: World,
    pub(crate) directory: Directory,
    pub(crate) moto: Moto,
    /// A connection to the table that does not use a proxy.
    pub(crate) table: DynamoStore,
    pub(crate) lambdas: Arc<Lambdas>,
    pub(crate) gateway: Gateway,
    /// The queue and its dead-letter queue.
    pub(crate) event: [String; 2],
    pub(crate) sweep: [String; 2],
    /// If this field contains a queue, the intake sends its messages to that queue.
    intake_sends_to: Option<String>,
    config: PathBuf,
    functions: Vec<Function>,
    pumps: Vec<Pump>,
    clock: Option<JoinHandle<()>>,
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.abort();
        }
    }
}

/// Returns the program of a function. If packages were built, returns the program of the package.
#[expect(clippy::disallowed_methods, reason = "a developer's command says where packages are")]
fn program(name: &str) -> PathBuf {
    match std::env::var("BEADLE_PACKAGES") {
        Ok(folder) => PathBuf::from(folder).join(name).join("bootstrap"),
        Err(_) => PathBuf::from(env!("CARGO_BIN_EXE_worker")).with_file_name(name),
    }
}

impl Deployment {
    /// Creates a deployment without functions.
    pub(crate) async fn new(github: World, directory: Directory, shape: Shape) -> Self {
        Self::on(Moto::start().await, github, directory, shape).await
    }

    /// Creates a deployment on a moto server. The tables of the deployment can be on another
    /// server.
    pub(crate) async fn on(moto: Moto, github: World, directory: Directory, shape: Shape) -> Self {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        moto.keep_secret("beadle/github", github.sim.app_pem()).await;
        moto.keep_secret("beadle/github-hook", &github.secret).await;
        let of_okta = json!({ "hook_secret": directory.secret, "hook_key": directory.key });
        moto.keep_secret("beadle/directory-hook", &of_okta.to_string()).await;
        moto.keep_secret("beadle/scim", &directory.aws.token()).await;
        let token =
            json!({ "Name": "/beadle/okta", "Value": directory.okta.token(), "Type": "SecureString" });
        moto.call("ssm", "AmazonSSM.PutParameter", &token).await;
        let (org, okta) = (read(github.config()), read(directory.config()));
        let okta = &okta[okta.find("[[okta]]").unwrap()..];
        let mut text = format!("{org}\n{okta}");
        for (local, kept) in [
            ("file:app.pem", "aws-secretsmanager:beadle/github"),
            ("file:webhook.secret", "aws-secretsmanager:beadle/github-hook"),
            ("file:hook.secret", "aws-secretsmanager:beadle/directory-hook#hook_secret"),
            ("file:hook.key", "aws-secretsmanager:beadle/directory-hook#hook_key"),
            ("file:aws.token", "aws-secretsmanager:beadle/scim"),
            ("file:okta.token", "aws-ssm:/beadle/okta"),
        ] {
            text = text.replace(local, kept);
        }
        let config = github.path().join("aws.toml");
        std::fs::write(&config, text).unwrap();
        let table = moto.table("beadle", DynamoSettings::default()).await;
        let (event, sweep) = (moto.queue("event", VISIBILITY).await, moto.queue("sweep", VISIBILITY).await);
        let lambdas = Arc::new(Lambdas::start(LIMIT).await);
        let gateway = Gateway::start(lambdas.clone(), "intake", shape).await;
        Self {
            github,
            directory,
            moto,
            table,
            lambdas,
            gateway,
            event,
            sweep,
            intake_sends_to: None,
            config,
            functions: Vec::new(),
            pumps: Vec::new(),
            clock: None,
        }
    }

    /// Makes the intake send its messages to a queue that does not exist.
    pub(crate) fn losing_messages(mut self) -> Self {
        self.intake_sends_to = Some(self.event[0].replace("/event", "/nowhere"));
        self
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        let queue = match &self.intake_sends_to {
            Some(queue) if name == "intake" => queue,
            _ => &self.event[0],
        };
        command
            .envs(self.moto.environment(name))
            .env("BEADLE_STORE", "dynamodb://beadle")
            .env("BEADLE_CONFIG", &self.config)
            .env("BEADLE_EVENT_QUEUE", queue)
            .env("BEADLE_SWEEP_QUEUE", &self.sweep[0])
            .env("BEADLE_LOG", "info,beadle_engine=debug")
            .env("FAILPOINTS", "first-generation=return");
        command
    }

    /// Returns the program `beadle` as an operator on another machine would run it.
    pub(crate) fn beadle(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_beadle"));
        command.envs(self.moto.environment("operator")).arg("--config").arg(&self.config);
        command.args(["--store", "dynamodb://beadle"]);
        command
    }

    /// Runs an instance of a function with further environment variables.
    pub(crate) fn run(&mut self, name: &str, env: &[(&str, &str)]) -> usize {
        let mut command = self.command(name);
        command.envs(env.iter().copied());
        let log = self.github.path().join(format!("{name}-{}.log", self.functions.len()));
        self.functions.push(self.lambdas.run(name, command, &log));
        self.functions.len() - 1
    }

    /// Ends the newest function.
    pub(crate) fn end(&mut self) {
        drop(self.functions.pop());
    }

    /// Waits until a function ends without help, and returns its log.
    pub(crate) async fn ended(&mut self, function: usize) -> String {
        for _ in 0..3000 {
            if self.functions[function].has_ended() {
                return self.functions[function].log();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not end:\n{}", self.logs());
    }

    /// Sends the messages of both queues to the worker. Also invokes the worker regularly. `minute`
    /// is the time between two invocations.
    pub(crate) async fn pump(&mut self, concurrency: usize, minute: Duration) {
        let client = aws_sdk_sqs::Client::new(&self.moto.aws().await);
        let source = |queue: &str, batch, window| Source {
            queue: queue.to_owned(),
            function: "worker".into(),
            batch,
            window,
            concurrency,
        };
        let event = source(&self.event[0], 10, Duration::ZERO);
        let sweep = source(&self.sweep[0], 100, Duration::from_secs(1));
        for source in [event, sweep] {
            self.pumps.push(Pump::start(client.clone(), self.lambdas.clone(), source));
        }
        let lambdas = self.lambdas.clone();
        self.clock = Some(tokio::spawn(async move {
            loop {
                lambdas.invoke("worker", &json!({ "beadle": "minute" })).await;
                tokio::time::sleep(minute).await;
            }
        }));
    }

    /// Starts the intake and one worker.
    pub(crate) async fn start(mut self) -> Self {
        self.run("intake", &[]);
        self.run("worker", &[]);
        self.pump(1, Duration::from_secs(3)).await;
        self
    }

    /// Sends webhooks and event hooks to the gateway.
    pub(crate) fn connect(&self) {
        let url = format!("{}/hooks/github", self.gateway.url);
        let secret = self.github.secret.clone();
        self.github.sim.send_webhooks_to(beadle_sim::Hook { url, secret, organisation: false });
        let headers = self.directory.headers().into_iter().collect();
        let url = format!("{}/hooks/okta", self.gateway.url);
        let hook = beadle_sim::okta::Hook { url, headers, ..beadle_sim::okta::Hook::default() };
        self.directory.okta.send_events_to(Some(hook));
    }

    /// Returns the logs of the functions.
    pub(crate) fn logs(&self) -> String {
        self.functions.iter().map(Function::log).collect()
    }

    /// Waits until a repository meets a condition.
    pub(crate) async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
        if !self.comes_true(|| holds(&self.github.repository(name))).await {
            let queued = (self.messages(&self.event[0]).await, self.messages(&self.sweep[0]).await);
            panic!("{name}: {what} did not come true; {queued:?} messages\n{}", self.logs());
        }
    }

    /// Waits until a group of the target has exactly these people.
    pub(crate) async fn until_holds(&self, name: &str, members: std::ops::Range<usize>) {
        let wanted = Some(members.map(login).collect());
        if !self.comes_true(|| self.directory.members(name) == wanted).await {
            let members = self.directory.members(name);
            panic!("{name} holds {members:?}, not {wanted:?}\n{}", self.logs());
        }
    }

    /// Waits until a condition is true, and returns whether it became true. Stops waiting if no run
    /// has ended for [`PATIENCE`], or after [`LONGEST`]. So the result does not depend on the speed
    /// of the machine.
    async fn comes_true(&self, is_true: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        let (mut ended, mut since) = (0, begun);
        while since.elapsed() < PATIENCE && begun.elapsed() < LONGEST {
            for _ in 0..50 {
                if is_true() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let now_ended = self.logs().matches("\"run ends\"").count();
            if now_ended > ended {
                (ended, since) = (now_ended, Instant::now());
            }
        }
        is_true()
    }

    /// Waits until no key is due or running. The list of waiting keys comes from an index, and the
    /// index might be out of date. While a row moves in the index, the row is missing for a moment.
    /// So one read is not enough.
    pub(crate) async fn until_idle(&self) {
        const IDLE: &str = "0 event, 0 manual, 0 sweep due, 0 running";
        const LOOKS: usize = 3;
        let (mut queue, mut idle) = (String::new(), 0);
        for _ in 0..600 {
            queue = Ran::of(self.beadle(), &["queue"]).await.expect(0).out;
            idle = if queue.contains(IDLE) { idle + 1 } else { 0 };
            if idle == LOOKS {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{queue}\n{}", self.logs());
    }

    /// Returns the number of messages in a queue, including hidden messages.
    pub(crate) async fn messages(&self, queue: &str) -> u64 {
        let body = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        let answer = self.moto.call("sqs", "AmazonSQS.GetQueueAttributes", &body).await;
        let of = |name: &str| answer["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        of("ApproximateNumberOfMessages")
            + of("ApproximateNumberOfMessagesNotVisible")
            + of("ApproximateNumberOfMessagesDelayed")
    }
}
