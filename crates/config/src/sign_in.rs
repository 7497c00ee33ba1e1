//! `[server.sign_in]`: how people sign in to the pages, and what they may do on the pages.

use beadle_secrets::Reference;
use serde::Deserialize;

/// `[server.sign_in]`: the sign-in of the pages. It has exactly one of `github` and `oidc`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInFile {
    /// The address of the operator listener for browsers, such as `https://beadle.example.com`.
    pub url: String,
    /// People sign in with GitHub.
    pub github: Option<GithubSignInFile>,
    /// People sign in with an OpenID Connect provider.
    pub oidc: Option<OidcSignInFile>,
    /// The teams or groups that may read the pages.
    #[serde(default)]
    pub viewers: Vec<String>,
    /// The teams or groups that may read the pages and reject held changes.
    #[serde(default)]
    pub operators: Vec<String>,
    /// The teams or groups that may read the pages, and reject and approve held changes.
    #[serde(default)]
    pub approvers: Vec<String>,
}

/// `github` of `[server.sign_in]`: the OAuth client of the App.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubSignInFile {
    /// The name of the `[[org]]` that contains the teams.
    pub org: String,
    /// The client id of the App.
    pub client_id: String,
    /// A reference to a client secret of the App.
    pub client_secret: String,
}

/// `oidc` of `[server.sign_in]`: a client at an OpenID Connect provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSignInFile {
    /// The issuer, such as `https://example.okta.com`.
    pub issuer: String,
    /// The id of the client.
    pub client_id: String,
    /// A reference to the secret of the client.
    pub client_secret: String,
    /// The scopes that Beadle asks for in addition to `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim with the names of the person's groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// The claim with the person's login at GitHub.
    pub login_claim: Option<String>,
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

fn groups() -> String {
    "groups".to_owned()
}

impl SignInFile {
    /// Returns the address of the pages without a slash at its end.
    pub fn origin(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Returns the references to the secrets of the sign-in.
    pub fn references(&self) -> Vec<Reference> {
        let github = self.github.iter().map(|github| &github.client_secret);
        let oidc = self.oidc.iter().map(|oidc| &oidc.client_secret);
        github.chain(oidc).filter_map(|reference| reference.parse().ok()).collect()
    }

    /// Returns whether the address of the pages is unencrypted. Only an address of this machine may
    /// be unencrypted.
    pub fn is_local(&self) -> bool {
        self.origin().starts_with("http://")
    }
}
