//! Event hooks. Okta tries to deliver each event at least once, in no fixed order. Okta waits 3 s
//! for an answer. If there is no answer, Okta retries once. After an answer with a status 4xx, Okta
//! does not retry.
//!
//! <https://developer.okta.com/docs/concepts/event-hooks/>

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::okta::Okta;
use crate::sim_state::lock;
use crate::webhook_client::webhook_client;

/// The receiver of events, and the faults of the deliveries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hook {
    /// The address of the receiver.
    pub url: String,
    /// The headers that identify Okta as the sender.
    pub headers: BTreeMap<String, String>,
    /// The maximum number of events in one delivery. 0 means 1.
    pub together: usize,
    /// How many more times the simulated Okta sends each delivery after the first time.
    pub repeats: u32,
    /// True if the deliveries of one change are sent in a random order.
    pub shuffled: bool,
    /// The share of deliveries that get lost, from 0 to 1.
    pub loss: f64,
    /// The maximum delay of a delivery, in milliseconds. Each delivery gets a random delay up to
    /// this value.
    pub delay_ms: u64,
    /// True if deliveries wait until the test calls `deliver`.
    pub held: bool,
    /// The seed of the random numbers.
    pub seed: u64,
}

#[derive(Default)]
pub(crate) struct Hooks {
    hook: Mutex<Option<(Hook, StdRng)>>,
    held: Mutex<Vec<Value>>,
    log: Mutex<Vec<Value>>,
    /// The number of deliveries, or sequences of deliveries, that have not ended yet.
    sending: AtomicUsize,
    /// The client that sends deliveries. A new client reads every root certificate of the machine.
    /// So the first delivery creates this client.
    http: OnceLock<reqwest::Client>,
}

impl Hooks {
    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(webhook_client)
    }

    pub(crate) fn set(&self, hook: Option<Hook>) {
        *lock(&self.hook) = hook.map(|hook| {
            let random = StdRng::seed_from_u64(hook.seed);
            (hook, random)
        });
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn delivered(&self) -> Vec<Value> {
        lock(&self.log).clone()
    }

    pub(crate) fn take_held(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.held))
    }

    pub(crate) async fn verify(&self) -> bool {
        let Some(url) = lock(&self.hook).as_ref().map(|(hook, _)| hook.url.clone()) else { return false };
        let challenge = format!("{:032x}", rand::random::<u128>());
        let request = self.http().get(url).header("x-okta-verification-challenge", &challenge);
        let Ok(answer) = request.timeout(Duration::from_secs(3)).send().await else { return false };
        let is_fine = answer.status() == 200;
        let said: Value = serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default();
        is_fine && said["verification"] == challenge
    }
}

impl Okta {
    /// Sends these events. If deliveries must wait, keeps the deliveries for `deliver`.
    pub(crate) fn tell(self: Arc<Self>, events: &[Value]) {
        let mut guard = lock(&self.hook.hook);
        let Some((hook, random)) = guard.as_mut() else { return };
        let hook = hook.clone();
        let together = hook.together.max(1);
        let mut deliveries: Vec<Value> =
            events.chunks(together).map(|events| self.envelope(events)).collect();
        if hook.shuffled {
            deliveries.shuffle(random);
        }
        deliveries.retain(|_| !random.random_bool(hook.loss.clamp(0.0, 1.0)));
        let waits: Vec<u64> = deliveries.iter().map(|_| random.random_range(0..=hook.delay_ms)).collect();
        drop(guard);
        if hook.held {
            lock(&self.hook.held).extend(deliveries);
            return;
        }
        for (delivery, wait) in deliveries.into_iter().zip(waits) {
            self.hook.sending.fetch_add(1, Ordering::SeqCst);
            let (okta, hook) = (self.clone(), hook.clone());
            tokio::spawn(async move {
                okta.clone().send(hook, delivery, Duration::from_millis(wait)).await;
                okta.hook.sending.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// Sends the deliveries that wait. `order` contains the positions of these deliveries, in the
    /// order in which the simulator sends them.
    pub(crate) fn deliver(self: Arc<Self>, order: Option<Vec<usize>>) {
        let held = self.hook.take_held();
        let Some(hook) = lock(&self.hook.hook).as_ref().map(|(hook, _)| hook.clone()) else { return };
        let order = order.unwrap_or_else(|| (0..held.len()).collect());
        let chosen: Vec<Value> = order.iter().filter_map(|at| held.get(*at).cloned()).collect();
        self.hook.sending.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            for delivery in chosen {
                self.clone().send(hook.clone(), delivery, Duration::ZERO).await;
            }
            self.hook.sending.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn envelope(&self, events: &[Value]) -> Value {
        let id = format!("{:032x}", rand::random::<u128>());
        json!({
            "eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1",
            "contentType": "application/json", "eventTime": crate::sim_state::now(),
            "source": format!("{}/api/v1/eventHooks/who1", lock(&self.base)),
            "eventId": format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
            "data": { "events": events },
        })
    }

    async fn send(self: Arc<Self>, hook: Hook, delivery: Value, wait: Duration) {
        tokio::time::sleep(wait).await;
        let text = delivery.to_string();
        for _ in 0..=hook.repeats {
            for attempt in 1..=2 {
                let mut request = self.hook.http().post(&hook.url).timeout(Duration::from_secs(3));
                for (name, value) in &hook.headers {
                    request = request.header(name, value);
                }
                let request = request.header("content-type", "application/json").body(text.clone());
                let started = tokio::time::Instant::now();
                let status = request.send().await.map_or(0, |answer| answer.status().as_u16());
                lock(&self.hook.log).push(json!({
                    "eventId": delivery["eventId"], "attempt": attempt, "status": status,
                    "ms": started.elapsed().as_secs_f64() * 1000.0,
                    "events": delivery["data"]["events"].as_array().map_or(0, Vec::len),
                }));
                // If the receiver refuses a delivery, Okta does not retry it.
                if (200..500).contains(&status) {
                    break;
                }
            }
        }
    }
}
