//! The clients of one target: a SCIM server, or the teams of an organisation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{Budgets, Clock, WritePace};
use beadle_groups::targets::{ScimReader, ScimWriter, TargetReader, TargetWriter, TeamReader, TeamWriter};
use beadle_repositories::policy::ReadingAt;
use beadle_scim::{Api, Reader, Writer};
use beadle_transport::ClientSettings;
use futures::FutureExt as _;
use tokio::sync::Mutex;

use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::github::GithubClients;
use crate::app::file_timeout::FileReader;
use crate::config::{self, Config};

/// The clients of one target.
pub(in crate::app) struct TargetConnection {
    pub(in crate::app) reader: Arc<dyn TargetReader>,
    pub(in crate::app) writer: Arc<dyn TargetWriter>,
    pub(in crate::app) pace: WritePace,
    pub(in crate::app) api: TargetApi,
}

/// The part of a target's API that differs between SCIM servers and teams.
pub(in crate::app) enum TargetApi {
    /// A SCIM server.
    Scim { reader: Box<Reader>, writer: Box<Writer>, budgets: Budgets },
    /// The teams of an organisation. The teams use the client of the organisation.
    Teams(Arc<TeamReader>),
}

/// Opens a SCIM server. Sends no request.
pub(in crate::app) fn open_scim(
    config: &Config,
    file: &config::TargetConfig,
    scim: &config::ScimFile,
    clock: &Clock,
    options: &ClientOptions,
) -> anyhow::Result<TargetConnection> {
    let what = format!("the token of {}", file.name);
    let token = config.secret(&scim.token, &what)?;
    let dialect = config::dialect(scim).with_context(|| format!("unknown dialect `{}`", scim.dialect))?;
    let budgets = Budgets::new(&file.name, 0);
    let budget = file.budget.clone().unwrap_or_default();
    let settings = ClientSettings {
        concurrency: budget.concurrency.max(1),
        rest_points: budget.points.max(5),
        patient: options.patient,
        ..ClientSettings::default()
    };
    let api = Api::new(&scim.url, &token, dialect, budgets.clone(), clock, settings);
    let api = api.map_err(anyhow::Error::msg)?.in_lane(options.lane);
    let (reader, writer) = (Reader::new(api.clone()), Writer::new(api));
    let groups = ScimReader::new(reader.clone()).mapping(config::attributes(&file.attributes));
    #[cfg(feature = "aws")]
    let groups = match &scim.identity_store {
        Some(store) => groups.knowing(Arc::new(config::identity_store(store, clock))),
        None => groups,
    };
    let every: Duration = budget.write_every.into();
    Ok(TargetConnection {
        writer: Arc::new(ScimWriter::new(writer.clone(), &groups)),
        reader: Arc::new(groups),
        pace: WritePace::new(every),
        api: TargetApi::Scim { reader: Box::new(reader), writer: Box::new(writer), budgets },
    })
}

/// Opens the teams of an organisation as a target. Sends no request.
pub(in crate::app) fn open_teams(
    config: &Config,
    teams: &config::TeamsFile,
    clock: &Clock,
    options: &ClientOptions,
    clients: &GithubClients,
) -> anyhow::Result<TargetConnection> {
    let org = config.orgs(Some(&teams.org))?[0];
    let (api, pace) = clients.get_or_open(config, org, clock, options)?;
    let list = teams.users_from.as_ref().map(|path| config.base.join(path));
    let files = Arc::new(Mutex::new(FileReader::default()));
    let listed = move || {
        let (list, files) = (list.clone(), files.clone());
        let listed = async move {
            let Some(path) = list else { return Ok(BTreeMap::new()) };
            let read = move |at: &ReadingAt| {
                at.note(&path);
                config::users(&path)
            };
            let listed = files.lock().await.read(read).await.flatten();
            listed.map_err(|error| format!("{error:#}"))
        };
        listed.boxed()
    };
    // If the groups of a target are teams, Beadle reads no repositories for the target. So the
    // reader needs no list of fields.
    let reader = beadle_github::Reader::new(api.clone(), beadle_github::Asks::default());
    let names = beadle_github::Names::new(options.store.clone(), &teams.org, clock);
    let reader = TeamReader::new(reader, config::found_by(teams), Arc::new(listed), names);
    let reader = Arc::new(reader.with_membership(config::membership_limits(teams)));
    Ok(TargetConnection {
        writer: Arc::new(TeamWriter::new(beadle_github::Writer::new(api), reader.clone())),
        reader: reader.clone(),
        pace,
        api: TargetApi::Teams(reader),
    })
}
