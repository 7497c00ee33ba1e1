//! A simulated vendor. Each call takes some simulated time, so that other calls happen in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beadle_sim::storm::Storm;
use beadle_transport::{Exchanged, Wire};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::common::Vendor;

/// The time that each request and each answer takes, in milliseconds.
const LATENCY: std::ops::Range<u64> = 1..40;

pub(crate) struct Delayed {
    vendor: Vendor,
    random: parking_lot::Mutex<StdRng>,
    /// The storm that disturbs the calls to the vendor, if the test has storms.
    storm: Option<Arc<Storm>>,
    /// False after the process was killed. A task of a killed process must not send anything.
    is_alive: Arc<AtomicBool>,
}

impl Delayed {
    pub(crate) fn new(
        vendor: Vendor,
        seed: u64,
        storm: Option<Arc<Storm>>,
        is_alive: &Arc<AtomicBool>,
    ) -> Arc<Self> {
        let random = parking_lot::Mutex::new(StdRng::seed_from_u64(seed));
        Arc::new(Self { vendor, random, storm, is_alive: is_alive.clone() })
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.random.lock().random_range(LATENCY))
    }
}

#[async_trait::async_trait]
impl Wire for Delayed {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        if !self.is_alive.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let (first, second, vendor) = (self.wait(), self.wait(), &self.vendor);
        let pass = move |request: http::Request<Bytes>| async move {
            tokio::time::sleep(first).await;
            let answer = vendor.exchange(request).await;
            tokio::time::sleep(second).await;
            answer.ok()
        };
        let answer = match &self.storm {
            Some(storm) => storm.exchange(request, pass).await,
            None => pass(request).await,
        };
        answer.ok_or_else(|| "the connection broke".to_owned())
    }
}
