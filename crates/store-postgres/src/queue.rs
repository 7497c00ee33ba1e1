//! Stores the queue in PostgreSQL. Each function loads and locks rows, calls the engine's rules,
//! and stores the rows in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::queue::{CLOCK_SKEW, LONGEST_HOLD, oldest_share};
use beadle_engine::{Claim, Depth, Key, KeyScope, Lane, Lease, Mark, Row, Time, Timing};
use deadpool_postgres::{Client, GenericClient, Transaction};

use crate::failed::Failed;
use crate::pipeline;
use crate::rows::{self, COLUMNS, Sorted};
use crate::sql::{self, Call, Param, get, number};

/// Makes a key due. Returns whether a sleeping worker must get a message.
pub(crate) async fn mark_one(
    transaction: &Transaction<'_>,
    mark: &Mark,
    now: Time,
    timing: &Timing,
) -> Result<bool, Failed> {
    let Some(before) = locked_row(transaction, &mark.key).await? else { return Ok(false) };
    let mut row = before.clone();
    row.mark(mark, now, timing);
    // A claim skips the rows that this transaction has locked. If a row was due already, a claim
    // might have skipped the key. So the workers must check again.
    let is_passed_over = before.due_at().is_some_and(|due| due <= now);
    let wakes = row.wakes(&before, now).is_some() || is_passed_over;
    rows::save(transaction, &[row]).await?;
    Ok(wakes)
}

/// Locks the row of a key, and returns the row. Creates the row if there is none. Returns an error if
/// the row cannot be read.
async fn locked_row(transaction: &Transaction<'_>, key: &Key) -> Result<Option<Row>, Failed> {
    let Sorted { mut rows, damaged } = rows::lock_or_create(transaction, &BTreeSet::from([key])).await?;
    match damaged.into_iter().next() {
        Some((_, why)) => Err(Failed::Damaged(why)),
        None => Ok(rows.pop()),
    }
}

/// Returns whether a claim has anything to do. A claim is necessary if a key is due and is not in
/// `damaged`. A claim is also necessary if a time of a key comes from a clock that was ahead, because
/// the claim must shorten the wait of this key.
pub(crate) async fn is_due<C: GenericClient>(on: &C, damaged: &[String], now: Time) -> Result<bool, Failed> {
    let query = "SELECT EXISTS (SELECT 1 FROM work WHERE due IS NOT NULL AND due <= $1 AND key <> ALL ($3))
         OR EXISTS (SELECT 1 FROM work WHERE due IS NOT NULL AND due > $2 AND key <> ALL ($3))
         OR EXISTS (SELECT 1 FROM work WHERE due IS NOT NULL AND first_dirty > $4 AND key <> ALL ($3))";
    let (far, ahead) = ((now + LONGEST_HOLD).0, (now + CLOCK_SKEW).0);
    get(&sql::one(on, query, &[&now.0, &far, &damaged, &ahead]).await?, 0)
}

/// The claimed keys, and the rows that cannot be read.
pub(crate) struct Claimed {
    pub(crate) claims: Vec<Claim>,
    /// The keys of the rows that cannot be read, each with the reason.
    pub(crate) damaged: Vec<(String, String)>,
}

