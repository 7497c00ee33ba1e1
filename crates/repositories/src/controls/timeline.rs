//! Reads the record of an organisation up to one moment. Then makes the rows of a report about this
//! moment.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use beadle_engine::{Detail, History, Key, LastRead, Store, StoreError, Time, Waived};

use super::findings::aspect_of;
use super::gone::GONE;
use super::row::{ControlRow, ControlStatus};
use super::state::{ControlLines, ControlState};
use crate::aspects::settings::{SETTINGS, is_rest_only};
use crate::looks::is_spread;
use crate::policy::{contains, exempts, parse_until, parts};

/// The number of notes or entries that one call reads.
const PAGE: u32 = 1000;
/// The text that replaces the control in a row about all controls.
const ALL: &str = "*";
const NOT_RECORDED: &str = "the store has no record of this repository from this time or before";
const WAIVER_ENDED: &str = "the waiver ended, and Beadle has not checked the repository since";
const NOT_DECLARED: &str =
    "the policy declares no such key for this repository, or Beadle does not compare it";
const NO_LINES: &str = "the store has no record of the values that a file of the policy declared";

/// The record of all repositories of one organisation, up to a moment.
#[derive(Debug)]
pub struct Timeline {
    /// The moment.
    at: Time,
    /// The repositories in the record, sorted by name.
    repositories: Vec<RecordedRepository>,
    /// The lines of the policy. The key is the digest, and the newest lines come first.
    lines: HashMap<String, Vec<ControlLines>>,
    /// The start and the end of each sweep before the moment. The newest sweep comes first.
    sweeps: Vec<(Time, Time)>,
    /// The maximum age of a stored answer that a sweep can use in place of a new read.
    age: Duration,
}

/// A repository in the record.
#[derive(Debug)]
pub struct RecordedRepository {
    /// The full name of the repository, `owner/name`.
    name: String,
    /// The states up to the moment. The newest state comes first.
    states: Vec<ControlState>,
    /// The time at which the repository's runs started to fail. After this time, no run has checked
    /// the repository.
    parked: Option<Time>,
    /// The time at which a sweep most recently read the parts that only REST shows. `None` if each
    /// run reads all parts.
    reads: Option<LastRead>,
}

impl Timeline {
    /// Reads the record of an organisation.
    pub async fn read(store: &dyn Store, instance: &str, at: Time) -> Result<Self, StoreError> {
        let mut found: BTreeMap<String, RecordedRepository> = BTreeMap::new();
        let parked = read_parked(store, instance).await?;
        let reads = LastRead::note(&Key::new("repository", instance, "")).list(store).await?;
        let mut reads: HashMap<String, LastRead> = reads.into_iter().collect();
        let notes = ControlState::of_organisation(instance);
        let mut after = Some(String::new());
        while let Some(begin) = after {
            let (page, next) = notes.page(store, &begin, PAGE).await?;
            for (rest, state) in page {
                let Some((id, _)) = rest.split_once(':') else { continue };
                let repository = found.entry(id.to_owned()).or_insert_with(|| RecordedRepository {
                    name: String::new(),
                    states: Vec::new(),
                    parked: parked.get(id).copied(),
                    reads: reads.remove(id),
                });
                if repository.states.is_empty() {
                    repository.name.clone_from(&state.subject);
                }
                if state.at <= at {
                    repository.states.push(state);
                }
            }
            after = next;
        }
        let is_gone = |repository: &RecordedRepository| {
            repository.states.first().is_some_and(|state| state.outside.as_deref() == Some(GONE))
        };
        let mut repositories: Vec<_> =
            found.into_values().filter(|repository| !is_gone(repository)).collect();
        repositories.sort_by(|one, other| one.name.cmp(&other.name));
        let lines = read_lines(store, instance).await?;
        let sweeps = read_sweeps(store, instance, at).await?;
        Ok(Self { at, repositories, lines, sweeps, age: Duration::ZERO })
    }

