//! Fuzzes stored records. Each store keeps records as JSON, or builds a record from the columns of
//! a row.

use beadle_engine::guard::Rejection;
use beadle_engine::notify::Ledger;
use beadle_engine::{
    BudgetAccount, Detail, Entry, GateSums, GuardReservation, Hold, Key, KeyState, Lane, Mark, Outcome,
    ParkReason, Parked, Row, TaskRecord, Time, Timing, UnwrittenChange,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::seed::Seed;

const NOW: Time = Time(1_800_000_000_000);

pub(crate) fn run(data: &[u8]) {
    let seed = Seed::of(data);
    let text = seed.text();
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return };
    // The JSON library does not read back every decimal number exactly as it was written.
    if has_fraction(&value) {
        return;
    }
    match seed.value("record") {
        Some("detail") => {
            let detail = Detail::from(value.clone());
            assert_eq!(detail.to_value(), value, "a part of the detail is lost: {detail:?}");
            assert_eq!(Detail::from(detail.to_value()), detail);
        }
        Some("entry") => kept::<Entry>(&text),
        Some("hold") => kept::<Hold>(&text),
        Some("key") => kept::<Key>(&text),
        Some("key-state") => kept::<KeyState>(&text),
        Some("ledger") => kept::<Ledger>(&text),
        Some("mark") => kept::<Mark>(&text),
        Some("parked") => kept::<Parked>(&text),
        Some("rejection") => kept::<Rejection>(&text),
        Some("reservation") => kept::<GuardReservation>(&text),
        Some("sums") => kept::<GateSums>(&text),
        Some("task") => kept::<TaskRecord>(&text),
        Some("unwritten") => kept::<UnwrittenChange>(&text),
        Some("budget") => kept::<BudgetAccount>(&text),
        _ => {
            kept::<Row>(&text);
            if let Ok(row) = serde_json::from_str(&text) {
                worked_on(row);
            }
        }
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// If `text` is a readable record, writes the record and reads it again. Checks that the record is
/// the same.
fn kept<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(record) = serde_json::from_str::<T>(text) else { return };
    let written = serde_json::to_string(&record).expect("a record that was read can be written");
    let again = serde_json::from_str::<T>(&written);
    let again = again.unwrap_or_else(|error| panic!("{error}: {written}"));
    let value = |record: &T| serde_json::to_value(record).expect("a record that was read can be written");
    assert_eq!(value(&again), value(&record), "a part of the record is lost: {written}");
}

/// Simulates the work on the key of a row. The fields of the row can have any numbers.
fn worked_on(mut row: Row) {
    let timing = Timing::default();
    let before = row.clone();
    let mark = Mark::new(row.key.clone(), Lane::Event);
    row.clamp(NOW, &timing);
    row.mark(&mark, NOW, &timing);
    let _ = (row.rank(), row.wakes(&before, NOW), row.waits_since(NOW));
    let Some(claim) = row.claim(NOW + timing.ceiling, &timing) else { return };
    assert!(row.holds(&claim.lease, NOW), "a claimed row has its lease");
    let outcomes = [
        Outcome::Done,
        Outcome::Retry("failed".into()),
        Outcome::RateLimited { until: NOW, spares_events: true, why: "used up".into() },
        Outcome::Deferred { until: NOW, why: "used up".into() },
        Outcome::Park(ParkReason::Held, "waits".into()),
        Outcome::HandBack,
    ];
    for outcome in outcomes {
        let mut row = row.clone();
        assert!(row.finish(&claim.lease, outcome, NOW, &timing), "the lease is the latest one");
        assert!(row.lease_until.is_none());
    }
}
