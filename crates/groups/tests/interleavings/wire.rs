//! The vendors' clients without a network: a call goes to the simulator in this process.

use std::sync::Arc;
use std::time::Duration;

use beadle_sim::okta::OktaSim;
use beadle_sim::scim::ScimSim;
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Every call takes a moment, so that others come between.
const LATENCY: std::ops::Range<u64> = 1..40;

pub(crate) enum Vendor {
    Okta(Arc<OktaSim>),
    Aws(Arc<ScimSim>),
}

pub(crate) struct InProcess {
    vendor: Vendor,
    random: std::sync::Mutex<StdRng>,
}

impl InProcess {
    pub(crate) fn new(vendor: Vendor, seed: u64) -> Arc<Self> {
        Arc::new(Self { vendor, random: std::sync::Mutex::new(StdRng::seed_from_u64(seed)) })
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.random.lock().unwrap().random_range(LATENCY))
    }
}

#[async_trait::async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        tokio::time::sleep(self.wait()).await;
        let answer = match &self.vendor {
            Vendor::Okta(sim) => sim.exchange(request).await,
            Vendor::Aws(sim) => sim.exchange(request).await,
        };
        tokio::time::sleep(self.wait()).await;
        answer.ok_or_else(|| "the connection broke".to_owned())
    }
}
