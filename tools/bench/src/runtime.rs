//! Lambda's Runtime API for one function. The API sends one invocation at a time.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

/// A local Runtime API. A function gets its events from this API.
pub(crate) struct Runtime {
    /// The value for the function's environment variable `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    events: mpsc::Sender<String>,
    answers: Mutex<mpsc::Receiver<Result<Value, String>>>,
}

struct Shared {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Result<Value, String>>,
}

impl Runtime {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let (events, taken) = mpsc::channel(1);
        let (given, answers) = mpsc::channel(1);
        let shared = Arc::new(Shared { events: Mutex::new(taken), answers: given });
        let router = axum::Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .route("/2018-06-01/runtime/init/error", post(fail))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, events, answers: Mutex::new(answers) })
    }

    /// Sends an event to the function, and waits for the function's answer.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, String> {
        let mut answers = self.answers.lock().await;
        self.events.send(event.to_string()).await.map_err(|error| error.to_string())?;
        answers.recv().await.unwrap_or_else(|| Err("the Runtime API has ended".into()))
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let event = shared.events.lock().await.recv().await.unwrap_or_default();
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        .header("lambda-runtime-deadline-ms", "4102444800000")
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:any")
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700");
    response.body(event.into()).unwrap_or_default()
}

async fn respond(State(shared): State<Arc<Shared>>, Path(_): Path<String>, body: String) -> http::StatusCode {
    let answer = serde_json::from_str(&body).map_err(|error| error.to_string());
    let _ = shared.answers.send(answer).await; // this fails if the caller has ended
    http::StatusCode::ACCEPTED
}

async fn fail(State(shared): State<Arc<Shared>>, body: String) -> http::StatusCode {
    let _ = shared.answers.send(Err(body)).await; // this fails if the caller has ended
    http::StatusCode::ACCEPTED
}
