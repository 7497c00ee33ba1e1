//! Makes the addresses in answers point to the simulator: addresses of objects, of further pages,
//! and of redirects.

use http::{HeaderMap, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::github::rest::Reply;

/// The base of all addresses in the state.
const GITHUB: &str = "https://api.github.com";
/// The characters that must be percent-encoded. Only the unreserved characters of a URI are not
/// encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The name of the header that has the path of a redirect, without the base.
pub(crate) const MOVED: &str = "x-sim-moved";
/// The key that marks an answer as the plain text of a file. An answer with this key is not JSON.
pub(crate) const RAW: &str = "x-sim-raw";

/// Percent-encodes a name as one segment of an address.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// Percent-encodes each name of a path as a segment of an address.
pub(crate) fn path(names: &str) -> String {
    names.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Returns the base of the REST addresses for this call. If the caller uses the paths of an
/// Enterprise Server, the base contains `/api/v3`.
pub(crate) fn base(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let prefix = if uri.path().starts_with("/api/v3/") { "/api/v3" } else { "" };
    format!("http://{host}{prefix}")
}

/// Replaces the base of all addresses in an answer.
pub(crate) fn rebase(value: &mut Value, base: &str) {
    match value {
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix(GITHUB) {
                *text = format!("{base}{rest}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rebase(item, base)),
        Value::Object(map) => map.values_mut().for_each(|value| rebase(value, base)),
        _ => {}
    }
}

/// Returns the headers `Link` and `Location` for an answer.
pub(crate) fn headers(reply: &Reply, headers: &HeaderMap, uri: &Uri) -> Vec<(header::HeaderName, String)> {
    let base = base(headers, uri);
    let mut given = Vec::new();
    let mut links = Vec::new();
    for (name, value) in &reply.headers {
        if *name == MOVED {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            given.push((header::LOCATION, format!("{base}{value}{query}")));
        } else if let Some((rel, parameter)) =
            name.strip_prefix("x-sim-").and_then(|name| name.split_once('-'))
        {
            links.push(link(&base, uri, rel, parameter, value));
        }
    }
    if !links.is_empty() {
        given.push((header::LINK, links.join(", ")));
    }
    given
}

fn link(base: &str, uri: &Uri, rel: &str, parameter: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != parameter {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair(parameter, value);
    let path = uri.path().strip_prefix("/api/v3").unwrap_or(uri.path());
    format!("<{base}{path}?{}>; rel=\"{rel}\"", query.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(path: &str) -> (HeaderMap, Uri) {
        let headers = HeaderMap::from_iter([(header::HOST, "sim:80".parse().unwrap())]);
        (headers, path.parse().unwrap())
    }

    #[test]
    fn addresses_begin_with_the_base_of_the_caller() {
        let (headers, uri) = at("/api/v3/repos/acme/svc");
        let mut body =
            json!({ "url": "https://api.github.com/repos/acme/svc", "html_url": "https://github.com/x" });
        rebase(&mut body, &base(&headers, &uri));
        assert_eq!(
            body,
            json!({ "url": "http://sim:80/api/v3/repos/acme/svc", "html_url": "https://github.com/x" })
        );
        let (headers, uri) = at("/repos/acme/svc");
        assert_eq!(base(&headers, &uri), "http://sim:80");
    }

    #[test]
    fn links_name_the_existing_pages() {
        let (asked, uri) = at("/api/v3/x?page=2&per_page=5");
        let mut reply = Reply::json(200, json!([]));
        reply.headers.push(("x-sim-prev-page", "1".into()));
        reply.headers.push(("x-sim-next-page", "3".into()));
        let links = "<http://sim:80/api/v3/x?per_page=5&page=1>; rel=\"prev\", \
                     <http://sim:80/api/v3/x?per_page=5&page=3>; rel=\"next\"";
        assert_eq!(headers(&reply, &asked, &uri), [(header::LINK, links.to_owned())]);
        let mut reply = Reply::empty(301);
        reply.headers.push((MOVED, "/repositories/7".into()));
        let moved = "http://sim:80/api/v3/repositories/7?page=2&per_page=5".to_owned();
        assert_eq!(headers(&reply, &asked, &uri), [(header::LOCATION, moved)]);
    }
}
