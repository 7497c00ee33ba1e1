//! Faults on demand, selected by path, count or probability, with a seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The ways in which a list shows wrong rows. The total of the list stays correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// The page ends with a copy of its first row.
    RowTwice,
    /// The page lacks its last row.
    RowMissing,
    /// The last row lacks [`Fault::field`]; in GraphQL it is null.
    NoIdentity,
    /// The last row is null. In an edge, the node is null.
    NullRow,
    /// Every page is the first one, and names a next page.
    FirstPageAgain,
    /// The page names no next page, although there is one.
    EndsEarly,
}

/// One fault, in the form of `POST /_sim/faults`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// The method of the calls.
    pub method: Option<String>,
    /// A part of the path of the calls. For GraphQL, the path is `/graphql`.
    pub path: String,
    /// A part of the body of the calls.
    pub contains: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The `Retry-After` of the answer, in seconds.
    pub retry_after: Option<u64>,
    /// The `Location` of the answer.
    pub location: Option<String>,
    /// The body of the answer.
    pub body: Option<Value>,
    /// The delay of the answer in milliseconds.
    pub delay_ms: u64,
    /// The simulated GitHub takes the call up once all faults are cleared.
    pub hold: bool,
    /// Breaks the connection before the answer, after the call has had its effect.
    pub reset: bool,
    /// Breaks the connection in the middle of the answer.
    pub truncate: bool,
    /// Leaves out the last entry of every list below this GraphQL field. `totalCount` stays.
    pub shorten: Option<String>,
    /// Leaves out the last entry of a plain list (Okta), or of `Resources` (SCIM). The counts stay.
    pub short: bool,
    /// Shows the first entry of such a list twice, the second time in place of the last entry.
    pub twice: bool,
    /// Returns a list without entries.
    pub empty: bool,
    /// Removes the link to the next page.
    pub last: bool,
    /// The wrong rows of the lists in the simulated GitHub's answer, one way after the other.
    pub lies: Vec<Lie>,
    /// The GraphQL field whose connections have wrong rows. REST needs no field, because a path has
    /// one list.
    pub connection: Option<String>,
    /// The field that [`Lie::NoIdentity`] removes.
    pub field: String,
    /// Headers that replace those of the simulated GitHub's answer.
    pub headers: BTreeMap<String, String>,
    /// The number of calls. `None` means no limit.
    pub count: Option<u32>,
    /// The probability. `None` means always.
    pub probability: Option<f64>,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<(Fault, StdRng)>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        let random = StdRng::seed_from_u64(fault.seed);
        self.0.push((fault, random));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the first fault that matches a call.
    pub(crate) fn strike(&mut self, method: &str, path: &str, body: &str) -> Option<Fault> {
        for (fault, random) in &mut self.0 {
            let fits = fault.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && path.contains(&fault.path)
                && body.contains(&fault.contains)
                && fault.count != Some(0);
            if !fits || fault.probability.is_some_and(|p| !random.random_bool(p.clamp(0.0, 1.0))) {
                continue;
            }
            if let Some(count) = &mut fault.count {
                *count -= 1;
            }
            return Some(fault.clone());
        }
        None
    }
}

/// Leaves out the last entry of every list below `field`.
pub(crate) fn shorten(value: &mut Value, field: &str) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                if key == field {
                    for list in ["nodes", "edges"] {
                        if let Some(list) = inner.get_mut(list).and_then(Value::as_array_mut) {
                            list.pop();
                        }
                    }
                }
                shorten(inner, field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, field)),
        _ => {}
    }
}
