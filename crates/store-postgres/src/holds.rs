//! Stores the held changes in PostgreSQL.

use std::collections::BTreeMap;

use beadle_engine::guard::{Decision, decide};
use beadle_engine::store::without_reason;
use beadle_engine::{Hold, HoldList, Time};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, get, storable};

/// Reads a hold from the columns `hold` and `digest`. The error names the hold. The error is for
/// people, because it can quote a value of the hold.
fn read(row: &tokio_postgres::Row) -> Result<Hold, Failed> {
    let (text, digest): (&str, &str) = (get(row, 0)?, get(row, 1)?);
    let hold = serde_json::from_str(text).map_err(Failed::damaged);
    hold.map_err(|failed| failed.of_row(format_args!("the hold {digest} in the table `hold`")))
}

/// Reads a hold as [`read`] does, for a decision. The error quotes no value of the hold.
fn read_for_decision(row: &tokio_postgres::Row) -> Result<Hold, Failed> {
    read(row).map_err(|failed| match failed {
        Failed::Damaged(why) => Failed::Damaged(without_reason(&why)),
        other => other,
    })
}

/// Returns the stored holds that have one of these digests.
pub(crate) async fn known<C: GenericClient>(
    on: &C,
    digests: &[&str],
) -> Result<BTreeMap<String, Hold>, Failed> {
    let rows = sql::query(on, "SELECT hold, digest FROM hold WHERE digest = ANY ($1)", &[&digests]).await?;
    let holds = rows.iter().map(|row| read_for_decision(row).map(|hold| (hold.digest.clone(), hold)));
    holds.collect()
}

/// Returns the hold that has this digest, if there is one.
pub(crate) async fn find<C: GenericClient>(on: &C, digest: &str) -> Result<Option<Hold>, Failed> {
    let found =
        sql::find(on, "SELECT hold, digest FROM hold WHERE digest = $1", &[&storable(digest)]).await?;
    found.as_ref().map(read_for_decision).transpose()
}

/// Lists all holds.
pub(crate) async fn list<C: GenericClient>(on: &C) -> Result<HoldList, Failed> {
    readable(&sql::query(on, "SELECT hold, digest FROM hold ORDER BY since, digest", &[]).await?)
}

/// Returns the holds of all rows. An unreadable hold does not cause an error.
fn readable(rows: &[tokio_postgres::Row]) -> Result<HoldList, Failed> {
    let mut list = HoldList::default();
    for row in rows {
        match read(row) {
            Ok(hold) => list.holds.push(hold),
            Err(Failed::Damaged(why)) => list.unreadable.push(why),
            Err(other) => return Err(other),
        }
    }
    Ok(list)
}

/// Returns a text that changes if somebody adds, changes or deletes a hold. A decision makes the
/// stored text longer. If a hold replaces another hold, the new hold has a later time.
pub(crate) async fn version<C: GenericClient>(on: &C) -> Result<String, Failed> {
    let query = "SELECT concat_ws('.', count(*), sum(length(hold)), max(since),
                                  count(*) FILTER (WHERE approved), sum(since)) FROM hold";
    get(&sql::one(on, query, &[]).await?, 0)
}

/// Lists the holds of a key.
pub(crate) async fn of_key<C: GenericClient>(on: &C, key: &str) -> Result<HoldList, Failed> {
    let query = "SELECT hold, digest FROM hold WHERE key = $1 ORDER BY since, digest";
    readable(&sql::query(on, query, &[&key]).await?)
}

/// Stores holds. If several holds have the same digest, the function stores the last of them.
pub(crate) async fn save<C: GenericClient>(on: &C, holds: &[Hold]) -> Result<(), Failed> {
    let holds: BTreeMap<&str, &Hold> = holds.iter().map(|hold| (hold.digest.as_str(), hold)).collect();
    if holds.is_empty() {
        return Ok(());
    }
    let digests: Vec<&str> = holds.keys().copied().collect();
    let instances: Vec<&str> = holds.values().map(|hold| hold.key.instance()).collect();
    let keys: Vec<&str> = holds.values().map(|hold| hold.key.as_str()).collect();
    let since: Vec<i64> = holds.values().map(|hold| hold.since.0).collect();
    let approved: Vec<bool> = holds.values().map(|hold| hold.approved_by.is_some()).collect();
    let texts = holds.values().map(serde_json::to_string).collect::<Result<Vec<String>, _>>()?;
    let statement = "INSERT INTO hold (digest, instance, key, since, approved, hold)
         SELECT new.digest, new.instance, new.key, new.since, new.approved, new.hold
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::text[])
         AS new (digest, instance, key, since, approved, hold)
         ON CONFLICT (digest) DO UPDATE SET instance = excluded.instance, key = excluded.key,
             since = excluded.since, approved = excluded.approved, hold = excluded.hold";
    sql::execute(on, statement, &[&digests, &instances, &keys, &since, &approved, &texts]).await?;
    Ok(())
}

/// Deletes the holds that have one of these digests.
pub(crate) async fn delete<C: GenericClient>(on: &C, digests: &[String]) -> Result<(), Failed> {
    sql::execute(on, "DELETE FROM hold WHERE digest = ANY ($1)", &[&digests]).await.map(drop)
}

/// Stores a decision about a held change. Returns the hold with the decision in force. This is the
/// new decision or an earlier decision. The caller has locked the window of the instance.
pub(crate) async fn settle(
    transaction: &Transaction<'_>,
    digest: &str,
    decision: &Decision,
    now: Time,
) -> Result<Option<Hold>, Failed> {
    let Some(hold) = find(transaction, digest).await? else { return Ok(None) };
    let Some(decided) = decide(&hold, decision, now) else { return Ok(Some(hold)) };
    save(transaction, std::slice::from_ref(&decided)).await?;
    Ok(Some(decided))
}

/// Deletes the holds of an instance that are outdated, because they belong to other generations
/// than `generation`. Returns the number of deleted holds. The caller has locked the window of the
/// instance.
pub(crate) async fn forget(
    transaction: &Transaction<'_>,
    instance: &str,
    generation: &str,
) -> Result<u64, Failed> {
    let query = "SELECT hold, digest FROM hold WHERE instance = $1";
    let rows = sql::query(transaction, query, &[&instance]).await?;
    let mut stale = Vec::new();
    for row in &rows {
        match read(row) {
            Ok(hold) if hold.is_outdated(instance, generation) => stale.push(hold.digest),
            Ok(_) => {}
            // The generation of the hold is unknown, so the hold stays.
            Err(Failed::Damaged(why)) => tracing::error!(why, "hold unreadable, keeping it"),
            Err(other) => return Err(other),
        }
    }
    delete(transaction, &stale).await?;
    Ok(stale.len() as u64)
}
