//! A simulated provider of OpenID Connect. A test sets a person, and this person consents
//! immediately.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, Uri, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::SimError;
use crate::keys::AppKey;

/// The id of the provider's signing key.
const KEY: &str = "k1";

/// A client of the provider.
#[derive(Clone, Debug)]
pub struct OidcClient {
    /// The id of the client.
    pub id: String,
    /// The secret of the client.
    pub secret: String,
    /// The only address to which the provider lets the browser return.
    pub callback: String,
}

/// A code that the provider gave to a browser.
struct Code {
    claims: Value,
    nonce: String,
    challenge: String,
}

struct Shared {
    issuer: String,
    client: OidcClient,
    key: AppKey,
    /// The claims about the person who signs in. `None` if the person refuses.
    person: Mutex<Option<Value>>,
    /// Claims that replace the claims with the same names in the next ID tokens.
    lie: Mutex<Value>,
    codes: Mutex<HashMap<String, Code>>,
}

/// A running simulated provider. The provider stops when this value is dropped.
pub struct OidcSim {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl OidcSim {
    /// Starts a provider with one client at the address `addr`. With port 0, the system chooses a
    /// free port.
    pub async fn start(addr: SocketAddr, client: OidcClient) -> Result<Self, SimError> {
        let listener = TcpListener::bind(addr).await.map_err(|why| SimError::Listen { addr, why })?;
        let addr = listener.local_addr().map_err(|why| SimError::Listen { addr, why })?;
        let shared = Arc::new(Shared {
            issuer: format!("http://{addr}"),
            client,
            key: AppKey::shared()?,
            person: Mutex::default(),
            lie: Mutex::new(json!({})),
            codes: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            let ended = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await;
            if let Err(error) = ended {
                tracing::error!(%error, "simulator ended with an error");
            }
        });
        Ok(Self { shared, stop })
    }

    /// Returns the issuer of the ID tokens.
    pub fn issuer(&self) -> String {
        self.shared.issuer.clone()
    }

    /// Sets the claims of all further sign-ins. The claims are about the person who signs in.
    /// `None` means that the person refuses.
    pub fn sign_in_as(&self, claims: Option<Value>) {
        *self.shared.person.lock() = claims;
    }

    /// Replaces claims such as `nonce` or `aud` in all further ID tokens. `{}` ends the
    /// replacement.
    pub fn lie(&self, claims: Value) {
        *self.shared.lie.lock() = claims;
    }
}

impl Drop for OidcSim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn respond(status: u16, body: &Value) -> Response {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(body.to_string())).unwrap_or_default()
}

fn error(code: &str) -> Response {
    respond(400, &json!({ "error": code }))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let issuer = &shared.issuer;
    match (method.as_str(), uri.path()) {
        ("GET", "/.well-known/openid-configuration") => respond(
            200,
            &json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
        ),
        ("GET", "/keys") => respond(200, &keys(&shared.key)),
        ("GET", "/authorize") => authorize(&shared, &pairs(uri.query().unwrap_or_default().as_bytes())),
        ("POST", "/token") => token(&shared, &headers, &pairs(&body)),
        _ => respond(404, &json!({})),
    }
}

/// Returns the public key as a set of keys. The DER form of a key of 2048 bits has the modulus in
/// the bytes 9 to 264, and the exponent is 65537.
fn keys(key: &AppKey) -> Value {
    let modulus = URL_SAFE_NO_PAD.encode(key.public.get(9..265).unwrap_or_default());
    json!({ "keys": [{ "kty": "RSA", "kid": KEY, "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB" }] })
}

fn authorize(shared: &Shared, query: &HashMap<String, String>) -> Response {
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    if value("client_id") != shared.client.id || value("redirect_uri") != shared.client.callback {
        return error("invalid_request");
    }
    let is_complete = value("response_type") == "code"
        && value("scope").split(' ').any(|scope| scope == "openid")
        && value("code_challenge_method") == "S256"
        && !value("code_challenge").is_empty();
    let mut back = form_urlencoded::Serializer::new(String::new());
    match shared.person.lock().clone() {
        Some(claims) if is_complete => {
            let code = format!("{:020x}", rand::random::<u64>());
            back.append_pair("code", &code);
            let (nonce, challenge) = (value("nonce").to_owned(), value("code_challenge").to_owned());
            shared.codes.lock().insert(code, Code { claims, nonce, challenge });
        }
        Some(_) => {
            back.append_pair("error", "invalid_request");
        }
        None => {
            back.append_pair("error", "access_denied");
        }
    }
    back.append_pair("state", value("state"));
    let to = format!("{}?{}", shared.client.callback, back.finish());
    Response::builder().status(302).header(header::LOCATION, to).body(Body::empty()).unwrap_or_default()
}

fn token(shared: &Shared, headers: &HeaderMap, form: &HashMap<String, String>) -> Response {
    let value = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let expected = STANDARD.encode(format!("{}:{}", shared.client.id, shared.client.secret));
    let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok()).unwrap_or_default();
    if shown != format!("Basic {expected}") {
        return error("invalid_client");
    }
    let Some(code) = shared.codes.lock().remove(value("code")) else { return error("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier").as_bytes()));
    if value("grant_type") != "authorization_code"
        || value("redirect_uri") != shared.client.callback
        || challenge != code.challenge
    {
        return error("invalid_grant");
    }
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": shared.issuer, "aud": shared.client.id, "iat": now, "exp": now + 300, "nonce": code.nonce,
    });
    let lie = shared.lie.lock().clone();
    for (key, value) in [code.claims, lie].iter().filter_map(Value::as_object).flatten() {
        claims[key] = value.clone();
    }
    let mut head = Header::new(Algorithm::RS256);
    head.kid = Some(KEY.to_owned());
    let signed = EncodingKey::from_rsa_pem(shared.key.pem.as_bytes())
        .and_then(|key| jsonwebtoken::encode(&head, &claims, &key));
    match signed {
        Ok(token) => {
            let access = format!("{:032x}", rand::random::<u128>());
            respond(200, &json!({ "access_token": access, "token_type": "Bearer", "id_token": token }))
        }
        Err(_) => error("server_error"),
    }
}
