//! A process as `serve` wires it, beside the simulated vendors.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use beadle_engine::{Budgets, Limits, Mode, Reconciler, Store, Worker, WorkerSettings, WritePace};
use beadle_groups::catchup::Catchup;
use beadle_groups::mapping::{Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Users};
use beadle_groups::sources::{OktaSource, Source};
use beadle_groups::targets::{ScimReader, ScimWriter};
use beadle_groups::{
    Directory, GroupLimits, GroupPlanner, GroupSweep, GroupWriter, Mapping, Mappings, Marker,
};
use beadle_okta::{Credential, Okta, Status};
use beadle_scim::{Api, Dialect};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::ClientSettings;
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::wire::{InProcess, Vendor};
use crate::{Process, Stage};

fn mapping(into: Option<&str>) -> Mapping {
    Mapping {
        source: "corp".into(),
        target: "aws".into(),
        include: vec!["AWS_*".parse().unwrap()],
        exclude: Vec::new(),
        naming: Naming { strip_prefix: Some("AWS_".into()), ..Naming::default() },
        into: into.map(str::to_owned),
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

impl Stage {
    pub(crate) fn start(&mut self) -> Process {
        let clock = self.clock.clone();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&self.path, SqliteSettings::default()).unwrap());
        let seed: u64 = self.random.random();
        let wire = InProcess::new(Vendor::Okta(self.okta.clone()), seed);
        let settings =
            ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..ClientSettings::default() };
        let token = Credential::Token(self.token.clone());
        let okta = Okta::new(&self.okta.url(), "corp", token, 0, &clock, &settings).unwrap();
        let leaving = vec![Status::Suspended, Status::Deprovisioned];
        let source: Arc<dyn Source> =
            Arc::new(OktaSource::new(okta.clone(), leaving, Vec::new(), Vec::new()));
        let wire = InProcess::new(Vendor::Aws(self.aws.clone()), seed + 1);
        let settings =
            ClientSettings { rest_points: u32::MAX, wire: Some(wire), ..ClientSettings::default() };
        let budgets = Budgets::new("aws", 0);
        let api = Api::new(&self.aws.url(), &self.bearer, Dialect::AWS, budgets, &clock, settings).unwrap();
        let reader = ScimReader::new(beadle_scim::Reader::new(api.clone()));
        let writer = Arc::new(ScimWriter::new(beadle_scim::Writer::new(api), &reader));
        let reader = Arc::new(reader);
        let mappings = Mappings::new(vec![mapping(None), mapping(Some("All"))]);
        let directory = Directory {
            sources: HashMap::from([("corp".to_owned(), source)]),
            target: reader,
            name: "aws".into(),
            mappings: Arc::new(RwLock::new(Arc::new(mappings))),
            pushed: Arc::default(),
        };
        let limits = GroupLimits { percent: 100, count: 100, ..GroupLimits::default() };
        let groups = Reconciler {
            planner: GroupPlanner::new(directory.clone(), limits, clock.clone(), Some(store.clone())),
            writer: GroupWriter::new(writer, "aws", limits.window, clock.clone(), Some(store.clone())),
            store: store.clone(),
            clock: clock.clone(),
            limits: Limits { removes: 1000, repeats: 0, ..Limits::default() },
            pace: WritePace::new(Duration::ZERO),
        };
        let directories = HashMap::from([("aws".to_owned(), directory)]);
        let marker = Arc::new(Marker {
            source: "corp".into(),
            directories: directories.clone(),
            store: store.clone(),
            clock: clock.clone(),
        });
        let sweep =
            GroupSweep { source: "corp".into(), directories, store: store.clone(), clock: clock.clone() };
        let bell = Arc::new(Notify::new());
        let worker = Arc::new(Worker {
            store: store.clone(),
            clock: clock.clone(),
            reconcilers: HashMap::from([
                ("target-group", Arc::new(groups) as Arc<dyn beadle_engine::Reconcile>),
                ("group", marker.clone()),
                ("user", marker),
                ("sweep", Arc::new(sweep)),
            ]),
            settings: WorkerSettings { concurrency: 8, ..WorkerSettings::default() },
            bell: bell.clone(),
            counts: Arc::default(),
        });
        let running = tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
        let catchup = Catchup { okta, store: store.clone(), clock };
        Process { worker: running, store, catchup, bell }
    }
}
