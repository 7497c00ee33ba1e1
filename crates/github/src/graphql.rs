//! GraphQL answers: partial errors belong to their own path, used-up budgets come with status 200.
//!
//! <https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api>

use beadle_engine::{Class, Failure, Resource};
use beadle_transport::Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;

#[derive(Debug, Deserialize)]
struct Envelope {
    data: Option<Value>,
    /// A secondary limit may come with status 200 and nothing but this.
    message: Option<String>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct GraphQlError {
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) path: Vec<Value>,
}

/// What a query gave, and what it could not.
pub(crate) struct PartialAnswer {
    pub(crate) data: Value,
    pub(crate) errors: Vec<GraphQlError>,
}

impl PartialAnswer {
    /// The error below `path` (a prefix), if there is one.
    pub(crate) fn error_at(&self, path: &[Value]) -> Option<&GraphQlError> {
        self.errors.iter().find(|error| error.path.starts_with(path))
    }

    /// All or nothing.
    pub(crate) fn whole(self, doing: &str) -> Result<Value, Failure> {
        match self.errors.first() {
            None => Ok(self.data),
            Some(error) => Err(error.failure(doing)),
        }
    }
}

impl GraphQlError {
    pub(crate) fn failure(&self, doing: &str) -> Failure {
        let class = match self.kind.as_deref() {
            Some("NOT_FOUND" | "FORBIDDEN" | "UNPROCESSABLE" | "INSUFFICIENT_SCOPES") => Class::Rejected,
            Some("STALE_DATA") => Class::Conflict,
            _ if self.message.contains("Resource not accessible") => Class::Rejected,
            _ => Class::Retry,
        };
        Failure::new(class, format!("{doing}: {}", self.message))
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.kind.as_deref() == Some("NOT_FOUND")
    }
}

/// A batch that came to nothing.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// GitHub gave up on it: less at once may do.
    pub(crate) too_much: bool,
}

/// Runs a query over many things, and tells whether they were too many.
pub(crate) async fn run_batch(
    api: &Api,
    doing: &str,
    document: &str,
    variables: Value,
) -> Result<PartialAnswer, Unanswered> {
    let body = json!({ "query": api.without_lacking(document), "variables": variables });
    match api.post_graphql(body, false).await {
        Ok(answer) if lacks_more(api, &answer) => Box::pin(run_batch(api, doing, document, variables)).await,
        Ok(answer) => match read(api, doing, &answer) {
            Err(failure) if waited(api, &failure).await => {
                Box::pin(run_batch(api, doing, document, variables)).await
            }
            read => read.map_err(|failure| {
                // GitHub reports its own time-out with status 200 and an error without a type.
                let too_much = failure.class == Class::Retry;
                Unanswered { failure, too_much }
            }),
        },
        Err(error) => {
            let too_much = matches!(error.status(), Some(502 | 504)) || error.is_timeout();
            Err(Unanswered { failure: Failure::from(error).during(doing), too_much })
        }
    }
}

/// Runs a document. A mutation's errors are never partial.
pub(crate) async fn run(
    api: &Api,
    doing: &str,
    document: &str,
    variables: Value,
    writes: bool,
) -> Result<PartialAnswer, Failure> {
    let body = json!({ "query": api.without_lacking(document), "variables": variables });
    let answer = api.post_graphql(body, writes).await.map_err(|error| Failure::from(error).during(doing))?;
    if !writes && lacks_more(api, &answer) {
        return Box::pin(run(api, doing, document, variables, writes)).await;
    }
    match read(api, doing, &answer) {
        Err(failure) if waited(api, &failure).await => {
            Box::pin(run(api, doing, document, variables, writes)).await
        }
        read => read,
    }
}

/// A command waits for a used-up budget, which GraphQL may report with status 200. Whether it did.
async fn waited(api: &Api, failure: &Failure) -> bool {
    let Class::RateLimited { until, .. } = failure.class else { return false };
    if !api.client().is_patient() {
        return false;
    }
    tracing::warn!(%failure, %until, "budget used up, request waits");
    api.clock().sleep_until(until).await;
    true
}

/// Whether the server did not know a field that can be left out, and was not left out before.
fn lacks_more(api: &Api, answer: &Answer) -> bool {
    let Ok(envelope) = answer.json::<Envelope>() else { return false };
    if envelope.data.is_some_and(|data| !data.is_null()) {
        return false;
    }
    let unknown = |error: &GraphQlError| {
        let field = error.message.strip_prefix("Field '")?.split('\'').next()?;
        error.message.contains("doesn't exist on type").then(|| field.to_owned())
    };
    let fields: Vec<String> = envelope.errors.iter().filter_map(unknown).collect();
    // Every one of them is noted, so that the next try leaves them all out.
    fields.iter().filter(|field| api.lacks(field)).count() > 0
}

fn read(api: &Api, doing: &str, answer: &Answer) -> Result<PartialAnswer, Failure> {
    let envelope: Envelope = answer.json().map_err(|error| Failure::from(error).during(doing))?;
    let limited = envelope
        .errors
        .iter()
        .find(|error| matches!(error.kind.as_deref(), Some("RATE_LIMITED" | "RATE_LIMIT")));
    let secondary = envelope.message.as_ref().filter(|message| message.to_lowercase().contains("rate limit"));
    if let Some(message) = secondary {
        let after = answer.headers.get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
        let now = api.clock().now();
        let named = after.map(|seconds: u64| now + std::time::Duration::from_secs(seconds));
        let until = api.budgets().refuse(Resource::Secondary, named, now);
        let class = Class::RateLimited { until, spares_events: false };
        return Err(Failure::new(class, format!("{doing}: {message}")));
    }
    if let Some(limited) = limited {
        let now = api.clock().now();
        let reset = api.budgets().accounts().into_iter().find(|(resource, _)| *resource == Resource::GraphQl);
        let until = api.budgets().refuse(Resource::GraphQl, reset.map(|(_, account)| account.reset), now);
        let class = Class::RateLimited { until, spares_events: false };
        return Err(Failure::new(class, format!("{doing}: {}", limited.message)));
    }
    match envelope.data {
        Some(data) if !data.is_null() => Ok(PartialAnswer { data, errors: envelope.errors }),
        _ => Err(envelope.errors.first().map_or_else(
            || Failure::new(Class::Retry, format!("{doing}: the answer has neither data nor errors")),
            |error| error.failure(doing),
        )),
    }
}
