//! Stores the journal in PostgreSQL.

use std::time::Duration;

use beadle_engine::{Entry, EntryKind, History, Listing, Risk, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, Call, Param, get, number, storable, stored};

const COLUMNS: &str = "seq, at, kind, key, subject, intent, detail, trace";
/// How many entry numbers belong to one partition of the journal.
pub(crate) const PARTITION: i64 = 1_000_000;
/// If the counter has no row, the statement converts this text to a number. PostgreSQL's error then
/// contains the text.
const ONE_ROW: &str = "the table journal_counter must have one row, found none";

/// Adds entries, and returns their numbers.
pub(crate) async fn append(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<Vec<u64>, Failed> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let rows = appending(transaction, entries).await?.run(transaction).await?;
    let first = first_number(&rows, entries.len())?;
    Ok((first..).take(entries.len()).collect())
}

/// Prepares the statement that adds entries. The statement returns the number of the last entry.
///
/// The numbers come from a row and not from a PostgreSQL sequence. The transaction keeps the lock
/// of this row until the commit, so entries become visible in the order of their numbers. A reader
/// can continue after the greatest number that it has seen, and misses no entry. Each transaction
/// that writes entries runs this statement as its last step, because all other transactions that
/// write entries wait for the lock until the commit. There is one exception: the beginning of a
/// guarded write stores the number of the write's intent after this step.
///
/// The statement also keeps the list of the intents that have no result. Without this list, a
/// search for these intents would read millions of journal entries twice a minute.
///
/// The statement fails unless the table of the counter has exactly one row. The caller reads the
/// result only after the commit, and an error would then be too late.
pub(crate) async fn appending<C: GenericClient>(on: &C, entries: &[Entry]) -> Result<Call, Failed> {
    let statement = format!(
        "WITH counter AS (UPDATE journal_counter SET last = last + $1 RETURNING last - $1 AS before, last),
             opened AS (INSERT INTO open_intent (seq)
                 SELECT counter.before + place FROM counter, unnest($2::bigint[]) AS place),
             ended AS (DELETE FROM open_intent WHERE seq = ANY ($3::bigint[])),
             written AS (INSERT INTO journal ({COLUMNS})
                 SELECT counter.before + new.place, new.at, new.kind, new.key, new.subject, new.intent, new.detail,
                     new.trace
                 FROM counter, unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[],
                     $10::text[]) WITH ORDINALITY
                 AS new (at, kind, key, subject, intent, detail, trace, place))
         SELECT coalesce((SELECT last FROM counter)::text, '{ONE_ROW}')::bigint"
    );
    let is_intent = |(_, entry): &(i64, &Entry)| entry.kind == EntryKind::Intent;
    let opened: Vec<i64> = (1..).zip(entries).filter(is_intent).map(|(place, _)| place).collect();
    let ended = ended(entries);
    let mut params: Vec<Param> =
        vec![Box::new(stored(entries.len() as u64)), Box::new(opened), Box::new(ended)];
    params.extend(values(entries));
    Call::prepare(on, &statement, params).await
}

/// Returns the number of the first entry. `rows` is the result of [`appending`] for `count`
/// entries.
pub(crate) fn first_number(rows: &[tokio_postgres::Row], count: usize) -> Result<u64, Failed> {
    let Some(row) = rows.first() else { return Err(Failed::Damaged(ONE_ROW.into())) };
    let last: u64 = number(row, 0)?;
    Ok((last + 1).saturating_sub(count as u64))
}

/// Stores entries that come from another store, and keeps their numbers.
pub(crate) async fn take(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), Failed> {
    let numbers: Vec<i64> = entries.iter().map(|entry| stored(entry.seq)).collect();
    let Some(last) = numbers.iter().max() else { return Ok(()) };
    let raise = "UPDATE journal_counter SET last = greatest(last, $1)";
    sql::execute(transaction, raise, &[last]).await?;
    let statement = format!(
        "WITH opened AS (INSERT INTO open_intent (seq) SELECT unnest($1::bigint[])),
             ended AS (DELETE FROM open_intent WHERE seq = ANY ($2::bigint[]))
         INSERT INTO journal ({COLUMNS})
         SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[],
             $9::text[], $10::text[])"
    );
    let ended = ended(entries);
    let intended = entries.iter().zip(&numbers).filter(|(entry, _)| entry.kind == EntryKind::Intent);
    // A copied page can contain an intent and its result. One statement cannot insert and delete
    // the same row.
    let opened = intended.map(|(_, number)| *number).filter(|number| !ended.contains(number));
    let opened: Vec<i64> = opened.collect();
    let mut params: Vec<Param> = vec![Box::new(opened), Box::new(ended), Box::new(numbers)];
    params.extend(values(entries));
    Call::prepare(transaction, &statement, params).await?.run(transaction).await.map(drop)
}

