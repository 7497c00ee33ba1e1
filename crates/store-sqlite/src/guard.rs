//! Stores the guard's windows and holds in SQLite. The functions load this data, call the engine's
//! rules, and store the result.

use std::collections::BTreeMap;

use beadle_engine::guard::{Decision, decide, may_let_pass, window};
use beadle_engine::store::without_reason;
use beadle_engine::{
    Begun, End, GuardReservation, Hold, HoldList, Intent, Key, Limits, Spent, Time, Verdict,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::queue;
use crate::rows::{damaged, named, unreadable};

/// How far back the store loads the window to record how changes ended. The store counts this time
/// from the newest reservation. The time is long, because a write can end long after its
/// reservation, and the store must still find the reservation.
const LOADED: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The window of one instance, as the store loaded it from the file.
struct Window {
    /// The ids of the loaded rows, in the order of the reservations.
    rows: Vec<i64>,
    before: Vec<GuardReservation>,
    bookings: Vec<GuardReservation>,
}

const COLUMNS: &str = "instance, digest, key, aspect, at, state, weakens, exposes, removes, reaches, intent";

/// Reads a reservation from a row. `from` is the first column of the reservation.
fn booking(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<GuardReservation> {
    let digest = || row.get::<_, String>(from + 1).unwrap_or_default();
    named(fields(row, from), || format!("the reservation {}", digest()))
}

fn fields(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<GuardReservation> {
    let state: String = row.get(from + 5)?;
    Ok(GuardReservation {
        instance: row.get(from)?,
        digest: row.get(from + 1)?,
        key: row.get(from + 2)?,
        aspect: row.get(from + 3)?,
        at: Time(row.get(from + 4)?),
        state: Spent::stored(&state),
        weakens: row.get(from + 6)?,
        exposes: row.get(from + 7)?,
        removes: row.get(from + 8)?,
        reaches: row.get(from + 9)?,
        intent: row.get(from + 10)?,
        newer: serde_json::Map::new(),
    })
}

impl Window {
    fn load(connection: &Connection, instance: &str, since: Time) -> rusqlite::Result<Self> {
        // Refused reservations use no room. There can be thousands of refused reservations, so the
        // query leaves them out.
        let sql = format!(
            "SELECT n, {COLUMNS} FROM guard_booking WHERE instance = ?1 AND at > ?2 AND state <> 'refused' ORDER BY n"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let loaded = statement
            .query_map(params![instance, since.0], |row| Ok((row.get::<_, i64>(0)?, booking(row, 1)?)))?;
        let (rows, before): (Vec<i64>, Vec<GuardReservation>) =
            loaded.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
        Ok(Self { rows, bookings: before.clone(), before })
    }

    /// Stores the reservations that the engine has changed or added. The engine changes a
    /// reservation at its position and adds new reservations at the end, so the positions match the
    /// loaded rows.
    fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let changed = self.rows.iter().zip(self.before.iter().zip(&self.bookings));
        for (row, (_, after)) in changed.filter(|(_, (before, after))| before != after) {
            connection
                .prepare_cached("UPDATE guard_booking SET at = ?2, state = ?3, intent = ?4 WHERE n = ?1")?
                .execute(params![row, after.at.0, after.state.as_str(), after.intent])?;
        }
        take(connection, self.bookings.get(self.before.len()..).unwrap_or_default())
    }
}

/// Submits changes to the guard, in order. If a change fits, it gets room in the window. If a
/// change does not fit, the guard stores the change as a hold.
pub(crate) fn reserve(
    connection: &Connection,
    limits: &Limits,
    asked: &[Hold],
    now: Time,
) -> rusqlite::Result<Vec<Verdict>> {
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    for (instance, places) in window::by_instance(asked) {
        let its: Vec<&Hold> = places.iter().map(|at| &asked[*at]).collect();
        let mut window = Window::load(connection, &instance, now - limits.window)?;
        let mut known = BTreeMap::new();
        for hold in &its {
            if let Some(hold) = find(connection, &hold.digest)? {
                known.insert(hold.digest.clone(), hold);
            }
        }
        let judged = window::check_guard(&mut window.bookings, &known, limits, &its, now);
        window.save(connection)?;
        for hold in &judged.held {
            save(connection, hold)?;
        }
        verdicts.extend(places.into_iter().zip(judged.verdicts));
    }
    Ok(verdicts.into_values().collect())
}

/// Begins a write. Checks the pauses, and marks the room or the approval as used.
pub(crate) fn begin(
    connection: &Connection,
    key: &Key,
    intent: &Intent,
    now: Time,
) -> rusqlite::Result<Begun> {
    let paused = queue::pauses(connection, now)?.into_iter().find(|pause| pause.covers(key));
    if let Some(pause) = paused {
        return Ok(Begun::Paused { scope: pause.scope, until: pause.until });
    }
    let mut used = None;
    if let Some((digest, length)) = &intent.spends {
        let window = Window::load(connection, key.instance(), now - *length)?;
        let hold = find(connection, digest)?;
        if !window::may_begin(&window.bookings, hold.as_ref(), digest, *length, now) {
            return Ok(Begun::Lapsed);
        }
        used = Some((digest, *length, window, hold));
    }
    let numbers = crate::journal::append(connection, std::slice::from_ref(&intent.entry))?;
    let Some(number) = numbers.first().copied() else { return Ok(Begun::LeaseLost) };
    if let Some((digest, length, mut window, mut hold)) = used {
        window::begin(&mut window.bookings, hold.as_mut(), digest, length, number, now);
        window.save(connection)?;
        if let Some(hold) = hold {
            save(connection, &hold)?;
        }
    }
    Ok(Begun::Yes(number))
}

/// Records how each of these changes ended.
pub(crate) fn conclude(
    connection: &Connection,
    instance: &str,
    ends: &[(String, End)],
) -> rusqlite::Result<()> {
    let newest = "SELECT coalesce(max(at), 0) FROM guard_booking WHERE instance = ?1";
    let newest = connection.prepare_cached(newest)?.query_row([instance], |row| row.get(0))?;
    let mut window = Window::load(connection, instance, Time(newest) - LOADED)?;
    for (digest, end) in ends {
        let hold = find(connection, digest)?;
        let was = hold.clone();
        let kept = window::conclude(&mut window.bookings, hold, digest, *end);
        match kept {
            Some(kept) if was.as_ref() != Some(&kept) => save(connection, &kept)?,
            None if was.is_some() => delete(connection, digest)?,
            _ => {}
        }
    }
    window.save(connection)
}

/// Reads a hold from a row. The row contains the hold and its digest. The error is for people,
/// because it can quote a value of the hold.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hold> {
    let text = row.get::<_, String>(0);
    let hold = text.and_then(|text| serde_json::from_str(&text).map_err(|error| damaged(0, error)));
    named(hold, || format!("the hold {}", row.get::<_, String>(1).unwrap_or_default()))
}

/// Reads a hold from a row, for a decision. The error quotes no value of the hold.
fn read_for_decision(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hold> {
    read(row).map_err(|error| match unreadable(error) {
        Ok(why) => damaged(0, without_reason(&why)),
        Err(other) => other,
    })
}

fn find(connection: &Connection, digest: &str) -> rusqlite::Result<Option<Hold>> {
    connection
        .prepare_cached("SELECT hold, digest FROM hold WHERE digest = ?1")?
        .query_row([digest], read_for_decision)
        .optional()
}

pub(crate) fn save(connection: &Connection, hold: &Hold) -> rusqlite::Result<()> {
    let text =
        serde_json::to_string(hold).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.prepare_cached("INSERT OR REPLACE INTO hold VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        params![
            hold.digest,
            hold.key.instance(),
            hold.key.as_str(),
            hold.since.0,
            hold.approved_by.is_some(),
            text
        ],
    )?;
    Ok(())
}

pub(crate) fn list(connection: &Connection) -> rusqlite::Result<HoldList> {
    let mut statement = connection.prepare_cached("SELECT hold, digest FROM hold ORDER BY since, digest")?;
    let rows = statement.query([])?;
    readable(rows)
}

/// Returns the holds of all rows. An unreadable hold does not cause an error.
fn readable(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<HoldList> {
    let mut list = HoldList::default();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(hold) => list.holds.push(hold),
            Err(error) => list.unreadable.push(unreadable(error)?),
        }
    }
    Ok(list)
}

/// Returns a text that changes if somebody adds, changes or deletes a hold. A decision makes the
/// stored text longer. If a hold replaces another hold, the new hold has a later time.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<String> {
    let sql = "SELECT count(*) || '.' || coalesce(sum(length(hold)), 0) || '.' || coalesce(max(since), 0)
                   || '.' || coalesce(sum(approved), 0) || '.' || coalesce(sum(since), 0) FROM hold";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

pub(crate) fn of_key(connection: &Connection, key: &str) -> rusqlite::Result<HoldList> {
    let sql = "SELECT hold, digest FROM hold WHERE key = ?1 ORDER BY since, digest";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query([key])?;
    readable(rows)
}

/// Deletes the holds that have not changed since the caller read them. The transaction locks the
/// file before the read, so nobody changes a hold between the read and the deletion.
pub(crate) fn release(connection: &Connection, seen: &[Hold]) -> rusqlite::Result<()> {
    for hold in seen {
        // It is not enough to compare the stored texts, because an older version writes the same
        // hold with another text.
        if find(connection, &hold.digest)?.as_ref() == Some(hold) {
            delete(connection, &hold.digest)?;
        }
    }
    Ok(())
}

fn delete(connection: &Connection, digest: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM hold WHERE digest = ?1")?.execute([digest]).map(drop)
}

/// Stores a decision about a held change.
pub(crate) fn settle(
    connection: &Connection,
    digest: &str,
    decision: &Decision,
    now: Time,
) -> rusqlite::Result<Option<Hold>> {
    let Some(hold) = find(connection, digest)? else { return Ok(None) };
    let Some(decided) = decide(&hold, decision, now) else { return Ok(Some(hold)) };
    save(connection, &decided)?;
    Ok(Some(decided))
}

/// Stores approved holds. The hold of a rejected change stays.
pub(crate) fn let_pass(connection: &Connection, approved: &[Hold]) -> rusqlite::Result<()> {
    for hold in approved {
        if may_let_pass(find(connection, &hold.digest)?.as_ref()) {
            save(connection, hold)?;
        }
    }
    Ok(())
}

pub(crate) fn forget(connection: &Connection, instance: &str, generation: &str) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT hold, digest FROM hold WHERE instance = ?1")?;
    let mut rows = statement.query([instance])?;
    let mut stale = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(hold) if hold.is_outdated(instance, generation) => stale.push(hold.digest),
            Ok(_) => {}
            // The generation of the hold is unknown, so the hold stays.
            Err(why) => tracing::error!(%why, "hold unreadable, keeping it"),
        }
    }
    for digest in &stale {
        delete(connection, digest)?;
    }
    Ok(stale.len() as u64)
}

/// Returns the reservations of all instances since a time, in order.
pub(crate) fn bookings(connection: &Connection, since: Time) -> rusqlite::Result<Vec<GuardReservation>> {
    let sql = format!("SELECT {COLUMNS} FROM guard_booking WHERE at >= ?1 ORDER BY n");
    connection.prepare_cached(&sql)?.query_map([since.0], |row| booking(row, 0))?.collect()
}

/// Stores further reservations. The reservations are new, or come from another store.
pub(crate) fn take(connection: &Connection, bookings: &[GuardReservation]) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO guard_booking ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for booking in bookings {
        let GuardReservation { instance, digest, key, aspect, at, state, .. } = booking;
        let GuardReservation { weakens, exposes, removes, reaches, intent, .. } = booking;
        let state = state.as_str();
        statement.execute(params![
            instance, digest, key, aspect, at.0, state, weakens, exposes, removes, reaches, intent
        ])?;
    }
    Ok(())
}
