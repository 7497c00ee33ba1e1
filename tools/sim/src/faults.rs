//! Faults that a test can inject. A test selects the calls by path, number or probability; random
//! numbers come from a seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An error in the rows of a list. The total that the list states stays correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// The last row of the page is a copy of the first row.
    RowTwice,
    /// The last row of the page is missing.
    RowMissing,
    /// The last row lacks [`Fault::field`]. In GraphQL, the field is null.
    NoIdentity,
    /// The last row is null. In an edge, the node is null.
    NullRow,
    /// Every page is a copy of the first page, and links to a next page.
    FirstPageAgain,
    /// The page has no link to a next page, although the list has a next page.
    EndsEarly,
}

/// A fault, in the form of `POST /_sim/faults`. Some fields select the calls, and the other fields
/// define the effect.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// The HTTP method of the affected calls. `None` means any method.
    pub method: Option<String>,
    /// A text that the path of the calls must contain. For GraphQL, the path is `/graphql`.
    pub path: String,
    /// A text that the body of the calls must contain.
    pub contains: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The value of the header `Retry-After` in the answer, in seconds.
    pub retry_after: Option<u64>,
    /// The value of the header `Location` in the answer.
    pub location: Option<String>,
    /// The body of the answer.
    pub body: Option<Value>,
    /// The delay of the answer in milliseconds.
    pub delay_ms: u64,
    /// True if the call waits until all faults are cleared.
    pub hold: bool,
    /// True if the connection breaks before the answer, after the call has changed the state.
    pub reset: bool,
    /// True if the connection breaks in the middle of the answer.
    pub truncate: bool,
    /// A GraphQL field. All lists inside this field lack their last entry, but `totalCount` does
    /// not change.
    pub shorten: Option<String>,
    /// True if the list in the answer lacks its last entry. The list is a plain list (Okta) or
    /// `Resources` (SCIM). The stated counts do not change.
    pub short: bool,
    /// True if the last entry of the list in the answer is a copy of the first entry.
    pub twice: bool,
    /// True if the list in the answer is empty.
    pub empty: bool,
    /// True if the answer lacks the link to the next page.
    pub last: bool,
    /// The errors in the rows of the lists in the simulated GitHub's answer. The simulator applies
    /// them in this order.
    pub lies: Vec<Lie>,
    /// The GraphQL field whose connections get the errors. REST needs no field, because an answer
    /// has only one list.
    pub connection: Option<String>,
    /// The field that [`Lie::NoIdentity`] removes.
    pub field: String,
    /// Headers that replace the headers in the simulated GitHub's answer.
    pub headers: BTreeMap<String, String>,
    /// The number of calls that the fault affects. `None` means no limit.
    pub count: Option<u32>,
    /// The probability that the fault affects a call. `None` means always.
    pub probability: Option<f64>,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// The faults that a test has injected.
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

    /// Returns the first fault that affects a call, and counts that call.
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

/// Removes the last entry of every list inside the field `field`.
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
