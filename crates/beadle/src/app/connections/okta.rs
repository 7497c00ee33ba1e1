//! Opens the clients for Okta's API, one for each directory.

use std::sync::Arc;

use anyhow::bail;
use beadle_engine::{Clock, Store};
use beadle_groups::sources::Catchup;
use beadle_okta::{Credential, Okta};
use beadle_transport::ClientSettings;

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::config::{self, Config, PUSH_SCOPE, SCOPES};

/// Opens the client of a directory. Sends no request.
pub(crate) fn open_okta(
    config: &Config,
    file: &config::Okta,
    clock: &Clock,
    options: &ClientOptions,
) -> anyhow::Result<Okta> {
    let what = format!("the credential of {}", file.name);
    let credential = match (&file.app, &file.token) {
        (Some(app), _) => {
            let key = config.signing_key(&app.key, &what)?;
            let mut scopes = SCOPES.map(str::to_owned).to_vec();
            scopes.extend((!file.push_apps.is_empty()).then(|| PUSH_SCOPE.to_owned()));
            Credential::App { client: app.client_id.clone(), key_id: app.key_id.clone(), key, scopes }
        }
        (None, Some(token)) => Credential::Token(config.secret(token, &what)?),
        (None, None) => bail!("{what}: set `app` or `token`"),
    };
    let settings = ClientSettings {
        concurrency: file.concurrency.max(1),
        // This value means no limit. Okta sends the limits with every answer, and has no single
        // limit for all calls.
        rest_points: u32::MAX,
        patient: options.patient,
        ..ClientSettings::default()
    };
    let okta = Okta::new(&file.url, &file.name, credential, file.reserve, clock, &settings);
    Ok(okta.map_err(anyhow::Error::msg)?.in_lane(options.lane))
}

/// Returns the reader of a directory's System Log.
pub(crate) fn catchup(okta: &Okta, store: &Arc<dyn Store>, clock: &Clock) -> Catchup {
    Catchup { okta: okta.clone(), store: store.clone(), clock: clock.clone() }
}
