//! Sends GraphQL requests and reads their answers. An error in an answer has a path, and affects
//! only the part at this path. GitHub reports a used-up budget with status 200.
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
    /// The error message of a secondary limit. GitHub can report a secondary limit with status 200
    /// and an answer that has only the field `message`.
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

/// The data of an answer, and an error for each part that is missing from the data.
pub(crate) struct PartialAnswer {
    pub(crate) data: Value,
    pub(crate) errors: Vec<GraphQlError>,
}

impl PartialAnswer {
    /// Returns the first error whose path begins with `path`.
    pub(crate) fn error_at(&self, path: &[Value]) -> Option<&GraphQlError> {
        self.errors.iter().find(|error| error.path.starts_with(path))
    }

    /// Returns whether parts of the data are missing because the query asked for too many objects.
    ///
    /// <https://github.blog/changelog/2025-09-01-graphql-api-resource-limits>
    pub(crate) fn is_cut(&self) -> bool {
        self.errors.iter().any(|error| error.kind.as_deref() == Some("RESOURCE_LIMITS_EXCEEDED"))
    }

    /// Returns the data. If the answer has errors, returns the first error.
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

/// The failure of a query for a batch of objects.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// True if GitHub gave up because the batch was too large. A smaller batch can succeed.
    pub(crate) too_much: bool,
}

/// Runs a query for many objects. A failure shows whether the query asked for too many objects.
pub(crate) async fn run_batch(
    api: &Api,
    doing: &str,
    document: &str,
    variables: Value,
) -> Result<PartialAnswer, Unanswered> {
    loop {
        let body = json!({ "query": api.without_lacking(document), "variables": variables });
        let answer = api.post_graphql(body, false).await.map_err(|error| {
            let too_much = matches!(error.status(), Some(502 | 504)) || error.is_timeout();
            Unanswered { failure: Failure::from(error).during(doing), too_much }
        })?;
        if let Some(read) = read(api, doing, &answer, false).await {
            return read.map_err(|failure| {
                // GitHub reports its own time-out with status 200 and an error that has no type.
                let too_much = failure.class == Class::Retry;
                Unanswered { failure, too_much }
            });
        }
    }
}

/// Sends a document to GitHub. If a mutation has an error, the whole call fails.
pub(crate) async fn run(
    api: &Api,
    doing: &str,
    document: &str,
    variables: Value,
    writes: bool,
) -> Result<PartialAnswer, Failure> {
    loop {
        let body = json!({ "query": api.without_lacking(document), "variables": variables });
        let answer =
            api.post_graphql(body, writes).await.map_err(|error| Failure::from(error).during(doing))?;
        if let Some(read) = read(api, doing, &answer, writes).await {
            return read;
        }
    }
}

/// Reads an answer. Returns `None` if Beadle must send the document again. There are two reasons:
/// the server does not know an optional field, or Beadle had to wait for a budget.
async fn read(
    api: &Api,
    doing: &str,
    answer: &Answer,
    writes: bool,
) -> Option<Result<PartialAnswer, Failure>> {
    let envelope: Envelope = match answer.json() {
        Ok(envelope) => envelope,
        Err(error) => return Some(Err(Failure::from(error).during(doing))),
    };
    if !writes && lacks_more(api, &envelope) {
        return None;
    }
    match open(api, doing, answer, envelope) {
        Err(failure) if waited(api, &failure).await => None,
        opened => Some(opened),
    }
}

/// Waits for the budget if the budget is used up and a command makes the call. Returns whether the
/// function waited. GraphQL can report a used-up budget with status 200.
async fn waited(api: &Api, failure: &Failure) -> bool {
    let Class::RateLimited { until, .. } = failure.class else { return false };
    if !api.client().is_patient() {
        return false;
    }
    tracing::warn!(%failure, %until, "API budget used up, request waits for the reset");
    api.clock().sleep_until(until).await;
    true
}

