//! Stores the journal, lists the deliveries, and deletes old data.

use std::time::Duration;

use beadle_engine::journal::{Entry, EntryKind};
use beadle_engine::store::json_reason;
use beadle_engine::{DeliveryRow, History, Listing, Retention, Risk, Time};
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::{damaged, named, unreadable};

pub(crate) fn append(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (at, kind, key, subject, intent, detail, trace) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut numbers = Vec::with_capacity(entries.len());
    for entry in entries {
        let detail = entry.detail.to_string();
        statement.execute(params![
            entry.at.0,
            entry.kind.as_str(),
            entry.key,
            entry.subject,
            entry.intent,
            detail,
            entry.trace.map(String::from)
        ])?;
        numbers.push(u64::try_from(connection.last_insert_rowid()).unwrap_or_default());
    }
    Ok(numbers)
}

/// Stores entries that come from another store, and keeps their numbers.
pub(crate) fn take(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (seq, at, kind, key, subject, intent, detail, trace)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for entry in entries {
        let (kind, detail) = (entry.kind.as_str(), entry.detail.to_string());
        let Entry { seq, at, key, subject, intent, .. } = entry;
        let trace = entry.trace.map(String::from);
        statement.execute(params![seq, at.0, kind, key, subject, intent, detail, trace])?;
    }
    Ok(())
}

const COLUMNS: &str = "seq, at, kind, key, subject, intent, detail, trace";

fn read_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    named(fields(row), || format!("entry {} of the journal", row.get::<_, i64>(0).unwrap_or_default()))
}

fn fields(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let (kind, detail): (String, String) = (row.get(2)?, row.get(6)?);
    let kind: EntryKind =
        serde_json::from_value(kind.into()).map_err(|error| damaged(2, json_reason(&error)))?;
    Ok(Entry {
        seq: row.get(0)?,
        at: Time(row.get(1)?),
        kind,
        key: row.get(3)?,
        subject: row.get(4)?,
        intent: row.get(5)?,
        trace: row.get::<_, Option<String>>(7)?.and_then(|text| text.parse().ok()),
        detail: serde_json::from_str(&detail).map_err(|error| damaged(6, json_reason(&error)))?,
    })
}

pub(crate) fn entries(connection: &Connection, listing: &Listing) -> rusqlite::Result<Vec<Entry>> {
    // A search with a key and a search without a key use different queries. One query for both
    // would read the whole table.
    let of_key = if listing.key.is_some() { "key = ?3 AND" } else { "?3 IS NULL AND" };
    let sql =
        format!("SELECT {COLUMNS} FROM journal WHERE {of_key} seq > ?1 AND at >= ?2 ORDER BY seq LIMIT ?4");
    let since = listing.since.unwrap_or(Time(i64::MIN)).0;
    // If the clocks of all processes agree, an entry with a greater number has a later time. So the
    // first page starts at the first entry that is not older than `since`. Each later page starts
    // after the last entry of the previous page.
    let mut after = listing.after;
    if after == 0 && listing.since.is_some() {
        let first = "SELECT min(seq) FROM journal INDEXED BY journal_at WHERE at >= ?1";
        let first: Option<u64> = connection.prepare_cached(first)?.query_row([since], |row| row.get(0))?;
        let Some(first) = first else { return Ok(Vec::new()) };
        after = first.saturating_sub(1);
    }
    connection
        .prepare_cached(&sql)?
        .query_map(params![after, since, listing.key, listing.limit], read_entry)?
        .collect()
}

/// The maximum expected difference between the clocks of two writers.
const APART: Duration = Duration::from_secs(600);

/// Lists entries, with the newest entry first.
pub(crate) fn newest(connection: &Connection, history: &History) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached(&newest_sql(history))?;
    let mut before = history.before.unwrap_or(i64::MAX.unsigned_abs());
    loop {
        let rows =
            statement.query_map(params![history.key, history.after, before, history.limit], read_entry)?;
        let mut page: Vec<Entry> = rows.collect::<rusqlite::Result<_>>()?;
        let (Some(since), Some(last)) = (history.since, page.last()) else { return Ok(page) };
        before = last.seq;
        // If the clocks of all processes agree, an entry with a greater number has a later time.
        let is_over = page.iter().all(|entry| entry.at < since - APART);
        page.retain(|entry| entry.at >= since);
        if is_over || !page.is_empty() {
            return Ok(page);
        }
    }
}

