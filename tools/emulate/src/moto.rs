//! Runs moto, an emulator of AWS. moto handles one request at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::QueueAttributeName;
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use serde_json::{Value, json};

/// The region of all resources.
pub const REGION: &str = "eu-west-1";

/// A running moto server. The server is killed when this value is dropped.
pub struct Moto {
    child: Child,
    /// The address of moto.
    pub url: String,
    /// The address of DynamoDB. This can be another server than moto.
    tables_at: String,
    /// The secret key in the credentials. moto accepts any key.
    pub secret: String,
    tables: AtomicU32,
    http: reqwest::Client,
    /// The file that gets one line from moto for each call.
    calls: tempfile::NamedTempFile,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill(); // this fails if the process has ended
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Starts moto. No resources exist yet.
    pub async fn start() -> Self {
        let port = super::free_port();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/single_threaded_moto.py");
        let mut command = Command::new(super::python("python"));
        let calls = tempfile::NamedTempFile::new().unwrap();
        command.arg(script).arg(port.to_string()).arg(calls.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let secret = format!("{:032x}", rand::random::<u128>());
        let moto = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            tables_at: format!("http://127.0.0.1:{port}"),
            secret,
            tables: AtomicU32::new(0),
            http: super::http_client(),
            calls,
        };
        for _ in 0..600 {
            if moto.http.get(&moto.url).send().await.is_ok() {
                return moto;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("moto does not start");
    }

    /// Makes all clients use another address for DynamoDB.
    #[must_use]
    pub fn with_tables_at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.tables_at);
        self
    }

    /// Returns the configuration of AWS clients that call moto.
    pub async fn aws(&self) -> SdkConfig {
        self.aws_by(&self.url).await
    }

    /// Returns the configuration of AWS clients that call moto through another address.
    pub async fn aws_by(&self, url: &str) -> SdkConfig {
        let credentials = Credentials::new("any", &self.secret, None, None, "test");
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(REGION));
        let loader = loader.credentials_provider(SharedCredentialsProvider::new(credentials));
        loader.endpoint_url(url).load().await
    }

    /// Returns all calls of a caller. The names of the calls are the names of actions in IAM
    /// policies.
    pub fn calls_of(&self, who: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.calls.path()).unwrap();
        let calls = text.lines().filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
        calls.map(|call| call.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    /// Returns the names of all secrets that a caller has read.
    pub fn secrets_of(&self, who: &str) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.calls.path()).unwrap();
        let asked = format!("{who} secretsmanager:GetSecretValue ");
        text.lines().filter_map(|line| Some(line.strip_prefix(&asked)?.to_owned())).collect()
    }

    /// Returns environment variables for a process. With these variables, the process calls moto as
    /// the caller `who`.
    pub fn environment(&self, who: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", who.into()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.tables_at.clone()),
        ]
    }

    /// Calls an operation of a service with a JSON API, such as `secretsmanager.CreateSecret`.
    pub async fn call(&self, service: &str, operation: &str, body: &Value) -> Value {
        let scope = format!("20260101/{REGION}/{service}/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential=any/{scope}, SignedHeaders=host, Signature=0");
        let request = self.http.post(&self.url).header("x-amz-target", operation);
        let request =
            request.header("authorization", signed).header("content-type", "application/x-amz-json-1.1");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let fine = answer.status().is_success();
        let text = answer.text().await.unwrap();
        assert!(fine, "{operation}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Creates a secret in Secrets Manager.
    pub async fn keep_secret(&self, name: &str, value: &str) {
        let body = json!({ "Name": name, "SecretString": value, "ClientRequestToken": format!("{:032x}", rand::random::<u128>()) });
        self.call("secretsmanager", "secretsmanager.CreateSecret", &body).await;
    }

    /// Stores a new value of a secret. The present value becomes the previous one.
    pub async fn replace_secret(&self, name: &str, value: &str) {
        let body = json!({ "SecretId": name, "SecretString": value, "ClientRequestToken": format!("{:032x}", rand::random::<u128>()) });
        self.call("secretsmanager", "secretsmanager.PutSecretValue", &body).await;
    }

    /// Creates a table with this name, and opens a store in it.
    pub async fn table(&self, name: &str, settings: DynamoSettings) -> DynamoStore {
        let aws = self.aws_by(&self.tables_at).await;
        let store = DynamoStore::new(aws_sdk_dynamodb::Client::new(&aws), name, settings);
        store.create_table().await.unwrap();
        store.expire().await.unwrap();
        store
    }

    /// Creates a table with a new name, and opens a store in it.
    pub async fn store(&self, settings: DynamoSettings) -> DynamoStore {
        let table = format!("beadle-{}", self.tables.fetch_add(1, Ordering::Relaxed));
        self.table(&table, settings).await
    }

    /// Opens a store in the table that [`Moto::store`] created last. The store calls DynamoDB
    /// through another address.
    pub async fn by(&self, url: &str, settings: DynamoSettings) -> DynamoStore {
        let table = format!("beadle-{}", self.tables.load(Ordering::Relaxed) - 1);
        DynamoStore::new(aws_sdk_dynamodb::Client::new(&self.aws_by(url).await), &table, settings)
    }

    /// Creates a queue and a dead-letter queue. A message goes to the dead-letter queue after it
    /// was received three times. Returns the addresses of both queues.
    pub async fn queue(&self, name: &str, visibility: Duration) -> [String; 2] {
        let client = aws_sdk_sqs::Client::new(&self.aws().await);
        let dead = client.create_queue().queue_name(format!("{name}-dead")).send().await.unwrap();
        let dead = dead.queue_url.unwrap();
        let asked = client.get_queue_attributes().queue_url(&dead);
        let arn = asked.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
        let arn = arn.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 3 }).to_string();
        let made = client
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string())
            .attributes(QueueAttributeName::RedrivePolicy, redrive);
        [made.send().await.unwrap().queue_url.unwrap(), dead]
    }
}
