//! The sign-in with GitHub: the web flow of the App, and the memberships in teams.
//!
//! <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app>

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use beadle_config::GithubSignInFile;
use beadle_engine::Failure;
use beadle_github::Endpoint;
use beadle_secrets::{ExposeSecret as _, SecretString};
use beadle_server::sign_in::{Challenge, IdentityProvider, Person, Proof, Role, SignInFailure, Standing};

use super::http::{Http, address, read};
use super::roles::Roles;
use crate::app::service::Service;

/// GitHub as a provider of identities.
pub(super) struct GithubSignIn {
    service: Arc<Service>,
    file: GithubSignInFile,
    secret: SecretString,
    roles: Roles,
    http: Http,
    /// The address of GitHub's pages.
    web: String,
    /// The beginning of every address of the REST API.
    rest: String,
}

impl GithubSignIn {
    pub(super) fn new(
        service: &Arc<Service>,
        (file, secret): (GithubSignInFile, SecretString),
        roles: Roles,
        http: Http,
    ) -> anyhow::Result<Self> {
        let org = service.orgs.iter().find(|org| org.file.name == file.org);
        let org = &org.with_context(|| format!("there is no [[org]] `{}`", file.org))?.file;
        let (web, rest) = (org.web(), Endpoint::new(&org.api).rest);
        Ok(Self { service: service.clone(), file, secret, roles, http, web, rest })
    }

    /// Returns the role of an account. The role depends on the account's teams. The login must
    /// still belong to the account with this id, because another person can later get the same
    /// login at GitHub.
    async fn role(&self, id: &str, login: &str) -> Result<Option<Role>, SignInFailure> {
        let failed = |failure: Failure| SignInFailure(failure.text);
        let org = self.service.orgs.iter().find(|org| org.file.name == self.file.org);
        let Some(org) = org.and_then(|org| org.open()) else {
            return Err(SignInFailure("the organisation with the teams is unavailable".to_owned()));
        };
        let account = org.reader.person(login).await.map_err(failed)?;
        if account.is_none_or(|account| account.id.to_string() != id) {
            return Ok(None);
        }
        let teams: Vec<(Role, &str)> = self.roles.names().collect();
        for (role, team) in teams {
            if org.reader.is_in_team(team, login).await.map_err(failed)? {
                return Ok(Some(role));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl IdentityProvider for GithubSignIn {
    fn name(&self) -> &'static str {
        "GitHub"
    }

    fn setup(&self) -> String {
        let names: Vec<(Role, &str)> = self.roles.names().collect();
        format!("{} {} {} {names:?}", self.web, self.file.org, self.file.client_id)
    }

    async fn address(&self, challenge: &Challenge) -> Result<String, SignInFailure> {
        let mut url = address(&format!("{}/login/oauth/authorize", self.web))?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.file.client_id)
            .append_pair("redirect_uri", &challenge.redirect)
            .append_pair("state", &challenge.state)
            .append_pair("code_challenge", &challenge.code_challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("allow_signup", "false");
        Ok(url.into())
    }

    async fn identify(&self, proof: &Proof) -> Result<(Person, Option<Role>), SignInFailure> {
        let form = [
            ("client_id", self.file.client_id.as_str()),
            ("client_secret", self.secret.expose_secret()),
            ("code", proof.code.as_str()),
            ("redirect_uri", proof.redirect.as_str()),
            ("code_verifier", proof.verifier.as_str()),
        ];
        let exchange = address(&format!("{}/login/oauth/access_token", self.web))?;
        let answer = read("the token of the person", self.http.post(exchange, &form)).await?;
        let Some(token) = answer["access_token"].as_str() else {
            return Err(SignInFailure("GitHub's answer has no token of the person".to_owned()));
        };
        let user = self.http.get(address(&format!("{}user", self.rest))?).bearer_auth(token);
        let user = read("the account of the person", user).await?;
        let (Some(id), Some(login)) = (user["id"].as_u64(), user["login"].as_str()) else {
            return Err(SignInFailure("GitHub's answer has no account".to_owned()));
        };
        let id = id.to_string();
        let role = self.role(&id, login).await?;
        Ok((Person { id, name: login.to_owned(), login: Some(login.to_owned()) }, role))
    }

    async fn standing(&self, person: &Person) -> Result<Standing, SignInFailure> {
        let login = person.login.as_deref().unwrap_or(&person.name);
        self.role(&person.id, login).await.map(Standing::Role)
    }
}
