//! The spans of requests to vendors.

use beadle_engine::trace::{NewSpan, Span, SpanKind};
use reqwest::Url;

use crate::error::TransportError;
use crate::request::Request;
use crate::wire::Exchanged;

/// Begins the span of a request. It has the names of OpenTelemetry's conventions for HTTP. It has
/// neither a header, a query or a body, nor a value of the path, because a value can be the name of
/// a secret or of a person.
///
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client>
pub(crate) fn of_request(request: &Request, target: &Url) -> Span {
    Span::begin(|current| {
        let (method, template) = (&request.method, request.path.template());
        NewSpan::within(current, format!("{method} /{}", template.trim_start_matches('/')))
            .kind(SpanKind::Client)
            .with("http.request.method", method.to_string())
            .with("url.template", format!("/{}", template.trim_start_matches('/')))
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
