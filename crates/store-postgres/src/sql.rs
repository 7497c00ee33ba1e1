//! Runs prepared statements, and reads values from rows.

use std::borrow::Cow;

use deadpool_postgres::GenericClient;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Row, Statement};

use crate::failed::{Failed, describe};
use crate::hang::answered;

/// A value of a statement.
pub(crate) type Param = Box<dyn ToSql + Sync + Send>;

/// A prepared statement with its values. The first poll of [`Call::run`] sends the statement. So
/// the store can send several statements before the first answer (`pipeline.rs`).
pub(crate) struct Call {
    statement: Statement,
    params: Vec<Param>,
}

impl Call {
    /// Prepares a statement. A connection prepares the same text only once.
    pub(crate) async fn prepare<C: GenericClient>(
        on: &C,
        sql: &str,
        params: Vec<Param>,
    ) -> Result<Self, Failed> {
        let statement = answered(on.prepare_cached(sql)).await?;
        Ok(Self { statement, params })
    }

    /// Runs the statement, and returns its rows.
    pub(crate) async fn run<C: GenericClient>(&self, on: &C) -> Result<Vec<Row>, Failed> {
        let params: Vec<&(dyn ToSql + Sync)> =
            self.params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect();
        answered(on.query(&self.statement, &params)).await
    }
}

/// Runs a query. A connection prepares the same text only once.
pub(crate) async fn query<C: GenericClient>(
    on: &C,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Failed> {
    answered(async {
        let statement = on.prepare_cached(sql).await?;
        on.query(&statement, params).await
    })
    .await
}

/// Runs a query that returns at most one row.
pub(crate) async fn find<C: GenericClient>(
    on: &C,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, Failed> {
    answered(async {
        let statement = on.prepare_cached(sql).await?;
        on.query_opt(&statement, params).await
    })
    .await
}

/// Runs a query that returns exactly one row.
pub(crate) async fn one<C: GenericClient>(
    on: &C,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Row, Failed> {
    answered(async {
        let statement = on.prepare_cached(sql).await?;
        on.query_one(&statement, params).await
    })
    .await
}

/// Runs a statement, and returns the number of rows that it changed.
pub(crate) async fn execute<C: GenericClient>(
    on: &C,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<u64, Failed> {
    answered(async {
        let statement = on.prepare_cached(sql).await?;
        on.execute(&statement, params).await
    })
    .await
}

/// Reads a column.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Failed> {
    row.try_get(at).map_err(|error| Failed::Damaged(describe(&error)))
}

/// Reads a column of whole numbers. PostgreSQL has no unsigned types.
pub(crate) fn number<T: TryFrom<i64>>(row: &Row, at: usize) -> Result<T, Failed> {
    let stored: i64 = get(row, at)?;
    T::try_from(stored).map_err(|_| Failed::Damaged(format!("invalid number {stored} in column {at}")))
}

/// Returns the stored form of a number. None of Beadle's counters reaches the highest number that
/// the stored form allows.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a text in a form that PostgreSQL can store. PostgreSQL rejects texts with the character
/// U+0000. A name or an error message of a vendor can contain this character.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
