//! The limits in force, and comparisons between two versions of the limits.

use std::sync::Arc;

use parking_lot::RwLock;

use super::Limits;

/// The limits that are in force for an instance. The limits can change while keys of the instance
/// run.
#[derive(Clone, Debug)]
pub struct LimitsInForce(Arc<RwLock<Limits>>);

impl From<Limits> for LimitsInForce {
    fn from(limits: Limits) -> Self {
        Self(Arc::new(RwLock::new(limits)))
    }
}

impl LimitsInForce {
    /// Returns the limits in force.
    pub fn current(&self) -> Limits {
        *self.0.read()
    }

    /// Replaces the limits in force. The next run uses the new limits.
    pub fn replace(&self, limits: Limits) {
        *self.0.write() = limits;
    }
}

impl Limits {
    /// Returns the stricter value of each limit.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let repeats = match (self.repeats, other.repeats) {
            // Zero stands for no limit.
            (0, only) | (only, 0) => only,
            (one, other) => one.min(other),
        };
        Self {
            window: self.window.max(other.window),
            removes: self.removes.min(other.removes),
            weakens: self.weakens.min(other.weakens),
            exposes: self.exposes.min(other.exposes),
            repeats,
            percent: self.percent.min(other.percent),
            repositories: self.repositories.min(other.repositories),
            among: self.among,
        }
    }

    /// Returns whether at least one of these limits allows more than the same limit of `other`.
    pub fn allow_more_than(&self, other: &Self) -> bool {
        self.strictest(other) != *self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_raised_limit_allows_more_and_each_lowered_one_does_not() {
        let before = Limits::default();
        let raised = [
            Limits { removes: 51, ..before },
            Limits { weakens: 26, ..before },
            Limits { exposes: 11, ..before },
            Limits { repeats: 6, ..before },
            Limits { repeats: 0, ..before },
            Limits { percent: 21, ..before },
            Limits { repositories: before.repositories + 1, ..before },
            Limits { window: Duration::from_secs(60), ..before },
        ];
        for limits in raised {
            assert!(limits.allow_more_than(&before), "{limits:?}");
            assert!(!before.allow_more_than(&limits), "{limits:?}");
            assert_eq!(limits.strictest(&before), before);
            assert_eq!(before.strictest(&limits), before);
        }
        assert!(!before.allow_more_than(&before));
    }

    #[test]
    fn limits_of_which_some_are_raised_and_some_lowered_are_mixed() {
        let before = Limits::default();
        let mixed = Limits { removes: 100, weakens: 1, ..before };
        assert!(mixed.allow_more_than(&before) && before.allow_more_than(&mixed));
        assert_eq!(mixed.strictest(&before), Limits { weakens: 1, ..before });
        let in_force = LimitsInForce::from(before);
        in_force.clone().replace(mixed);
        assert_eq!(in_force.current(), mixed);
    }
}