    /// Sets the maximum age of a stored answer that a sweep can use in place of a new read.
    #[must_use]
    pub fn with_oldest(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Returns the repositories, sorted by name.
    pub fn repositories(&self) -> &[RecordedRepository] {
        &self.repositories
    }

    /// Returns the rows of a repository, sorted by control. If `control` is given, the function
    /// returns only the rows of this policy key and of the keys below it.
    pub fn rows(&self, repository: &RecordedRepository, control: Option<&str>) -> Vec<ControlRow> {
        let name = &repository.name;
        let all = control.unwrap_or(ALL);
        let Some((state, older)) = repository.states.split_first() else {
            return vec![ControlRow::new(name, all, ControlStatus::NotRecorded, NOT_RECORDED)];
        };
        let mut rows = self.of_state(state, control, self.at);
        if rows.is_empty() {
            let (status, cause) = match (&state.failed, &state.outside) {
                (Some(why), _) => (ControlStatus::Unknown, why.as_str()),
                (None, Some(why)) => (ControlStatus::NotApplicable, why.as_str()),
                (None, None) => (ControlStatus::NotApplicable, NOT_DECLARED),
            };
            rows.insert(all.to_owned(), ControlRow::new(name, all, status, cause));
        }
        let last_checked = self.last_checked(repository);
        for row in rows.values_mut() {
            row.repository.clone_from(name);
            row.last_checked = self.last_read(repository, &row.control, last_checked);
            row.since.get_or_insert(state.at);
        }
        let mut open: Vec<String> =
            rows.iter().filter(|(_, row)| row.cause != WAIVER_ENDED).map(|(path, _)| path.clone()).collect();
        for state in older {
            let before = self.of_state(state, control, state.at);
            open.retain(|path| {
                let Some(row) = rows.get_mut(path) else { return false };
                let is_same = before.get(path).is_some_and(|before| before.status == row.status);
                if is_same {
                    row.since = Some(state.at);
                }
                is_same
            });
            if open.is_empty() {
                break;
            }
        }
        rows.into_values().collect()
    }

    /// Returns the rows of a state. The key is the control of the row.
    fn of_state(
        &self,
        state: &ControlState,
        control: Option<&str>,
        moment: Time,
    ) -> BTreeMap<String, ControlRow> {
        let mut rows = BTreeMap::new();
        for digest in &state.lines {
            let Some(lines) = self.lines_at(digest, moment) else {
                let row = ControlRow::new(&state.subject, ALL, ControlStatus::Unknown, NO_LINES);
                rows.insert(ALL.to_owned(), row);
                continue;
            };
            for (path, line) in &lines.controls {
                if control.is_some_and(|control| !contains(control, path)) {
                    continue;
                }
                let (status, cause) = status(state, path);
                let mut row = ControlRow::new(&state.subject, path, status, cause);
                row.value = Some(line.value.clone());
                row.policy = Some(format!("{}:{}", lines.file, line.line));
                row.commit = Some(lines.commit.clone());
                rows.insert(path.clone(), row);
            }
        }
        for waived in &state.waived {
            // A waiver of a whole block also waives each key of the block.
            if control.is_none_or(|control| exempts(&waived.key, control)) {
                rows.insert(waived.key.clone(), of_waiver(state, waived, moment));
            }
        }
        rows
    }

    /// Returns the lines that a part of the policy had at a moment.
    fn lines_at(&self, digest: &str, moment: Time) -> Option<&ControlLines> {
        let versions = self.lines.get(digest)?;
        versions.iter().find(|lines| lines.at <= moment).or(versions.last())
    }

    /// Returns the time of the most recent recorded check. A completed sweep has checked every
    /// repository, except those whose runs fail.
    fn last_checked(&self, repository: &RecordedRepository) -> Option<Time> {
        let states = &repository.states;
        let failed = states.first().filter(|state| state.failed.is_some()).map(|state| state.at);
        let limit = [failed, repository.parked].into_iter().flatten().fold(self.at, Time::min);
        let swept = self.sweeps.iter().find(|(_, ended)| *ended <= limit).map(|(begun, _)| *begun);
        let first = states.last()?;
        let recorded = states.iter().find(|state| state.failed.is_none()).map(|state| state.at);
        // If a sweep ran before the first record, this sweep might not have checked the repository.
        recorded.max(swept.filter(|begun| *begun >= first.at))
    }

    /// Returns the time of the most recent check of one control. `checked` is the time of the
    /// repository's most recent check. For some parts, a sweep compares a stored answer. In this
    /// case, the control was checked at the time of this answer. If the store does not contain this
    /// time, the function returns the earliest possible time.
    fn last_read(
        &self,
        repository: &RecordedRepository,
        control: &str,
        checked: Option<Time>,
    ) -> Option<Time> {
        let (Some(reads), Some(names)) = (&repository.reads, parts(control)) else { return checked };
        let Some(aspect) = aspect_of(&names).filter(|aspect| is_spread(aspect)) else { return checked };
        if aspect == SETTINGS.name && names.get(1).is_none_or(|key| !is_rest_only(key)) {
            return checked;
        }
        let read = reads.parts.get(aspect).filter(|read| read.at <= self.at);
        let checked = checked?;
        Some(read.map_or(checked - self.age, |read| checked.min(read.at)))
    }
}

/// Returns a control's status in a state, and the cause of this status.
fn status<'a>(state: &'a ControlState, path: &str) -> (ControlStatus, &'a str) {
    if let Some(why) = &state.failed {
        return (ControlStatus::Unknown, why.as_str());
    }
    match (state.not_met.get(path), state.unknown.get(path)) {
        (Some(why), _) => (ControlStatus::NotMet, why.as_str()),
        (None, Some(why)) => (ControlStatus::Unknown, why.as_str()),
        (None, None) => (ControlStatus::Met, ""),
    }
}

