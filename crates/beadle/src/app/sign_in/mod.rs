//! Opens the providers of identities. People use these providers to sign in to the pages.

mod claims;
mod github;
mod http;
mod oidc;
mod roles;

use std::sync::Arc;

use beadle_engine::Driver;
use beadle_server::sign_in::IdentityProvider;
use beadle_server::{Reloads, SignIn};

use crate::app::pages::operations::PageOperations;
use crate::app::service::Service;
use github::GithubSignIn;
use http::Http;
use oidc::OidcSignIn;
use roles::Roles;

/// Returns the sign-in for the pages, if the configuration has one. Reads the secret, and sends no
/// request.
pub(crate) fn open(
    service: &Arc<Service>,
    driver: &Driver,
    reloads: &Reloads,
) -> anyhow::Result<Option<Arc<SignIn>>> {
    let config = service.config();
    let Some(file) = &config.file.server.sign_in else { return Ok(None) };
    let (roles, http) = (Roles::new(file), Http::new()?);
    let secret = |reference: &str| config.secret(reference, "the client secret of the sign-in");
    let provider: Arc<dyn IdentityProvider> = if let Some(github) = &file.github {
        let secret = secret(&github.client_secret)?;
        Arc::new(GithubSignIn::new(service, (github.clone(), secret), roles, http)?)
    } else if let Some(oidc) = &file.oidc {
        let secret = secret(&oidc.client_secret)?;
        Arc::new(OidcSignIn::new((oidc.clone(), secret), roles, http, service.clock().clone()))
    } else {
        return Ok(None);
    };
    let operations = Arc::new(PageOperations::new(service.clone(), driver.clone(), reloads.clone()));
    let place = (service.store.clone(), service.clock().clone());
    Ok(Some(Arc::new(SignIn::new(file.origin(), provider, operations, place))))
}
