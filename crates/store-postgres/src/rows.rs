//! Converts rows of the queue to SQL values and back, and locks them.

use std::collections::BTreeSet;

use beadle_engine::{Key, Lane, Row, Time};
use deadpool_postgres::GenericClient;

use crate::failed::Failed;
use crate::sql::{self, Call, Param, get, number, storable, stored};

/// The columns of the table `work`, in the order that [`read`] expects.
pub(crate) const COLUMNS: &str = "key, lane, wanted, done, claimed, run_at, not_before, spares_events, first_dirty, \
     attempts, epoch, lease_until, parked, hint, last_error, trace";

/// Inserts rows. The values arrive as one array for each column. The statement inserts the rows in
/// the order of their keys, so that two transactions wait for rows in the same order.
const INSERT: &str = "INSERT INTO work (key, instance, lane, wanted, done, claimed, run_at, not_before, spares_events,
         first_dirty, attempts, epoch, lease_until, parked, hint, last_error, trace, due, rank)
     SELECT new.key, new.instance, new.lane, new.wanted, new.done, new.claimed, new.run_at, new.not_before,
         new.spares_events, new.first_dirty, new.attempts, new.epoch, new.lease_until, new.parked, new.hint,
         new.last_error, new.trace, new.due, new.rank
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
         $8::bigint[], $9::boolean[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[],
         $15::text[], $16::text[], $17::text[], $18::bigint[], $19::bigint[])
     AS new (key, instance, lane, wanted, done, claimed, run_at, not_before, spares_events, first_dirty, attempts,
         epoch, lease_until, parked, hint, last_error, trace, due, rank)
     ORDER BY new.key COLLATE \"C\"
     ON CONFLICT (key) DO";

/// The part of the statement that replaces an existing row.
const REPLACE: &str = "UPDATE SET lane = excluded.lane, wanted = excluded.wanted, done = excluded.done,
         claimed = excluded.claimed, run_at = excluded.run_at, not_before = excluded.not_before,
         spares_events = excluded.spares_events, first_dirty = excluded.first_dirty, attempts = excluded.attempts,
         epoch = excluded.epoch, lease_until = excluded.lease_until, parked = excluded.parked, hint = excluded.hint,
         last_error = excluded.last_error, trace = excluded.trace, due = excluded.due, rank = excluded.rank";

/// Reads a row. The error names the key.
pub(crate) fn read(row: &tokio_postgres::Row) -> Result<Row, Failed> {
    fields(row).map_err(|failed| {
        let key: &str = get(row, 0).unwrap_or_default();
        failed.of_row(format_args!("the row of {key} in the table `work`"))
    })
}

fn fields(row: &tokio_postgres::Row) -> Result<Row, Failed> {
    let (key, lane): (&str, &str) = (get(row, 0)?, get(row, 1)?);
    let (lease_until, parked): (Option<i64>, Option<&str>) = (get(row, 11)?, get(row, 12)?);
    Ok(Row {
        key: key.parse::<Key>().map_err(Failed::damaged)?,
        lane: Lane::stored(lane),
        wanted: number(row, 2)?,
        done: number(row, 3)?,
        claimed: number(row, 4)?,
        run_at: Time(get(row, 5)?),
        not_before: Time(get(row, 6)?),
        spares_events: get(row, 7)?,
        first_dirty: Time(get(row, 8)?),
        attempts: number(row, 9)?,
        epoch: number(row, 10)?,
        lease_until: lease_until.map(Time),
        parked: parked.map(serde_json::from_str).transpose().map_err(|error| Failed::damaged_json(&error))?,
        hint: get(row, 13)?,
        last_error: get(row, 14)?,
        // An invalid trace must not prevent the runs of the key.
        trace: get::<Option<&str>>(row, 15)?.and_then(|text| text.parse().ok()),
    })
}

/// Readable rows, and the keys of the unreadable rows, each with the reason.
#[derive(Default)]
pub(crate) struct Sorted {
    /// The rows that can be read.
    pub(crate) rows: Vec<Row>,
    /// The keys of the unreadable rows, as texts.
    pub(crate) damaged: Vec<(String, String)>,
}

/// Separates the readable rows from the damaged rows. A damaged row must not block the other keys.
pub(crate) fn sort(rows: &[tokio_postgres::Row]) -> Result<Sorted, Failed> {
    let mut sorted = Sorted::default();
    for row in rows {
        match read(row) {
            Ok(row) => sorted.rows.push(row),
            Err(Failed::Damaged(why)) => sorted.damaged.push((get(row, 0)?, why)),
            Err(other) => return Err(other),
        }
    }
    Ok(sorted)
}