/// Returns whether the server does not know an optional field of the document.
fn lacks_more(api: &Api, envelope: &Envelope) -> bool {
    if envelope.data.as_ref().is_some_and(|data| !data.is_null()) {
        return false;
    }
    let unknown = |error: &GraphQlError| {
        let field = error.message.strip_prefix("Field '")?.split('\'').next()?;
        error.message.contains("doesn't exist on type").then(|| field.to_owned())
    };
    let fields: Vec<String> = envelope.errors.iter().filter_map(unknown).collect();
    // `count` visits all unknown fields. So Beadle remembers all unknown fields, and the next
    // request contains none of these fields.
    fields.iter().filter(|field| api.lacks(field)).count() > 0
}

/// Returns the data of an answer, or a failure with the reason why the answer has no data.
fn open(api: &Api, doing: &str, answer: &Answer, envelope: Envelope) -> Result<PartialAnswer, Failure> {
    let limited = envelope
        .errors
        .iter()
        .find(|error| matches!(error.kind.as_deref(), Some("RATE_LIMITED" | "RATE_LIMIT")));
    let secondary = envelope.message.as_ref().filter(|message| message.to_lowercase().contains("rate limit"));
    if let Some(message) = secondary {
        let now = api.clock().now();
        let until = api.budgets().refuse(Resource::Secondary, answer.retry_after(now), now);
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
    // If an error has no path, Beadle does not know which parts of the data are missing. So each
    // null can be a missing part.
    let of_all = envelope.errors.iter().find(|error| error.path.is_empty());
    let of_all = of_all.map(|error| error.failure(doing));
    match envelope.data.filter(|data| !data.is_null()) {
        Some(data) => match of_all {
            None => Ok(PartialAnswer { data, errors: envelope.errors }),
            Some(failure) => Err(failure),
        },
        None => Err(envelope.errors.first().map_or_else(
            || Failure::new(Class::Retry, format!("{doing}: the answer has neither data nor errors")),
            |error| error.failure(doing),
        )),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Budgets, Clock, Time};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;
    use secrecy::SecretString;

    use super::*;
    use crate::auth::Credential;
    use crate::endpoint::Endpoint;

    /// Reads two nodes from a simulated GitHub, which returns only one of them, together with
    /// `error`.
    async fn answer_with(error: Value) -> Result<PartialAnswer, Unanswered> {
        let wire = Recorder::new(move |_| {
            (200, json!({ "data": { "nodes": [{ "id": "R_1" }, null] }, "errors": [error.clone()] }))
        });
        let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let clock = Clock::simulated(Time(0));
        let api = Api::new(&endpoint, "acme", token, budgets, &clock, settings).unwrap();
        run_batch(&api, "reading", "query { viewer { id } }", json!({})).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_with_a_path_is_about_this_path_only() {
        let error = |kind: &str| json!({ "type": kind, "message": "no", "path": ["nodes", 1] });
        let path = |at: u64| [json!("nodes"), json!(at)];
        for (kind, is_cut) in [("NOT_FOUND", false), ("RESOURCE_LIMITS_EXCEEDED", true)] {
            let answer = answer_with(error(kind)).await.ok().unwrap();
            assert!(answer.error_at(&path(0)).is_none() && answer.error_at(&path(1)).is_some(), "{kind}");
            assert_eq!(answer.is_cut(), is_cut, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_without_a_path_makes_the_whole_answer_unknown() {
        for error in [
            json!({ "type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded." }),
            json!({ "message": "Something went wrong while executing your query.", "path": [] }),
        ] {
            let unanswered = answer_with(error.clone()).await.err();
            assert!(unanswered.is_some_and(|unanswered| unanswered.too_much), "{error}");
        }
        let unanswered = answer_with(json!({ "type": "FORBIDDEN", "message": "no" })).await.err();
        assert!(unanswered.is_some_and(|unanswered| !unanswered.too_much), "a smaller query is refused too");
    }
}
