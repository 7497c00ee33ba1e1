//! Stores notes. A note is a small value with a name.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;

use crate::failed::Failed;
use crate::sql::{self, get, storable};

/// Returns the first text that comes after all texts with this prefix. Names are in byte order, and
/// U+10FFFF is the greatest character.
fn end_of(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

/// Returns the value that has this name.
pub(crate) async fn read<C: GenericClient>(on: &C, name: &str) -> Result<Option<String>, Failed> {
    let found = sql::find(on, "SELECT value FROM note WHERE name = $1", &[&name]).await?;
    found.as_ref().map(|row| get(row, 0)).transpose()
}

/// Returns the values that have these names, in the order of the names.
pub(crate) async fn read_all<C: GenericClient>(
    on: &C,
    names: &[String],
) -> Result<Vec<Option<String>>, Failed> {
    let rows = sql::query(on, "SELECT name, value FROM note WHERE name = ANY ($1)", &[&names]).await?;
    let found = rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?)));
    let found: HashMap<String, String> = found.collect::<Result<_, Failed>>()?;
    Ok(names.iter().map(|name| found.get(name).cloned()).collect())
}

/// Lists the names that begin with `prefix` and come after the name `after`. The list has at most
/// `limit` names.
pub(crate) async fn list<C: GenericClient>(
    on: &C,
    prefix: &str,
    after: &str,
    limit: Option<u32>,
) -> Result<Vec<(String, String)>, Failed> {
    // The query has a single lower bound, so that PostgreSQL starts to read the index at the first
    // name of the page. The limit NULL means that there is no limit.
    let query =
        "SELECT name, value FROM note WHERE name >= $1 AND name < $2 AND name <> $3 ORDER BY name LIMIT $4";
    let rows =
        sql::query(on, query, &[&prefix.max(after), &end_of(prefix), &after, &limit.map(i64::from)]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// Stores a value under this name.
pub(crate) async fn write<C: GenericClient>(on: &C, name: &str, value: &str) -> Result<(), Failed> {
    let statement = "INSERT INTO note (name, value) VALUES ($1, $2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sql::execute(on, statement, &[&name, &storable(value)]).await.map(drop)
}

/// Stores a value under this name if the present value is still `before`. `None` means that there
/// is no value. Returns whether the value was stored. Another transaction can change the value at
/// the same time. The statement then waits for that transaction, and reads the value again.
pub(crate) async fn replace<C: GenericClient>(
    on: &C,
    name: &str,
    before: Option<&str>,
    value: &str,
) -> Result<bool, Failed> {
    let changed = match before {
        None => {
            let insert = "INSERT INTO note (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
            sql::execute(on, insert, &[&name, &storable(value)]).await?
        }
        Some(before) => {
            let update = "UPDATE note SET value = $3 WHERE name = $1 AND value = $2";
            sql::execute(on, update, &[&name, &before, &storable(value)]).await?
        }
    };
    Ok(changed == 1)
}

/// Deletes the value that has this name.
pub(crate) async fn delete<C: GenericClient>(on: &C, name: &str) -> Result<(), Failed> {
    sql::execute(on, "DELETE FROM note WHERE name = $1", &[&name]).await.map(drop)
}
