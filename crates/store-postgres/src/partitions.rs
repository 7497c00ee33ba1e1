//! The partitions of the journal. A partition contains the entries whose numbers are in one range.
//! So the store deletes old entries together, by dropping their partition. If the store deleted the
//! entries one by one, PostgreSQL would write as much data as when it inserted them.
//!
//! The entries of a range without a partition go into the partition `journal_rest`. So the journal
//! works even if the process has no permission to create tables.

use beadle_engine::Time;
use deadpool_postgres::{Client, Pool};
use tokio_postgres::error::SqlState;

use crate::failed::Failed;
use crate::sql::{self, get};
use crate::{journal, retry};

/// The first characters of each partition's name. The rest of the name is the number of the
/// partition.
const PREFIX: &str = "journal_";

/// Drops each partition if all of its entries are older than `before`. Creates the next partition.
/// If this fails, the next call tries again.
///
/// Returns whether to delete the remaining old entries one by one. The result is `false` while an
/// old partition is in use, because the store will drop all of its entries together.
pub(crate) async fn keep_up(pool: &Pool, before: Time) -> bool {
    let (dropped, created) = (drop_old(pool, before).await, create_next(pool).await);
    for failed in [dropped.as_ref().err(), created.as_ref().err()].into_iter().flatten() {
        tracing::debug!(why = failed.why(), "partitions of the journal not changed, retrying");
    }
    !dropped.is_err_and(|failed| failed.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

async fn last_number(client: &Client) -> Result<i64, Failed> {
    get(&sql::one(client, "SELECT last FROM journal_counter", &[]).await?, 0)
}

async fn create_next(pool: &Pool) -> Result<(), Failed> {
    let mut client = pool.get().await?;
    // No entry has a number of the next range yet, so no entry moves into the new partition.
    let next = last_number(&client).await? / journal::PARTITION + 1;
    let name = format!("{PREFIX}{next}");
    let is_there = "SELECT to_regclass($1::text) IS NOT NULL";
    let is_there: bool = get(&sql::one(&client, is_there, &[&name]).await?, 0)?;
    if is_there {
        return Ok(());
    }
    let (from, to) = (next * journal::PARTITION, (next + 1) * journal::PARTITION);
    let create = format!("CREATE TABLE {name} PARTITION OF journal FOR VALUES FROM ({from}) TO ({to})");
    execute(&mut client, &create).await
}

async fn drop_old(pool: &Pool, before: Time) -> Result<(), Failed> {
    let mut client = pool.get().await?;
    let last = last_number(&client).await?;
    let partitions = "SELECT child.relname::text FROM pg_catalog.pg_inherits
         JOIN pg_catalog.pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass('journal')";
    for row in sql::query(&client, partitions, &[]).await? {
        let name: &str = get(&row, 0)?;
        let number: Option<i64> = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        // The current partition gets further entries.
        let Some(number) = number.filter(|number| (number + 1) * journal::PARTITION <= last) else {
            continue;
        };
        let has_newer = format!("SELECT EXISTS (SELECT 1 FROM {PREFIX}{number} WHERE at >= $1)");
        let has_newer: bool = get(&sql::one(&client, &has_newer, &[&before.0]).await?, 0)?;
        if !has_newer {
            execute(&mut client, &format!("DROP TABLE {PREFIX}{number}")).await?;
        }
    }
    Ok(())
}

/// Changes the partitions. All writes to the journal wait for the statement's lock, so the
/// statement gives up soon if it does not get the lock.
async fn execute(client: &mut Client, statement: &str) -> Result<(), Failed> {
    let transaction = retry::begin(client).await?;
    transaction.batch_execute("SET LOCAL lock_timeout = '2s'").await?;
    transaction.batch_execute(statement).await?;
    transaction.commit().await?;
    Ok(())
}
