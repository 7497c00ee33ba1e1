//! Parts that the tests of groups share: a mapping, and clients of simulated vendors in the same
//! process.

use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Mode, Store};
use beadle_groups::mapping::{Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Users};
use beadle_groups::sources::{OktaSource, Source};
use beadle_groups::targets::TargetReader;
use beadle_groups::{Directory, Mapping, Mappings};
use beadle_okta::{Credential, Okta, Status};
use beadle_scim::{Api, Dialect};
use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_sim::{okta, scim};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;

/// A simulated vendor that the clients call without a network.
pub(crate) enum Vendor {
    Okta(Arc<OktaSim>),
    Scim(Arc<ScimSim>),
}

#[async_trait::async_trait]
impl Wire for Vendor {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        let answer = match self {
            Self::Okta(sim) => sim.exchange(request).await,
            Self::Scim(sim) => sim.exchange(request).await,
        };
        answer.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// Starts the simulated vendors. The simulated vendors exist as long as the caller keeps the
/// returned values.
pub(crate) async fn vendors(okta: okta::Settings, scim: scim::Settings) -> (Arc<OktaSim>, Arc<ScimSim>) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let okta = OktaSim::start(any, okta).await.unwrap();
    let scim = ScimSim::start(any, scim).await.unwrap();
    (Arc::new(okta), Arc::new(scim))
}

/// Returns a mapping from all groups `AWS_*` of the directory `corp` to groups with the same names
/// at the target `aws`.
pub(crate) fn mapping() -> Mapping {
    Mapping {
        source: "corp".into(),
        target: "aws".into(),
        include: vec!["AWS_*".parse().unwrap()],
        exclude: Vec::new(),
        naming: Naming::default(),
        into: None,
        mode: Mode::Enforce,
        on_missing_group: OnMissingGroup::Create,
        on_missing_user: OnMissingUser::Wait,
        users: Users::Leave,
        on_rename: OnRename::Follow,
        on_delete: OnDelete::Keep,
        adopt: false,
        may_empty: false,
        protected: Vec::new(),
        role: None,
        parent: None,
        description: None,
        asked: None,
    }
}

fn client_settings(wire: Arc<dyn Wire>) -> ClientSettings {
    ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..ClientSettings::default() }
}

/// Returns a client of the directory `corp`.
pub(crate) fn okta_client(url: &str, token: String, wire: Arc<dyn Wire>, clock: &Clock) -> Okta {
    let token = Credential::Token(SecretString::from(token));
    Okta::new(url, "corp", token, 0, clock, &client_settings(wire)).unwrap()
}

/// Returns the groups of a directory as a source. People with the status suspended or deprovisioned
/// must leave their groups.
pub(crate) fn source(okta: Okta) -> Arc<dyn Source> {
    let leaving = vec![Status::Suspended, Status::Deprovisioned];
    Arc::new(OktaSource::new(okta, leaving, Vec::new(), Vec::new()))
}

/// Returns a client of the target `aws`.
pub(crate) fn scim_client(sim: &ScimSim, dialect: Dialect, wire: Arc<dyn Wire>, clock: &Clock) -> Api {
    let token = SecretString::from(sim.token());
    Api::new(&sim.url(), &token, dialect, Budgets::new("aws", 0), clock, client_settings(wire)).unwrap()
}

/// Returns the target `aws` with its directory `corp`.
pub(crate) fn directory(
    source: Arc<dyn Source>,
    target: Arc<dyn TargetReader>,
    mappings: Vec<Mapping>,
) -> Directory {
    Directory {
        sources: HashMap::from([("corp".to_owned(), source)]),
        target,
        name: "aws".into(),
        mappings: Arc::new(RwLock::new(Arc::new(Mappings::new(mappings)))),
        pushed: Arc::default(),
    }
}

/// Opens the store in a file.
pub(crate) fn store(path: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open_inline(path, SqliteSettings::default()).unwrap())
}
