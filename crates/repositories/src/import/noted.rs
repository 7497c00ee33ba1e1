//! Records what an import could read about one repository, and which reads failed.

use beadle_engine::{Class, Failure};
use serde_json::{Map, Value};

use super::observed::Observed;

/// Returns the result of a read. If the read failed, the function records the reason for each part
/// in `names`. Returns `Err` only if the whole import cannot continue.
pub(super) fn known<T>(
    read: Result<T, Failure>,
    names: &[&'static str],
    observed: &mut Observed,
) -> Result<Option<T>, Failure> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(failure) if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) => Err(failure),
        Err(failure) => {
            for name in names {
                observed.unknown.insert(*name, failure.text.clone());
            }
            Ok(None)
        }
    }
}

/// Sets a unit that has one key. If GitHub shows no value, the unit is unknown.
pub(super) fn set(observed: &mut Observed, unit: &'static str, key: &str, value: &Value) {
    if value.is_null() {
        observed.unknown.insert(unit, String::new());
    } else {
        observed.values.insert(unit, Map::from_iter([(key.to_owned(), value.clone())]));
    }
}
