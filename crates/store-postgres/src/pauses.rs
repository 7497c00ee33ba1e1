//! Stores the pauses of instances and keys.

use beadle_engine::{Pause, Time};
use deadpool_postgres::GenericClient;

use crate::failed::Failed;
use crate::sql::{self, get, storable};

/// Pauses an instance or a key until a time.
pub(crate) async fn set<C: GenericClient>(on: &C, scope: &str, until: Time) -> Result<(), Failed> {
    let statement = "INSERT INTO pause (scope, until) VALUES ($1, $2)
                     ON CONFLICT (scope) DO UPDATE SET until = excluded.until";
    sql::execute(on, statement, &[&storable(scope), &until.0]).await.map(drop)
}

/// Ends a pause. Returns `false` if there was no such pause.
pub(crate) async fn end<C: GenericClient>(on: &C, scope: &str) -> Result<bool, Failed> {
    Ok(sql::execute(on, "DELETE FROM pause WHERE scope = $1", &[&storable(scope)]).await? > 0)
}

/// Lists the pauses that are in force at `now`.
pub(crate) async fn list<C: GenericClient>(on: &C, now: Time) -> Result<Vec<Pause>, Failed> {
    let query = "SELECT scope, until FROM pause WHERE until > $1 ORDER BY scope";
    let rows = sql::query(on, query, &[&now.0]).await?;
    rows.iter().map(|row| Ok(Pause { scope: get(row, 0)?, until: Time(get(row, 1)?) })).collect()
}
