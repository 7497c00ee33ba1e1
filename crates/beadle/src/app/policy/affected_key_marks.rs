//! The marks of the keys that a new generation of a policy affects.

use beadle_engine::{Key, Lane, Mark};
use beadle_repositories::Affected;

/// The maximum number of affected keys in the lane `event`. If a generation affects more keys, the
/// remaining keys get the lane `sweep`. So these keys do not delay events that arrive later.
const AS_EVENTS: usize = 500;

/// Returns the marks of the affected keys. The organisation comes first, because repositories can
/// depend on the organisation.
pub(super) fn marks(affected: &Affected) -> Vec<Mark> {
    let own = affected.organisation.iter().map(|key| (key, None));
    let repositories = affected.repositories.iter().map(|(key, node_id)| (key, Some(node_id.clone())));
    let mark = |(at, (key, hint)): (usize, (&Key, Option<String>))| {
        let lane = if at < AS_EVENTS { Lane::Event } else { Lane::Sweep };
        Mark { hint, ..Mark::new(key.clone(), lane) }
    };
    let creations = affected.creations.iter().map(|key| (key, None));
    own.chain(repositories).chain(creations).enumerate().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::Time;
    use beadle_engine::queue::{Row, Timing};

    use super::*;

    #[test]
    fn a_new_event_overtakes_most_keys_of_a_large_generation() {
        let key = |n: u64| Key::new("repository", "acme", n);
        let affected = Affected {
            repositories: (0..10_000).map(|n| (key(n), format!("R{n}"))).collect(),
            organisation: Some(Key::new("organisation", "acme", 1)),
            ..Affected::default()
        };
        let marks = marks(&affected);
        assert_eq!(marks.len(), 10_001);
        assert_eq!(marks[0].key.kind(), "organisation");
        let rank = |mark: &Mark, now: Time| {
            let mut row = Row::new(mark.key.clone());
            row.mark(mark, now, &Timing::default());
            row.rank()
        };
        let event = rank(&Mark::new(key(20_000), Lane::Event), Time(60_000));
        let before = marks.iter().filter(|mark| rank(mark, Time(0)) < event).count();
        assert_eq!(before, AS_EVENTS);
    }
}
