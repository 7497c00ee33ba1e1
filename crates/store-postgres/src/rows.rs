//! Converts rows of the queue to SQL values and back, and locks them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Key, Lane, Row, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, get, number, storable, stored};

/// The columns of the table `work`, in the order in which [`read`] expects them.
pub(crate) const COLUMNS: &str = "key, lane, wanted, done, claimed, run_at, not_before, spares_events, first_dirty, \
     attempts, epoch, lease_until, parked, hint, last_error, trace";

/// Inserts rows, which arrive as one array for each column. The rows are inserted in the order of
/// their keys, so that two transactions wait for each other's rows in the same order.
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

/// What replaces a row that exists.
const REPLACE: &str = "UPDATE SET lane = excluded.lane, wanted = excluded.wanted, done = excluded.done,
         claimed = excluded.claimed, run_at = excluded.run_at, not_before = excluded.not_before,
         spares_events = excluded.spares_events, first_dirty = excluded.first_dirty, attempts = excluded.attempts,
         epoch = excluded.epoch, lease_until = excluded.lease_until, parked = excluded.parked, hint = excluded.hint,
         last_error = excluded.last_error, trace = excluded.trace, due = excluded.due, rank = excluded.rank";

/// Reads a row.
pub(crate) fn read(row: &tokio_postgres::Row) -> Result<Row, Failed> {
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
        parked: parked.map(serde_json::from_str).transpose().map_err(Failed::damaged)?,
        hint: get(row, 13)?,
        last_error: get(row, 14)?,
        // An invalid trace must not prevent the runs of the key.
        trace: get::<Option<&str>>(row, 15)?.and_then(|text| text.parse().ok()),
    })
}

/// Reads all rows of a result.
pub(crate) fn read_all(rows: &[tokio_postgres::Row]) -> Result<Vec<Row>, Failed> {
    rows.iter().map(read).collect()
}

/// Returns the row of a key, if there is one, without a lock.
pub(crate) async fn load<C: GenericClient>(on: &C, key: &Key) -> Result<Option<Row>, Failed> {
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = $1");
    sql::find(on, &query, &[&key.as_str()]).await?.as_ref().map(read).transpose()
}

/// Locks the rows of keys until the transaction ends, and returns those that exist.
pub(crate) async fn lock(
    transaction: &Transaction<'_>,
    keys: &BTreeSet<&Key>,
) -> Result<BTreeMap<Key, Row>, Failed> {
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = ANY ($1) ORDER BY key FOR UPDATE");
    let rows = read_all(&sql::query(transaction, &query, &[&keys]).await?)?;
    Ok(rows.into_iter().map(|row| (row.key.clone(), row)).collect())
}

/// Locks the row of one key until the transaction ends, and returns it if it exists.
pub(crate) async fn lock_one(transaction: &Transaction<'_>, key: &Key) -> Result<Option<Row>, Failed> {
    let query = format!("SELECT {COLUMNS} FROM work WHERE key = $1 FOR UPDATE");
    sql::find(transaction, &query, &[&key.as_str()]).await?.as_ref().map(read).transpose()
}

/// Locks the rows of keys like [`lock`], and creates a row for each key that has none. Without the
/// created row, two transactions could create the row of a new key at the same time, and one of them
/// would overwrite the marks of the other.
pub(crate) async fn lock_or_create(
    transaction: &Transaction<'_>,
    keys: &BTreeSet<&Key>,
) -> Result<BTreeMap<Key, Row>, Failed> {
    let new: Vec<Row> = keys.iter().map(|key| Row::new((*key).clone())).collect();
    write(transaction, &new, "NOTHING").await?;
    lock(transaction, keys).await
}

/// Stores rows. Each key may occur only once.
pub(crate) async fn save<C: GenericClient>(on: &C, rows: &[Row]) -> Result<(), Failed> {
    write(on, rows, REPLACE).await
}

async fn write<C: GenericClient>(on: &C, rows: &[Row], conflict: &str) -> Result<(), Failed> {
    if rows.is_empty() {
        return Ok(());
    }
    let numbers = |read: fn(&Row) -> i64| rows.iter().map(read).collect::<Vec<i64>>();
    let texts = |read: fn(&Row) -> Option<&str>| {
        rows.iter().map(|row| read(row).map(storable)).collect::<Vec<Option<Cow<'_, str>>>>()
    };
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let instances: Vec<&str> = rows.iter().map(|row| row.key.instance()).collect();
    let lanes: Vec<&str> = rows.iter().map(|row| row.lane.as_str()).collect();
    let spares: Vec<bool> = rows.iter().map(|row| row.spares_events).collect();
    let leases: Vec<Option<i64>> = rows.iter().map(|row| row.lease_until.map(|time| time.0)).collect();
    let due: Vec<Option<i64>> = rows.iter().map(|row| row.due_at().map(|time| time.0)).collect();
    let parked = rows.iter().map(|row| row.parked.as_ref().map(serde_json::to_string).transpose());
    let parked: Vec<Option<String>> = parked.collect::<Result<_, serde_json::Error>>()?;
    let (hints, errors) = (texts(|row| row.hint.as_deref()), texts(|row| row.last_error.as_deref()));
    let traces: Vec<Option<String>> = rows.iter().map(|row| row.trace.map(String::from)).collect();
    let (wanted, done) = (numbers(|row| stored(row.wanted)), numbers(|row| stored(row.done)));
    let (claimed, epochs) = (numbers(|row| stored(row.claimed)), numbers(|row| stored(row.epoch)));
    let (run_at, not_before) = (numbers(|row| row.run_at.0), numbers(|row| row.not_before.0));
    let (dirty, attempts) = (numbers(|row| row.first_dirty.0), numbers(|row| i64::from(row.attempts)));
    let ranks = numbers(Row::rank);
    let statement = format!("{INSERT} {conflict}");
    sql::execute(
        on,
        &statement,
        &[
            &keys,
            &instances,
            &lanes,
            &wanted,
            &done,
            &claimed,
            &run_at,
            &not_before,
            &spares,
            &dirty,
            &attempts,
            &epochs,
            &leases,
            &parked,
            &hints,
            &errors,
            &traces,
            &due,
            &ranks,
        ],
    )
    .await?;
    Ok(())
}
