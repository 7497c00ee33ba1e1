//! Missed webhooks: GitHub sends each once and keeps a log of how it was answered. What nobody took is looked up there.
//!
//! <https://docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries>

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{
    Accepted, Class, Clock, Delivery, Entry, EntryKind, Failure, Key, Lane, Mark, Store, Time,
};
use beadle_github::{DeliveryRow, Reader, Writer};
use beadle_hooks::github::Dispatched;
use serde::Serialize;
use serde_json::json;

/// GitHub keeps deliveries for three days (an Enterprise Server for seven).
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// Rows may come late, and what is just being delivered is looked at the next time.
const OVERLAP: Duration = Duration::from_secs(300);
/// A delivery that failed so often is not asked for again: the sweep covers it.
const MOST_ATTEMPTS: usize = 5;
/// More pages than three days of webhooks are.
const MOST_PAGES: usize = 2000;

/// An organisation that the App is installed on.
pub struct Installed {
    /// Its name in keys.
    pub instance: String,
    /// The installation's id.
    pub installation: u64,
    /// The organisation's id.
    pub organisation: u64,
    /// Events of which the payload is needed.
    pub dispatches: Vec<Dispatched>,
}

/// What was done about missed deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Their repositories were made due.
    pub marked: u32,
    /// GitHub was asked to send them again.
    pub redelivered: u32,
    /// They were here all the same: only the answer was lost.
    pub known: u32,
    /// They failed too often; a sweep covers them.
    pub given_up: u32,
    /// There was a time that the log no longer reaches; a sweep covers it.
    pub beyond: bool,
}

/// Recovers the missed deliveries of one App.
pub struct Recovery {
    /// Reads the log.
    pub reader: Reader,
    /// Asks for deliveries to be sent again.
    pub writer: Writer,
    /// The inbox.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// The App's id.
    pub app: u64,
    /// Whom it is installed on.
    pub installed: Vec<Installed>,
}

fn moment(text: &str) -> Option<Time> {
    let parsed: jiff::Timestamp = text.parse().ok()?;
    Some(Time(parsed.as_millisecond()))
}

impl Recovery {
    /// Looks through the log since the last time. The first time there is nothing to recover: the first sweep covers all.
    pub async fn recover(&self) -> Result<Recovered, Failure> {
        let now = self.clock.now();
        let note = format!("recovered:{}", self.app);
        let last = self.store.get(&note).await?.and_then(|last| last.parse().ok()).map(Time);
        let mut recovered = Recovered::default();
        let Some(last) = last.filter(|last| *last <= now) else {
            self.store.put(&note, &now.0.to_string()).await?;
            return Ok(recovered);
        };
        recovered.beyond = last + KEPT < now;
        let failed = self.failed(last.max(now - KEPT)).await?;
        let mut sweeps: HashSet<&str> = HashSet::new();
        for attempts in failed.values() {
            let Some(newest) = attempts.first() else { continue };
            let of = self.installed.iter().find(|of| Some(of.installation) == newest.installation_id);
            let Some(of) = of else { continue };
            if self.store.body("github", &newest.guid).await?.is_some() {
                recovered.known += 1;
                continue;
            }
            let needs_payload =
                of.dispatches.iter().any(|rule| rule.is_for(&newest.event, newest.action.as_deref()));
            match newest.repository_id {
                Some(repository) if !needs_payload => {
                    if self.mark(of, newest, repository, now).await? == Accepted::Stored {
                        recovered.marked += 1;
                    }
                }
                _ if attempts.len() >= MOST_ATTEMPTS => {
                    recovered.given_up += 1;
                    sweeps.insert(&of.instance);
                }
                _ => match self.writer.redeliver(newest.id).await {
                    Ok(()) => recovered.redelivered += 1,
                    // It may have left the log meanwhile.
                    Err(failure) if failure.class == Class::Rejected => {
                        recovered.given_up += 1;
                        sweeps.insert(&of.instance);
                    }
                    Err(failure) => return Err(failure),
                },
            }
        }
        if recovered.beyond {
            sweeps.extend(self.installed.iter().map(|of| of.instance.as_str()));
        }
        let swept = self.installed.iter().filter(|of| sweeps.contains(of.instance.as_str()));
        let marks = swept.map(|of| Mark::new(Key::new("sweep", &of.instance, of.organisation), Lane::Sweep));
        self.store.mark(marks.collect(), now).await?;
        self.say(&recovered, last, now).await?;
        self.store.put(&note, &(now - OVERLAP).0.to_string()).await?;
        Ok(recovered)
    }

    /// The deliveries since then that nobody took: by their id, every attempt, newest first.
    async fn failed(&self, since: Time) -> Result<BTreeMap<String, Vec<DeliveryRow>>, Failure> {
        let mut attempts: HashMap<String, Vec<DeliveryRow>> = HashMap::new();
        let mut page: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let (rows, next) = self.reader.deliveries(page.as_deref()).await?;
            let before = |row: &DeliveryRow| moment(&row.delivered_at).is_some_and(|at| at < since);
            let is_last = rows.last().is_none_or(before) || next.is_none();
            for row in rows.into_iter().filter(|row| !before(row)) {
                attempts.entry(row.guid.clone()).or_default().push(row);
            }
            if is_last {
                break;
            }
            page = next;
        }
        let taken = |rows: &[DeliveryRow]| rows.iter().any(|row| (200..300).contains(&row.status_code));
        Ok(attempts.into_iter().filter(|(_, rows)| !taken(rows)).collect())
    }

    /// Keeps the delivery by its id, without its payload, so that a late repetition of it changes nothing; and marks its
    /// repository.
    async fn mark(
        &self,
        of: &Installed,
        row: &DeliveryRow,
        repository: u64,
        now: Time,
    ) -> Result<Accepted, Failure> {
        let event =
            row.action.as_ref().map_or_else(|| row.event.clone(), |action| format!("{}.{action}", row.event));
        let delivery = Delivery {
            source: "github".into(),
            id: row.guid.clone(),
            event,
            actor: None,
            instance: of.instance.clone(),
            received: now,
            body: b"{}".to_vec(),
        };
        let key = Key::new("repository", &of.instance, repository);
        Ok(self.store.accept(delivery, vec![Mark::new(key, Lane::Event)]).await?)
    }

    async fn say(&self, recovered: &Recovered, since: Time, now: Time) -> Result<(), Failure> {
        let Recovered { marked, redelivered, known, given_up, beyond } = *recovered;
        // What is known was made good before, or only its answer was lost.
        if marked + redelivered + given_up == 0 && !beyond {
            return Ok(());
        }
        tracing::warn!(app = self.app, %since, marked, redelivered, known, given_up, beyond, "webhooks were missed");
        let entry = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Recovery,
            key: "-".into(),
            subject: format!("App {}", self.app),
            intent: None,
            detail: json!({ "since": since.to_string(), "recovered": recovered }),
        };
        self.store.journal(None, vec![entry], now).await?;
        Ok(())
    }
}