/// Reads the row of a key without a lock. Returns `None` if the key has no row.
pub(crate) async fn load<C: GenericClient>(on: &C, key: &Key) -> Result<Option<Row>, Failed> {
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = $1");
    sql::find(on, &query, &[&key.as_str()]).await?.as_ref().map(read).transpose()
}

/// Prepares the statement that locks the rows of keys until the transaction ends. The statement
/// returns the existing rows.
pub(crate) async fn locking<C: GenericClient>(on: &C, keys: &BTreeSet<&Key>) -> Result<Call, Failed> {
    let keys: Vec<String> = keys.iter().map(|key| key.as_str().to_owned()).collect();
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = ANY ($1) ORDER BY key FOR UPDATE");
    Call::prepare(on, &query, vec![Box::new(keys)]).await
}

/// Locks the rows of keys until the transaction ends. Returns the existing rows.
pub(crate) async fn lock<C: GenericClient>(on: &C, keys: &BTreeSet<&Key>) -> Result<Sorted, Failed> {
    sort(&locking(on, keys).await?.run(on).await?)
}

/// Locks the rows of keys as [`lock`] does. Also creates a row for each key that has none.
/// Otherwise, two transactions could create the row of a new key at the same time, and one
/// transaction would overwrite the marks of the other transaction.
pub(crate) async fn lock_or_create<C: GenericClient>(
    on: &C,
    keys: &BTreeSet<&Key>,
) -> Result<Sorted, Failed> {
    let new: Vec<Row> = keys.iter().map(|key| Row::new((*key).clone())).collect();
    write(on, &new, "NOTHING").await?;
    lock(on, keys).await
}

/// Stores rows. Each key must occur only once.
pub(crate) async fn save<C: GenericClient>(on: &C, rows: &[Row]) -> Result<(), Failed> {
    write(on, rows, REPLACE).await
}

/// Prepares the statement that stores rows. Each key must occur only once.
pub(crate) async fn saving<C: GenericClient>(on: &C, rows: &[Row]) -> Result<Call, Failed> {
    Call::prepare(on, &format!("{INSERT} {REPLACE}"), params(rows)?).await
}

async fn write<C: GenericClient>(on: &C, rows: &[Row], conflict: &str) -> Result<(), Failed> {
    if rows.is_empty() {
        return Ok(());
    }
    let call = Call::prepare(on, &format!("{INSERT} {conflict}"), params(rows)?).await?;
    call.run(on).await.map(drop)
}

/// Returns the values of rows, one array for each column of [`INSERT`].
fn params(rows: &[Row]) -> Result<Vec<Param>, Failed> {
    let numbers = |read: fn(&Row) -> i64| -> Param { Box::new(rows.iter().map(read).collect::<Vec<i64>>()) };
    let times = |read: fn(&Row) -> Option<Time>| -> Param {
        Box::new(rows.iter().map(|row| read(row).map(|time| time.0)).collect::<Vec<Option<i64>>>())
    };
    let texts = |read: fn(&Row) -> Option<&str>| -> Param {
        let texts = rows.iter().map(|row| read(row).map(|text| storable(text).into_owned()));
        Box::new(texts.collect::<Vec<Option<String>>>())
    };
    let parked = rows.iter().map(|row| row.parked.as_ref().map(serde_json::to_string).transpose());
    let parked: Vec<Option<String>> = parked.collect::<Result<_, serde_json::Error>>()?;
    let traces: Vec<Option<String>> = rows.iter().map(|row| row.trace.map(String::from)).collect();
    let spares: Vec<bool> = rows.iter().map(|row| row.spares_events).collect();
    Ok(vec![
        texts(|row| Some(row.key.as_str())),
        texts(|row| Some(row.key.instance())),
        texts(|row| Some(row.lane.as_str())),
        numbers(|row| stored(row.wanted)),
        numbers(|row| stored(row.done)),
        numbers(|row| stored(row.claimed)),
        numbers(|row| row.run_at.0),
        numbers(|row| row.not_before.0),
        Box::new(spares),
        numbers(|row| row.first_dirty.0),
        numbers(|row| i64::from(row.attempts)),
        numbers(|row| stored(row.epoch)),
        times(|row| row.lease_until),
        Box::new(parked),
        texts(|row| row.hint.as_deref()),
        texts(|row| row.last_error.as_deref()),
        Box::new(traces),
        times(Row::due_at),
        numbers(Row::rank),
    ])
}
