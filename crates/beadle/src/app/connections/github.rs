//! Opens the clients for GitHub's API, one for each organisation.

use parking_lot::Mutex;
use std::collections::HashMap;

use beadle_engine::{Budgets, Clock, WritePace};
use beadle_github::{Api, Credential, Endpoint};
use beadle_transport::ContentLimits;

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::config::{Config, OrgConfig};

/// The maximum number of concurrent requests of one client. For one credential, GitHub allows 100
/// concurrent requests in total. This total includes the requests of all processes.
const MOST_AT_ONCE: usize = 90;

/// The clients that are open. In a process, each organisation has only one client. So each
/// organisation has one budget and one pace of bulk writes.
#[derive(Default)]
pub(crate) struct GithubClients(Mutex<HashMap<String, (Api, WritePace)>>);

impl GithubClients {
    /// Creates a set of clients in which only the client of this organisation is open.
    #[cfg(test)]
    pub(crate) fn with(organisation: &str, client: (Api, WritePace)) -> Self {
        Self(Mutex::new(HashMap::from([(organisation.to_owned(), client)])))
    }

    /// Returns the client of an organisation. Opens the client if it is not open yet. Sends no
    /// request.
    pub(crate) fn get_or_open(
        &self,
        config: &Config,
        file: &OrgConfig,
        clock: &Clock,
        options: &ClientOptions,
    ) -> anyhow::Result<(Api, WritePace)> {
        if let Some(client) = self.get(&file.name) {
            return Ok(client);
        }
        // Beadle does not hold the lock here. So if the secret of one organisation is on a slow
        // file system, other organisations do not wait.
        let client = open(config, file, clock, options)?;
        let mut clients = self.0.lock();
        Ok(clients.entry(file.name.clone()).or_insert(client).clone())
    }

    /// Returns the client of an organisation, if it is open.
    pub(crate) fn get(&self, organisation: &str) -> Option<(Api, WritePace)> {
        self.0.lock().get(organisation).cloned()
    }
}

fn open(
    config: &Config,
    file: &OrgConfig,
    clock: &Clock,
    options: &ClientOptions,
) -> anyhow::Result<(Api, WritePace)> {
    let what = format!("the credential of {}", file.name);
    let credential = match (&file.app, &file.token) {
        (Some(app), _) => {
            let key = config.signing_key(&app.key, &what)?;
            Credential::App { id: app.id, key, installation: app.installation }
        }
        (None, Some(token)) => Credential::Token(config.secret(token, &what)?),
        (None, None) => anyhow::bail!("{what}: set `app` or `token`"),
    };
    let whole = beadle_transport::ClientSettings::default();
    let part = |points: u32| points / u32::try_from(options.parts).unwrap_or(u32::MAX).max(1);
    let share = MOST_AT_ONCE / usize::try_from(options.parts).unwrap_or(usize::MAX).max(1);
    let settings = beadle_transport::ClientSettings {
        concurrency: file.budget.concurrency.min(share).max(1),
        window: file.budget.minute.into(),
        rest_points: part(file.budget.rest_points).max(5),
        graphql_points: part(file.budget.graphql_points).max(5),
        content: is_hosted_by_github(&file.api)
            .then(|| ContentLimits::GITHUB.divided(u32::try_from(options.parts).unwrap_or(u32::MAX))),
        patient: options.patient,
        ..whole
    };
    let budgets = Budgets::new(&file.name, file.budget.reserve.min(90)).divided(options.parts);
    let api = Api::new(&Endpoint::new(&file.api), &file.name, credential, budgets, clock, settings)
        .map_err(anyhow::Error::msg)?
        .in_lane(options.lane);
    let api = match &options.store {
        Some(store) => api.keeping(store.clone()),
        None => api,
    };
    let every = file.budget.write_every() * u32::try_from(options.parts).unwrap_or(u32::MAX);
    Ok((api, WritePace::new(every)))
}

/// Returns whether GitHub hosts the server. If GitHub hosts the server, Beadle limits the requests
/// that create content. By default, an Enterprise Server has no limit for these requests.
fn is_hosted_by_github(api: &str) -> bool {
    let (_, address) = api.split_once("://").unwrap_or_default();
    let host = address.split(['/', ':']).next().unwrap_or_default();
    host == "api.github.com" || host.ends_with(".ghe.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_of_github_limit_the_creation_of_content() {
        for (api, is_hosted) in [
            ("https://api.github.com", true),
            ("https://api.acme.ghe.com/", true),
            ("https://github.acme.example/api/v3", false),
            ("https://api.github.com.acme.example", false),
            ("http://127.0.0.1:8080", false),
            ("", false),
        ] {
            assert_eq!(is_hosted_by_github(api), is_hosted, "{api}");
        }
    }
}