/// Returns the row of a waiver.
fn of_waiver(state: &ControlState, waived: &Waived, moment: Time) -> ControlRow {
    let ended = parse_until(&waived.until).ok().filter(|until| *until <= moment);
    let (status, cause) = match ended {
        Some(_) => (ControlStatus::Unknown, WAIVER_ENDED),
        None => (ControlStatus::Waived, ""),
    };
    let mut row = ControlRow::new(&state.subject, &waived.key, status, cause);
    row.since = ended;
    row.until = Some(waived.until.clone());
    row.reason = Some(waived.reason.clone());
    row.owner = Some(waived.owner.clone());
    row.policy = Some(waived.asked.as_ref().map_or_else(|| "beadle waive".to_owned(), ToString::to_string));
    row.commit = waived.asked.as_ref().map(|_| state.commit.clone());
    row
}

/// Returns, for each parked repository, the time at which Beadle parked it. The key of the map is
/// the id of the repository.
async fn read_parked(store: &dyn Store, instance: &str) -> Result<HashMap<String, Time>, StoreError> {
    let rows = store.rows(u32::MAX).await?.into_iter();
    let own = rows.filter(|row| row.key.kind() == "repository" && row.key.instance() == instance);
    Ok(own.filter_map(|row| Some((row.key.id().to_owned(), row.parked?.since))).collect())
}

async fn read_lines(
    store: &dyn Store,
    instance: &str,
) -> Result<HashMap<String, Vec<ControlLines>>, StoreError> {
    let mut found: HashMap<String, Vec<ControlLines>> = HashMap::new();
    let notes = ControlLines::of_organisation(instance);
    let mut after = Some(String::new());
    while let Some(begin) = after {
        let (page, next) = notes.page(store, &begin, PAGE).await?;
        for (rest, lines) in page {
            let digest = rest.split_once(':').map_or(rest.as_str(), |(digest, _)| digest);
            found.entry(digest.to_owned()).or_default().push(lines);
        }
        after = next;
    }
    Ok(found)
}

/// Returns all sweeps of an organisation that ended before a moment. Each sweep comes with its
/// start and its end.
async fn read_sweeps(store: &dyn Store, instance: &str, at: Time) -> Result<Vec<(Time, Time)>, StoreError> {
    let mut found = Vec::new();
    let key = Some(format!("sweep:{instance}"));
    let mut history = History { key, limit: PAGE, ..History::default() };
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(found) };
        history.before = Some(last.seq);
        for entry in entries.iter().filter(|entry| entry.at <= at) {
            if let Detail::Sweep(end) = &entry.detail {
                found.push((entry.at - std::time::Duration::from_secs(end.took_s + 1), entry.at));
            }
        }
    }
}

#[cfg(test)]
mod tests;
