//! The credentials for Okta: an OAuth service app, which signs its own assertions, or an API token.
//!
//! <https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/main/>

use std::time::Duration;

use beadle_engine::{Clock, Resource, Time};
use beadle_secrets::{Algorithm, Header, SigningKey};
use beadle_transport::{Body, Client, Method, Path, Request, TokenError, TransportError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

/// If a token expires in less than this time, Beadle requests a new one.
const MARGIN: Duration = Duration::from_secs(300);
/// How long an assertion is valid, in seconds. Okta accepts at most one hour.
const LIFE: i64 = 300;
/// The path of Okta's token endpoint. Beadle appends this path to the address of the organisation.
const TOKEN: &str = "oauth2/v1/token";

/// A credential for a directory.
pub enum Credential {
    /// An API token (`SSWS`).
    Token(SecretString),
    /// An OAuth service app.
    App {
        /// The client id of the app.
        client: String,
        /// The id of the app's public key. Okta needs this id if the app has several keys.
        key_id: Option<String>,
        /// The private key of the app.
        key: SigningKey,
        /// The scopes that Beadle requests, such as `okta.groups.read`.
        scopes: Vec<String>,
    },
}

struct Token {
    authorization: SecretString,
    expires: Time,
}

/// Requests tokens for one directory, and keeps the current token.
pub(crate) struct Auth {
    credential: Credential,
    base: String,
    clock: Clock,
    token: Mutex<Option<Token>>,
}

#[derive(Deserialize)]
struct Minted {
    access_token: String,
    expires_in: u64,
}

impl Auth {
    pub(crate) fn new(credential: Credential, base: &str, clock: Clock) -> Self {
        Self { credential, base: base.trim_end_matches('/').to_owned(), clock, token: Mutex::default() }
    }

    /// Returns the value of the `Authorization` header for a request.
    pub(crate) async fn authorization(&self, client: &Client) -> Result<SecretString, TokenError> {
        match &self.credential {
            Credential::App { client: id, key_id, key, scopes } => {
                self.token_of_app(client, (id.as_str(), key_id.as_deref(), key), scopes).await
            }
            Credential::Token(token) => Ok(SecretString::from(format!("SSWS {}", token.expose_secret()))),
        }
    }

    /// Returns the access token of the service app. An error is about the request for the token, not
    /// about the request that needs the token.
    async fn token_of_app(
        &self,
        client: &Client,
        app: (&str, Option<&str>, &SigningKey),
        scopes: &[String],
    ) -> Result<SecretString, TokenError> {
        // This method holds the lock until the token has arrived. So concurrent requests cause only
        // one request for a token, and at most one refusal.
        let mut slot = self.token.lock().await;
        if let Some(token) = slot.as_ref().filter(|token| token.expires > self.clock.now() + MARGIN) {
            return Ok(token.authorization.clone());
        }
        let token = client.token(Box::pin(self.new_token(client, app, scopes))).await?;
        Ok(slot.insert(token).authorization.clone())
    }

    /// Requests an access token of the service app.
    async fn new_token(
        &self,
        client: &Client,
        (id, key_id, key): (&str, Option<&str>, &SigningKey),
        scopes: &[String],
    ) -> Result<Token, TransportError> {
        let assertion = self.assertion(id, key_id.map(str::to_owned), key).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", &scopes.join(" "))
            .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            .append_pair("client_assertion", &assertion)
            .finish();
        let request = Request {
            method: Method::POST,
            path: Path::at(TOKEN),
            accept: "application/json",
            authorization: None,
            headers: http::HeaderMap::new(),
            body: Some(Body::form(form)),
            resource: Resource::Core,
            counted: false,
            writes: false, // a repeated request for a token does no harm
        };
        let now = self.clock.now();
        let minted: Minted = client.send(&request).await?.json()?;
        Ok(Token {
            authorization: SecretString::from(format!("Bearer {}", minted.access_token)),
            expires: now + Duration::from_secs(minted.expires_in),
        })
    }

    /// Discards a token that Okta refused. Returns whether the credential can get a new token for
    /// the next request.
    pub(crate) async fn forget(&self, refused: &SecretString) -> bool {
        let mut slot = self.token.lock().await;
        let same = |token: &Token| token.authorization.expose_secret() == refused.expose_secret();
        if slot.as_ref().is_some_and(same) {
            *slot = None;
        }
        matches!(self.credential, Credential::App { .. })
    }

    async fn assertion(
        &self,
        client: &str,
        key_id: Option<String>,
        key: &SigningKey,
    ) -> Result<String, TransportError> {
        let now = self.clock.now().seconds();
        let claims = json!({
            "aud": format!("{}/{TOKEN}", self.base), "iss": client, "sub": client,
            "iat": now, "exp": now + LIFE, "jti": format!("{:032x}", rand::random::<u128>()),
        });
        let header = Header { kid: key_id, ..Header::new(Algorithm::RS256) };
        let signed = key.sign(&header, &claims).await;
        signed.map_err(|error| TransportError::Credential { request: TOKEN.into(), why: error.to_string() })
    }
}
