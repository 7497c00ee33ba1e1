//! One request to a vendor, and its parts.

use beadle_engine::Resource;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::TransportError;
use crate::path::Path;

/// The body of a request, with its content type.
#[derive(Clone, Debug)]
pub struct Body {
    content_type: &'static str,
    text: String,
}

impl Body {
    /// Creates a JSON body with the content type `application/json`.
    pub fn json(value: &Value) -> Self {
        Self { content_type: "application/json", text: value.to_string() }
    }

    /// Creates a JSON body with the content type `application/scim+json` (RFC 7644, 3.1).
    pub fn scim(value: &Value) -> Self {
        Self { content_type: "application/scim+json", text: value.to_string() }
    }

    /// Creates the body of a form, from text in the format `application/x-www-form-urlencoded`.
    pub fn form(encoded: String) -> Self {
        Self { content_type: "application/x-www-form-urlencoded", text: encoded }
    }
}

/// One request that a client sends.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path below the client's base address, with the query. The path can be a whole address
    /// that came from the vendor.
    pub path: Path,
    /// The value of the header `Accept`.
    pub accept: &'static str,
    /// The value of the header `Authorization`, if the request has this header.
    pub authorization: Option<SecretString>,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body, if the request has one.
    pub body: Option<Body>,
    /// The account of the budget that pays for the request.
    pub resource: Resource,
    /// True if the rate-limit headers of the answer describe the budget of this credential. This is
    /// `false` if Beadle sends the request as the App itself, because the App has a separate
    /// budget.
    pub counted: bool,
    /// True if the request can change anything at the vendor. A GraphQL query is a POST request,
    /// but changes nothing.
    pub writes: bool,
}

impl Request {
    /// Returns whether the vendor counts the request as a request that creates content. A GraphQL
    /// request counts if its text contains the word `create`, even if it creates no content.
    pub(crate) fn creates(&self) -> bool {
        let is_creation = match self.resource {
            Resource::GraphQl => self.body.as_ref().is_some_and(|body| body.text.contains("create")),
            _ => self.method == Method::POST,
        };
        self.writes && self.counted && is_creation
    }
}

/// Builds the HTTP request to `target`.
pub(crate) fn outgoing(request: &Request, target: &Url) -> Result<http::Request<Bytes>, http::Error> {
    let mut builder = http::Request::builder().method(&request.method).uri(target.as_str());
    if let Some(headers) = builder.headers_mut() {
        headers.extend(request.headers.clone());
    }
    builder = builder.header(header::ACCEPT, request.accept);
    if let Some(authorization) = &request.authorization {
        let mut value = HeaderValue::from_str(authorization.expose_secret())?;
        value.set_sensitive(true);
        builder = builder.header(header::AUTHORIZATION, value);
    }
    let Some(body) = &request.body else { return builder.body(Bytes::new()) };
    builder.header(header::CONTENT_TYPE, body.content_type).body(Bytes::from(body.text.clone()))
}

/// Returns the error for a request that cannot be built.
pub(crate) fn unsendable(label: &str, error: &http::Error) -> TransportError {
    let (request, why) = (label.to_owned(), error.to_string());
    // Only the header of the credential can have an invalid value. All other values are literals,
    // or come from valid headers.
    if error.is::<header::InvalidHeaderValue>() {
        TransportError::Credential { request, why }
    } else {
        TransportError::Network { request, why }
    }
}

/// Returns the name of a request in messages.
pub(crate) fn label(request: &Request) -> String {
    // A query can contain names of people, so the message contains only the path. The path is
    // enough to find the request.
    let path = request.path.without_query();
    format!(
        "{} {}{}",
        request.method,
        if path.starts_with('/') || path.contains("://") { "" } else { "/" },
        path
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_is_no_header_is_refused_and_not_shown() {
        for token in ["hidden\r\nx-other: 1", "hidden\0", "hidden\n", "hidden\u{7f}"] {
            let request = Request {
                method: Method::GET,
                path: Path::at("x"),
                accept: "application/json",
                authorization: Some(SecretString::from(format!("Bearer {token}"))),
                headers: HeaderMap::new(),
                body: None,
                resource: Resource::Core,
                counted: false,
                writes: false,
            };
            let refused = outgoing(&request, &Url::parse("https://api.test/x").unwrap()).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hidden"));
        }
    }
}
