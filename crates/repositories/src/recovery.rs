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
use serde::{Deserialize, Serialize};
use serde_json::json;

/// GitHub keeps deliveries for three days (an Enterprise Server for seven).
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// Rows may come late, and what is just being delivered is looked at the next time.
const OVERLAP: Duration = Duration::from_secs(300);
/// A delivery that was asked for so often is not asked for again: the sweep covers it.
const MOST_TRIES: u32 = 5;
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

/// What is remembered of an organisation between two looks.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    until: Time,
    /// How often each delivery was asked for again.
    tries: BTreeMap<String, u32>,
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
        let mut recovered = Recovered::default();
        let mut looked: Vec<(&Installed, Note)> = Vec::new();
        for of in &self.installed {
            let note = self.store.get(&self.note(of)).await?;
            match note
                .and_then(|note| serde_json::from_str::<Note>(&note).ok())
                .filter(|note| note.until <= now)
            {
                Some(note) => looked.push((of, note)),
                None => self.keep(of, &Note { until: now, tries: BTreeMap::new() }).await?,
            }
        }
        let Some(since) = looked.iter().map(|(_, note)| note.until).min() else { return Ok(recovered) };
        let (failed, whole) = self.failed(since.max(now - KEPT)).await?;
        let mut sweeps: HashSet<&str> = HashSet::new();
        for (of, note) in &mut looked {
            if note.until + KEPT < now || !whole {
                recovered.beyond = true;
                sweeps.insert(&of.instance);
            }
            for attempts in failed.values() {
                let Some(newest) = attempts.first() else { continue };
                if newest.installation_id == Some(of.installation)
                    && !self.make_good(of, newest, note, &mut recovered).await?
                {
                    recovered.given_up += 1;
                    sweeps.insert(&of.instance);
                }
            }
            note.tries.retain(|guid, _| failed.contains_key(guid));
        }
        let swept = self.installed.iter().filter(|of| sweeps.contains(of.instance.as_str()));
        let marks = swept.map(|of| Mark::new(Key::new("sweep", &of.instance, of.organisation), Lane::Sweep));
        self.store.mark(marks.collect(), now).await?;
        self.say(&recovered, since, now).await?;
        for (of, note) in &looked {
            // What was asked for again is looked at again.
            let until = if note.tries.is_empty() { now - OVERLAP } else { note.until };
            self.keep(of, &Note { until, tries: note.tries.clone() }).await?;
        }
        Ok(recovered)
    }

    /// Makes one delivery good. `false`: it was given up.
    async fn make_good(
        &self,
        of: &Installed,
        newest: &DeliveryRow,
        note: &mut Note,
        recovered: &mut Recovered,
    ) -> Result<bool, Failure> {
        if self.store.body("github", &newest.guid).await?.is_some() {
            recovered.known += 1;
            return Ok(true);
        }
        let needs_payload =
            of.dispatches.iter().any(|rule| rule.is_for(&newest.event, newest.action.as_deref()));
        if let Some(repository) = newest.repository_id.filter(|_| !needs_payload) {
            if self.mark(of, newest, repository, self.clock.now()).await? == Accepted::Stored {
                recovered.marked += 1;
            }
            return Ok(true);
        }
        let tries = note.tries.entry(newest.guid.clone()).or_default();
        *tries += 1;
        match *tries {
            // It was given up before.
            tries if tries > MOST_TRIES + 1 => return Ok(true),
            tries if tries > MOST_TRIES => return Ok(false),
            _ => {}
        }
        match self.writer.redeliver(newest.id).await {
            Ok(()) => recovered.redelivered += 1,
            // It may have left the log meanwhile.
            Err(failure) if failure.class == Class::Rejected => return Ok(false),
            Err(failure) => return Err(failure),
        }
        Ok(true)
    }

    fn note(&self, of: &Installed) -> String {
        format!("recovered:{}:{}", self.app, of.instance)
    }

    async fn keep(&self, of: &Installed, note: &Note) -> Result<(), Failure> {
        Ok(self.store.put(&self.note(of), &json!(note).to_string()).await?)
    }

    /// The deliveries since then that nobody took: by their id, every attempt, newest first. And whether the log was read
    /// to that moment.
    async fn failed(&self, since: Time) -> Result<(BTreeMap<String, Vec<DeliveryRow>>, bool), Failure> {
        let mut whole = false;
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
                whole = true;
                break;
            }
            page = next;
        }
        let taken = |rows: &[DeliveryRow]| rows.iter().any(|row| (200..300).contains(&row.status_code));
        Ok((attempts.into_iter().filter(|(_, rows)| !taken(rows)).collect(), whole))
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
