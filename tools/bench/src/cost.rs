//! The cost of calls: their number, and the units that GitHub counts toward its hourly limits.

use serde_json::Value;

/// The cost of some calls.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) calls: f64,
    pub(crate) rest_units: f64,
    pub(crate) graphql_points: f64,
}

impl Cost {
    /// Returns the cost of `calls`, which come from the log of the simulator.
    pub(crate) fn of(calls: &[Value]) -> Self {
        let sum = |graphql: bool| -> f64 {
            let of = |call: &&Value| {
                call["path"].as_str().is_some_and(|path| path.ends_with("/graphql")) == graphql
            };
            let total: u64 = calls.iter().filter(of).filter_map(|call| call["cost"].as_u64()).sum();
            f64::from(u32::try_from(total).unwrap_or(u32::MAX))
        };
        let count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        Self { calls: f64::from(count), rest_units: sum(false), graphql_points: sum(true) }
    }

    /// Returns the cost divided by a number.
    pub(crate) fn per(self, number: usize) -> Self {
        let number = f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        Self {
            calls: self.calls / number,
            rest_units: self.rest_units / number,
            graphql_points: self.graphql_points / number,
        }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            calls: sum.calls + one.calls,
            rest_units: sum.rest_units + one.rest_units,
            graphql_points: sum.graphql_points + one.graphql_points,
        })
    }
}
