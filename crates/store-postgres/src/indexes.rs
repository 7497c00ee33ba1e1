//! The indexes that were added after the tables. On existing data, PostgreSQL builds them while
//! other processes continue to write (`CREATE INDEX CONCURRENTLY`). A concurrent build cannot run
//! in a transaction, so it is not part of a migration. Without the index, the store also works, but
//! it is slower.
//!
//! A build waits for the end of every transaction that began earlier in the database, even if
//! another program, such as a backup, began the transaction. So a build has no time limit, and no
//! call of the store waits for a build.

use deadpool_postgres::Client;

use crate::failed::Failed;

struct Index {
    name: &'static str,
    table: &'static str,
    /// The indexed columns, and the condition that selects the indexed rows.
    on: &'static str,
    is_partitioned: bool,
}

const INDEXES: &[Index] = &[
    Index { name: "journal_kind", table: "journal", on: "(kind, seq)", is_partitioned: true },
    Index {
        name: "work_failed",
        table: "work",
        on: "(key) WHERE last_error IS NOT NULL",
        is_partitioned: false,
    },
    Index { name: "guard_booking_age", table: "guard_booking", on: "(at)", is_partitioned: false },
];

/// Returns the statements that create all indexes on empty tables.
pub(crate) fn create_all() -> String {
    let create = |index: &Index| format!("CREATE INDEX {} ON {} {};", index.name, index.table, index.on);
    INDEXES.iter().map(create).collect::<Vec<String>>().join("\n")
}

/// Begins to build the indexes that are missing or incomplete, and returns immediately. If a build
/// fails, the next start tries again.
pub(crate) async fn complete(client: Client, schema: &str) {
    let missing = match missing(&client).await {
        Ok(missing) if missing.is_empty() => return,
        Ok(missing) => missing,
        Err(failed) => return warn(&failed),
    };
    let schema = schema.to_owned();
    tokio::spawn(async move {
        if let Err(failed) = build(client, &schema, missing).await {
            warn(&failed);
        }
    });
}

fn warn(failed: &Failed) {
    tracing::warn!(why = failed.why(), "index of the database not built, some lists are slow");
}

async fn missing(client: &Client) -> Result<Vec<&'static Index>, Failed> {
    let mut missing = Vec::new();
    for index in INDEXES {
        if is_valid(client, index.name).await? != Some(true) {
            missing.push(index);
        }
    }
    Ok(missing)
}

async fn build(client: Client, schema: &str, missing: Vec<&'static Index>) -> Result<(), Failed> {
    // The connection leaves the pool, because its settings and its lock last until the connection
    // ends.
    let client = Client::take(client);
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    // If another process has the lock, this process does not wait for it. A process that waits has
    // a snapshot, and the build in the other process would wait for the end of that snapshot.
    let lock = "SELECT pg_try_advisory_lock(hashtextextended('beadle:index:' || $1::text, 0))";
    if !client.query_one(lock, &[&schema]).await?.try_get::<_, bool>(0)? {
        return Ok(());
    }
    for index in missing {
        tracing::info!(index = index.name, "building an index of the database");
        if index.is_partitioned {
            build_partitioned(&client, index).await?;
        } else {
            build_one(&client, index.name, index.table, index.on).await?;
        }
    }
    Ok(())
}

/// Returns whether an index is complete. Returns `None` if it does not exist.
async fn is_valid(client: &tokio_postgres::Client, name: &str) -> Result<Option<bool>, Failed> {
    let query = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass($1::text)";
    let found = client.query_opt(query, &[&name]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?)
}

/// Builds an index of a table or of a partition. If the index is invalid, an earlier build was
/// interrupted, and this function builds the index again. If the index is complete, this function
/// does nothing. The index of a partition can be complete already, if only its attachment failed.
async fn build_one(client: &tokio_postgres::Client, name: &str, table: &str, on: &str) -> Result<(), Failed> {
    if is_valid(client, name).await? == Some(true) {
        return Ok(());
    }
    client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    client.batch_execute(&format!("CREATE INDEX CONCURRENTLY {name} ON {table} {on}")).await?;
    Ok(())
}

/// Builds the index of each partition, and attaches it to the index of the whole table. The whole
/// index is complete when every partition has its own index. PostgreSQL cannot build all these
/// indexes in one step without a lock. A partition that is created in the meantime has its index
/// from the start.
async fn build_partitioned(client: &tokio_postgres::Client, index: &Index) -> Result<(), Failed> {
    let Index { name, table, on, .. } = index;
    if is_valid(client, name).await?.is_none() {
        in_passing(client, &format!("CREATE INDEX {name} ON ONLY {table} {on}")).await?;
    }
    let partitions = "SELECT child.relname::text FROM pg_catalog.pg_inherits AS part
         JOIN pg_catalog.pg_class AS child ON child.oid = part.inhrelid
         WHERE part.inhparent = to_regclass($1::text) AND NOT EXISTS
             (SELECT 1 FROM pg_catalog.pg_index AS its
              JOIN pg_catalog.pg_inherits AS attached ON attached.inhrelid = its.indexrelid
              WHERE its.indrelid = child.oid AND attached.inhparent = to_regclass($2::text))";
    for row in client.query(partitions, &[table, name]).await? {
        let partition: &str = row.try_get(0)?;
        let part = format!("{name}_of_{partition}");
        build_one(client, &part, partition, on).await?;
        in_passing(client, &format!("ALTER INDEX {name} ATTACH PARTITION {part}")).await?;
    }
    // Pruning might have dropped the last partition that had no index. PostgreSQL checks whether
    // the whole index is complete only when an index of a partition is attached. A repeated
    // attachment changes nothing else.
    if is_valid(client, name).await? == Some(false) {
        let attached = "SELECT part.relname::text FROM pg_catalog.pg_inherits
             JOIN pg_catalog.pg_class AS part ON part.oid = inhrelid
             WHERE inhparent = to_regclass($1::text) LIMIT 1";
        if let Some(row) = client.query_opt(attached, &[name]).await? {
            let part: &str = row.try_get(0)?;
            in_passing(client, &format!("ALTER INDEX {name} ATTACH PARTITION {part}")).await?;
        }
    }
    Ok(())
}

/// Runs a short statement. All writes to the table wait for the statement's lock. So the statement
/// gives up soon if it does not get the lock.
async fn in_passing(client: &tokio_postgres::Client, statement: &str) -> Result<(), Failed> {
    client.batch_execute(&format!("BEGIN; SET LOCAL lock_timeout = '2s'; {statement}; COMMIT")).await?;
    Ok(())
}
