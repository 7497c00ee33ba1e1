//! The intake as a Lambda function. It accepts requests from API Gateway (HTTP API or REST API) and
//! from a function URL. It has the same routes as `beadle serve`.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use axum::body::Body as AxumBody;
use beadle_config::{ConfigError, File, Installed, Source};
use beadle_engine::transfer::is_unfinished;
use beadle_engine::{Clock, Time};
use beadle_hooks::github::OrgFacts;
use beadle_secrets::{Reference, SecretStore};
use beadle_server::{Intake, IntakeLimits, Metrics};
use beadle_store_dynamodb::{DynamoSettings, DynamoStore};
use futures::future::{join_all, join3};
use http_body_util::BodyExt as _;
use lambda_http::http::{StatusCode, Uri, header, request};
use lambda_http::tower::Service as _;
use lambda_http::{Body, Request, Response};
use tokio::sync::{Mutex, Notify};

use crate::environment::{Environment, aws};
use crate::queues::Queues;
use crate::senders::senders;

/// The maximum age of the secrets. The intake reads older secrets again.
const FRESH: Duration = Duration::from_secs(300);
/// The maximum age of the secrets after an invalid signature. If the secrets are older, the intake
/// reads them again, because somebody might have replaced a secret.
const DOUBT: Duration = Duration::from_secs(10);

/// The reason why the intake cannot start.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The configuration file is invalid. The error text is the same as that of `beadle check`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An environment variable is missing or invalid.
    #[error(transparent)]
    Environment(#[from] crate::environment::EnvironmentError),
}

/// The intake function. It keeps its routes and secrets between requests.
pub struct Function {
    file: File,
    references: Vec<Reference>,
    secret_store: SecretStore,
    store: DynamoStore,
    clock: Clock,
    serving: Mutex<Option<Serving>>,
}

/// The routes, their accepted secrets, and the time at which the intake last read these secrets.
#[derive(Clone)]
struct Serving {
    router: axum::Router,
    read: Time,
}

/// Returns the settings of the store. The configuration file sets how long the store keeps data.
fn settings(file: &File) -> DynamoSettings {
    DynamoSettings {
        bodies: file.retention.bodies.into(),
        ids: file.retention.ids.into(),
        journal: file.retention.journal.into(),
        ..DynamoSettings::default()
    }
}

impl Function {
    /// Reads the environment and the configuration file. The function does not use the network.
    pub async fn open() -> Result<Self, IntakeError> {
        let environment = Environment::read()?;
        Self::with(&environment, aws().await)
    }

    /// Creates the intake from an environment and an AWS configuration.
    pub fn with(environment: &Environment, aws: SdkConfig) -> Result<Self, IntakeError> {
        let file = File::parse(&Source::read(&environment.config)?)?;
        let queues = Queues::new(aws_sdk_sqs::Client::new(&aws), environment.queues.clone());
        let client = aws_sdk_dynamodb::Client::new(&aws);
        let store = DynamoStore::new(client, &environment.table, settings(&file)).with_wake(Arc::new(queues));
        let base = environment.config.parent().unwrap_or(Path::new("."));
        Ok(Self {
            references: file.sender_references(),
            secret_store: SecretStore::new(base.to_owned()).asking(aws),
            file,
            store,
            clock: Clock::system(),
            serving: Mutex::default(),
        })
    }

    /// Reads two things in parallel: the secrets, and the facts about organisations. The worker has
    /// stored these facts. Returns `None` if no webhook can be accepted at present.
    async fn read(&self) -> Option<Serving> {
        let mut file = self.file.clone();
        if let Some(from) = &self.file.installations {
            match Installed::all(from.app.id, &self.store).await {
                Ok(installed) => file.take_in(&installed),
                Err(error) => {
                    tracing::error!(%error, "installations of the App unknown, Beadle refuses the webhooks of the organisations that it took in");
                }
            }
        }
        let facts = join_all(file.org.iter().map(|org| async move {
            // If the facts are missing, the intake marks a few more keys than necessary. Nothing
            // else changes.
            let stored = OrgFacts::note(&org.name).get(&self.store).await.ok().flatten();
            (org.name.clone(), stored.unwrap_or_default())
        }));
        let fetched = self.secret_store.fetch_again(&self.references);
        let (_, known, is_unfinished) = join3(fetched, facts, is_unfinished(&self.store)).await;
        if is_unfinished {
            tracing::error!(
                "an earlier `beadle store copy` into the table did not finish, the intake accepts no webhook"
            );
            return None;
        }
        let known: HashMap<String, OrgFacts> = known.into_iter().collect();
        let (senders, missing) = senders(&file, &self.secret_store, &known);
        for (of, error) in &missing {
            tracing::error!(of, %error, "webhook secret cannot be read, Beadle refuses the webhooks of this sender");
        }
        if senders.github.is_empty() && senders.okta.is_empty() {
            return None;
        }
        let intake = Intake::new(
            senders,
            Arc::new(self.store.clone()),
            self.clock.clone(),
            Arc::new(Notify::new()),
            Arc::new(Metrics::default()),
            IntakeLimits::default(),
        );
        Some(Serving { router: Arc::new(intake).router(), read: self.clock.now() })
    }

