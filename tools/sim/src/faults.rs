//! Faults on demand: by path, by count or probability, with a seed.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The ways in which a list lies about its rows. Its total stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// The page ends with its first row, again.
    RowTwice,
    /// The page lacks its last row.
    RowMissing,
    /// The last row lacks [`Fault::field`]; in GraphQL it is null.
    NoIdentity,
    /// The last row is null; of an edge, its node.
    NullRow,
    /// Every page is the first one, and another one always follows.
    FirstPageAgain,
    /// No page follows, although there is more.
    EndsEarly,
}

/// One fault, as `POST /_sim/faults` takes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Only calls of this method.
    pub method: Option<String>,
    /// Only calls whose path has this in it; for GraphQL, `/graphql`.
    pub path: String,
    /// Only calls whose body has this in it.
    pub contains: String,
    /// Answers with this status.
    pub status: Option<u16>,
    /// With this `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// With this `Location`.
    pub location: Option<String>,
    /// With this body in place of the answer.
    pub body: Option<Value>,
    /// Answers later by so many milliseconds.
    pub delay_ms: u64,
    /// The simulated GitHub takes the call up once all faults are cleared.
    pub hold: bool,
    /// Breaks the connection before the answer; the call was carried out.
    pub reset: bool,
    /// Breaks the connection in the middle of the answer.
    pub truncate: bool,
    /// Leaves out the last entry of every list below this GraphQL field; `totalCount` stays.
    pub shorten: Option<String>,
    /// Leaves out the last entry of a plain list (Okta), or of `Resources` (SCIM); what counts them stays.
    pub short: bool,
    /// Shows the first entry of such a list twice, the second time in place of the last.
    pub twice: bool,
    /// Gives a list without entries.
    pub empty: bool,
    /// The page says that no other follows.
    pub last: bool,
    /// The lists of the simulated GitHub's answer lie in these ways, one after the other.
    pub lies: Vec<Lie>,
    /// The field of GraphQL whose connections lie. REST needs none: there a path has one list.
    pub connection: Option<String>,
    /// The field that [`Lie::NoIdentity`] removes.
    pub field: String,
    /// Headers of the simulated GitHub's answer, in place of its own.
    pub headers: BTreeMap<String, String>,
    /// So many times; `None` for ever.
    pub count: Option<u32>,
    /// With this probability; `None` always.
    pub probability: Option<f64>,
    /// Of the random numbers.
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

    /// The first fault that strikes a call.
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
