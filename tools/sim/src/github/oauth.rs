//! The web flow for people who sign in through the App: GitHub's page that asks for consent, and
//! the exchange of the code for a token of the person. The state contains the login of this person.
//! The person consents immediately.
//!
//! <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app>

use std::collections::HashMap;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, Uri, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const AUTHORIZE: &str = "/login/oauth/authorize";
const EXCHANGE: &str = "/login/oauth/access_token";

/// A code that GitHub gave to a browser.
struct Code {
    login: String,
    redirect: String,
    challenge: Option<String>,
}

/// The unused codes, and the tokens of people.
#[derive(Default)]
pub(crate) struct Codes {
    codes: HashMap<String, Code>,
    /// Maps each token to the login of the token's owner.
    people: HashMap<String, String>,
}

/// Returns whether a path belongs to the web flow and not to the API.
pub(crate) fn is_page(path: &str) -> bool {
    path == AUTHORIZE || path == EXCHANGE
}

/// Answers a request of the web flow. `client` is the key `oauth` of the state, and `mint` creates
/// a token of a person.
pub(crate) fn page(
    codes: &mut Codes,
    client: &Value,
    mint: impl FnOnce() -> String,
    (method, uri): (&Method, &Uri),
    (headers, body): (&HeaderMap, &[u8]),
) -> Response {
    let pairs =
        |text: &[u8]| -> HashMap<String, String> { form_urlencoded::parse(text).into_owned().collect() };
    match (method, uri.path()) {
        (&Method::GET, AUTHORIZE) => {
            authorize(codes, client, &pairs(uri.query().unwrap_or_default().as_bytes()))
        }
        (&Method::POST, EXCHANGE) => {
            let answer = exchange(codes, client, mint, &pairs(body));
            let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
            if accepted.is_some_and(|accepted| accepted.contains("json")) {
                return respond(200, "application/json; charset=utf-8", &answer.to_string());
            }
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (key, value) in answer.as_object().into_iter().flatten() {
                form.append_pair(key, value.as_str().unwrap_or_default());
            }
            respond(200, "application/x-www-form-urlencoded; charset=utf-8", &form.finish())
        }
        _ => respond(404, "text/plain", "Not Found"),
    }
}

fn respond(status: u16, kind: &str, text: &str) -> Response {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    response.body(Body::from(text.to_owned())).unwrap_or_default()
}

fn authorize(codes: &mut Codes, client: &Value, query: &HashMap<String, String>) -> Response {
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    if client["client_id"].as_str() != Some(value("client_id")) {
        return respond(404, "text/plain", "Not Found");
    }
    let redirect = value("redirect_uri");
    let callbacks = client["callbacks"].as_array();
    if !callbacks.is_some_and(|callbacks| callbacks.iter().any(|callback| callback == redirect)) {
        return respond(400, "text/plain", "The redirect_uri is not associated with this application");
    }
    let challenge = query.get("code_challenge").cloned();
    if challenge.is_some() && value("code_challenge_method") != "S256" {
        return respond(400, "text/plain", "code_challenge_method must be S256");
    }
    let mut back = form_urlencoded::Serializer::new(String::new());
    match client["user"].as_str() {
        Some(login) => {
            let code = format!("{:020x}", rand::random::<u64>());
            back.append_pair("code", &code);
            codes
                .codes
                .insert(code, Code { login: login.to_owned(), redirect: redirect.to_owned(), challenge });
        }
        None => {
            back.append_pair("error", "access_denied");
        }
    }
    back.append_pair("state", value("state"));
    let to = format!("{redirect}?{}", back.finish());
    Response::builder().status(302).header(header::LOCATION, to).body(Body::empty()).unwrap_or_default()
}

fn exchange(
    codes: &mut Codes,
    client: &Value,
    mint: impl FnOnce() -> String,
    form: &HashMap<String, String>,
) -> Value {
    let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let is_client =
        ["client_id", "client_secret"].iter().all(|key| client[*key].as_str() == Some(value(key)));
    if !is_client {
        return json!({ "error": "incorrect_client_credentials" });
    }
    // A code can be used only once, even if the exchange fails.
    let Some(code) = codes.codes.remove(value("code")) else {
        return json!({ "error": "bad_verification_code" });
    };
    if code.redirect != value("redirect_uri") {
        return json!({ "error": "redirect_uri_mismatch" });
    }
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier").as_bytes()));
    if code.challenge.is_some_and(|challenge| challenge != shown) {
        return json!({ "error": "bad_verification_code" });
    }
    let token = mint();
    codes.people.insert(token.clone(), code.login);
    json!({ "access_token": token, "token_type": "bearer", "scope": "" })
}

