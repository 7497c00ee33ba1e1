//! An emulated API Gateway in front of a function. The gateway emulates HTTP APIs, REST APIs and
//! function URLs. Function URLs send the same events as HTTP APIs.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Invoked, Lambdas};

/// The maximum size of an event that a gateway sends to Lambda.
const LARGEST: usize = 6 * 1024 * 1024;

/// The kind of gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An HTTP API (payload format 2.0), or a function URL.
    Http,
    /// A REST API with a stage.
    Rest,
}

/// A running gateway. The gateway stops when this value is dropped.
pub struct Gateway {
    /// The address of the gateway.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Front {
    lambdas: Arc<Lambdas>,
    function: String,
    shape: Shape,
}

impl Gateway {
    /// Starts a gateway in front of a function.
    pub async fn start(lambdas: Arc<Lambdas>, function: &str, shape: Shape) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Front { lambdas, function: function.to_owned(), shape };
        let router = axum::Router::new().fallback(pass).with_state(front);
        Self { url, task: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }
}

async fn pass(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else { return answer(413, Vec::new()) };
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.to_string()).and_modify(|all| *all = format!("{all},{value}")).or_insert(value);
    }
    // A body that is not valid text is sent in base64.
    let (text, encoded) = match std::str::from_utf8(&body) {
        Ok(text) if headers.get("content-type").is_some_and(|kind| kind.contains("json")) => {
            (text.to_owned(), false)
        }
        _ => (STANDARD.encode(&body), true),
    };
    let method = parts.method.as_str();
    let event = match front.shape {
        Shape::Http => json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
            "requestContext": {
                "accountId": "123456789012", "apiId": "api", "domainName": "api.example", "domainPrefix": "api",
                "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "any" },
                "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "-", "timeEpoch": 0,
            },
            "body": text, "isBase64Encoded": encoded,
        }),
        Shape::Rest => {
            // A REST API does not change the case of header names.
            let upper: BTreeMap<String, String> =
                headers.iter().map(|(name, value)| (name.to_uppercase(), value.clone())).collect();
            let many: BTreeMap<&String, [&String; 1]> =
                upper.iter().map(|(name, value)| (name, [value])).collect();
            json!({
                "resource": "/{proxy+}", "path": path, "httpMethod": method, "headers": upper, "multiValueHeaders": many,
                "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null,
                "stageVariables": null,
                "requestContext": {
                    "accountId": "123456789012", "apiId": "api", "resourceId": "r", "resourcePath": "/{proxy+}",
                    "stage": "prod", "path": format!("/prod{path}"), "httpMethod": method, "requestId": "id", "protocol": "HTTP/1.1",
                    "identity": { "sourceIp": "192.0.2.1", "userAgent": "any" },
                },
                "body": text, "isBase64Encoded": encoded,
            })
        }
    };
    match front.lambdas.invoke(&front.function, &event).await {
        Invoked::Answer(given) => respond(&given),
        Invoked::Failed(_) => answer(502, br#"{"message":"Internal server error"}"#.to_vec()),
    }
}

fn respond(given: &Value) -> Response {
    let body = given["body"].as_str().unwrap_or_default();
    let body = if given["isBase64Encoded"] == true { STANDARD.decode(body).unwrap() } else { body.into() };
    let mut response = answer(given["statusCode"].as_u64().unwrap_or(502), body);
    for headers in [&given["headers"], &given["multiValueHeaders"]] {
        for (name, value) in headers.as_object().into_iter().flatten() {
            let value = value.as_str().or_else(|| value[0].as_str()).unwrap_or_default();
            let name = axum::http::HeaderName::try_from(name).unwrap();
            if name != "content-length" {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
        }
    }
    response
}

fn answer(status: u64, body: Vec<u8>) -> Response {
    let status = u16::try_from(status).unwrap();
    Response::builder().status(status).body(Body::from(body)).unwrap()
}
