//! Fills the tables of an SQLite store with the data of a large organisation.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::json;

pub(crate) const REPOSITORIES: u32 = 10_000;
pub(crate) const GROUPS: u32 = 1_000;
/// A multiple of three, so that each intent has its result.
pub(crate) const ENTRIES: u32 = 1_000_002;
pub(crate) const HOLDS: u32 = 1_000;
pub(crate) const DELIVERIES: u32 = 20_000;

/// The numbers from 0 up to, but not including, the first parameter.
const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)";

/// One in 20 repositories differs from the policy, and one in 50 repositories has an unknown part.
const STATES: &str = "INSERT OR REPLACE INTO note (name, value)
    SELECT 'key-state:repository:acme:' || i, json_object(
        'subject', printf('acme/service-%05d', i), 'since', unixepoch() * 1000 - i,
        'pending', i % 20 = 0, 'withheld', i % 20 = 0,
        'unknown', CASE WHEN i % 50 = 1 THEN json(?2) ELSE json('[]') END) FROM n";

const GROUP_STATES: &str = "INSERT OR REPLACE INTO note (name, value)
    SELECT printf('key-state:target-group:aws:corp/00g%05d', i), json_object(
        'subject', printf('aws/Group %05d', i), 'since', unixepoch() * 1000 - i, 'pending', 0) FROM n";

/// A sweep is in progress, so one in 5 repositories is due. One in 50 repositories fails, and one
/// in 100 repositories is parked.
const WORK: &str =
    "INSERT OR REPLACE INTO work (key, instance, lane, wanted, done, claimed, run_at, not_before,
        spares_events, first_dirty, attempts, epoch, lease_until, parked, hint, last_error, due, rank)
    SELECT 'repository:acme:' || i, 'acme', 'sweep', 2, CASE WHEN i % 5 = 0 OR i % 100 = 3 THEN 1 ELSE 2 END,
        CASE WHEN i % 5 = 0 OR i % 100 = 3 THEN 1 ELSE 2 END, unixepoch() * 1000, 0, 0,
        unixepoch() * 1000 - i, CASE WHEN i % 50 = 0 THEN 2 ELSE 0 END, 1, NULL,
        CASE WHEN i % 100 = 3
            THEN json_object('reason', 'failed', 'why', '403 Forbidden', 'since', unixepoch() * 1000) END,
        NULL, CASE WHEN i % 50 = 0 OR i % 100 = 3 THEN '502 Bad Gateway' END,
        CASE WHEN i % 5 = 0 THEN unixepoch() * 1000 END, 2000000000000000 + unixepoch() * 1000 - i FROM n";

/// Each run has an intent, a result and its end. Some entries are about the policy or an operator.
const JOURNAL: &str = "INSERT INTO journal (seq, at, kind, key, subject, intent, detail)
    SELECT ?2 + i + 1, unixepoch() * 1000 - (?1 - i) * 1000,
        CASE WHEN i % 30000 = 2 THEN 'policy' WHEN i % 30000 = 5 THEN 'operator'
             WHEN i % 3 = 0 THEN 'intent' WHEN i % 3 = 1 THEN 'result' ELSE 'run' END,
        'repository:acme:' || (i / 3 % 10000), printf('acme/service-%05d', i / 3 % 10000),
        CASE WHEN i % 3 = 1 THEN ?2 + i END,
        CASE WHEN i % 30000 = 2 THEN ?3 WHEN i % 30000 = 5 THEN ?4
             WHEN i % 3 = 0 THEN ?5 WHEN i % 3 = 1 THEN ?6 ELSE ?7 END FROM n";

const INBOX: &str = "INSERT INTO inbox (source, id, event, actor, instance, received, keys, body)
    SELECT 'github', printf('%08x-0000-4000-8000-%012x', i, i), 'push', 'ann', 'acme',
        unixepoch() * 1000 - i * 1000, json_array('repository:acme:' || (i % 10000)), NULL FROM n";

/// No worker claims a key, so the service only shows the data.
const PAUSES: &str = "INSERT OR REPLACE INTO pause (scope, until)
    SELECT value, unixepoch() * 1000 + 86400000 FROM json_each('[\"acme\", \"aws\", \"corp\"]')";

fn open(store: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(store)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

/// Fills a store that a Beadle command created. Another process must not use the store at the same
/// time.
pub(crate) fn fill(store: &Path) -> anyhow::Result<()> {
    let mut connection = open(store)?;
    let transaction = connection.transaction()?;
    let numbered = |statement: &str| format!("{NUMBERS} {statement}");
    let unknown = json!([{ "aspect": "teams", "part": null, "why": "403 Forbidden", "transient": true }]);
    transaction.execute(&numbered(STATES), params![REPOSITORIES, unknown.to_string()])?;
    transaction.execute(&numbered(GROUP_STATES), [GROUPS])?;
    transaction.execute(&numbered(WORK), [REPOSITORIES])?;
    let last: i64 =
        transaction.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| row.get(0))?;
    let field = json!({
        "name": "topics", "before": ["legacy"], "after": ["managed"], "asked": null, "risk": "changes",
    });
    let intent = json!({
        "aspect": "topics", "what": "", "fields": [field], "mode": "enforce", "after": [], "write": null,
        "generation": "0123456789abcdef",
    });
    let policy = json!({
        "in_force": "0123456789abcdef", "repository": "acme/admin", "commit": "0123456789abcdef",
        "author": "ann", "subject": "Change the topics",
    });
    let operator = json!({ "approved": "0123456789ab", "by": "ann" });
    let result = json!({ "written": true });
    let run = json!({ "changes": 1, "written": 1, "held": 0, "failed": 0, "unknown": [] });
    let [policy, operator, intent, result, run] =
        [policy, operator, intent, result, run].map(|detail| detail.to_string());
    transaction.execute(&numbered(JOURNAL), params![ENTRIES, last, policy, operator, intent, result, run])?;
    transaction.execute(&numbered(INBOX), [DELIVERIES])?;
    transaction.execute(PAUSES, [])?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Adds held changes of ten kinds. The service can run at the same time, because it deletes the
/// holds of other generations only when it starts a sweep.
pub(crate) fn hold(store: &Path) -> anyhow::Result<()> {
    let mut connection = open(store)?;
    let transaction = connection.transaction()?;
    for i in 0..HOLDS {
        let key = format!("repository:acme:{i}");
        let field = json!({ "name": "permission", "before": "push", "after": null, "asked": null, "risk": "removes" });
        let change = json!({
            "aspect": "teams", "what": format!("team contractors-{}", i % 10), "fields": [field],
            "mode": "enforce", "after": [], "write": null,
        });
        let hold = json!({
            "digest": format!("{i:012x}"), "key": key, "subject": format!("acme/service-{i:05}"),
            "since": 1_700_000_000_000_i64, "why": "guard limit reached", "contested": false,
            "approved_by": null, "spent": false, "generation": "0123456789abcdef", "change": change,
        });
        transaction.execute(
            "INSERT OR REPLACE INTO hold (digest, instance, key, since, approved, hold)
             VALUES (?1, 'acme', ?2, 1700000000000, 0, ?3)",
            params![format!("{i:012x}"), key, hold.to_string()],
        )?;
    }
    transaction.commit()?;
    Ok(())
}
