//! Converts rows of the queue to SQL values and back.

use beadle_engine::store::json_reason;
use beadle_engine::{Key, Lane, Row, Time};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, params};

/// The columns of the table `work`, in the order that [`read`] expects.
pub(crate) const COLUMNS: &str = "key, lane, wanted, done, claimed, run_at, not_before, spares_events, first_dirty, \
     attempts, epoch, lease_until, parked, hint, last_error, trace";

/// Returns the error for a stored text that cannot be parsed.
pub(crate) fn damaged(column: usize, why: impl std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        FromSqlError::Other(why.to_string().into()).into(),
    )
}

/// If a row cannot be read, adds the name of the row to the error, so that an operator can find the
/// row.
pub(crate) fn named<T>(read: rusqlite::Result<T>, name: impl FnOnce() -> String) -> rusqlite::Result<T> {
    read.map_err(|error| damaged(0, format!("{}: {error}", name())))
}

/// Returns the reason if an error means that a stored row cannot be read. Returns any other error
/// unchanged.
pub(crate) fn unreadable(error: rusqlite::Error) -> rusqlite::Result<String> {
    match error {
        // The text of the error itself begins with the number of a column.
        rusqlite::Error::FromSqlConversionFailure(_, _, why) => Ok(why.to_string()),
        other => Err(other),
    }
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
pub(crate) fn sort(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Sorted> {
    let mut sorted = Sorted::default();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(row) => sorted.rows.push(row),
            Err(error) => sorted.damaged.push((row.get(0).unwrap_or_default(), unreadable(error)?)),
        }
    }
    Ok(sorted)
}

pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    named(fields(row), || format!("the row of {}", row.get::<_, String>(0).unwrap_or_default()))
}

fn fields(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let key: String = row.get(0)?;
    let lane: String = row.get(1)?;
    let parked: Option<String> = row.get(12)?;
    Ok(Row {
        key: key.parse::<Key>().map_err(|error| damaged(0, error))?,
        lane: Lane::stored(&lane),
        wanted: row.get(2)?,
        done: row.get(3)?,
        claimed: row.get(4)?,
        run_at: Time(row.get(5)?),
        not_before: Time(row.get(6)?),
        spares_events: row.get(7)?,
        first_dirty: Time(row.get(8)?),
        attempts: row.get(9)?,
        epoch: row.get(10)?,
        lease_until: row.get::<_, Option<i64>>(11)?.map(Time),
        parked: parked
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| damaged(12, json_reason(&error)))?,
        hint: row.get(13)?,
        last_error: row.get(14)?,
        // An invalid trace must not prevent the runs of the key.
        trace: row.get::<_, Option<String>>(15)?.and_then(|text| text.parse().ok()),
    })
}

pub(crate) fn load(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM work WHERE key = ?1");
    connection.prepare_cached(&sql)?.query_row([key.as_str()], read).optional()
}

pub(crate) fn save(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let parked = row.parked.as_ref().map(serde_json::to_string).transpose();
    let parked = parked.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO work (key, instance, lane, wanted, done, claimed, run_at, not_before, spares_events, first_dirty,
             attempts, epoch, lease_until, parked, hint, last_error, trace, due, rank)
         VALUES (:key, :instance, :lane, :wanted, :done, :claimed, :run_at, :not_before, :spares_events, :first_dirty,
             :attempts, :epoch, :lease_until, :parked, :hint, :last_error, :trace, :due, :rank)
         ON CONFLICT (key) DO UPDATE SET lane = excluded.lane, wanted = excluded.wanted, done = excluded.done,
             claimed = excluded.claimed, run_at = excluded.run_at, not_before = excluded.not_before,
             spares_events = excluded.spares_events, first_dirty = excluded.first_dirty,
             attempts = excluded.attempts, epoch = excluded.epoch, lease_until = excluded.lease_until,
             parked = excluded.parked, hint = excluded.hint, last_error = excluded.last_error,
             trace = excluded.trace, due = excluded.due, rank = excluded.rank",
    )?;
    // The values have the same order as in the statement. If the values had names, SQLite would
    // search its list of names once for each value. Speed matters here, because each webhook stores
    // a row.
    statement.execute(params![
        row.key.as_str(),
        row.key.instance(),
        row.lane.as_str(),
        row.wanted,
        row.done,
        row.claimed,
        row.run_at.0,
        row.not_before.0,
        row.spares_events,
        row.first_dirty.0,
        row.attempts,
        row.epoch,
        row.lease_until.map(|time| time.0),
        parked,
        row.hint,
        row.last_error,
        row.trace.map(String::from),
        row.due_at().map(|time| time.0),
        row.rank(),
    ])?;
    Ok(())
}
