//! The inbox: the deliveries, and the deletion of old data.

use beadle_engine::{Delivery, DeliveryRow, Listing, Retention, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, get, storable};

/// Stores a delivery with its compressed body. Returns `false` if its id is already stored. If
/// another transaction has stored the id and is not committed yet, the function waits for it.
pub(crate) async fn insert<C: GenericClient>(
    on: &C,
    delivery: &Delivery,
    body: Option<&[u8]>,
    keys: &str,
) -> Result<bool, Failed> {
    let statement = "INSERT INTO inbox (source, id, event, actor, instance, received, keys, body)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (source, id) DO NOTHING";
    let (event, actor) = (storable(&delivery.event), delivery.actor.as_deref().map(storable));
    let new = sql::execute(
        on,
        statement,
        &[
            &storable(&delivery.source),
            &storable(&delivery.id),
            &event,
            &actor,
            &storable(&delivery.instance),
            &delivery.received.0,
            &keys,
            &body,
        ],
    )
    .await?;
    Ok(new > 0)
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

fn read(row: &tokio_postgres::Row) -> Result<DeliveryRow, Failed> {
    let keys: &str = get(row, 6)?;
    Ok(DeliveryRow {
        source: get(row, 0)?,
        id: get(row, 1)?,
        event: get(row, 2)?,
        actor: get(row, 3)?,
        instance: get(row, 4)?,
        received: Time(get(row, 5)?),
        keys: serde_json::from_str(keys).map_err(Failed::damaged)?,
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

/// Deletes old data, up to a number of rows. Returns the number of deleted rows and bodies. Several
/// processes may do this at the same time, so each passes over the rows of the others. It deletes
/// entries of the journal only if `with_journal` is set.
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
