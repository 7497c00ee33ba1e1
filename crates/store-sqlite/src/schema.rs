//! The tables, and the migrations that bring files of older versions up to date.

use rusqlite::Connection;

/// The migrations in order. The migration at index N brings a file from version N to version N+1.
/// After its release, a migration never changes.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE inbox (
    n        INTEGER PRIMARY KEY,
    source   TEXT NOT NULL,
    id       TEXT NOT NULL,
    event    TEXT NOT NULL,
    actor    TEXT,
    instance TEXT NOT NULL,
    received INTEGER NOT NULL,
    keys     TEXT NOT NULL,
    body     BLOB,
    UNIQUE (source, id)
) STRICT;
CREATE INDEX inbox_received ON inbox (received);
CREATE INDEX inbox_bodies ON inbox (received) WHERE body IS NOT NULL;

CREATE TABLE work (
    key           TEXT PRIMARY KEY,
    instance      TEXT NOT NULL,
    lane          TEXT NOT NULL,
    wanted        INTEGER NOT NULL,
    done          INTEGER NOT NULL,
    claimed       INTEGER NOT NULL,
    run_at        INTEGER NOT NULL,
    not_before    INTEGER NOT NULL,
    spares_events INTEGER NOT NULL,
    first_dirty   INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    lease_until   INTEGER,
    parked        TEXT,
    hint          TEXT,
    last_error    TEXT,
    due           INTEGER, -- NULL: nothing to do
    rank          INTEGER NOT NULL
) STRICT;
CREATE INDEX work_rank ON work (rank, due) WHERE due IS NOT NULL;
CREATE INDEX work_age ON work (first_dirty, due) WHERE due IS NOT NULL;
CREATE INDEX work_due ON work (due) WHERE due IS NOT NULL;

CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    subject TEXT NOT NULL,
    intent  INTEGER,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX journal_key ON journal (key, seq);
CREATE INDEX journal_at ON journal (at);
CREATE INDEX journal_intent ON journal (intent) WHERE intent IS NOT NULL;
CREATE INDEX journal_open ON journal (seq) WHERE kind = 'intent';

CREATE TABLE guard_window (
    at       INTEGER NOT NULL,
    instance TEXT NOT NULL,
    digest   TEXT NOT NULL,
    written  INTEGER NOT NULL, -- 0: it was booked, and may be tried again without another booking
    weakens  INTEGER NOT NULL,
    exposes  INTEGER NOT NULL,
    removes  INTEGER NOT NULL
) STRICT;
CREATE INDEX guard_window_at ON guard_window (instance, at);
CREATE INDEX guard_window_digest ON guard_window (digest);

CREATE TABLE hold (
    digest   TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    key      TEXT NOT NULL,
    since    INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    hold     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX hold_key ON hold (key);

CREATE TABLE pause (scope TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE guard_booking (
    n        INTEGER PRIMARY KEY, -- in the order of the bookings
    instance TEXT NOT NULL,
    digest   TEXT NOT NULL,
    key      TEXT NOT NULL, -- empty in what version 1 stored, as the aspect is
    aspect   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    state    TEXT NOT NULL,
    weakens  INTEGER NOT NULL,
    exposes  INTEGER NOT NULL,
    removes  INTEGER NOT NULL,
    reaches  INTEGER NOT NULL
) STRICT;
CREATE INDEX guard_booking_at ON guard_booking (instance, at);
INSERT INTO guard_booking (instance, digest, key, aspect, at, state, weakens, exposes, removes, reaches)
    SELECT instance, digest, '', '', at, CASE written WHEN 1 THEN 'written' ELSE 'unknown' END,
           weakens, exposes, removes, 1
    FROM guard_window ORDER BY rowid;
DROP TABLE guard_window;
",
    "
CREATE INDEX journal_name ON journal (lower(substr(subject, instr(subject, '/') + 1)), key);
",
    "
ALTER TABLE work ADD COLUMN trace TEXT;
ALTER TABLE journal ADD COLUMN trace TEXT;
CREATE INDEX journal_kind ON journal (kind, seq);
CREATE INDEX work_parked ON work (rank) WHERE parked IS NOT NULL;
CREATE INDEX work_failed ON work (key) WHERE last_error IS NOT NULL;
CREATE INDEX work_leased ON work (lease_until) WHERE lease_until IS NOT NULL;
ALTER TABLE guard_booking ADD COLUMN intent INTEGER; -- the number of the intent that uses the room
",
];

/// Returns the version of a file after [`migrate`].
pub(crate) fn supported() -> usize {
    MIGRATIONS.len()
}

/// Reads the version of a file. A new file has version 0.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0))
}

