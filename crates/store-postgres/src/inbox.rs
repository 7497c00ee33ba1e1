//! Stores the deliveries of the inbox, and deletes old data.

use beadle_engine::{Delivery, DeliveryRow, Listing, Retention, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::pipeline::IS_OPEN;
use crate::sql::{self, Call, Param, get, storable};

/// The stored form of a delivery.
pub(crate) struct Arrived {
    /// The delivery without its body.
    pub(crate) delivery: Delivery,
    /// The compressed body.
    pub(crate) body: Option<Vec<u8>>,
    /// The keys of the delivery, as a JSON list.
    pub(crate) keys: String,
}

impl Arrived {
    /// Returns the stored form of the source and of the id.
    pub(crate) fn identity(&self) -> (String, String) {
        (storable(&self.delivery.source).into_owned(), storable(&self.delivery.id).into_owned())
    }

    /// Returns the approximate size of the delivery, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.body.as_ref().map_or(0, Vec::len) + self.keys.len()
    }
}

/// Prepares the statement that stores deliveries. The statement returns the source and the id of
/// each delivery that was not stored before. If another transaction has stored an id and is not
/// committed yet, the statement waits for that transaction. Two transactions therefore insert their
/// deliveries in the same order. The statement fails outside a transaction of
/// [`crate::pipeline::begin`], because nobody would work on a delivery that is stored without its
/// marks.
pub(crate) async fn inserting<C: GenericClient>(on: &C, arrived: &[&Arrived]) -> Result<Call, Failed> {
    let statement = format!(
        "INSERT INTO inbox (source, id, event, actor, instance, received, keys, body)
         SELECT new.source, new.id, new.event, new.actor, new.instance, new.received, new.keys, new.body
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
             $8::bytea[]) WITH ORDINALITY
         AS new (source, id, event, actor, instance, received, keys, body, place)
         WHERE {IS_OPEN}
         ORDER BY new.source COLLATE \"C\", new.id COLLATE \"C\", new.place
         ON CONFLICT (source, id) DO NOTHING RETURNING source, id"
    );
    Call::prepare(on, &statement, params(arrived)).await
}

fn params(arrived: &[&Arrived]) -> Vec<Param> {
    let texts = |read: fn(&Arrived) -> &str| -> Param {
        let texts = arrived.iter().map(|arrived| storable(read(arrived)).into_owned());
        Box::new(texts.collect::<Vec<String>>())
    };
    let actors = arrived.iter().map(|arrived| arrived.delivery.actor.as_deref());
    let actors: Vec<Option<String>> =
        actors.map(|actor| actor.map(|text| storable(text).into_owned())).collect();
    let received: Vec<i64> = arrived.iter().map(|arrived| arrived.delivery.received.0).collect();
    let bodies: Vec<Option<Vec<u8>>> = arrived.iter().map(|arrived| arrived.body.clone()).collect();
    vec![
        texts(|arrived| &arrived.delivery.source),
        texts(|arrived| &arrived.delivery.id),
        texts(|arrived| &arrived.delivery.event),
        Box::new(actors),
        texts(|arrived| &arrived.delivery.instance),
        Box::new(received),
        texts(|arrived| &arrived.keys),
        Box::new(bodies),
    ]
}

/// Lists deliveries, with the newest delivery first.
pub(crate) async fn list<C: GenericClient>(on: &C, listing: &Listing) -> Result<Vec<DeliveryRow>, Failed> {
    let query = "SELECT source, id, event, actor, instance, received, keys FROM inbox
         WHERE received >= $1 AND ($2::text IS NULL OR strpos(keys, '\"' || $2::text || '\"') > 0)
         ORDER BY received DESC, n DESC LIMIT $3 OFFSET $4";
    let since = listing.since.unwrap_or(Time(i64::MIN)).0;
    let (limit, skip) = (i64::from(listing.limit), sql::stored(listing.after));
    let key = listing.key.as_deref().map(storable);
    let rows = sql::query(on, query, &[&since, &key, &limit, &skip]).await?;
    rows.iter().map(read).collect()
}

/// Reads a delivery. The error names the delivery.
fn read(row: &tokio_postgres::Row) -> Result<DeliveryRow, Failed> {
    fields(row).map_err(|failed| {
        let (source, id): (&str, &str) = (get(row, 0).unwrap_or_default(), get(row, 1).unwrap_or_default());
        failed.of_row(format_args!("the delivery {id} of {source} in the table `inbox`"))
    })
}

fn fields(row: &tokio_postgres::Row) -> Result<DeliveryRow, Failed> {
    let keys: &str = get(row, 6)?;
    Ok(DeliveryRow {
        source: get(row, 0)?,
        id: get(row, 1)?,
        event: get(row, 2)?,
        actor: get(row, 3)?,
        instance: get(row, 4)?,
        received: Time(get(row, 5)?),
        keys: serde_json::from_str(keys).map_err(|error| Failed::damaged_json(&error))?,
    })
}

/// Returns the compressed body of a delivery, if it is stored.
pub(crate) async fn body<C: GenericClient>(
    on: &C,
    source: &str,
    id: &str,
) -> Result<Option<Vec<u8>>, Failed> {
    let query = "SELECT body FROM inbox WHERE source = $1 AND id = $2";
    let found = sql::find(on, query, &[&storable(source), &storable(id)]).await?;
    match found {
        Some(row) => get(&row, 0),
        None => Ok(None),
    }
}

/// Deletes old data, but at most a given number of rows. Returns the number of deleted rows and
/// bodies. Several processes can do this at the same time, so each process skips the rows that
/// another process has locked. The function deletes entries of the journal only if `with_journal`
/// is set.
pub(crate) async fn prune(
    transaction: &Transaction<'_>,
    retention: &Retention,
    with_journal: bool,
) -> Result<u64, Failed> {
    let bodies = "UPDATE inbox SET body = NULL WHERE n = ANY (ARRAY
         (SELECT n FROM inbox WHERE received < $1 AND body IS NOT NULL LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let ids = "DELETE FROM inbox WHERE n = ANY (ARRAY
         (SELECT n FROM inbox WHERE received < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let journal = "DELETE FROM journal WHERE seq = ANY (ARRAY
         (SELECT seq FROM journal WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let window = "DELETE FROM guard_booking WHERE n = ANY (ARRAY
         (SELECT n FROM guard_booking WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
    let batch = i64::from(retention.batch);
    let mut deleted = 0;
    for (statement, before, is_due) in [
        (bodies, retention.bodies_before, true),
        (ids, retention.ids_before, true),
        (journal, retention.journal_before, with_journal),
        (window, retention.journal_before, true),
    ] {
        if !is_due {
            continue;
        }
        deleted += sql::execute(transaction, statement, &[&before.0, &batch]).await?;
    }
    // This table is small, because almost every intent has a result.
    let gone = "DELETE FROM open_intent WHERE NOT EXISTS
         (SELECT 1 FROM journal WHERE journal.seq = open_intent.seq)";
    sql::execute(transaction, gone, &[]).await?;
    Ok(deleted)
}
