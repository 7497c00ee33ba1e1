//! The journal in PostgreSQL.

use std::time::Duration;

use beadle_engine::{Entry, EntryKind, History, Listing, Risk, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, get, number, storable, stored};

const COLUMNS: &str = "seq, at, kind, key, subject, intent, detail, trace";
/// How many numbers a partition of the journal has.
pub(crate) const PARTITION: i64 = 1_000_000;

/// Adds entries, and returns their numbers.
///
/// The numbers come from a row and not from a sequence of PostgreSQL. The lock of the row is kept
/// until the commit, so entries become visible in the order of their numbers. A reader that
/// continues after the greatest number that it has seen therefore misses no entry. This is the last
/// step of each transaction that writes entries, because all of them wait for this lock. Only the
/// beginning of a guarded write stores the number of its intent afterwards.
pub(crate) async fn append(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<Vec<u64>, Failed> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let count = entries.len() as u64;
    let next = "UPDATE journal_counter SET last = last + $1 RETURNING last";
    let last: u64 = number(&sql::one(transaction, next, &[&stored(count)]).await?, 0)?;
    let numbers: Vec<u64> = (last - count + 1..=last).collect();
    insert(transaction, &numbers, entries).await?;
    Ok(numbers)
}

/// Stores entries of another store, and keeps their numbers.
pub(crate) async fn take(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), Failed> {
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    let Some(last) = numbers.iter().max() else { return Ok(()) };
    let raise = "UPDATE journal_counter SET last = greatest(last, $1)";
    sql::execute(transaction, raise, &[&stored(*last)]).await?;
    insert(transaction, &numbers, entries).await
}

/// Stores entries, and keeps the list of the intents that have no result. A search for them in the
/// whole journal would read millions of entries twice a minute.
async fn insert(transaction: &Transaction<'_>, numbers: &[u64], entries: &[Entry]) -> Result<(), Failed> {
    let ended: Vec<i64> = entries.iter().filter_map(|entry| entry.intent.map(stored)).collect();
    let intended = entries.iter().zip(numbers).filter(|(entry, _)| entry.kind == EntryKind::Intent);
    // A copied page can have both an intent and its result. The statement cannot delete a row that it
    // inserts.
    let opened = intended.map(|(_, number)| stored(*number)).filter(|number| !ended.contains(number));
    let opened: Vec<i64> = opened.collect();
    let numbers: Vec<i64> = numbers.iter().map(|number| stored(*number)).collect();
    let at: Vec<i64> = entries.iter().map(|entry| entry.at.0).collect();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    let keys: Vec<_> = entries.iter().map(|entry| storable(&entry.key)).collect();
    let subjects: Vec<_> = entries.iter().map(|entry| storable(&entry.subject)).collect();
    let intents: Vec<Option<i64>> = entries.iter().map(|entry| entry.intent.map(stored)).collect();
    let details: Vec<String> = entries.iter().map(|entry| entry.detail.to_string()).collect();
    let traces: Vec<Option<String>> = entries.iter().map(|entry| entry.trace.map(String::from)).collect();
    let statement = format!(
        "WITH opened AS (INSERT INTO open_intent (seq) SELECT unnest($9::bigint[])),
             ended AS (DELETE FROM open_intent WHERE seq = ANY ($10::bigint[]))
         INSERT INTO journal ({COLUMNS})
         SELECT new.seq, new.at, new.kind, new.key, new.subject, new.intent, new.detail, new.trace
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
             $8::text[])
         AS new ({COLUMNS})"
    );
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
        [&numbers, &at, &kinds, &keys, &subjects, &intents, &details, &traces, &opened, &ended];
    sql::execute(transaction, &statement, &params).await?;
    Ok(())
}

fn read(row: &tokio_postgres::Row) -> Result<Entry, Failed> {
    let (kind, detail): (&str, &str) = (get(row, 2)?, get(row, 6)?);
    let kind: EntryKind = serde_json::from_value(kind.into()).map_err(Failed::damaged)?;
    let intent: Option<i64> = get(row, 5)?;
    Ok(Entry {
        seq: number(row, 0)?,
        at: Time(get(row, 1)?),
        kind,
        key: get(row, 3)?,
        subject: get(row, 4)?,
        intent: intent.map(u64::try_from).transpose().map_err(Failed::damaged)?,
        trace: get::<Option<&str>>(row, 7)?.and_then(|text| text.parse().ok()),
        detail: serde_json::from_str(detail).map_err(Failed::damaged)?,
    })
}

