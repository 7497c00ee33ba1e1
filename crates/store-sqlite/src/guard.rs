//! The guard's window and its holds.

use beadle_engine::{Booking, Hold, Limits, Risk, Risks, Time, Verdict};
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::damaged;

/// Books each change that fits, in order; records a hold for each that does not.
pub(crate) fn reserve(
    connection: &Connection,
    limits: &Limits,
    asked: &[Hold],
    now: Time,
) -> rusqlite::Result<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(asked.len());
    for hold in asked {
        let instance = hold.key.instance();
        let since = now - limits.window;
        match find(connection, &hold.digest)? {
            // It stays until it was written, so that a write that fails needs no second approval.
            Some(known) if known.approved_by.is_some() => {
                verdicts.push(Verdict::Pass);
                continue;
            }
            Some(known) => {
                verdicts.push(Verdict::Hold(known.why));
                continue;
            }
            None if !hold.why.is_empty() => {
                save(connection, hold)?;
                verdicts.push(Verdict::Hold(hold.why.clone()));
                continue;
            }
            // What was booked in this window, and is tried again, is booked once.
            None if booked(connection, &hold.digest, since, now)? => {
                verdicts.push(Verdict::Pass);
                continue;
            }
            None => {}
        }
        let used = used(connection, instance, since)?;
        let risks = hold.change.risks();
        if let Some((risk, limit)) = limits.passed_by(&used, &risks) {
            let why = format!(
                "it would pass the limit: what {risk} may be written {limit} times in {} min, and {} are spent",
                limits.window.as_secs() / 60,
                used.count(risk)
            );
            save(connection, &Hold { why: why.clone(), ..hold.clone() })?;
            verdicts.push(Verdict::Hold(why));
        } else {
            connection
                .prepare_cached("INSERT INTO guard_window VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)")?
                .execute(params![
                    now.0,
                    instance,
                    hold.digest,
                    risks.weakens,
                    risks.exposes,
                    risks.removes
                ])?;
            verdicts.push(Verdict::Pass);
        }
    }
    Ok(verdicts)
}

/// Whether room was booked in this window and not used yet; it counts from now on, when it is used.
fn booked(connection: &Connection, digest: &str, since: Time, now: Time) -> rusqlite::Result<bool> {
    let sql = "UPDATE guard_window SET at = max(at, ?3) WHERE digest = ?1 AND written = 0 AND at > ?2";
    Ok(connection.prepare_cached(sql)?.execute(params![digest, since.0, now.0])? > 0)
}

fn used(connection: &Connection, instance: &str, since: Time) -> rusqlite::Result<Risks> {
    let mut used = Risks::default();
    let sql = "SELECT COALESCE(SUM(weakens), 0), COALESCE(SUM(exposes), 0), COALESCE(SUM(removes), 0)
               FROM guard_window WHERE instance = ?1 AND at > ?2";
    connection.prepare_cached(sql)?.query_row(params![instance, since.0], |row| {
        used.add(Risk::Weakens, row.get(0)?);
        used.add(Risk::Exposes, row.get(1)?);
        used.add(Risk::Removes, row.get(2)?);
        Ok(())
    })?;
    Ok(used)
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hold> {
    let text: String = row.get(0)?;
    serde_json::from_str(&text).map_err(|error| damaged(0, error))
}

fn find(connection: &Connection, digest: &str) -> rusqlite::Result<Option<Hold>> {
    connection.prepare_cached("SELECT hold FROM hold WHERE digest = ?1")?.query_row([digest], read).optional()
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

pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<Hold>> {
    connection.prepare_cached("SELECT hold FROM hold ORDER BY since, digest")?.query_map([], read)?.collect()
}

pub(crate) fn of_key(connection: &Connection, key: &str) -> rusqlite::Result<Vec<Hold>> {
    connection.prepare_cached("SELECT hold FROM hold WHERE key = ?1")?.query_map([key], read)?.collect()
}

pub(crate) fn release(connection: &Connection, digests: &[String]) -> rusqlite::Result<()> {
    for digest in digests {
        connection.execute("DELETE FROM hold WHERE digest = ?1", [digest])?;
        connection.execute("UPDATE guard_window SET written = 1 WHERE digest = ?1", [digest])?;
    }
    Ok(())
}

pub(crate) fn approve(connection: &Connection, digest: &str, by: &str) -> rusqlite::Result<Option<Hold>> {
    let Some(mut hold) = find(connection, digest)? else { return Ok(None) };
    hold.approved_by = Some(by.to_owned());
    save(connection, &hold)?;
    Ok(Some(hold))
}

pub(crate) fn forget(connection: &Connection, instance: &str, generation: &str) -> rusqlite::Result<u64> {
    let stale: Vec<String> = list(connection)?
        .into_iter()
        .filter(|hold| hold.key.instance() == instance && hold.generation != generation)
        .map(|hold| hold.digest)
        .collect();
    release(connection, &stale)?;
    Ok(stale.len() as u64)
}

/// What was given since then, in order.
pub(crate) fn bookings(connection: &Connection, since: Time) -> rusqlite::Result<Vec<Booking>> {
    let sql =
        "SELECT instance, digest, at, written, weakens, exposes, removes FROM guard_window WHERE at >= ?1
               ORDER BY rowid";
    let booking = |row: &rusqlite::Row<'_>| {
        Ok(Booking {
            instance: row.get(0)?,
            digest: row.get(1)?,
            at: Time(row.get(2)?),
            written: row.get(3)?,
            weakens: row.get(4)?,
            exposes: row.get(5)?,
            removes: row.get(6)?,
        })
    };
    connection.prepare_cached(sql)?.query_map([since.0], booking)?.collect()
}

/// What another store had given.
pub(crate) fn take(connection: &Connection, bookings: &[Booking]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO guard_window (instance, digest, at, written, weakens, exposes, removes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = connection.prepare_cached(sql)?;
    for booking in bookings {
        let Booking { instance, digest, at, written, weakens, exposes, removes } = booking;
        statement.execute(params![instance, digest, at.0, written, weakens, exposes, removes])?;
    }
    Ok(())
}
