//! The local page of `beadle init`. The page sends the owner's browser to GitHub with the manifest
//! of the App. GitHub sends the browser back with a code, and the page receives this code.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};

/// The path of the return address. GitHub sends the browser back to this path.
const RETURN: &str = "/created";
/// The content security policy for the browser: it allows no scripts, no images and no frames.
const CONTENT: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'";

/// A code that the owner's browser brought back from GitHub.
pub struct ReturnedCode {
    /// The code. Each code is valid only once.
    pub code: String,
    /// The channel for the answer to the browser. The answer is the address of the next page, or
    /// the text of an error.
    pub next: oneshot::Sender<Result<String, String>>,
}

/// The text of the page, and the address that receives its form.
#[derive(Clone, Debug)]
pub struct AppForm {
    /// The address of GitHub's page that receives the manifest.
    pub action: String,
    /// The manifest of the App, as JSON.
    pub manifest: String,
    /// The organisation of the new App.
    pub organisation: String,
    /// The lines that describe the permissions of the App.
    pub rights: Vec<String>,
}

/// The local page of the setup.
pub struct AppSetup {
    form: AppForm,
    state: String,
    hosts: [String; 2],
    codes: mpsc::Sender<ReturnedCode>,
}

impl AppSetup {
    /// Creates the page for the listener at `addr`. The browser must bring `state` back, so that no
    /// other website can pass a code to the setup. The receiver gets the codes.
    pub fn new(form: AppForm, state: String, addr: SocketAddr) -> (Arc<Self>, mpsc::Receiver<ReturnedCode>) {
        let (codes, returned) = mpsc::channel(1);
        let hosts = [addr.to_string(), format!("localhost:{}", addr.port())];
        (Arc::new(Self { form, state, hosts, codes }), returned)
    }

    /// Returns the return address. GitHub sends the browser back to this address.
    pub fn return_address(addr: SocketAddr) -> String {
        format!("http://{addr}{RETURN}")
    }

    /// Returns the routes of the page.
    pub fn router(self: Arc<Self>) -> axum::Router {
        axum::Router::new().route("/", get(start)).route(RETURN, get(created)).with_state(self)
    }

    /// Returns whether the request names this machine as its host. Without this check, a website
    /// could make its own host name resolve to the address of this machine. The website's scripts
    /// could then read the page.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
    }
}

async fn start(State(setup): State<Arc<AppSetup>>, headers: HeaderMap) -> Response {
    if !setup.admits(&headers) {
        return refused("the request does not name this machine");
    }
    let AppForm { action, manifest, organisation, rights } = &setup.form;
    let rights = rights.iter().fold(String::new(), |mut text, right| {
        let _ = write!(text, "<li>{}</li>", escaped(right)); // writing to a string cannot fail
        text
    });
    let body = format!(
        "<p>This page asks GitHub to create the App with which Beadle works in the organisation \
         <b>{}</b>. GitHub shows the App before it creates it.</p>\
         <form action=\"{}\" method=\"post\">\
         <input type=\"hidden\" name=\"manifest\" value=\"{}\">\
         <button type=\"submit\">Create the GitHub App</button></form>\
         <p>If GitHub finds no such page, sign in to GitHub as an owner of this organisation.</p>\
         <p>The App gets these permissions:</p><ul>{rights}</ul>",
        escaped(organisation),
        escaped(action),
        escaped(manifest),
    );
    page(StatusCode::OK, &body)
}

async fn created(
    State(setup): State<Arc<AppSetup>>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let shown = query.get("state").map(String::as_bytes).unwrap_or_default();
    let is_own: bool = shown.ct_eq(setup.state.as_bytes()).into();
    if !setup.admits(&headers) || !is_own {
        return refused("this answer of GitHub does not belong to this setup");
    }
    let Some(code) = query.get("code").filter(|code| !code.is_empty()) else {
        return refused("GitHub sent no code");
    };
    let (next, told) = oneshot::channel();
    if setup.codes.send(ReturnedCode { code: code.clone(), next }).await.is_err() {
        return ended();
    }
    match told.await {
        Ok(Ok(to)) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Ok(Err(why)) => page(StatusCode::BAD_GATEWAY, &format!("<p>{}</p>", escaped(&why))),
        Err(_) => ended(),
    }
}

