//! Recovers missed webhooks. GitHub sends each webhook only once, and logs the answer of the
//! receiver. Beadle searches this log for deliveries that it did not accept, and asks GitHub to
//! send them again.
//!
//! <https://docs.github.com/webhooks/using-webhooks/handling-failed-webhook-deliveries>

mod log;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::journal::RecoveryEnd;
use beadle_engine::{
    Accepted, Class, Clock, Delivery, Detail, Entry, EntryKind, Failure, Key, Lane, Mark, Store, StoreError,
    Time, note,
};
use beadle_github::{HookDelivery, Reader, Writer};
use beadle_hooks::github::{Dispatched, needs_payload};
use serde::{Deserialize, Serialize};
use serde_json::json;

use log::{Findings, Lost, OVERLAP, Reading, compare};

pub use beadle_engine::journal::Recovered;

/// The time for which GitHub keeps a delivery in the log. GitHub.com keeps a delivery for three
/// days, and an Enterprise Server keeps a delivery for seven days.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// The path of the whole log. The newest rows usually come first.
const ALL: &str = "app/hook/deliveries?per_page=100";
/// The path of the log that shows only failed attempts. If a server does not know this filter, the
/// server returns all attempts.
const FAILED: &str = "app/hook/deliveries?per_page=100&status=failure";
/// The maximum time until a requested redelivery appears in the log. After this time, Beadle
/// requests the redelivery again.
const UNSEEN: Duration = Duration::from_secs(600);
/// The maximum number of redeliveries that Beadle requests for one delivery. After this number of
/// requests, Beadle gives up, and the next sweep checks the repository.
const MOST_TRIES: u32 = 5;
/// The number that Beadle stores in place of the number of tries after it has given up a delivery.
const GIVEN_UP: u32 = MOST_TRIES + 1;
/// The maximum number of pages in one reading. This number is enough for more than three days of
/// webhooks.
const MOST_PAGES: usize = 2000;

/// An organisation that has an installation of the App.
pub struct Installed {
    /// The name of the organisation in keys.
    pub instance: String,
    /// The id of the installation.
    pub installation: u64,
    /// The id of the organisation.
    pub organisation: u64,
    /// The events for which Beadle dispatches a workflow. Beadle needs the payload of these events.
    pub dispatches: Vec<Dispatched>,
    /// The ids of the repositories that contain the policy. Only their pull requests get a check.
    /// `None` if an id is not known yet.
    pub policies: Option<BTreeSet<u64>>,
}

/// The values that Beadle stores about an organisation between two readings of the log.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    until: Time,
    /// The number of redeliveries that Beadle requested for each delivery. The key is the id of the
    /// delivery.
    tries: BTreeMap<String, u32>,
    /// The most recent request for each delivery. The value contains the time of the request, and
    /// the number of attempts in the log at that time.
    #[serde(default)]
    asked: BTreeMap<String, AskedAgain>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct AskedAgain {
    at: Time,
    attempts: usize,
}

