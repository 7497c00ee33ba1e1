//! Starts a process with the same parts as `beadle serve`, connected to the simulated vendors.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use beadle_engine::{Limits, Reconcile, Reconciler, Worker, WorkerSettings, WritePace};
use beadle_groups::mapping::Naming;
use beadle_groups::sources::Catchup;
use beadle_groups::targets::{ScimReader, ScimWriter};
use beadle_groups::{GroupLimits, GroupPlanner, GroupSweep, GroupWriter, Mapping, Marker};
use beadle_scim::Dialect;
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::common::{self, Vendor};
use crate::wire::Delayed;
use crate::{Process, Stage};

/// The maximum time between two checks of the worker for due keys. The worker gets a notification
/// of every mark of its own process, so it need not check often. A check every second would use
/// most of the test's time.
const POLL: Duration = Duration::from_secs(10);

/// The mappings. The mappings are static, so that their patterns are compiled only once.
static MAPPINGS: LazyLock<Vec<Mapping>> = LazyLock::new(|| vec![mapping(None), mapping(Some("All"))]);

fn mapping(into: Option<&str>) -> Mapping {
    Mapping {
        naming: Naming { strip_prefix: Some("AWS_".into()), ..Naming::default() },
        into: into.map(str::to_owned),
        ..common::mapping()
    }
}

impl Stage {
    pub(crate) fn start(&mut self) -> Process {
        let clock = self.clock.clone();
        let store = common::store(&self.path);
        let seed: u64 = self.random.random();
        let (of_okta, of_aws) = self.storms.clone().unzip();
        for storm in [&of_okta, &of_aws].into_iter().flatten() {
            storm.restarted();
        }
        let is_alive = Arc::new(AtomicBool::new(true));
        let wire = Delayed::new(Vendor::Okta(self.okta.clone()), seed, of_okta, &is_alive);
        let okta = common::okta_client(&self.okta.url(), self.okta.token(), wire, &clock);
        let wire = Delayed::new(Vendor::Scim(self.aws.clone()), seed + 1, of_aws, &is_alive);
        let api = common::scim_client(&self.aws, Dialect::AWS, wire, &clock);
        let reader = ScimReader::new(beadle_scim::Reader::new(api.clone()));
        let writer = Arc::new(ScimWriter::new(beadle_scim::Writer::new(api), &reader));
        let source = common::source(okta.clone());
        let directory = common::directory(source, Arc::new(reader), MAPPINGS.clone());
        let limits = GroupLimits { percent: 100, count: 100, ..GroupLimits::default() };
        let groups = Reconciler {
            planner: GroupPlanner::new(directory.clone(), limits, clock.clone(), Some(store.clone())),
            writer: GroupWriter::new(writer, "aws", limits.window, clock.clone(), Some(store.clone())),
            store: store.clone(),
            clock: clock.clone(),
            limits: Limits { removes: 1000, repeats: 0, ..Limits::default() }.into(),
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
                ("target-group", Arc::new(groups) as Arc<dyn Reconcile>),
                ("group", marker.clone()),
                ("user", marker),
                ("sweep", Arc::new(sweep)),
            ]),
            settings: WorkerSettings { concurrency: 8, poll: POLL, ..WorkerSettings::default() },
            bell: bell.clone(),
            counts: Arc::default(),
        });
        let running = tokio::spawn(worker.run(CancellationToken::new(), Duration::ZERO));
        let catchup = Catchup { okta, store: store.clone(), clock };
        Process { worker: running, store, catchup, bell, is_alive }
    }
}