/// Brings the file to the schema of this version, in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<Result<(), String>> {
    if version(connection)? == MIGRATIONS.len() {
        return Ok(Ok(()));
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let Some(pending) = MIGRATIONS.get(found..) else {
        return Ok(Err(format!(
            "the file has version {found}, and this Beadle supports versions up to {}",
            MIGRATIONS.len()
        )));
    };
    for migration in pending {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use beadle_engine::Spent::{Refused, Reserved, Unknown, Written};
    use beadle_engine::{End, Key, Time};

    use super::*;

    #[test]
    fn what_version_1_booked_stays_spent() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let old = "INSERT INTO guard_window (at, instance, digest, written, weakens, exposes, removes) VALUES
                   (5, 'acme', 'a', 1, 0, 0, 1), (6, 'acme', 'b', 0, 0, 0, 1)";
        connection.execute_batch(old).unwrap();
        migrate(&mut connection).unwrap().unwrap();
        let bookings = crate::guard::bookings(&connection, beadle_engine::Time(0)).unwrap();
        let states: Vec<_> =
            bookings.iter().map(|booking| (booking.digest.as_str(), booking.state)).collect();
        assert_eq!(states, [("a", Written), ("b", Unknown)]);
    }
    #[test]
    fn a_file_of_version_3_keeps_its_room_its_keys_and_its_open_intents() {
        let mut connection = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..3] {
            connection.execute_batch(migration).unwrap();
        }
        connection.pragma_update(None, "user_version", 3).unwrap();
        let old = "
            INSERT INTO guard_booking (instance, digest, key, aspect, at, state, weakens, exposes, removes, reaches)
                VALUES ('acme', 'a', 'repository:acme:1', 'teams', 5, 'unknown', 0, 0, 1, 1),
                       ('acme', 'b', 'repository:acme:1', 'teams', 6, 'reserved', 0, 0, 1, 1);
            INSERT INTO journal (at, kind, key, subject, detail)
                VALUES (5, 'intent', 'repository:acme:1', 'acme/r', '{}');
            INSERT INTO work VALUES ('repository:acme:1', 'acme', 'event', 2, 1, 1, 5, 0, 0, 5, 0, 3, NULL, NULL, NULL,
                                     NULL, 5, 5);";
        connection.execute_batch(old).unwrap();
        migrate(&mut connection).unwrap().unwrap();
        let booked = || {
            let bookings = crate::guard::bookings(&connection, Time(0)).unwrap();
            bookings.into_iter().map(|booking| (booking.state, booking.intent)).collect::<Vec<_>>()
        };
        assert_eq!(booked(), [(Unknown, None), (Reserved, None)]);
        // The reservation of the old write has no intent, so the end of a new write does not change
        // this reservation.
        let ends = [("a".to_owned(), End::Refused(1)), ("b".to_owned(), End::NotBegun)];
        crate::guard::conclude(&connection, "acme", &ends).unwrap();
        assert_eq!(booked(), [(Unknown, None), (Refused, None)]);
        let key = Key::new("repository", "acme", 1);
        let row = crate::rows::load(&connection, &key).unwrap().unwrap();
        assert_eq!((row.wanted, row.done, row.epoch, row.trace), (2, 1, 3, None));
        assert_eq!(crate::journal::open_intents(&connection).unwrap().0.len(), 1);
    }
}