impl Note {
    fn new(until: Time) -> Self {
        Self { until, tries: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Returns the stored values about an organisation. Returns `None` if nothing is stored yet.
    fn read(text: Option<&str>, now: Time) -> Option<Self> {
        let note = serde_json::from_str::<Self>(text?).ok();
        // If the stored text is invalid, Beadle reads the whole log. Beadle also reads the whole
        // log if the stored time is in the future because of a wrong clock.
        Some(note.filter(|note| note.until <= now).unwrap_or_else(|| Self::new(Time(0))))
    }

    /// Returns whether Beadle requested a redelivery that is not in the log yet. The function
    /// ignores deliveries that Beadle gave up, because a sweep checks their repositories.
    fn is_waiting(&self) -> bool {
        self.tries.values().any(|tries| *tries <= MOST_TRIES)
    }

    /// Returns whether the most recently requested redelivery might still arrive.
    fn is_under_way(&self, guid: &str, attempts: usize, now: Time) -> bool {
        self.asked.get(guid).is_some_and(|asked| asked.attempts >= attempts && now.since(asked.at) < UNSEEN)
    }
}

/// Recovers the missed deliveries of one GitHub App.
pub struct Recovery {
    /// Reads the log of deliveries.
    pub reader: Reader,
    /// Requests redeliveries.
    pub writer: Writer,
    /// The store, which contains the inbox, and the values that Beadle keeps between two readings.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The id of the App.
    pub app: u64,
    /// The organisations that have an installation of the App.
    pub installed: Vec<Installed>,
}

impl Recovery {
    /// Reads the log, starting at the end of the previous reading, and recovers missed deliveries.
    /// At the first start, the method does not recover anything, because the first sweep checks
    /// everything.
    pub async fn recover(&self) -> Result<Recovered, Failure> {
        let now = self.clock.now();
        let mut recovered = Recovered::default();
        let mut looked: Vec<(&Installed, Note)> = Vec::new();
        for of in &self.installed {
            let note = self.store.get(&self.note(of)).await?;
            match Note::read(note.as_deref(), now) {
                Some(note) => looked.push((of, note)),
                None => self.keep(of, &Note::new(now)).await?,
            }
        }
        let Some(since) = looked.iter().map(|(_, note)| note.until).min() else { return Ok(recovered) };
        let Findings { lost, seen, whole, closed } = self.read(since.max(now - KEPT), now).await?;
        (recovered.seen, recovered.failed, recovered.open) = (seen, lost.len(), whole && closed.is_none());
        let mut sweeps: HashSet<&str> = HashSet::new();
        let mut failure = None;
        'all: for (of, note) in &mut looked {
            let of: &Installed = of;
            if note.until + KEPT < now || !whole {
                recovered.beyond = true;
                sweeps.insert(&of.instance);
            }
            for lost in lost.values().filter(|lost| lost.newest.installation_id == Some(of.installation)) {
                match self.make_good(of, lost, note, &mut recovered).await {
                    Ok(true) => {}
                    Ok(false) => {
                        recovered.given_up += 1;
                        sweeps.insert(&of.instance);
                    }
                    Err(error) => {
                        // Beadle stores the requests that it has made so far, so that it does not
                        // repeat them.
                        failure = Some(error);
                        break 'all;
                    }
                }
            }
            note.tries.retain(|guid, _| lost.contains_key(guid));
            note.asked.retain(|guid, _| lost.contains_key(guid));
        }
        let swept = self.installed.iter().filter(|of| sweeps.contains(of.instance.as_str()));
        let marks = swept.map(|of| Mark::new(Key::new("sweep", &of.instance, of.organisation), Lane::Sweep));
        self.store.mark(marks.collect(), now).await?;
        self.say(&recovered, since, now).await?;
        // If a reading is incomplete, some deliveries might be missing. A sweep then checks the
        // repositories of these deliveries.
        let closed = closed.or((!whole).then_some(now - OVERLAP)).filter(|_| failure.is_none());
        for (of, note) in &mut looked {
            let closed = closed.filter(|_| !note.is_waiting());
            note.until = closed.map_or(note.until, |at| at.max(note.until));
            self.keep(of, note).await?;
        }
        failure.map_or(Ok(recovered), Err)
    }

    /// Recovers one delivery. If Beadle gives up this delivery, the method returns `false`.
    async fn make_good(
        &self,
        of: &Installed,
        lost: &Lost,
        note: &mut Note,
        recovered: &mut Recovered,
    ) -> Result<bool, Failure> {
        let newest = &lost.newest;
        if self.store.body("github", &newest.guid).await?.is_some() {
            recovered.known += 1;
            return Ok(true);
        }
        let action = newest.action.as_deref();
        let is_of_policy = |id: u64| of.policies.as_ref().is_none_or(|policies| policies.contains(&id));
        let needs_payload = (needs_payload(&newest.event, action)
            && newest.repository_id.is_some_and(is_of_policy))
            || of.dispatches.iter().any(|rule| rule.is_for(&newest.event, action));
        if let Some(repository) = newest.repository_id.filter(|_| !needs_payload) {
            if self.mark(of, newest, repository, self.clock.now()).await? == Accepted::Stored {
                recovered.marked += 1;
            }
            return Ok(true);
        }
        let now = self.clock.now();
        if note.is_under_way(&newest.guid, lost.attempts, now) {
            return Ok(true);
        }
        let tries = note.tries.get(&newest.guid).copied().unwrap_or(0);
        if tries > MOST_TRIES {
            // In this case, an earlier run has already given up on the delivery.
            return Ok(true);
        }
        if tries == MOST_TRIES {
            note.tries.insert(newest.guid.clone(), GIVEN_UP);
            return Ok(false);
        }
        match self.writer.redeliver(newest.id).await {
            Ok(()) => {
                recovered.redelivered += 1;
                note.tries.insert(newest.guid.clone(), tries + 1);
                note.asked.insert(newest.guid.clone(), AskedAgain { at: now, attempts: lost.attempts });
            }
            // The request might have failed because the delivery is no longer in GitHub's log.
            Err(failure) if failure.class == Class::Rejected => {
                note.tries.insert(newest.guid.clone(), GIVEN_UP);
                return Ok(false);
            }
            // A failed request for a redelivery does not count as a try.
            Err(failure) => return Err(failure),
        }
        Ok(true)
    }

    fn note(&self, of: &Installed) -> String {
        note("recovered", &[&self.app.to_string(), &of.instance])
    }

    async fn keep(&self, of: &Installed, note: &Note) -> Result<(), Failure> {
        Ok(self.store.put(&self.note(of), &json!(note).to_string()).await?)
    }

    /// Reads the whole log, starting at a given time, and then reads the list of failures twice. If
    /// the first reading might have missed rows, the function reads the whole log again.
    async fn read(&self, since: Time, begun: Time) -> Result<Findings, Failure> {
        let mut all = vec![self.reading(ALL, since).await?];
        let looks = [self.reading(FAILED, since).await?, self.reading(FAILED, since).await?];
        if all[0].may_lack_rows(&looks, begun) {
            all.push(self.reading(ALL, since).await?);
        }
        Ok(compare(all, looks, begun))
    }

    async fn reading(&self, first: &str, since: Time) -> Result<Reading, Failure> {
        let mut reading = Reading::new(since);
        let mut page = first.to_owned();
        for _ in 0..MOST_PAGES {
            let (rows, next) = self.reader.deliveries(Some(&page)).await?;
            match reading.take(rows, next) {
                Some(next) => page = next,
                None => break,
            }
        }
        Ok(reading)
    }

    /// Stores the id of the delivery in the inbox, without a payload, and marks the delivery's
    /// repository as due. If GitHub later sends the same delivery, Beadle already knows its id and
    /// changes nothing.
    async fn mark(
        &self,
        of: &Installed,
        row: &HookDelivery,
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
        match self.store.accept(delivery, vec![Mark::new(key, Lane::Event)]).await {
            // A sweep marks the key after somebody has corrected its row. The other deliveries must
            // not wait for this correction.
            Err(StoreError::Corrupt { why, .. }) => {
                tracing::error!(app = self.app, why, "missed webhook skipped");
                Ok(Accepted::Duplicate)
            }
            accepted => Ok(accepted?),
        }
    }

    async fn say(&self, recovered: &Recovered, since: Time, now: Time) -> Result<(), Failure> {
        let Recovered { marked, redelivered, known, given_up, beyond, seen, failed, open } = *recovered;
        tracing::debug!(app = self.app, %since, seen, failed, known, open, "GitHub's log of webhook deliveries read");
        // If the inbox already contains the delivery, there are two possible reasons: an earlier
        // run recovered the delivery, or only Beadle's answer to GitHub was lost.
        if marked + redelivered + given_up == 0 && !beyond {
            if open {
                tracing::info!(app = self.app, %since, seen, failed, "GitHub's log of webhook deliveries changed between two reads, reading again");
            }
            return Ok(());
        }
        tracing::warn!(app = self.app, %since, seen, failed, marked, redelivered, known, given_up, beyond, open, "missed webhooks found");
        let entry = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Recovery,
            key: "-".into(),
            subject: format!("App {}", self.app),
            intent: None,
            trace: beadle_engine::trace::current_id(),
            detail: Detail::Recovery(RecoveryEnd { since: since.to_string(), recovered: *recovered }),
        };
        self.store.journal(None, vec![entry], now).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000);

