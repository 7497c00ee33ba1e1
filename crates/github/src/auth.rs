//! The credential of the requests: the installation of a GitHub App, or a token.
//!
//! <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app>

use std::collections::VecDeque;
use std::time::Duration;

use beadle_engine::{Clock, Resource, Store, Time};
use beadle_secrets::{Algorithm, Header, SigningKey};
use beadle_transport::{Client, Method, Path, Request, TokenError, TransportError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::credential_digest::CredentialDigest;
use crate::organisation_memory::another_organisation;

/// If a token expires in less than this time, Beadle renews the token.
const MARGIN: Duration = Duration::from_secs(300);
/// The number of notes about permissions that a process remembers. Several runs can read notes at
/// the same time and act on them later in any order. A process must therefore recognise several
/// notes, not only the last one.
const HEEDED: usize = 16;
/// The `iat` of a JWT is this number of seconds in the past. GitHub accepts only an `iat` in the
/// past, and the local clock can be ahead of GitHub's clock.
const BACK: i64 = 60;
/// How long a JWT is valid, in seconds. GitHub accepts at most ten minutes.
const LIFE: i64 = 540;

/// How Beadle authenticates to GitHub.
pub enum Credential {
    /// A personal access token, classic or fine-grained.
    Token(SecretString),
    /// The installation of a GitHub App.
    App {
        /// The id of the App.
        id: u64,
        /// The private key of the App.
        key: SigningKey,
        /// The id of the App's installation. If this field is `None`, Beadle looks up the
        /// installation by the name of the organisation.
        installation: Option<u64>,
    },
}

/// The credential of a request, with its digest. The credential and the digest come from the same
/// token.
#[derive(Clone)]
pub(crate) struct Access {
    /// The value of the `Authorization` header.
    pub(crate) authorization: SecretString,
    /// A digest of the configured token. For an App, a digest of the App and the permissions of its
    /// token. The digest changes only if somebody changes the configured token or the permissions.
    /// If two requests have the same digest, GitHub shows the same data to both.
    pub(crate) digest: CredentialDigest,
}

struct Token {
    access: Access,
    expires: Time,
}

/// The credential of one organisation, and the current token.
pub(crate) struct Auth {
    credential: Credential,
    organisation: String,
    clock: Clock,
    token: Mutex<Option<Token>>,
    /// The last notes about permissions that this process has acted on, the oldest first.
    heeded: parking_lot::Mutex<VecDeque<(Time, CredentialDigest)>>,
    installation: Mutex<Option<u64>>,
}

#[derive(Deserialize)]
struct Minted {
    token: SecretText,
    expires_at: jiff::Timestamp,
    /// The permissions of the installation at the time of the request.
    #[serde(default)]
    permissions: Value,
}

/// A secret that GitHub sent in an answer. No code can print this type.
#[derive(Deserialize)]
#[serde(transparent)]
struct SecretText(String);

#[derive(Deserialize)]
struct Installation {
    id: u64,
    account: Option<Account>,
}

/// The owner of an installation.
#[derive(Deserialize)]
struct Account {
    id: Option<u64>,
}

impl Auth {
    pub(crate) fn new(credential: Credential, organisation: &str, clock: Clock) -> Self {
        Self {
            credential,
            organisation: organisation.to_owned(),
            clock,
            token: Mutex::default(),
            heeded: parking_lot::Mutex::default(),
            installation: Mutex::default(),
        }
    }

    pub(crate) fn is_app(&self) -> bool {
        matches!(self.credential, Credential::App { .. })
    }

    /// Returns the credential for a call: the token of the App's installation, or the configured
    /// token. `store` remembers which organisation the login belongs to. If the App is no longer
    /// installed, the error blocks the credential for every key of the organisation.
    pub(crate) async fn access(
        &self,
        client: &Client,
        store: Option<&dyn Store>,
    ) -> Result<Access, TokenError> {
        match &self.credential {
            Credential::App { id, installation, .. } => {
                self.access_of_app(client, store, *id, *installation).await
            }
            Credential::Token(token) => {
                let authorization = bearer(token.expose_secret());
                let digest = CredentialDigest::of(authorization.expose_secret());
                Ok(Access { authorization, digest })
            }
        }
    }

    /// Returns the token of the App's installation. An error is about the requests for a token, not
    /// about the call that needs the token.
    async fn access_of_app(
        &self,
        client: &Client,
        store: Option<&dyn Store>,
        app: u64,
        installation: Option<u64>,
    ) -> Result<Access, TokenError> {
        // This method holds the lock during the request, so that parallel calls share one request
        // for a token, or one refusal.
        let mut slot = self.token.lock().await;
        if let Some(token) = slot.as_ref().filter(|token| token.expires > self.clock.now() + MARGIN) {
            return Ok(token.access.clone());
        }
        let token = client.token(Box::pin(self.new_token(client, store, app, installation))).await?;
        Ok(slot.insert(token).access.clone())
    }

    /// Requests a token of the App's installation.
    async fn new_token(
        &self,
        client: &Client,
        store: Option<&dyn Store>,
        app: u64,
        installation: Option<u64>,
    ) -> Result<Token, TransportError> {
        let installation = match installation {
            Some(installation) => installation,
            None => self.find_installation(client, store).await?,
        };
        let minted = match self.mint(client, installation).await {
            // If somebody installs the App again, the App has a new installation id.
            Err(error) if error.status() == Some(404) && self.installation.lock().await.take().is_some() => {
                let installation = self.find_installation(client, store).await?;
                self.mint(client, installation).await?
            }
            minted => minted?,
        };
        let access = Access {
            authorization: bearer(&minted.token.0),
            digest: CredentialDigest::of(&json!([app, minted.permissions]).to_string()),
        };
        Ok(Token { access, expires: Time(minted.expires_at.as_millisecond()) })
    }

    /// Forgets the token of the App, so that the next request gets a new token. A token keeps the
    /// permissions that the installation had when GitHub created the token.
    pub(crate) async fn drop_token(&self) {
        *self.token.lock().await = None;
    }

    /// Forgets the token of the App if the permissions of the token differ from the permissions in
    /// the note. `at` is the time of the note. This time only distinguishes the notes, so a wrong
    /// clock does no harm. This process forgets at most one token because of the same note.
    /// Otherwise, every run could request a token while the note is out of date.
    pub(crate) async fn heed_accepted_permissions(&self, at: Time, permissions: CredentialDigest) {
        let mut slot = self.token.lock().await;
        let is_news = {
            let mut heeded = self.heeded.lock();
            let is_news = !heeded.contains(&(at, permissions));
            if is_news {
                heeded.push_back((at, permissions));
                if heeded.len() > HEEDED {
                    heeded.pop_front();
                }
            }
            is_news
        };
        if is_news && slot.as_ref().is_some_and(|token| token.access.digest != permissions) {
            *slot = None;
        }
    }

    /// Discards a token that GitHub refused. Returns whether Beadle can request another token.
    pub(crate) async fn forget(&self, refused: &SecretString) -> bool {
        let mut slot = self.token.lock().await;
        let same = |token: &Token| token.access.authorization.expose_secret() == refused.expose_secret();
        if slot.as_ref().is_some_and(same) {
            *slot = None;
        }
        self.is_app()
    }

    async fn mint(&self, client: &Client, installation: u64) -> Result<Minted, TransportError> {
        let path = Path::at("app/installations").id(installation).then("access_tokens");
        let request = self.as_app(Method::POST, path, Some(&json!({}))).await?;
        client.send(&request).await.map_err(|error| self.not_installed(error))?.json()
    }

    /// Explains the answer 404 to a request about the App's installation.
    fn not_installed(&self, error: TransportError) -> TransportError {
        let TransportError::Status { request, status: 404, .. } = error else { return error };
        let message =
            format!("the App is not installed on {}, or there is no such organisation", self.organisation);
        TransportError::Status { request, status: 404, message }
    }

    async fn find_installation(
        &self,
        client: &Client,
        store: Option<&dyn Store>,
    ) -> Result<u64, TransportError> {
        let mut known = self.installation.lock().await;
        if let Some(id) = *known {
            return Ok(id);
        }
        let path = Path::at("orgs").value(&self.organisation).then("installation");
        let shown = path.to_string();
        let request = self.as_app(Method::GET, path, None).await?;
        let found = client.send(&request).await.map_err(|error| match error {
            TransportError::Status { request, status: 401, message } => {
                let message = format!(
                    "{message}; check that the private key belongs to this App's id, and that the clock is right"
                );
                TransportError::Status { request, status: 401, message }
            }
            error => self.not_installed(error),
        })?;
        let found: Installation = found.json()?;
        if let (Some(store), Some(owner)) = (store, found.account.and_then(|account| account.id)) {
            let why = match another_organisation(store, &self.organisation, owner).await {
                Ok(why) => why,
                Err(error) => Some(format!("the id of the organisation is not known: {error}")),
            };
            if let Some(why) = why {
                return Err(TransportError::Credential { request: shown, why });
            }
        }
        Ok(*known.insert(found.id))
    }

    /// Creates a request that Beadle sends as the App itself.
    pub(crate) async fn as_app(
        &self,
        method: Method,
        path: Path,
        body: Option<&serde_json::Value>,
    ) -> Result<Request, TransportError> {
        let Credential::App { id, key, .. } = &self.credential else {
            let why = "this request needs an App, but the configuration has a token".to_owned();
            return Err(TransportError::Credential { request: path.to_string(), why });
        };
        let now = self.clock.now().seconds();
        let claims = json!({ "iat": now - BACK, "exp": now + LIFE, "iss": id.to_string() });
        let jwt = key.sign(&Header::new(Algorithm::RS256), &claims).await;
        let jwt = jwt.map_err(|error| TransportError::Credential {
            request: path.to_string(),
            why: error.to_string(),
        })?;
        Ok(Request {
            counted: false,
            writes: false, // a repeated request for a token does no harm
            ..crate::api::request(method, path, body, Resource::Core, bearer(&jwt))
        })
    }
}

fn bearer(token: &str) -> SecretString {
    SecretString::from(format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use beadle_engine::Budgets;
    use beadle_secrets::testing::signing_key;
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;

    use super::*;

    const NOW: Time = Time(1_000_000_000_000);

    /// Returns the credential of an App, and the client and the network for this credential. In
    /// this test, an owner accepts a permission after GitHub has created the first token.
    fn app() -> (Auth, Client, Arc<Recorder>) {
        let minted = AtomicUsize::new(0);
        let wire = Recorder::new(move |_| {
            let number = minted.fetch_add(1, Ordering::SeqCst);
            let level = if number == 0 { "read" } else { "write" };
            let token = json!({
                "token": format!("token {number}"), "expires_at": "2001-09-09T02:46:40Z",
                "permissions": { "issues": level },
            });
            (201, token)
        });
        let clock = Clock::simulated(NOW);
        let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
        let budgets = Budgets::new("acme", 0);
        let client = Client::new("https://github.test/", budgets, clock.clone(), settings).unwrap();
        let credential = Credential::App { id: 7, key: signing_key(), installation: Some(1) };
        (Auth::new(credential, "acme", clock), client, wire)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_has_its_own_digest_even_if_another_task_forgets_the_token() {
        let (auth, client, wire) = app();
        let first = auth.access(&client, None).await.unwrap();
        // The first task waits for the token. The second task waits for the first task, and then
        // discards the token.
        let held = auth.token.lock().await;
        let reading = auth.access(&client, None);
        let forgetting = auth.forget(&first.authorization);
        let (read, _, ()) = futures::future::join3(reading, forgetting, async move { drop(held) }).await;
        let read = read.unwrap();
        assert_eq!(read.authorization.expose_secret(), first.authorization.expose_secret());
        assert_eq!(read.digest, first.digest);
        let second = auth.access(&client, None).await.unwrap();
        assert_ne!(second.digest, first.digest, "the second token has another permission");
        assert_eq!(wire.arrived().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_token_is_replaced_before_its_end() {
        let (auth, client, wire) = app();
        let first = auth.access(&client, None).await.unwrap();
        assert_eq!(auth.access(&client, None).await.unwrap().digest, first.digest);
        assert_eq!(wire.arrived().len(), 1, "the token is still valid");
        auth.drop_token().await;
        assert_ne!(auth.access(&client, None).await.unwrap().digest, first.digest);
        assert_eq!(wire.arrived().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_with_other_permissions_is_replaced_once_for_each_note() {
        let (auth, client, wire) = app();
        let first = auth.access(&client, None).await.unwrap().digest;
        let (other, second) = (CredentialDigest::of("other"), Duration::from_secs(1));
        // The clock of a process can be ahead of other clocks or behind them, and a run can act on
        // a note late.
        for (at, permissions, tokens) in [
            (NOW, first, 1),
            (NOW + second, other, 2),
            (NOW + second, other, 2),
            (NOW, first, 2),
            (NOW + second, other, 2),
            (NOW - second, first, 3),
            (NOW + second, other, 3),
        ] {
            auth.heed_accepted_permissions(at, permissions).await;
            auth.access(&client, None).await.unwrap();
            assert_eq!(wire.arrived().len(), tokens, "{at}");
        }
    }
}