fn newest_sql(history: &History) -> String {
    let of_key = if history.key.is_some() { "key = ?1 AND" } else { "?1 IS NULL AND" };
    let risk = |risk: &Risk| format!("instr(detail, '\"risk\":\"{}\"') > 0", risk.as_str());
    let risks: Vec<String> = history.risks.iter().map(risk).collect();
    let of_risks = if risks.is_empty() {
        String::new()
    } else {
        format!("kind = 'intent' AND ({}) AND", risks.join(" OR "))
    };
    let of_kind = history.kind.map(|kind| format!("kind = '{}' AND", kind.as_str())).unwrap_or_default();
    // Without statistics, SQLite does not know which index excludes the most entries.
    let index = if history.key.is_some() {
        "INDEXED BY journal_key"
    } else if !risks.is_empty() {
        "INDEXED BY journal_open"
    } else if history.kind.is_some() {
        "INDEXED BY journal_kind"
    } else {
        ""
    };
    format!(
        "SELECT {COLUMNS} FROM journal {index} WHERE {of_key} {of_kind} {of_risks} seq > ?2 AND seq < ?3
         ORDER BY seq DESC LIMIT ?4"
    )
}

/// The part of a subject after its owner, in lower case. The index `journal_name` contains this
/// expression.
const NAME: &str = "lower(substr(subject, instr(subject, '/') + 1))";

/// Returns the keys and subjects of all entries that might have this name.
pub(crate) fn called(connection: &Connection, name: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let whole = name.to_ascii_lowercase();
    let bare = whole.split_once('/').map_or(whole.as_str(), |(_, bare)| bare);
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    connection.prepare_cached(&called_sql())?.query_map([whole.as_str(), bare], row)?.collect()
}

fn called_sql() -> String {
    format!("SELECT DISTINCT key, subject FROM journal WHERE {NAME} IN (?1, ?2)")
}

/// Returns one subject for each name in the journal.
pub(crate) fn subjects(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<String>> {
    connection.prepare_cached(&subjects_sql())?.query_map([limit], |row| row.get(0))?.collect()
}

/// Returns a query that jumps from name to name in the index. So the cost of the query does not
/// depend on the number of entries.
fn subjects_sql() -> String {
    format!(
        "WITH RECURSIVE known (name) AS (
             SELECT (SELECT {NAME} FROM journal ORDER BY {NAME} LIMIT 1)
             UNION ALL
             SELECT (SELECT {NAME} FROM journal WHERE {NAME} > known.name ORDER BY {NAME} LIMIT 1)
             FROM known WHERE known.name IS NOT NULL
         )
         SELECT (SELECT subject FROM journal WHERE {NAME} = known.name LIMIT 1)
         FROM known WHERE known.name IS NOT NULL LIMIT ?1"
    )
}

/// The name of the note that stores the number of an entry. All intents up to this number have
/// results. Without the note, each start would read all intents of the journal.
const SETTLED: &str = "settled-intents";

/// Lists the intents that have no result. Also returns a number for [`remember_settled`]: all
/// intents up to this number have results.
pub(crate) fn open_intents(connection: &Connection) -> rusqlite::Result<(Vec<Entry>, u64)> {
    // Another process can write between the queries. Even if this happens, each intent up to this
    // number has a result if the last query does not find it.
    let last = "SELECT coalesce(max(seq), 0) FROM journal";
    let last: u64 = connection.prepare_cached(last)?.query_row([], |row| row.get(0))?;
    let settled = settled(connection)?;
    let sql = open_intents_sql();
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([settled], |row| Ok((row.get::<_, u64>("seq")?, read_entry(row))))?;
    let (mut open, mut first) = (Vec::new(), None);
    for row in rows {
        let (seq, entry) = row?;
        first = first.or(Some(seq));
        match entry {
            Ok(entry) => open.push(entry),
            // An unreadable intent must not prevent Beadle from handling the other interrupted writes,
            // and from pruning.
            Err(error) => {
                let why = unreadable(error)?;
                tracing::error!(entry = seq, why, "interrupted write unreadable, leaving it out");
            }
        }
    }
    let until = first.map_or(last, |first| last.min(first.saturating_sub(1)));
    Ok((open, until.max(settled)))
}

fn open_intents_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM journal AS intent INDEXED BY journal_open WHERE kind = 'intent' AND seq > ?1
         AND NOT EXISTS (SELECT 1 FROM journal AS result WHERE result.intent = intent.seq) ORDER BY seq"
    )
}

fn settled(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM note WHERE name = ?1";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([SETTLED], |row| row.get(0)).optional()?;
    // If the number cannot be read, the search begins at the first intent.
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Stores a number. All intents up to this number have results, so the next search begins after it.
pub(crate) fn remember_settled(connection: &Connection, until: u64) -> rusqlite::Result<()> {
    if until <= settled(connection)? {
        return Ok(());
    }
    let sql = "INSERT INTO note (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute(params![SETTLED, until.to_string()])?;
    Ok(())
}

pub(crate) fn deliveries(connection: &Connection, listing: &Listing) -> rusqlite::Result<Vec<DeliveryRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT source, id, event, instance, received, keys, actor FROM inbox INDEXED BY inbox_received
         WHERE received >= ?1 AND (?2 IS NULL OR instr(keys, '\"' || ?2 || '\"') > 0)
         ORDER BY received DESC, n DESC LIMIT ?3 OFFSET ?4",
    )?;
    let since = listing.since.unwrap_or(Time(i64::MIN)).0;
    let rows = statement.query_map(params![since, listing.key, listing.limit, listing.after], |row| {
        named(delivery(row), || format!("the delivery {}", row.get::<_, String>(1).unwrap_or_default()))
    })?;
    rows.collect()
}

