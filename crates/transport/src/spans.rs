//! Makes the spans for requests to vendors.

use beadle_engine::Resource;
use beadle_engine::trace::{NewSpan, Span, SpanKind};
use reqwest::Url;

use crate::error::TransportError;
use crate::request::Request;
use crate::wire::Exchanged;

/// Begins the span of a request. The span uses the names of OpenTelemetry's conventions for HTTP.
/// The span contains no header, no query and no body. The span contains no value of the path
/// either, because a value might be the name of a secret or of a person.
///
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client>
pub(crate) fn of_request(request: &Request, target: &Url) -> Span {
    Span::begin(|current| {
        // GraphQL's address comes from the configuration, so its path has no template.
        let is_graphql = request.resource == Resource::GraphQl;
        let path = if is_graphql { "graphql" } else { request.path.template() };
        let template = format!("/{}", path.trim_start_matches('/'));
        NewSpan::within(current, format!("{} {template}", request.method))
            .kind(SpanKind::Client)
            .with("http.request.method", request.method.to_string())
            .with("url.template", template)
            .with("server.address", target.host_str().unwrap_or_default().to_owned())
    })
}

/// Ends the span of a request. `None` means that no answer arrived in time.
pub(crate) fn end_request(mut span: Span, answered: Option<Result<&Exchanged, &TransportError>>) {
    let problem = match answered {
        Some(Ok((status, ..))) => {
            span.set("http.response.status_code", i64::from(*status));
            (*status >= 400).then(|| status.to_string())
        }
        Some(Err(_)) => Some("network".to_owned()),
        None => Some("timeout".to_owned()),
    };
    if let Some(problem) = problem {
        span.set("error.type", problem);
        span.fail();
    }
}