/// Lists entries in the order in which they were written.
pub(crate) async fn entries<C: GenericClient>(on: &C, listing: &Listing) -> Result<Vec<Entry>, Failed> {
    // A search with a key and a search without a key have different queries, so that each has its
    // own plan.
    let of_key = if listing.key.is_some() { "key = $3 AND" } else { "$3::text IS NULL AND" };
    let query =
        format!("SELECT {COLUMNS} FROM journal WHERE {of_key} seq > $1 AND at >= $2 ORDER BY seq LIMIT $4");
    let since = listing.since.unwrap_or(Time(i64::MIN)).0;
    // Entries are numbered in the order of their times, unless the clocks of processes differ. The
    // search therefore starts at the first entry that has the time or a later one. A later page has
    // passed this entry already.
    let mut after = stored(listing.after);
    if after == 0 && listing.since.is_some() {
        // `OFFSET 0` keeps PostgreSQL from reading the numbers from the first one on.
        let first = "SELECT min(seq) FROM (SELECT seq FROM journal WHERE at >= $1 OFFSET 0) AS later";
        let first: Option<i64> = get(&sql::one(on, first, &[&since]).await?, 0)?;
        let Some(first) = first else { return Ok(Vec::new()) };
        after = first - 1;
    }
    let limit = i64::from(listing.limit);
    let key = listing.key.as_deref().map(storable);
    let rows = sql::query(on, &query, &[&after, &since, &key, &limit]).await?;
    rows.iter().map(read).collect()
}

/// The maximum expected difference between the clocks of two writers.
const APART: Duration = Duration::from_secs(600);

/// Lists entries, with the newest entry first.
pub(crate) async fn newest<C: GenericClient>(on: &C, history: &History) -> Result<Vec<Entry>, Failed> {
    let query = newest_query(history);
    let key = history.key.as_deref().map(storable);
    let (after, limit) = (stored(history.after), i64::from(history.limit));
    let mut before = history.before.map_or(i64::MAX, stored);
    loop {
        let rows = sql::query(on, &query, &[&key, &after, &before, &limit]).await?;
        let mut page: Vec<Entry> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let (Some(since), Some(last)) = (history.since, page.last()) else { return Ok(page) };
        before = stored(last.seq);
        // Entries are numbered in the order of their times, unless the clocks of processes differ.
        let is_over = page.iter().all(|entry| entry.at < since - APART);
        page.retain(|entry| entry.at >= since);
        if is_over || !page.is_empty() {
            return Ok(page);
        }
    }
}

fn newest_query(history: &History) -> String {
    let of_key = if history.key.is_some() { "key = $1 AND" } else { "$1::text IS NULL AND" };
    let risk = |risk: &Risk| format!("strpos(detail, '\"risk\":\"{}\"') > 0", risk.as_str());
    let risks: Vec<String> = history.risks.iter().map(risk).collect();
    let of_risks = if risks.is_empty() {
        String::new()
    } else {
        format!("kind = 'intent' AND ({}) AND", risks.join(" OR "))
    };
    let of_kind = history.kind.map(|kind| format!("kind = '{}' AND", kind.as_str())).unwrap_or_default();
    format!(
        "SELECT {COLUMNS} FROM journal WHERE {of_key} {of_kind} {of_risks} seq > $2 AND seq < $3
         ORDER BY seq DESC LIMIT $4"
    )
}

/// The beginning of the part of a subject after its owner, without differences of case. The index
/// `journal_name` has this expression. An entry of an index has at most 2,700 bytes, and a longer name
/// could not be stored.
const NAME: &str = "lower(left(substr(subject, strpos(subject, '/') + 1), 200))";
/// The number of characters of [`NAME`].
const LONGEST: usize = 200;

/// Returns the keys and subjects of the entries that may have this name.
pub(crate) async fn named<C: GenericClient>(on: &C, name: &str) -> Result<Vec<(String, String)>, Failed> {
    let whole = storable(name).to_ascii_lowercase();
    let bare = whole.split_once('/').map_or(whole.as_str(), |(_, bare)| bare);
    let beginning = |name: &str| name.chars().take(LONGEST).collect::<String>();
    let query = format!("SELECT DISTINCT key, subject FROM journal WHERE {NAME} = ANY ($1)");
    let names = [beginning(&whole), beginning(bare)];
    let rows = sql::query(on, &query, &[&names.as_slice()]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Returns one subject for each name of the journal. The query jumps from name to name in the index,
/// so that the number of entries does not matter.
pub(crate) async fn subjects<C: GenericClient>(on: &C, limit: u32) -> Result<Vec<String>, Failed> {
    let query = format!(
        "WITH RECURSIVE known (name) AS (
             (SELECT {NAME} FROM journal ORDER BY {NAME} LIMIT 1)
             UNION ALL
             SELECT (SELECT {NAME} FROM journal WHERE {NAME} > known.name ORDER BY {NAME} LIMIT 1)
             FROM known WHERE known.name IS NOT NULL
         )
         SELECT (SELECT subject FROM journal WHERE {NAME} = known.name LIMIT 1)
         FROM known WHERE known.name IS NOT NULL LIMIT $1"
    );
    let rows = sql::query(on, &query, &[&i64::from(limit)]).await?;
    rows.iter().map(|row| get(row, 0)).collect()
}

/// Lists the intents that have no result.
pub(crate) async fn open_intents<C: GenericClient>(on: &C) -> Result<Vec<Entry>, Failed> {
    let query =
        format!("SELECT {COLUMNS} FROM journal WHERE seq IN (SELECT seq FROM open_intent) ORDER BY seq");
    let rows = sql::query(on, &query, &[]).await?;
    rows.iter().map(read).collect()
}
