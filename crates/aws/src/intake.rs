//! The intake as a function: API Gateway's HTTP and REST APIs, and function URLs, in front of the same routes as everywhere.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use axum::body::Body as AxumBody;
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
use crate::senders::SendersFile;

/// Secrets that were read longer ago are read again.
const FRESH: Duration = Duration::from_secs(300);
/// Where a signature does not fit secrets that were read longer ago than this, they may have been replaced.
const DOUBT: Duration = Duration::from_secs(10);

/// Why the intake cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}; a layer of the function has it")]
    Unreadable(String, std::io::Error),
    /// The file is not what it should be.
    #[error("{path}:{line}: the file is not valid; `beadle check` shows the key")]
    Wrong {
        /// The file.
        path: String,
        /// The line. Its text is not shown: it may hold a secret.
        line: usize,
    },
    /// The environment lacks something.
    #[error(transparent)]
    Environment(#[from] crate::environment::EnvironmentError),
}

/// The intake, between two requests.
pub struct Function {
    file: SendersFile,
    references: Vec<Reference>,
    secret_store: SecretStore,
    store: DynamoStore,
    clock: Clock,
    serving: Mutex<Option<Serving>>,
}

/// The routes, with secrets as they were read.
#[derive(Clone)]
struct Serving {
    router: axum::Router,
    read: Time,
}

/// How long deliveries are kept, where the file says so.
fn settings(file: &SendersFile) -> DynamoSettings {
    let default = DynamoSettings::default();
    DynamoSettings {
        bodies: file.kept("bodies").unwrap_or(default.bodies),
        ids: file.kept("ids").unwrap_or(default.ids),
        journal: file.kept("journal").unwrap_or(default.journal),
        ..default
    }
}

impl Function {
    /// Reads the environment and the file. Nothing is asked of the network yet.
    pub async fn open() -> Result<Self, IntakeError> {
        let environment = Environment::read()?;
        Self::with(&environment, aws().await)
    }

    /// In this environment.
    pub fn with(environment: &Environment, aws: SdkConfig) -> Result<Self, IntakeError> {
        let path = environment.config.display().to_string();
        let text = std::fs::read_to_string(&environment.config)
            .map_err(|error| IntakeError::Unreadable(path.clone(), error))?;
        let file: SendersFile = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            IntakeError::Wrong { path, line }
        })?;
        let queues = Queues::new(aws_sdk_sqs::Client::new(&aws), environment.queues.clone());
        let client = aws_sdk_dynamodb::Client::new(&aws);
        let store = DynamoStore::new(client, &environment.table, settings(&file)).telling(Arc::new(queues));
        let base = environment.config.parent().unwrap_or(Path::new("."));
        Ok(Self {
            references: file.references(),
            secret_store: SecretStore::new(base.to_owned()).asking(aws),
            file,
            store,
            clock: Clock::system(),
            serving: Mutex::default(),
        })
    }

    /// Reads secrets, and what the worker told of organisations, beside each other. Whether anybody may send now.
    async fn read(&self) -> Option<Serving> {
        let facts = join_all(self.file.orgs().map(|org| async move {
            // Without it a few runs too many are caused, and nothing else.
            let stored = OrgFacts::note(org).get(&self.store).await.ok().flatten().unwrap_or_default();
            (org.to_owned(), stored)
        }));
        let fetched = self.secret_store.fetch_again(&self.references);
        let (_, known, is_unfinished) = join3(fetched, facts, is_unfinished(&self.store)).await;
        if is_unfinished {
            tracing::error!("a copy into the table did not end: nothing is stored in it");
            return None;
        }
        let known: HashMap<String, OrgFacts> = known.into_iter().collect();
        let (senders, missing) = self.file.senders(&self.secret_store, &known);
        for (of, error) in &missing {
            tracing::error!(of, %error, "its webhooks cannot be taken");
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

    /// The routes, with secrets that are not older than `fresh`.
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

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        parts.uri = below(&parts.uri);
        let body = body.to_vec();
        let Some(serving) = self.serving(FRESH).await else {
            return later("no secret of a sender can be read, or the table is not whole; the log says which");
        };
        let response = ask(&serving, &parts, body.clone()).await;
        let is_doubtful =
            response.status() == StatusCode::UNAUTHORIZED && self.clock.now().since(serving.read) > DOUBT;
        if !is_doubtful {
            return response;
        }
        match self.serving(DOUBT).await {
            Some(again) => ask(&again, &parts, body).await,
            None => response,
        }
    }
}

/// What comes before the route is the gateway's: a stage, or a mapping of its domain.
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
            tracing::error!(%error, "an answer could not be put together");
            later("the answer was lost")
        }
    }
}

fn later(why: &str) -> Response<Body> {
    tracing::error!(why, "a request was answered 503");
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

    #[test]
    fn what_a_gateway_puts_before_a_route_is_left_out() {
        for (path, route) in [
            ("/hooks/github", "/hooks/github"),
            ("/prod/hooks/okta", "/hooks/okta"),
            ("/beadle/v1/healthz", "/healthz"),
            ("/elsewhere", "/elsewhere"),
        ] {
            assert_eq!(below(&path.parse().unwrap()).path(), route);
        }
    }
}
