//! The random events in an interleaving: changes at the source, kills of the process, faults, and
//! deliveries in any order.

use std::sync::atomic::Ordering;

use beadle_engine::{Key, Lane, Mark};
use beadle_hooks::okta::{Sender, receive};
use beadle_sim::Fault;
use rand::RngExt as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde_json::json;

use crate::{GROUPS, PEOPLE, Process, Stage, group, person};

impl Stage {
    /// Causes one random event.
    pub(crate) async fn happen(&mut self, process: &mut Process) {
        let random = &mut self.random;
        let who = person(random.random_range(0..PEOPLE));
        let which = group(random.random_range(0..GROUPS));
        match random.random_range(0..100) {
            0..25 => self.okta.patch(&json!({ "groups": { which: { "members": { who: true } } } })),
            25..50 => self.okta.patch(&json!({ "groups": { which: { "members": { who: null } } } })),
            50..56 => {
                self.names += 1;
                let name = format!("AWS_{which}-{}", self.names);
                self.okta.patch(&json!({ "groups": { which: { "profile": { "name": name } } } }));
            }
            56..66 => {
                let status = ["ACTIVE", "SUSPENDED", "DEPROVISIONED", "LOCKED_OUT"].choose(random).unwrap();
                self.okta.patch(&json!({ "users": { who: { "status": status } } }));
            }
            66..72 => {
                process.is_alive.store(false, Ordering::SeqCst);
                process.worker.abort();
                let _ = (&mut process.worker).await; // the process was killed
                *process = self.start();
            }
            72..84 => {
                let fault = Fault { count: Some(random.random_range(1..4)), ..Fault::default() };
                let of_okta = ["/groups", "/users?", "after="].choose(random).unwrap();
                match random.random_range(0..9) {
                    0 => self.okta.fault(Fault { path: (*of_okta).into(), status: Some(500), ..fault }),
                    1 => self.okta.fault(Fault {
                        path: (*of_okta).into(),
                        status: Some(429),
                        retry_after: Some(2),
                        ..fault
                    }),
                    2 => self.okta.fault(Fault { path: "/users?".into(), short: true, ..fault }),
                    3 => self.okta.fault(Fault { path: "/users?".into(), empty: true, ..fault }),
                    4 => self.okta.fault(Fault { path: "/users?".into(), truncate: true, ..fault }),
                    // With this fault, a list has the right length, but the list repeats one row
                    // and lacks another row.
                    8 => self.okta.fault(Fault { path: "/users?".into(), twice: true, ..fault }),
                    5 => self.aws.fault(Fault { path: "/Groups".into(), reset: true, ..fault }),
                    6 => self.aws.fault(Fault { path: "/Groups".into(), status: Some(500), ..fault }),
                    _ => self.aws.fault(Fault {
                        path: "/Users".into(),
                        status: Some(429),
                        retry_after: Some(1),
                        ..fault
                    }),
                }
            }
            84..88 => {
                // This fault hides a member in the target's list. Beadle adds the member again, and
                // must not remove anybody.
                self.aws.fault(Fault {
                    path: "groups.value".into(),
                    short: true,
                    count: Some(1),
                    ..Fault::default()
                });
            }
            88..92 => {
                process.catchup.read_on().await.ok(); // a vendor can fail
                process.bell.notify_one();
            }
            _ => {
                let mark = Mark::new(Key::new("sweep", "corp", "groups"), Lane::Sweep);
                process.store.mark(vec![mark], self.clock.now()).await.unwrap();
                process.bell.notify_one();
            }
        }
    }

    /// Delivers some of the deliveries that Okta has sent. Deliveries can arrive in any order,
    /// twice or never.
    pub(crate) async fn deliver(&mut self, process: &Process) {
        self.under_way.extend(self.okta.take_held());
        self.under_way.shuffle(&mut self.random);
        let sender = Sender { instance: "corp".into(), header_secrets: Vec::new() };
        let count = self.random.random_range(0..=self.under_way.len());
        for delivery in self.under_way.drain(..count).collect::<Vec<_>>() {
            let times = match self.random.random_range(0..10) {
                0..2 => 0,
                2..4 => 2,
                _ => 1,
            };
            for _ in 0..times {
                let now = self.clock.now();
                let verified = receive(&sender, delivery.to_string().into_bytes(), now).unwrap();
                for (event, marks) in verified.events {
                    process.store.accept(event, marks).await.unwrap();
                }
                process.store.accept(verified.delivery, Vec::new()).await.unwrap();
                process.bell.notify_one();
            }
        }
    }
}