fn delivery(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeliveryRow> {
    let keys: String = row.get(5)?;
    Ok(DeliveryRow {
        source: row.get(0)?,
        id: row.get(1)?,
        event: row.get(2)?,
        actor: row.get(6)?,
        instance: row.get(3)?,
        received: Time(row.get(4)?),
        keys: serde_json::from_str(&keys).map_err(|error| damaged(5, json_reason(&error)))?,
    })
}

pub(crate) fn prune(connection: &Connection, retention: &Retention) -> rusqlite::Result<u64> {
    let batch = retention.batch;
    let bodies = connection.execute(
        "UPDATE inbox SET body = NULL WHERE n IN
             (SELECT n FROM inbox WHERE received < ?1 AND body IS NOT NULL LIMIT ?2)",
        params![retention.bodies_before.0, batch],
    )?;
    let ids = connection.execute(
        "DELETE FROM inbox WHERE n IN (SELECT n FROM inbox WHERE received < ?1 LIMIT ?2)",
        params![retention.ids_before.0, batch],
    )?;
    let journal = connection.execute(
        "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal WHERE at < ?1 LIMIT ?2)",
        params![retention.journal_before.0, batch],
    )?;
    let window = connection.execute(
        "DELETE FROM guard_booking WHERE n IN (SELECT n FROM guard_booking WHERE at < ?1 LIMIT ?2)",
        params![retention.journal_before.0, batch],
    )?;
    let (_, until) = open_intents(connection)?;
    remember_settled(connection, until)?;
    Ok((bodies + ids + journal + window) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the steps of SQLite's plan for a query.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps
    }

    #[test]
    fn a_search_in_a_long_journal_uses_an_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let all = History::default();
        let key = Some("repository:acme:1".to_owned());
        let risks = vec![Risk::Removes, Risk::Exposes];
        let kind = Some(EntryKind::Policy);
        for (sql, index) in [
            (newest_sql(&History { kind, ..all.clone() }), "journal_kind"),
            (newest_sql(&History { key: key.clone(), kind, ..all.clone() }), "journal_key"),
            (newest_sql(&all), "INTEGER PRIMARY KEY"),
            (newest_sql(&History { key: key.clone(), ..all.clone() }), "journal_key"),
            (newest_sql(&History { risks: risks.clone(), ..all.clone() }), "journal_open"),
            (newest_sql(&History { key, risks, ..all }), "journal_key"),
            (called_sql(), "journal_name"),
            (subjects_sql(), "journal_name"),
        ] {
            let steps = plan(&connection, &sql);
            let of_journal: Vec<&String> = steps.iter().filter(|step| step.contains(" journal")).collect();
            assert!(!of_journal.is_empty(), "{sql}\n{steps:?}");
            for step in of_journal {
                assert!(step.contains(index), "{sql}\n{steps:?}");
            }
            assert!(!steps.iter().any(|step| step.contains("FOR ORDER BY")), "{sql}\n{steps:?}");
        }
    }

    #[test]
    fn intents_with_results_are_not_read_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let add = |kind: &str, intent: Option<u64>| {
            let sql = "INSERT INTO journal (at, kind, key, subject, intent, detail)
                 VALUES (1, ?1, 'repository:acme:1', 'acme/r', ?2, '{}')";
            connection.execute(sql, params![kind, intent]).unwrap();
        };
        let found = || {
            let (open, until) = open_intents(&connection).unwrap();
            remember_settled(&connection, until).unwrap();
            (open.iter().map(|intent| intent.seq).collect::<Vec<u64>>(), settled(&connection).unwrap())
        };
        assert_eq!(found(), (vec![], 0));
        add("intent", None);
        add("result", Some(1));
        add("intent", None);
        add("intent", None);
        assert_eq!(found(), (vec![3, 4], 2), "an intent without a result is found again");
        add("result", Some(3));
        assert_eq!(found(), (vec![4], 3));
        add("result", Some(4));
        assert_eq!(found(), (vec![], 6));
        let steps = plan(&connection, &open_intents_sql());
        assert!(steps.iter().any(|step| step.contains("journal_open (seq>?)")), "{steps:?}");
        connection.execute("UPDATE note SET value = 'damaged'", []).unwrap();
        assert_eq!(found(), (vec![], 6), "the search begins at the first intent");
    }
}
