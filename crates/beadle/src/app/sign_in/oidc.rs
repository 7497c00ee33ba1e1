//! The sign-in with a provider of OpenID Connect: the authorization code flow with PKCE.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth>

use std::time::Duration;

use async_trait::async_trait;
use beadle_config::OidcSignInFile;
use beadle_engine::{Clock, Time};
use beadle_secrets::{ExposeSecret as _, SecretString};
use beadle_server::sign_in::{Challenge, IdentityProvider, Person, Proof, Role, SignInFailure, Standing};
use parking_lot::Mutex;
use reqwest::Url;
use serde_json::Value;

use super::claims::{checked, groups, person};
use super::http::{Http, address, read};
use super::roles::Roles;

/// After this time, Beadle reads the description of a provider again.
const KEPT: Duration = Duration::from_secs(3600);

/// The addresses of a provider.
#[derive(Clone)]
struct Provider {
    authorization: Url,
    token: Url,
    keys: Url,
    /// True if the provider accepts the client's secret in the header `Authorization`.
    takes_basic: bool,
}

/// A provider of OpenID Connect.
pub(super) struct OidcSignIn {
    file: OidcSignInFile,
    secret: SecretString,
    roles: Roles,
    http: Http,
    clock: Clock,
    provider: Mutex<Option<(Time, Provider)>>,
}

impl OidcSignIn {
    pub(super) fn new(
        (file, secret): (OidcSignInFile, SecretString),
        roles: Roles,
        http: Http,
        clock: Clock,
    ) -> Self {
        Self { file, secret, roles, http, clock, provider: Mutex::default() }
    }

    /// Returns the provider's addresses from the description of the provider.
    async fn provider(&self) -> Result<Provider, SignInFailure> {
        let now = self.clock.now();
        let kept = self.provider.lock().clone();
        if let Some((_, provider)) = kept.filter(|(read, _)| now.since(*read) < KEPT) {
            return Ok(provider);
        }
        let issuer = self.file.issuer.trim_end_matches('/');
        let url = address(&format!("{issuer}/.well-known/openid-configuration"))?;
        let found = read("the description of the provider", self.http.get(url)).await?;
        let provider = described(&found, &self.file.issuer)?;
        *self.provider.lock() = Some((now, provider.clone()));
        Ok(provider)
    }

    /// Exchanges a code for an ID token.
    async fn id_token(&self, provider: &Provider, proof: &Proof) -> Result<String, SignInFailure> {
        let (id, secret) = (self.file.client_id.as_str(), self.secret.expose_secret());
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", proof.code.as_str()),
            ("redirect_uri", proof.redirect.as_str()),
            ("code_verifier", proof.verifier.as_str()),
        ];
        if !provider.takes_basic {
            form.extend([("client_id", id), ("client_secret", secret)]);
        }
        let mut request = self.http.post(provider.token.clone(), &form);
        if provider.takes_basic {
            request = request.basic_auth(encoded(id), Some(encoded(secret)));
        }
        let answer = read("the ID token", request).await?;
        let token = answer["id_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| SignInFailure("the provider's answer has no ID token".to_owned()))
    }
}

/// Encodes a part of the header `Authorization` (RFC 6749, 2.3.1).
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns a provider's addresses from the description of the provider. The description must
/// contain the configured issuer.
fn described(found: &Value, issuer: &str) -> Result<Provider, SignInFailure> {
    if found["issuer"].as_str() != Some(issuer) {
        return Err(SignInFailure("the description of the provider names another issuer".to_owned()));
    }
    let at = |key: &str| address(found[key].as_str().unwrap_or_default());
    let methods = found["token_endpoint_auth_methods_supported"].as_array();
    Ok(Provider {
        authorization: at("authorization_endpoint")?,
        token: at("token_endpoint")?,
        keys: at("jwks_uri")?,
        takes_basic: methods.is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic")),
    })
}

#[async_trait]
impl IdentityProvider for OidcSignIn {
    fn name(&self) -> &'static str {
        "OIDC"
    }

    fn setup(&self) -> String {
        let OidcSignInFile { issuer, client_id, groups_claim, login_claim, .. } = &self.file;
        let names: Vec<(Role, &str)> = self.roles.names().collect();
        format!("{issuer} {client_id} {groups_claim} {login_claim:?} {names:?}")
    }

    async fn address(&self, challenge: &Challenge) -> Result<String, SignInFailure> {
        let mut url = self.provider().await?.authorization;
        let scopes = self.file.scopes.iter().map(String::as_str);
        let scope = std::iter::once("openid").chain(scopes).collect::<Vec<_>>().join(" ");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.file.client_id)
            .append_pair("redirect_uri", &challenge.redirect)
            .append_pair("scope", &scope)
            .append_pair("state", &challenge.state)
            .append_pair("nonce", &challenge.nonce)
            .append_pair("code_challenge", &challenge.code_challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    async fn identify(&self, proof: &Proof) -> Result<(Person, Option<Role>), SignInFailure> {
        let provider = self.provider().await?;
        let token = self.id_token(&provider, proof).await?;
        // Beadle reads the keys for each sign-in, because a provider can replace them at any time.
        let keys = read("the keys of the provider", self.http.get(provider.keys)).await?;
        let failed = |why: &str| SignInFailure(why.to_owned());
        let claims = checked(&token, &keys, &self.file, &proof.nonce).map_err(failed)?;
        let role = self.roles.of_groups(&groups(&claims, &self.file));
        Ok((person(&claims, &self.file).map_err(failed)?, role))
    }

    async fn standing(&self, _: &Person) -> Result<Standing, SignInFailure> {
        Ok(Standing::KnownAtSignIn)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_of_another_issuer_or_with_an_unencrypted_address_is_refused() {
        let found = json!({
            "issuer": "https://idp.example", "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": "https://idp.example/token", "jwks_uri": "https://idp.example/keys",
        });
        assert!(described(&found, "https://idp.example").is_ok_and(|provider| provider.takes_basic));
        assert!(described(&found, "https://idp.example/").is_err());
        for (key, value) in [
            ("issuer", json!("https://evil.example")),
            ("token_endpoint", json!("http://idp.example/token")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("jwks_uri", Value::Null),
        ] {
            let mut wrong = found.clone();
            wrong[key] = value;
            assert!(described(&wrong, "https://idp.example").is_err(), "{key}");
        }
        let mut other = found;
        other["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        assert!(described(&other, "https://idp.example").is_ok_and(|provider| !provider.takes_basic));
    }

    #[test]
    fn the_parts_of_a_header_are_encoded() {
        assert_eq!(encoded("a:b c%"), "a%3Ab+c%25");
    }
}