    /// Returns the routes. If the secrets are older than `fresh`, the function first reads them
    /// again.
    async fn serving(&self, fresh: Duration) -> Option<Serving> {
        let mut slot = self.serving.lock().await;
        let is_fresh = |serving: &Serving| self.clock.now().since(serving.read) <= fresh;
        if slot.as_ref().is_none_or(|serving| !is_fresh(serving))
            && let Some(read) = self.read().await
        {
            *slot = Some(read);
        }
        slot.clone()
    }

    /// Answers one HTTP request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        parts.uri = below(&parts.uri);
        let body = body.to_vec();
        let Some(serving) = self.serving(FRESH).await else {
            return later(
                "Beadle can read no webhook secret, or an earlier `beadle store copy` did not finish: see the log",
            );
        };
        let response = ask(&serving, &parts, body.clone()).await;
        // The worker might have added the organisation since the last read.
        let is_doubtful = match response.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::FORBIDDEN => self.file.installations.is_some(),
            _ => false,
        };
        let is_doubtful = is_doubtful && self.clock.now().since(serving.read) > DOUBT;
        if !is_doubtful {
            return response;
        }
        match self.serving(DOUBT).await {
            Some(again) => ask(&again, &parts, body).await,
            None => response,
        }
    }
}

/// Returns an address without the part before the route. This part can be the name of a gateway's
/// stage.
fn below(uri: &Uri) -> Uri {
    let path = uri.path();
    let at = ["/hooks/", "/healthz"].iter().find_map(|route| path.find(route));
    at.and_then(|at| path[at..].parse().ok()).unwrap_or_else(|| uri.clone())
}

async fn ask(serving: &Serving, parts: &request::Parts, body: Vec<u8>) -> Response<Body> {
    let mut request = lambda_http::http::Request::new(AxumBody::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    let Ok(response) = serving.router.clone().call(request).await;
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, Body::Binary(body.to_bytes().to_vec())),
        Err(error) => {
            tracing::error!(%error, "answer to a request incomplete, answering 503 instead");
            later("Beadle could not complete its answer")
        }
    }
}

fn later(why: &str) -> Response<Body> {
    tracing::error!(why, "request answered with 503");
    let mut response = Response::new(Body::Text(serde_json::json!({ "result": why }).to_string()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("30"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::Urls;

    #[test]
    fn the_prefix_of_a_gateway_before_a_route_is_removed() {
        for (path, route) in [
            ("/hooks/github", "/hooks/github"),
            ("/prod/hooks/okta", "/hooks/okta"),
            ("/beadle/v1/healthz", "/healthz"),
            ("/elsewhere", "/elsewhere"),
        ] {
            assert_eq!(below(&path.parse().unwrap()).path(), route);
        }
    }

    #[test]
    fn an_invalid_file_is_refused_with_the_error_text_of_check() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("beadle.toml");
        let org = "[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\n";
        for (below, expected) in [
            ("[retention]\nids = \"9 moons\"", ":6: `retention.ids`: invalid duration `9 moons`"),
            ("[retention]\nids = \"36h\"", ":6: `retention.ids` must be at least `8d`"),
            ("mod = \"enforce\"", ":5: unknown key `org.mod`\nhint: did you mean `mode`?"),
        ] {
            std::fs::write(&config, format!("{org}{below}\n")).unwrap();
            let queues = Urls { event: "https://event".into(), sweep: "https://sweep".into() };
            let environment = Environment { config: config.clone(), table: "beadle".into(), queues };
            let opened = Function::with(&environment, SdkConfig::builder().build());
            let Err(error) = opened else { panic!("the intake accepts {below}") };
            let error = error.to_string();
            let checked = Source::read(&config).and_then(|source| File::parse(&source));
            assert_eq!(error, checked.unwrap_err().to_string());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_table_uses_the_retention_of_the_file() {
        let text = "[retention]\nids = \"192 hours\"\nbodies = \"36h 30m\"\n\
                    [[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\n";
        let file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        let settings = settings(&file);
        assert_eq!(settings.ids, Duration::from_secs(192 * 3600));
        assert_eq!(settings.bodies, Duration::from_secs(36 * 3600 + 30 * 60));
        assert_eq!(settings.journal, DynamoSettings::default().journal);
    }
}