    #[test]
    fn a_note_of_an_earlier_version_is_taken_and_one_that_cannot_be_believed_covers_nothing() {
        assert!(Note::read(None, NOW).is_none(), "the first time the sweep covers all");
        let note = Note::read(Some("{\"until\":5,\"tries\":{\"a\":2}}"), NOW).unwrap();
        assert_eq!((note.until, note.tries["a"]), (Time(5), 2));
        for odd in ["", "{}", "{\"until\":1000000001,\"tries\":{}}"] {
            assert_eq!(Note::read(Some(odd), NOW).unwrap().until, Time(0), "{odd}");
        }
    }

    #[test]
    fn a_delivery_is_asked_for_once_for_each_attempt_that_failed() {
        let mut note = Note::new(Time(0));
        assert!(!note.is_under_way("a", 1, NOW));
        note.asked.insert("a".into(), AskedAgain { at: NOW, attempts: 1 });
        assert!(note.is_under_way("a", 1, NOW + Duration::from_secs(1)));
        assert!(!note.is_under_way("a", 2, NOW + Duration::from_secs(1)), "that one failed, too");
        assert!(!note.is_under_way("a", 1, NOW + UNSEEN), "the log never showed it");
    }

    #[test]
    fn what_was_given_up_does_not_hold_the_window_open() {
        let mut note = Note::new(Time(0));
        assert!(!note.is_waiting());
        note.tries.insert("a".into(), GIVEN_UP);
        assert!(!note.is_waiting());
        note.tries.insert("b".into(), MOST_TRIES);
        assert!(note.is_waiting());
    }
}
