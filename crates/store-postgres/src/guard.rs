//! Stores the guard's windows in PostgreSQL. The functions load this data, call the engine's rules,
//! and store the result.
//!
//! Every function that writes a reservation or a hold first locks the window of the instance with
//! an advisory lock. The reason is that the guard's rules concern all reservations of an instance
//! together. A lock of rows is not enough, because a new reservation has no row yet.

use std::collections::BTreeMap;

use beadle_engine::guard::{may_let_pass, window};
use beadle_engine::{Begun, End, GuardReservation, Hold, Intent, Key, Limits, Spent, Time, Verdict};
use deadpool_postgres::{GenericClient, Transaction};

use crate::failed::Failed;
use crate::sql::{self, get, number, stored};
use crate::{holds, journal, pauses};

/// How far back the store loads the window to record how changes ended. The store counts this time
/// from the newest reservation. The time is long, because a write can end long after its
/// reservation, and the store must still find the reservation.
const LOADED: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

const COLUMNS: &str = "instance, digest, key, aspect, at, state, weakens, exposes, removes, reaches, intent";

/// Locks the window of an instance until the transaction ends. Two instances with the same hash
/// share a lock. The only effect is that one of them waits.
pub(crate) async fn lock(transaction: &Transaction<'_>, instance: &str) -> Result<(), Failed> {
    let lock =
        "SELECT pg_advisory_xact_lock(hashtextextended(current_schema()::text || ':guard:' || $1::text, 0))";
    sql::execute(transaction, lock, &[&instance]).await.map(drop)
}

/// Reads a reservation from a row. `from` is the first column of the reservation. The error names
/// the reservation. A window with an unreadable reservation cannot be counted, so the guard holds
/// every change of the instance.
fn booking(row: &tokio_postgres::Row, from: usize) -> Result<GuardReservation, Failed> {
    fields(row, from).map_err(|failed| {
        let digest: &str = get(row, from + 1).unwrap_or_default();
        failed.of_row(format_args!("the reservation {digest} in the table `guard_booking`"))
    })
}

fn fields(row: &tokio_postgres::Row, from: usize) -> Result<GuardReservation, Failed> {
    let state: &str = get(row, from + 5)?;
    let intent: Option<i64> = get(row, from + 10)?;
    Ok(GuardReservation {
        instance: get(row, from)?,
        digest: get(row, from + 1)?,
        key: get(row, from + 2)?,
        aspect: get(row, from + 3)?,
        at: Time(get(row, from + 4)?),
        state: Spent::stored(state),
        weakens: number(row, from + 6)?,
        exposes: number(row, from + 7)?,
        removes: number(row, from + 8)?,
        reaches: number(row, from + 9)?,
        intent: intent.map(u64::try_from).transpose().map_err(Failed::damaged)?,
        newer: serde_json::Map::new(),
    })
}

/// The window of one instance, as the store loaded it.
struct Window {
    /// The ids of the loaded rows, in the order of the reservations.
    rows: Vec<i64>,
    before: Vec<GuardReservation>,
    bookings: Vec<GuardReservation>,
}

impl Window {
    async fn load(transaction: &Transaction<'_>, instance: &str, since: Time) -> Result<Self, Failed> {
        // Refused reservations use no room. There can be thousands of refused reservations, so the
        // query leaves them out.
        let query = format!(
            "SELECT n, {COLUMNS} FROM guard_booking WHERE instance = $1 AND at > $2 AND state <> 'refused' ORDER BY n"
        );
        let (mut rows, mut before) = (Vec::new(), Vec::new());
        for row in sql::query(transaction, &query, &[&instance, &since.0]).await? {
            rows.push(get(&row, 0)?);
            before.push(booking(&row, 1)?);
        }
        Ok(Self { rows, bookings: before.clone(), before })
    }