fn refused(why: &str) -> Response {
    page(StatusCode::BAD_REQUEST, &format!("<p>{}: open the page of the setup again.</p>", escaped(why)))
}

fn ended() -> Response {
    page(StatusCode::GONE, "<p>The setup has ended. The terminal shows the result.</p>")
}

fn page(status: StatusCode, body: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Beadle: set up the GitHub App</title></head><body>{body}</body></html>\n"
    );
    (status, headers, text).into_response()
}

/// Encodes a text for HTML. The result is safe in an attribute too.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::exchange::{exchange, request};

    const HOST: (&str, &str) = ("host", "127.0.0.1:4000");

    fn setup(organisation: &str) -> (Arc<AppSetup>, mpsc::Receiver<ReturnedCode>) {
        let form = AppForm {
            action: "https://github.com/organizations/acme/settings/apps/new?state=s3cret".to_owned(),
            manifest: r#"{"name":"<b>\"'&"}"#.to_owned(),
            organisation: organisation.to_owned(),
            rights: vec!["contents: read".to_owned()],
        };
        AppSetup::new(form, "s3cret".to_owned(), ([127, 0, 0, 1], 4000).into())
    }

    async fn get(setup: &Arc<AppSetup>, path: &str, host: (&str, &str)) -> (u16, String) {
        let (head, body) =
            exchange(setup.clone().router(), request("GET", path, &[host], Body::empty())).await;
        (head.status.as_u16(), body)
    }

    #[tokio::test]
    async fn a_name_cannot_become_a_part_of_the_page() {
        let (setup, _codes) = setup("</b><script>alert(1)</script>");
        let (status, page) = get(&setup, "/", HOST).await;
        assert_eq!(status, 200);
        assert!(!page.contains("<script>"), "{page}");
        assert!(
            page.contains("value=\"{&quot;name&quot;:&quot;&lt;b&gt;\\&quot;&#39;&amp;&quot;}\""),
            "{page}"
        );
    }

    #[tokio::test]
    async fn a_code_without_the_state_or_for_another_host_is_refused() {
        let (setup, mut codes) = setup("acme");
        for (path, host) in [
            ("/created?code=c", HOST),
            ("/created?code=c&state=", HOST),
            ("/created?code=c&state=other", HOST),
            ("/created?state=s3cret", HOST),
            ("/created?code=&state=s3cret", HOST),
            ("/created?code=c&state=s3cret", ("host", "evil.example")),
            ("/", ("host", "evil.example:4000")),
        ] {
            let (status, body) = get(&setup, path, host).await;
            assert!(status == 400 && !body.contains("s3cret"), "{path}: {status} {body}");
        }
        assert!(codes.try_recv().is_err());
    }

    #[tokio::test]
    async fn the_browser_goes_where_the_setup_sends_it() {
        let (setup, mut codes) = setup("acme");
        for (answer, status) in
            [(Ok("https://github.com/apps/x".to_owned()), 303), (Err("<no>".to_owned()), 502)]
        {
            let told = async {
                let returned = codes.recv().await.unwrap();
                assert_eq!(returned.code, "c");
                returned.next.send(answer).unwrap();
            };
            let (got, ()) = tokio::join!(get(&setup, "/created?code=c&state=s3cret", HOST), told);
            assert_eq!(got.0, status);
            assert!(!got.1.contains("<no>"));
        }
        drop(codes);
        assert_eq!(get(&setup, "/created?code=c&state=s3cret", HOST).await.0, 410);
    }
}
