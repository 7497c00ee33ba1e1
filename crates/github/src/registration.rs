//! Registers a GitHub App from a manifest. GitHub gives a code to the owner's browser, and Beadle
//! exchanges the code for the App and its secrets.
//!
//! <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>

use beadle_engine::{Budgets, Clock, Resource};
use beadle_transport::{Client, ClientSettings, Method, Path, Request, TransportError};
use secrecy::SecretString;
use serde::Deserialize;

use crate::api;
use crate::endpoint::Endpoint;

/// An App that GitHub registered from a manifest.
#[derive(Debug)]
pub struct RegisteredApp {
    /// The id of the App.
    pub id: u64,
    /// The login of the account that owns the App. The text is empty if the owner has no login.
    pub owner: String,
    /// The address of the App's page.
    pub page: String,
    /// The private key of the App, in PEM form. GitHub shows the key only once.
    pub key: SecretString,
    /// The secret that proves that GitHub sent the App's webhooks.
    pub webhook_secret: Option<SecretString>,
}

/// GitHub's answer. No code can print this type, because it contains secrets.
#[derive(Deserialize)]
struct Conversion {
    id: u64,
    owner: Owner,
    html_url: String,
    pem: String,
    webhook_secret: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    login: String,
}

/// Exchanges the codes of manifests. The calls need no credential.
#[derive(Clone)]
pub struct AppRegistration {
    client: Client,
}

impl AppRegistration {
    /// Creates the client for one server.
    pub fn new(endpoint: &Endpoint, clock: &Clock, settings: ClientSettings) -> Result<Self, String> {
        let budgets = Budgets::new("registration", 0);
        Ok(Self { client: Client::new(&endpoint.rest, budgets, clock.clone(), settings)? })
    }

    /// Exchanges a code for the App. A code is valid for one exchange and for one hour. Beadle does
    /// not retry the request. If the request arrived and only the answer was lost, the code is
    /// already used up.
    pub async fn exchange(&self, code: &str) -> Result<RegisteredApp, TransportError> {
        let path = Path::at("app-manifests").value(code).then("conversions");
        let none = SecretString::from(String::new());
        let request = api::request(Method::POST, path, None, Resource::Core, none);
        let request = Request { authorization: None, counted: false, ..request };
        let answer = self.client.send(&request).await?;
        // The parser's error can contain a value of the answer, and the value can be a secret.
        let found: Conversion = answer.json().map_err(|_| TransportError::InvalidResponse {
            request: answer.request.clone(),
            why: "the answer does not describe an App".to_owned(),
        })?;
        Ok(RegisteredApp {
            id: found.id,
            owner: found.owner.login,
            page: found.html_url,
            key: SecretString::from(found.pem),
            webhook_secret: found.webhook_secret.map(SecretString::from),
        })
    }
}