/// If the token of a call belongs to a person, returns the address whose answer the call gets. The
/// only call of a person is `GET /user`, and its answer is the account of the person. Returns
/// `None` if the token does not belong to a person.
pub(crate) fn of_person(
    codes: &Codes,
    (method, uri): (&Method, &Uri),
    headers: &HeaderMap,
) -> Result<Option<Uri>, Box<Response>> {
    let authorization =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = authorization.split_once(' ').map(|(_, token)| token).unwrap_or_default();
    let Some(login) = codes.people.get(token) else { return Ok(None) };
    let path = uri.path().strip_prefix("/api/v3").unwrap_or(uri.path());
    let account = format!("/users/{login}").parse().ok();
    if let Some(account) = account.filter(|_| method == Method::GET && path == "/user") {
        return Ok(Some(account));
    }
    let text = json!({ "message": "Resource not accessible by integration" }).to_string();
    Err(Box::new(respond(403, "application/json; charset=utf-8", &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Value {
        json!({ "client_id": "Iv1", "client_secret": "s", "callbacks": ["http://x/return"], "user": "ann" })
    }

    fn asked(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_code_is_valid_once_for_its_client_its_address_and_its_verifier() {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(b"v"));
        let query = asked(&[
            ("client_id", "Iv1"),
            ("redirect_uri", "http://x/return"),
            ("state", "st"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        for (key, value, error) in [
            ("client_secret", "wrong", Some("incorrect_client_credentials")),
            ("redirect_uri", "http://x/other", Some("redirect_uri_mismatch")),
            ("code_verifier", "w", Some("bad_verification_code")),
            ("code", "none", Some("bad_verification_code")),
            ("client_id", "Iv1", None),
        ] {
            let mut codes = Codes::default();
            let answer = authorize(&mut codes, &client(), &query);
            assert_eq!(answer.status(), 302);
            let code = codes.codes.keys().next().unwrap().clone();
            let mut form = asked(&[
                ("client_id", "Iv1"),
                ("client_secret", "s"),
                ("redirect_uri", "http://x/return"),
                ("code_verifier", "v"),
                ("code", &code),
            ]);
            form.insert(key.to_owned(), value.to_owned());
            let answer = exchange(&mut codes, &client(), || "ghu_1".to_owned(), &form);
            assert_eq!(answer["error"].as_str(), error, "{answer}");
            let again = exchange(&mut codes, &client(), || "ghu_2".to_owned(), &form);
            assert!(again["error"].is_string(), "a second time: {again}");
        }
    }

    #[test]
    fn an_unknown_client_or_address_gets_no_code() {
        for (id, redirect, status) in
            [("Iv2", "http://x/return", 404), ("Iv1", "http://evil/return", 400), ("Iv1", "", 400)]
        {
            let query = asked(&[("client_id", id), ("redirect_uri", redirect)]);
            let mut codes = Codes::default();
            assert_eq!(authorize(&mut codes, &client(), &query).status(), status);
            assert!(codes.codes.is_empty());
        }
    }

    #[test]
    fn a_token_of_a_person_only_reads_the_account() {
        let mut codes = Codes::default();
        codes.people.insert("ghu_1".to_owned(), "ann".to_owned());
        let headers = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            headers
        };
        let call = |method: Method, path: &'static str, token: &str| {
            of_person(&codes, (&method, &Uri::from_static(path)), &headers(token))
        };
        assert_eq!(call(Method::GET, "/user", "ghu_1").unwrap().unwrap().path(), "/users/ann");
        assert!(call(Method::GET, "/orgs/acme", "ghu_1").is_err());
        assert!(call(Method::PATCH, "/user", "ghu_1").is_err());
        assert!(call(Method::GET, "/orgs/acme", "ghs_1").unwrap().is_none());
    }
}
