//! Runs a transaction, and repeats it if PostgreSQL cancelled it.

use std::time::Duration;

use deadpool_postgres::{Client, Pool, Transaction};
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::SqlState;

use crate::failed::Failed;
use crate::hang::answered;

/// How many times the store repeats a cancelled transaction.
const MOST: u32 = 5;

/// Begins a transaction. The description of the crate explains the isolation level.
pub(crate) async fn begin(client: &mut Client) -> Result<Transaction<'_>, Failed> {
    let builder = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    match answered(builder.start()).await {
        Err(Failed::Sql(error)) => Err(Failed::Begin(error)),
        begun => begun,
    }
}

/// Counts the repetitions of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Retries(u32);

impl Retries {
    /// Returns whether to repeat the transaction, and waits before the repetition. The result is
    /// `true` only if the transaction certainly stored nothing.
    pub(crate) async fn repeat(&mut self, failed: &Failed, pool: &Pool) -> bool {
        if self.0 >= MOST || !is_cancelled(failed) {
            return false;
        }
        self.0 += 1;
        if !is_conflict(failed) {
            // The other idle connections belong to the same server, which does not accept writes
            // any more. New connections search for the server that accepts writes.
            drop(pool.retain(|_, _| false));
        }
        tokio::time::sleep(Duration::from_millis(10) * self.0).await;
        true
    }
}

/// Returns whether the transaction failed because of a conflict with another transaction.
fn is_conflict(failed: &Failed) -> bool {
    let conflicts = [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED];
    failed.code().is_some_and(|code| conflicts.contains(&code))
}

/// Returns whether the transaction certainly stored nothing and a repetition can succeed. The
/// result is `true` in three cases: the transaction did not begin on this connection, the
/// transaction had a conflict, or the server has become a standby. If the connection is lost during
/// the commit, the result is `false`.
fn is_cancelled(failed: &Failed) -> bool {
    matches!(failed, Failed::Begin(_))
        || is_conflict(failed)
        || failed.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// Runs an attempt of a transaction, and repeats it if it certainly stored nothing. `$attempt` is a
/// future, which is created again for each attempt.
macro_rules! repeat {
    ($pool:expr, $attempt:expr) => {{
        let mut retries = $crate::retry::Retries::default();
        loop {
            match $attempt.await {
                Ok(output) => break Ok(output),
                Err(failed) => {
                    if !retries.repeat(&failed, $pool).await {
                        break Err(failed);
                    }
                }
            }
        }
    }};
}

/// Runs statements in one transaction, and commits the transaction. `$body` is an expression. The
/// expression can run several times, and it can use `?`. If the expression fails, the transaction
/// is rolled back. This is a macro and not a function, because a closure cannot return a future
/// that borrows the transaction and is `Send`.
macro_rules! transaction {
    ($store:expr, $tx:ident => $body:expr) => {
        $crate::retry::repeat!(&$store.pool, async {
            let mut client = $store.pool.get().await?;
            let $tx = $crate::retry::begin(&mut client).await?;
            let output = $body;
            $crate::hang::answered($tx.commit()).await?;
            Ok::<_, $crate::failed::Failed>(output)
        })
    };
}

pub(crate) use repeat;
pub(crate) use transaction;