    /// Stores the reservations that the engine has changed or added. The engine changes a
    /// reservation at its position and adds new reservations at the end, so the positions match the
    /// loaded rows.
    async fn save(&self, transaction: &Transaction<'_>) -> Result<(), Failed> {
        let (mut rows, mut at, mut states, mut intents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, (before, after)) in self.rows.iter().zip(self.before.iter().zip(&self.bookings)) {
            if before != after {
                rows.push(*row);
                at.push(after.at.0);
                states.push(after.state.as_str());
                intents.push(after.intent.map(stored));
            }
        }
        if !rows.is_empty() {
            let statement = "UPDATE guard_booking SET at = changed.at, state = changed.state, intent = changed.intent
                 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS changed (n, at, state, intent)
                 WHERE guard_booking.n = changed.n";
            sql::execute(transaction, statement, &[&rows, &at, &states, &intents]).await?;
        }
        take(transaction, self.bookings.get(self.before.len()..).unwrap_or_default()).await
    }
}

/// Submits changes to the guard, in order. If a change fits, it gets room in the window. If a
/// change does not fit, the guard stores the change as a hold.
pub(crate) async fn reserve(
    transaction: &Transaction<'_>,
    limits: &Limits,
    asked: &[Hold],
    now: Time,
) -> Result<Vec<Verdict>, Failed> {
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    // The instances are sorted, so that two transactions lock their windows in the same order.
    for (instance, places) in window::by_instance(asked) {
        lock(transaction, &instance).await?;
        let its: Vec<&Hold> = places.iter().map(|at| &asked[*at]).collect();
        let digests: Vec<&str> = its.iter().map(|hold| hold.digest.as_str()).collect();
        let mut window = Window::load(transaction, &instance, now - limits.window).await?;
        let known = holds::known(transaction, &digests).await?;
        let judged = window::check_guard(&mut window.bookings, &known, limits, &its, now);
        window.save(transaction).await?;
        holds::save(transaction, &judged.held).await?;
        verdicts.extend(places.into_iter().zip(judged.verdicts));
    }
    Ok(verdicts.into_values().collect())
}

/// Stores approved holds. The hold of a rejected change stays.
pub(crate) async fn let_pass(transaction: &Transaction<'_>, approved: &[Hold]) -> Result<(), Failed> {
    // The instances are sorted, so that two transactions lock their windows in the same order.
    for (instance, places) in window::by_instance(approved) {
        lock(transaction, &instance).await?;
        let its: Vec<&Hold> = places.iter().map(|at| &approved[*at]).collect();
        let digests: Vec<&str> = its.iter().map(|hold| hold.digest.as_str()).collect();
        let known = holds::known(transaction, &digests).await?;
        let its = its.into_iter().filter(|hold| may_let_pass(known.get(&hold.digest)));
        holds::save(transaction, &its.cloned().collect::<Vec<Hold>>()).await?;
    }
    Ok(())
}

/// Deletes the holds that have not changed since the caller saw them. The lock of the window
/// prevents a change of a hold between the read and the deletion.
pub(crate) async fn release(transaction: &Transaction<'_>, seen: &[Hold]) -> Result<(), Failed> {
    // The instances are sorted, so that two transactions lock their windows in the same order.
    for (instance, places) in window::by_instance(seen) {
        lock(transaction, &instance).await?;
        let its: Vec<&Hold> = places.iter().map(|at| &seen[*at]).collect();
        let digests: Vec<&str> = its.iter().map(|hold| hold.digest.as_str()).collect();
        let known = holds::known(transaction, &digests).await?;
        // It is not enough to compare the stored texts, because an older version writes the same
        // hold with another text.
        let unchanged = its.into_iter().filter(|hold| known.get(&hold.digest) == Some(*hold));
        let unchanged: Vec<String> = unchanged.map(|hold| hold.digest.clone()).collect();
        holds::delete(transaction, &unchanged).await?;
    }
    Ok(())
}