/// Claims at most `limit` due keys. Leaves out the keys of `instances` and the keys in `keys`.
/// After [`is_due`], a claim needs two round trips. The first round trip begins the transaction and
/// selects the rows. The second round trip stores the rows and commits.
pub(crate) async fn claim(
    client: &Client,
    limit: usize,
    (instances, keys): (&[String], &[String]),
    now: Time,
    timing: &Timing,
) -> Result<Claimed, Failed> {
    let share = oldest_share(limit, now);
    let (far, ahead) = ((now + LONGEST_HOLD).0, (now + CLOCK_SKEW).0);
    let params: Vec<Param> = vec![Box::new(far), Box::new(ahead), Box::new(keys.to_vec())];
    let far = Call::prepare(client, &far_query(), params).await.map_err(Failed::before_commit)?;
    let params: Vec<Param> = vec![
        Box::new(now.0),
        Box::new(instances.to_vec()),
        Box::new(keys.to_vec()),
        Box::new(count(share)),
        Box::new(count(limit)),
    ];
    let due = Call::prepare(client, &due_query(), params).await.map_err(Failed::before_commit)?;
    let (open, answers) = pipeline::begin(client, pipeline::BEGIN, &[far, due]).await?;
    let mut answers = answers.into_iter();
    let (far, due) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    let (mut far, due) = (rows::sort(&far)?, rows::sort(&due)?);
    let Sorted { rows: mut due, mut damaged } = due;
    // A row can be due although its mark is from a clock that was ahead. One statement stores all
    // rows, so each row must occur only once.
    far.rows.retain(|row| !due.iter().any(|other| other.key == row.key));
    for row in far.rows.iter_mut().chain(&mut due) {
        row.clamp(now, timing);
    }
    damaged.append(&mut far.damaged);
    due.sort_by_key(Row::rank);
    let claims = due.iter_mut().filter_map(|row| row.claim(now, timing)).collect();
    due.append(&mut far.rows);
    let mut calls = Vec::new();
    if !due.is_empty() {
        calls.push(rows::saving(client, &due).await.map_err(Failed::before_commit)?);
    }
    open.commit(&calls, None).await?;
    Ok(Claimed { claims, damaged })
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the query for rows with a time from a clock that was ahead. The claim shortens their
/// waits.
fn far_query() -> String {
    format!(
        "SELECT {COLUMNS} FROM work
         WHERE due IS NOT NULL AND (due > $1 OR first_dirty > $2) AND key <> ALL ($3) ORDER BY key
         FOR UPDATE SKIP LOCKED"
    )
}

/// Returns the query that selects and locks keys that are due and not paused: first some keys by
/// age, then the other keys by rank. The query skips rows that another transaction has locked. If
/// the other transaction is a claim, that claim takes these rows. If the other transaction is a
/// mark, that mark announces these rows afterwards. The query locks no more rows than the caller
/// claims.
fn due_query() -> String {
    let part = |more: &str| {
        format!(
            "SELECT {COLUMNS} FROM work WHERE due IS NOT NULL AND due <= $1 AND NOT EXISTS
                 (SELECT 1 FROM pause WHERE pause.until > $1 AND pause.scope IN (work.key, work.instance))
             AND work.instance <> ALL ($2) AND work.key <> ALL ($3) {more} FOR UPDATE OF work SKIP LOCKED"
        )
    };
    // The second part of the query reads the first part, so PostgreSQL runs the first part only
    // once.
    format!(
        "WITH oldest AS ({}), urgent AS ({}) SELECT * FROM oldest UNION ALL SELECT * FROM urgent",
        part("ORDER BY first_dirty LIMIT $4::bigint"),
        part(
            "AND work.key NOT IN (SELECT oldest.key FROM oldest)
             ORDER BY rank LIMIT greatest($5::bigint - (SELECT count(*) FROM oldest), 0)"
        ),
    )
}

/// Claims a key for an operator. If another worker has the key, the function changes nothing.
pub(crate) async fn claim_key(
    transaction: &Transaction<'_>,
    key: &Key,
    now: Time,
    timing: &Timing,
) -> Result<Option<Claim>, Failed> {
    let Some(mut row) = locked_row(transaction, key).await? else { return Ok(None) };
    row.mark(&Mark::new(key.clone(), Lane::Manual), now, timing);
    let claim = row.claim(now, timing);
    if claim.is_some() {
        rows::save(transaction, &[row]).await?;
    }
    Ok(claim)
}

/// Claims the given keys that are due and not paused.
pub(crate) async fn claim_named(
    transaction: &Transaction<'_>,
    keys: &[Key],
    now: Time,
    timing: &Timing,
) -> Result<Claimed, Failed> {
    let paused = "SELECT scope FROM pause WHERE until > $1";
    let paused = sql::query(transaction, paused, &[&now.0]).await?;
    let paused: BTreeSet<&str> = paused.iter().map(|row| get(row, 0)).collect::<Result<_, Failed>>()?;
    let is_free = |key: &&Key| !paused.contains(key.as_str()) && !paused.contains(key.instance());
    let sorted = rows::lock(transaction, &keys.iter().filter(is_free).collect()).await?;
    let mut found: BTreeMap<Key, Row> = sorted.rows.into_iter().map(|row| (row.key.clone(), row)).collect();
    let (mut claims, mut changed) = (Vec::new(), Vec::new());
    for key in keys {
        // If the list has a key twice, the store claims it once.
        let Some(mut row) = found.remove(key) else { continue };
        let before = row.clone();
        claims.extend(row.claim(now, timing));
        if row != before {
            changed.push(row);
        }
    }
    rows::save(transaction, &changed).await?;
    Ok(Claimed { claims, damaged: sorted.damaged })
}

/// Returns whether `lease` is valid. Until the transaction ends, no other worker can claim the key
/// of the lease. If there is no lease to check, the result is `true`.
pub(crate) async fn holds(
    transaction: &Transaction<'_>,
    lease: Option<&Lease>,
    now: Time,
) -> Result<bool, Failed> {
    let Some(lease) = lease else { return Ok(true) };
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = $1 FOR SHARE");
    let found = sql::find(transaction, &query, &[&lease.key.as_str()]).await?;
    let row = found.as_ref().map(rows::read).transpose()?;
    Ok(row.is_some_and(|row| row.holds(lease, now)))
}

/// Returns the earliest time when a worker can claim a key. Ignores the keys in `damaged`.
pub(crate) async fn next_due<C: GenericClient>(on: &C, damaged: &[String]) -> Result<Option<Time>, Failed> {
    let query = "SELECT min(due) FROM work WHERE due IS NOT NULL AND key <> ALL ($1)";
    let due: Option<i64> = get(&sql::one(on, query, &[&damaged]).await?, 0)?;
    Ok(due.map(Time))
}

/// Lists the keys that are due, claimed or parked, and the unreadable rows.
pub(crate) async fn list<C: GenericClient>(on: &C, limit: u32) -> Result<Sorted, Failed> {
    // A claimed key stays due until its run ends. A sweep makes thousands of rows due. Each part of
    // the query uses its own index, so that the query does not sort all due rows.
    let part = |column: &str| {
        format!("(SELECT {COLUMNS}, rank FROM work WHERE {column} IS NOT NULL ORDER BY rank LIMIT $1)")
    };
    let query = format!(
        "SELECT {COLUMNS} FROM ({} UNION ALL {}) AS listed ORDER BY (parked IS NULL), rank LIMIT $1",
        part("parked"),
        part("due")
    );
    rows::sort(&sql::query(on, &query, &[&i64::from(limit)]).await?)
}

/// Counts the keys that wait for a run, by their scopes. Also returns the keys of the rows that
/// cannot be read, each with the reason. These keys do not count.
pub(crate) async fn count_waiting<C: GenericClient>(
    on: &C,
    scopes: &[KeyScope],
    since: Time,
    most: u32,
) -> Result<(u64, Vec<(String, String)>), Failed> {
    // If `due` is set, the key is not parked.
    let query = format!(
        "SELECT {COLUMNS} FROM work
         WHERE due IS NOT NULL AND first_dirty <= $1 AND key >= $2 AND key < $3 AND key <> ALL ($4) LIMIT $5"
    );
    let (mut left, mut damaged) = (i64::from(most), Vec::new());
    for scope in scopes {
        let (from, to) = scope.bounds();
        let mut left_out: Vec<String> = Vec::new();
        loop {
            let found = sql::query(on, &query, &[&since.0, &from, &to, &left_out, &left]).await?;
            let found = rows::sort(&found)?;
            if found.damaged.is_empty() {
                left -= count(found.rows.len());
                break;
            }
            // The unreadable rows might have taken the place of readable rows, so the query runs
            // again without the unreadable rows. Unreadable rows are rare.
            left_out.extend(found.damaged.iter().map(|(key, _)| key.clone()));
            damaged.extend(found.damaged);
        }
    }
    Ok(((i64::from(most) - left).unsigned_abs(), damaged))
}

/// Lists the rows of keys that are parked or whose latest run failed, and the unreadable rows.
pub(crate) async fn troubled<C: GenericClient>(on: &C) -> Result<Sorted, Failed> {
    // There are two queries, so that each query uses its own index.
    let query = format!(
        "SELECT {COLUMNS} FROM work WHERE parked IS NOT NULL
         UNION ALL
         SELECT {COLUMNS} FROM work WHERE last_error IS NOT NULL AND parked IS NULL"
    );
    let mut sorted = rows::sort(&sql::query(on, &query, &[]).await?)?;
    sorted.rows.retain(Row::is_troubled);
    Ok(sorted)
}

/// Counts the keys in the queue.
pub(crate) async fn depth<C: GenericClient>(on: &C, now: Time) -> Result<Depth, Failed> {
    let mut depth = Depth::default();
    let waiting = "SELECT lane, count(*) FROM work
         WHERE due IS NOT NULL AND (lease_until IS NULL OR lease_until <= $1) GROUP BY lane";
    for row in sql::query(on, waiting, &[&now.0]).await? {
        let lane: &str = get(&row, 0)?;
        let count: u64 = number(&row, 1)?;
        depth.due[Lane::stored(lane) as usize] += count;
    }
    let oldest = "SELECT first_dirty FROM work
         WHERE due IS NOT NULL AND (lease_until IS NULL OR lease_until <= $1) AND NOT EXISTS
             (SELECT 1 FROM pause WHERE pause.until > $1 AND pause.scope IN (work.key, work.instance))
         ORDER BY first_dirty LIMIT 1";
    let oldest = sql::find(on, oldest, &[&now.0]).await?;
    depth.oldest = oldest.as_ref().map(|row| get(row, 0)).transpose()?.map(Time);
    let counts = "SELECT (SELECT count(*) FROM work WHERE lease_until > $1),
                         (SELECT count(*) FROM work WHERE parked IS NOT NULL)";
    let counts = sql::one(on, counts, &[&now.0]).await?;
    (depth.leased, depth.parked) = (number(&counts, 0)?, number(&counts, 1)?);
    Ok(depth)
}
