//! A simulated vendor whose calls take some time, so that other calls happen in between.

use std::sync::Arc;
use std::time::Duration;

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
}

impl Delayed {
    pub(crate) fn new(vendor: Vendor, seed: u64) -> Arc<Self> {
        Arc::new(Self { vendor, random: parking_lot::Mutex::new(StdRng::seed_from_u64(seed)) })
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.random.lock().random_range(LATENCY))
    }
}

#[async_trait::async_trait]
impl Wire for Delayed {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        tokio::time::sleep(self.wait()).await;
        let answer = self.vendor.exchange(request).await;
        tokio::time::sleep(self.wait()).await;
        answer
    }
}