/// Returns the number of each intent whose result is among the entries.
fn ended(entries: &[Entry]) -> Vec<i64> {
    entries.iter().filter_map(|entry| entry.intent.map(stored)).collect()
}

/// Returns the values of entries, one array for each column. The numbers of the entries are not
/// part of the result.
fn values(entries: &[Entry]) -> Vec<Param> {
    let at: Vec<i64> = entries.iter().map(|entry| entry.at.0).collect();
    let kinds: Vec<&'static str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    let keys: Vec<String> = entries.iter().map(|entry| storable(&entry.key).into_owned()).collect();
    let subjects: Vec<String> = entries.iter().map(|entry| storable(&entry.subject).into_owned()).collect();
    let intents: Vec<Option<i64>> = entries.iter().map(|entry| entry.intent.map(stored)).collect();
    let details: Vec<String> = entries.iter().map(|entry| entry.detail.to_string()).collect();
    let traces: Vec<Option<String>> = entries.iter().map(|entry| entry.trace.map(String::from)).collect();
    vec![
        Box::new(at),
        Box::new(kinds),
        Box::new(keys),
        Box::new(subjects),
        Box::new(intents),
        Box::new(details),
        Box::new(traces),
    ]
}

/// Reads an entry. The error names the entry.
fn read(row: &tokio_postgres::Row) -> Result<Entry, Failed> {
    fields(row).map_err(|failed| {
        let seq: i64 = get(row, 0).unwrap_or_default();
        failed.of_row(format_args!("entry {seq} of the table `journal`"))
    })
}

fn fields(row: &tokio_postgres::Row) -> Result<Entry, Failed> {
    let (kind, detail): (&str, &str) = (get(row, 2)?, get(row, 6)?);
    let kind: EntryKind =
        serde_json::from_value(kind.into()).map_err(|error| Failed::damaged_json(&error))?;
    let intent: Option<i64> = get(row, 5)?;
    Ok(Entry {
        seq: number(row, 0)?,
        at: Time(get(row, 1)?),
        kind,
        key: get(row, 3)?,
        subject: get(row, 4)?,
        intent: intent.map(u64::try_from).transpose().map_err(Failed::damaged)?,
        trace: get::<Option<&str>>(row, 7)?.and_then(|text| text.parse().ok()),
        detail: serde_json::from_str(detail).map_err(|error| Failed::damaged_json(&error))?,
    })
}

/// Lists entries in the order of their numbers.
pub(crate) async fn entries<C: GenericClient>(on: &C, listing: &Listing) -> Result<Vec<Entry>, Failed> {
    // A search with a key and a search without a key have different queries, so that each query has
    // its own query plan.
    let of_key = if listing.key.is_some() { "key = $3 AND" } else { "$3::text IS NULL AND" };
    let query =
        format!("SELECT {COLUMNS} FROM journal WHERE {of_key} seq > $1 AND at >= $2 ORDER BY seq LIMIT $4");
    let since = listing.since.unwrap_or(Time(i64::MIN)).0;
    // If the clocks of all processes agree, an entry with a greater number has a later time. So the
    // search starts at the first entry with this time or a later time. A later page starts after
    // this entry.
    let mut after = stored(listing.after);
    if after == 0 && listing.since.is_some() {
        // Without `OFFSET 0`, PostgreSQL would read all numbers from the first one.
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
        // If the clocks of all processes agree, an entry with a greater number has a later time.
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

/// The first characters of the name after the owner in a subject, in lower case. The index
/// `journal_name` contains this expression. An entry of an index has at most 2,700 bytes, and
/// PostgreSQL could not store a longer name.
const NAME: &str = "lower(left(substr(subject, strpos(subject, '/') + 1), 200))";
/// The maximum length of [`NAME`], in characters.
const LONGEST: usize = 200;

/// Returns the keys and subjects of all entries that might have this name.
pub(crate) async fn named<C: GenericClient>(on: &C, name: &str) -> Result<Vec<(String, String)>, Failed> {
    let whole = storable(name).to_ascii_lowercase();
    let bare = whole.split_once('/').map_or(whole.as_str(), |(_, bare)| bare);
    let beginning = |name: &str| name.chars().take(LONGEST).collect::<String>();
    let query = format!("SELECT DISTINCT key, subject FROM journal WHERE {NAME} = ANY ($1)");
    let names = [beginning(&whole), beginning(bare)];
    let rows = sql::query(on, &query, &[&names.as_slice()]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Returns one subject for each name in the journal. The query jumps from name to name in the
/// index, so its cost does not depend on the number of entries.
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
    let mut open = Vec::new();
    for row in sql::query(on, &query, &[]).await? {
        match read(&row) {
            Ok(entry) => open.push(entry),
            // An unreadable intent must not prevent Beadle from handling the other interrupted
            // writes.
            Err(Failed::Damaged(why)) => tracing::error!(why, "interrupted write unreadable, skipping it"),
            Err(other) => return Err(other),
        }
    }
    Ok(open)
}
