//! Stores the inbox and the queue in SQLite. Each function loads rows, calls the engine's rules,
//! and stores the rows in one transaction.

use beadle_engine::queue::{CLOCK_SKEW, LONGEST_HOLD, oldest_share};
use beadle_engine::{
    Claim, Delivery, Depth, Key, KeyScope, Lane, Lease, Mark, Outcome, Pause, Row, Time, Timing,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::{COLUMNS, Sorted, load, read, save, sort, unreadable};

pub(crate) fn insert(
    connection: &Connection,
    delivery: &Delivery,
    body: Option<&[u8]>,
    keys: &str,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO inbox (source, id, event, actor, instance, received, keys, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (source, id) DO NOTHING",
    )?;
    let new = statement.execute(params![
        delivery.source,
        delivery.id,
        delivery.event,
        delivery.actor,
        delivery.instance,
        delivery.received.0,
        keys,
        body
    ])?;
    Ok(new > 0)
}

/// Makes keys due. Skips the rows that cannot be read, and returns their keys, each with the reason.
pub(crate) fn mark(
    connection: &Connection,
    marks: &[Mark],
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut damaged = Vec::new();
    for mark in marks {
        if let Err(error) = mark_one(connection, mark, now, timing) {
            damaged.push((mark.key.to_string(), unreadable(error)?));
        }
    }
    Ok(damaged)
}

/// Makes a key due. Returns an error if the row of the key cannot be read.
pub(crate) fn mark_one(
    connection: &Connection,
    mark: &Mark,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<()> {
    let mut row = load(connection, &mark.key)?.unwrap_or_else(|| Row::new(mark.key.clone()));
    row.mark(mark, now, timing);
    save(connection, &row)
}

/// The keys that a claim leaves out. Each field is a JSON list.
#[derive(Clone)]
pub(crate) struct LeftOut {
    instances: String,
    keys: String,
}

impl LeftOut {
    /// Leaves out `keys`, and all keys of `instances`.
    pub(crate) fn new(instances: &[String], keys: &[String]) -> Self {
        let json = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
        Self { instances: json(instances), keys: json(keys) }
    }
}

/// The claimed keys, and the rows that cannot be read.
#[derive(Default)]
pub(crate) struct Claimed {
    pub(crate) claims: Vec<Claim>,
    /// The keys of the rows that cannot be read, each with the reason.
    pub(crate) damaged: Vec<(String, String)>,
}

/// Claims at most `limit` due keys.
pub(crate) fn claim(
    connection: &Connection,
    limit: usize,
    left_out: &LeftOut,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Claimed> {
    let mut claimed = Claimed { damaged: clamp(connection, left_out, now, timing)?, claims: Vec::new() };
    let share = oldest_share(limit, now);
    let Sorted { rows: mut due, damaged } =
        select(connection, ("work_age", "first_dirty"), share, left_out, now)?;
    claimed.damaged.extend(damaged);
    let urgent = select(connection, ("work_rank", "rank"), limit, left_out, now)?;
    claimed.damaged.extend(urgent.damaged);
    for row in urgent.rows {
        if due.len() < limit && !due.iter().any(|other| other.key == row.key) {
            due.push(row);
        }
    }
    due.sort_by_key(Row::rank);
    for mut row in due {
        claimed.claims.extend(row.claim(now, timing));
        save(connection, &row)?;
    }
    Ok(claimed)
}

/// The condition that selects the rows that a claim can take: rows that are due, not paused and not
/// left out. `?1` is the time. `?3` is a JSON list of instances, and `?4` is a JSON list of keys.
/// The query leaves out these instances and keys.
const CLAIMABLE: &str = "due IS NOT NULL AND due <= ?1
     AND NOT EXISTS (SELECT 1 FROM pause WHERE until > ?1 AND scope IN (work.key, work.instance))
     AND instance NOT IN (SELECT value FROM json_each(?3)) AND key NOT IN (SELECT value FROM json_each(?4))";

/// Selects keys that a claim can take, in the order of an index.
fn select(
    connection: &Connection,
    (index, order): (&str, &str),
    limit: usize,
    left_out: &LeftOut,
    now: Time,
) -> rusqlite::Result<Sorted> {
    let sql =
        format!("SELECT {COLUMNS} FROM work INDEXED BY {index} WHERE {CLAIMABLE} ORDER BY {order} LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    sort(statement.query(params![now.0, limit, left_out.instances, left_out.keys])?)
}

/// Shortens the waits of rows with a time from a clock that was ahead. Returns the rows that cannot
/// be read.
fn clamp(
    connection: &Connection,
    left_out: &LeftOut,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM work
         WHERE key IN (SELECT key FROM work INDEXED BY work_due WHERE due > ?1 UNION
                       SELECT key FROM work INDEXED BY work_age WHERE due IS NOT NULL AND first_dirty > ?2)
         AND key NOT IN (SELECT value FROM json_each(?3))"
    );
    let (far, ahead) = (now + LONGEST_HOLD, now + CLOCK_SKEW);
    let found = sort(connection.prepare_cached(&sql)?.query(params![far.0, ahead.0, left_out.keys])?)?;
    for mut row in found.rows {
        row.clamp(now, timing);
        save(connection, &row)?;
    }
    Ok(found.damaged)
}

/// Claims a key for an operator. If another worker has the key, the function changes nothing.
pub(crate) fn claim_key(
    connection: &Connection,
    key: &Key,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Option<Claim>> {
    let mut row = load(connection, key)?.unwrap_or_else(|| Row::new(key.clone()));
    row.mark(&Mark::new(key.clone(), Lane::Manual), now, timing);
    let claim = row.claim(now, timing);
    if claim.is_some() {
        save(connection, &row)?;
    }
    Ok(claim)
}

/// Claims the given keys that are due and not paused.
pub(crate) fn claim_named(
    connection: &Connection,
    keys: &[Key],
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Claimed> {
    let paused = "SELECT EXISTS (SELECT 1 FROM pause WHERE until > ?1 AND scope IN (?2, ?3))";
    let mut claimed = Claimed::default();
    for key in keys {
        let scopes = params![now.0, key.as_str(), key.instance()];
        if connection.prepare_cached(paused)?.query_row(scopes, |row| row.get(0))? {
            continue;
        }
        let mut row = match load(connection, key) {
            Ok(Some(row)) => row,
            Ok(None) => continue,
            Err(error) => {
                claimed.damaged.push((key.to_string(), unreadable(error)?));
                continue;
            }
        };
        let before = row.clone();
        claimed.claims.extend(row.claim(now, timing));
        if row != before {
            save(connection, &row)?;
        }
    }
    Ok(claimed)
}

pub(crate) fn renew(
    connection: &Connection,
    lease: &Lease,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<Option<Time>> {
    let Some(mut row) = load(connection, &lease.key)? else { return Ok(None) };
    let until = row.renew(lease, now, timing);
    if until.is_some() {
        save(connection, &row)?;
    }
    Ok(until)
}

pub(crate) fn finish(
    connection: &Connection,
    lease: &Lease,
    outcome: &Outcome,
    now: Time,
    timing: &Timing,
) -> rusqlite::Result<bool> {
    let Some(mut row) = load(connection, &lease.key)? else { return Ok(false) };
    let finished = row.finish(lease, outcome.clone(), now, timing);
    if finished {
        save(connection, &row)?;
    }
    Ok(finished)
}

/// Returns whether `lease` is valid. If there is no lease to check, the result is `true`.
pub(crate) fn holds(connection: &Connection, lease: Option<&Lease>, now: Time) -> rusqlite::Result<bool> {
    match lease {
        None => Ok(true),
        Some(lease) => Ok(load(connection, &lease.key)?.is_some_and(|row| row.holds(lease, now))),
    }
}

/// Returns whether a claim has anything to do. A claim is necessary if it can take a key. A claim is
/// also necessary if a time of a key comes from a clock that was ahead, because the claim must
/// shorten the wait of this key.
pub(crate) fn is_due(connection: &Connection, left_out: &LeftOut, now: Time) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM work WHERE {CLAIMABLE})
         OR EXISTS (SELECT 1 FROM work WHERE due IS NOT NULL AND due > ?2
                    AND key NOT IN (SELECT value FROM json_each(?4)))
         OR EXISTS (SELECT 1 FROM work WHERE due IS NOT NULL AND first_dirty > ?5
                    AND key NOT IN (SELECT value FROM json_each(?4)))"
    );
    let (far, ahead) = (now + LONGEST_HOLD, now + CLOCK_SKEW);
    let params = params![now.0, far.0, left_out.instances, left_out.keys, ahead.0];
    connection.prepare_cached(&sql)?.query_row(params, |row| row.get(0))
}

/// Returns the earliest time when a worker can claim a key.
pub(crate) fn next_due(connection: &Connection, left_out: &LeftOut) -> rusqlite::Result<Option<Time>> {
    let sql =
        "SELECT MIN(due) FROM work WHERE due IS NOT NULL AND key NOT IN (SELECT value FROM json_each(?1))";
    let due = connection.prepare_cached(sql)?.query_row([&left_out.keys], |row| row.get::<_, Option<i64>>(0));
    Ok(due?.map(Time))
}

pub(crate) fn list(connection: &Connection, limit: u32) -> rusqlite::Result<Sorted> {
    // A claimed key stays due until its run ends. A sweep makes thousands of rows due. Each part of
    // the query uses a separate index, so that SQLite does not sort all due rows.
    let part = |index: &str, column: &str| {
        format!(
            "SELECT * FROM (SELECT {COLUMNS}, rank FROM work INDEXED BY {index} WHERE {column} IS NOT NULL
                            ORDER BY rank LIMIT ?1)"
        )
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM ({} UNION ALL {}) ORDER BY parked IS NULL, rank LIMIT ?1",
        part("work_parked", "parked"),
        part("work_rank", "due")
    );
    sort(connection.prepare_cached(&sql)?.query([limit])?)
}

/// Lists the rows of keys that are parked or whose latest run failed, and the unreadable rows.
pub(crate) fn troubled(connection: &Connection) -> rusqlite::Result<Sorted> {
    // There are two queries, because one query with `OR` would read the whole table.
    let sql = format!(
        "SELECT {COLUMNS} FROM work INDEXED BY work_parked WHERE parked IS NOT NULL
         UNION ALL
         SELECT {COLUMNS} FROM work INDEXED BY work_failed WHERE last_error IS NOT NULL AND parked IS NULL"
    );
    let mut sorted = sort(connection.prepare_cached(&sql)?.query([])?)?;
    sorted.rows.retain(Row::is_troubled);
    Ok(sorted)
}

/// Counts the keys that wait for a run, by their scopes. Also returns the keys of the rows that
/// cannot be read, each with the reason. These keys do not count.
pub(crate) fn count_waiting(
    connection: &Connection,
    scopes: &[KeyScope],
    since: Time,
    most: u32,
) -> rusqlite::Result<(u64, Vec<(String, String)>)> {
    // If `due` is set, the key is not parked. Most rows of this index belong to the sweep that the
    // query counts.
    let sql = format!(
        "SELECT {COLUMNS} FROM work INDEXED BY work_age
         WHERE due IS NOT NULL AND first_dirty <= ?1 AND key >= ?2 AND key < ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let (mut count, mut damaged) = (0, Vec::new());
    for scope in scopes {
        let (from, to) = scope.bounds();
        let mut rows = statement.query(params![since.0, from, to])?;
        // SQLite searches for a row only when the loop needs it, so the query has no limit.
        while count < u64::from(most) {
            let Some(row) = rows.next()? else { break };
            match read(row) {
                Ok(_) => count += 1,
                Err(error) => damaged.push((row.get(0).unwrap_or_default(), unreadable(error)?)),
            }
        }
    }
    Ok((count, damaged))
}

pub(crate) fn depth(connection: &Connection, now: Time) -> rusqlite::Result<Depth> {
    let mut depth = Depth::default();
    let mut statement = connection.prepare_cached(
        "SELECT lane, COUNT(*) FROM work
         WHERE due IS NOT NULL AND (lease_until IS NULL OR lease_until <= ?1) GROUP BY lane",
    )?;
    let mut groups = statement.query([now.0])?;
    while let Some(group) = groups.next()? {
        let lane: String = group.get(0)?;
        let count: u64 = group.get(1)?;
        depth.due[Lane::stored(&lane) as usize] += count;
    }
    // The query uses the index on ages to find the oldest key that is not paused.
    let oldest = "SELECT first_dirty FROM work
         WHERE due IS NOT NULL AND (lease_until IS NULL OR lease_until <= ?1) AND NOT EXISTS
             (SELECT 1 FROM pause WHERE until > ?1 AND scope IN (work.key, work.instance))
         ORDER BY first_dirty LIMIT 1";
    let mut oldest = connection.prepare_cached(oldest)?;
    depth.oldest = oldest.query_row([now.0], |row| row.get(0)).optional()?.map(Time);
    depth.leased =
        connection
            .query_row("SELECT COUNT(*) FROM work WHERE lease_until > ?1", [now.0], |row| row.get(0))?;
    depth.parked =
        connection.query_row("SELECT COUNT(*) FROM work WHERE parked IS NOT NULL", [], |row| row.get(0))?;
    Ok(depth)
}

pub(crate) fn pauses(connection: &Connection, now: Time) -> rusqlite::Result<Vec<Pause>> {
    let mut statement =
        connection.prepare_cached("SELECT scope, until FROM pause WHERE until > ?1 ORDER BY scope")?;
    statement.query_map([now.0], |row| Ok(Pause { scope: row.get(0)?, until: Time(row.get(1)?) }))?.collect()
}

pub(crate) fn row(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Row>> {
    load(connection, key)
}

pub(crate) fn body(connection: &Connection, source: &str, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT body FROM inbox WHERE source = ?1 AND id = ?2";
    Ok(connection.prepare_cached(sql)?.query_row([source, id], |row| row.get(0)).optional()?.flatten())
}
