//! Opens directories and targets: their secrets, and the ways to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::{Budgets, Clock, WritePace};
use beadle_groups::targets::{ScimReader, ScimWriter, TargetReader, TargetWriter, TeamReader, TeamWriter};
use beadle_okta::{Credential, Okta};
use beadle_repositories::policy::ReadingAt;
use beadle_scim::{Api, Reader, Writer};
use beadle_transport::ClientSettings;
use futures::FutureExt as _;
use tokio::sync::Mutex;

use super::Side;
use crate::app::reading::Reading;
use crate::app::wiring::{GithubClients, OpenOptions};
use crate::config::{self, Config, PUSH_SCOPE, SCOPES};

pub(super) fn open_okta(
    config: &Config,
    file: &config::Okta,
    clock: &Clock,
    patient: bool,
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
        (None, None) => bail!("{what}: none is configured"),
    };
    let settings = ClientSettings {
        concurrency: file.concurrency.max(1),
        // Okta tells its limits in every answer, and has no other.
        rest_points: u32::MAX,
        patient,
        ..ClientSettings::default()
    };
    Okta::new(&file.url, &file.name, credential, file.reserve, clock, &settings).map_err(anyhow::Error::msg)
}

/// A target, opened.
pub(super) struct Opened {
    pub(super) reader: Arc<dyn TargetReader>,
    pub(super) writer: Arc<dyn TargetWriter>,
    pub(super) pace: WritePace,
    pub(super) side: Side,
}

pub(super) fn open_scim(
    config: &Config,
    file: &config::TargetConfig,
    scim: &config::ScimFile,
    clock: &Clock,
    patient: bool,
) -> anyhow::Result<Opened> {
    let what = format!("the token of {}", file.name);
    let token = config.secret(&scim.token, &what)?;
    let dialect = config::dialect(scim).with_context(|| format!("unknown dialect `{}`", scim.dialect))?;
    let budgets = Budgets::new(&file.name, 0);
    let budget = file.budget.clone().unwrap_or_default();
    let settings = ClientSettings {
        concurrency: budget.concurrency.max(1),
        rest_points: budget.points.max(5),
        patient,
        ..ClientSettings::default()
    };
    let api = Api::new(&scim.url, &token, dialect, budgets.clone(), clock, settings);
    let api = api.map_err(anyhow::Error::msg)?;
    let (reader, writer) = (Reader::new(api.clone()), Writer::new(api));
    let groups = ScimReader::new(reader.clone());
    #[cfg(feature = "aws")]
    let groups = match &scim.identity_store {
        Some(store) => groups.knowing(Arc::new(config::identity_store(store, clock))),
        None => groups,
    };
    let every: Duration = budget.write_every.into();
    Ok(Opened {
        writer: Arc::new(ScimWriter::new(writer.clone(), &groups)),
        reader: Arc::new(groups),
        pace: WritePace::new(every),
        side: Side::Scim { reader: Box::new(reader), writer: Box::new(writer), budgets },
    })
}

pub(super) fn open_teams(
    config: &Config,
    teams: &config::TeamsFile,
    clock: &Clock,
    opening: &OpenOptions,
    clients: &GithubClients,
) -> anyhow::Result<Opened> {
    let org = config.orgs(Some(&teams.org))?[0];
    let (api, pace) = clients.to(config, org, clock, opening)?;
    let list = teams.users_from.as_ref().map(|path| config.base.join(path));
    let reading = Arc::new(Mutex::new(Reading::default()));
    let listed = move || {
        let (list, reading) = (list.clone(), reading.clone());
        let listed = async move {
            let Some(path) = list else { return Ok(BTreeMap::new()) };
            let read = move |at: &ReadingAt| {
                at.note(&path);
                config::users(&path)
            };
            let listed = reading.lock().await.read(read).await.flatten();
            listed.map_err(|error| format!("{error:#}"))
        };
        listed.boxed()
    };
    // Nothing of repositories is asked here.
    let reader = beadle_github::Reader::new(api.clone(), beadle_github::Asks::default());
    let reader = Arc::new(TeamReader::new(reader, config::found_by(teams), Arc::new(listed)));
    Ok(Opened {
        writer: Arc::new(TeamWriter::new(beadle_github::Writer::new(api), reader.clone())),
        reader: reader.clone(),
        pace,
        side: Side::Teams(reader),
    })
}