/// Begins a write. Checks the pauses, and marks the room or the approval as used. The call sees
/// every pause that was committed before the call began.
pub(crate) async fn begin(
    transaction: &Transaction<'_>,
    key: &Key,
    intent: &Intent,
    now: Time,
) -> Result<Begun, Failed> {
    let paused = pauses::list(transaction, now).await?.into_iter().find(|pause| pause.covers(key));
    if let Some(pause) = paused {
        return Ok(Begun::Paused { scope: pause.scope, until: pause.until });
    }
    let mut used = None;
    if let Some((digest, length)) = &intent.spends {
        lock(transaction, key.instance()).await?;
        let window = Window::load(transaction, key.instance(), now - *length).await?;
        let hold = holds::find(transaction, digest).await?;
        if !window::may_begin(&window.bookings, hold.as_ref(), digest, *length, now) {
            return Ok(Begun::Lapsed);
        }
        used = Some((digest, *length, window, hold));
    }
    let numbers = journal::append(transaction, std::slice::from_ref(&intent.entry)).await?;
    let Some(number) = numbers.first().copied() else { return Ok(Begun::LeaseLost) };
    // The stored room and the stored approval contain the number of the intent, so this step comes
    // after the step that adds the entry. The counter of the journal therefore stays locked a
    // little longer, but only for guarded writes, and these are few.
    if let Some((digest, length, mut window, mut hold)) = used {
        window::begin(&mut window.bookings, hold.as_mut(), digest, length, number, now);
        window.save(transaction).await?;
        holds::save(transaction, hold.as_slice()).await?;
    }
    Ok(Begun::Yes(number))
}

/// Records how each of these changes ended.
pub(crate) async fn conclude(
    transaction: &Transaction<'_>,
    instance: &str,
    ends: &[(String, End)],
) -> Result<(), Failed> {
    lock(transaction, instance).await?;
    let newest = "SELECT coalesce(max(at), 0) FROM guard_booking WHERE instance = $1";
    let newest: i64 = get(&sql::one(transaction, newest, &[&instance]).await?, 0)?;
    let mut window = Window::load(transaction, instance, Time(newest) - LOADED).await?;
    for (digest, end) in ends {
        let hold = holds::find(transaction, digest).await?;
        let was = hold.clone();
        let kept = window::conclude(&mut window.bookings, hold, digest, *end);
        match kept {
            Some(kept) if was.as_ref() != Some(&kept) => holds::save(transaction, &[kept]).await?,
            None if was.is_some() => holds::delete(transaction, std::slice::from_ref(digest)).await?,
            _ => {}
        }
    }
    window.save(transaction).await
}

/// Returns the reservations of all instances since a time, in order.
pub(crate) async fn bookings<C: GenericClient>(on: &C, since: Time) -> Result<Vec<GuardReservation>, Failed> {
    let query = format!("SELECT {COLUMNS} FROM guard_booking WHERE at >= $1 ORDER BY n");
    let rows = sql::query(on, &query, &[&since.0]).await?;
    rows.iter().map(|row| booking(row, 0)).collect()
}

/// Stores further reservations. The reservations are new, or come from another store.
pub(crate) async fn take<C: GenericClient>(on: &C, bookings: &[GuardReservation]) -> Result<(), Failed> {
    if bookings.is_empty() {
        return Ok(());
    }
    let texts = |read: fn(&GuardReservation) -> &str| bookings.iter().map(read).collect::<Vec<&str>>();
    let counts = |read: fn(&GuardReservation) -> u32| {
        bookings.iter().map(|booking| i64::from(read(booking))).collect::<Vec<i64>>()
    };
    let at: Vec<i64> = bookings.iter().map(|booking| booking.at.0).collect();
    let (instances, digests) = (texts(|booking| &booking.instance), texts(|booking| &booking.digest));
    let (keys, aspects) = (texts(|booking| &booking.key), texts(|booking| &booking.aspect));
    let states = texts(|booking| booking.state.as_str());
    let (weakens, exposes) = (counts(|booking| booking.weakens), counts(|booking| booking.exposes));
    let (removes, reaches) = (counts(|booking| booking.removes), counts(|booking| booking.reaches));
    let intents: Vec<Option<i64>> = bookings.iter().map(|booking| booking.intent.map(stored)).collect();
    let statement = format!(
        "INSERT INTO guard_booking ({COLUMNS})
         SELECT new.instance, new.digest, new.key, new.aspect, new.at, new.state, new.weakens, new.exposes,
             new.removes, new.reaches, new.intent
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
         WITH ORDINALITY AS new ({COLUMNS}, place)
         ORDER BY new.place"
    );
    sql::execute(
        on,
        &statement,
        &[
            &instances, &digests, &keys, &aspects, &at, &states, &weakens, &exposes, &removes, &reaches,
            &intents,
        ],
    )
    .await?;
    Ok(())
}
