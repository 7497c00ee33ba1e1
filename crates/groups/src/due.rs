//! How a group of a target is made due, so that its run knows what it has to read.

use beadle_engine::budget::current_lane;
use beadle_engine::{Key, Lane, Mark, Time};

/// The hint of a key of a group that a sweep made due, before the time of the mark.
const SWEPT: &str = "swept ";
/// The hint of a key of a group that something else made due.
const ALONE: &str = "alone";

/// Makes a mark of a group of a target, the only way: a run must know whether its last mark in the
/// lane of sweeps is a sweep's, and of when. `sweep`: the time of the sweep's mark.
pub(crate) fn due(key: Key, lane: Lane, sweep: Option<Time>) -> Mark {
    let hint = sweep.map_or_else(|| ALONE.to_owned(), sweep_hint);
    Mark { key, lane, hint: Some(hint) }
}

/// The hint with which a sweep that began at this time plans a group.
pub fn sweep_hint(began: Time) -> String {
    format!("{SWEPT}{}", began.0)
}

/// The time of the mark, if the last mark that a run covers is a sweep's. A mark of another lane
/// brings its run into that lane.
pub(crate) fn swept(hint: Option<&str>) -> Option<Time> {
    if current_lane() != Lane::Sweep {
        return None;
    }
    hint?.strip_prefix(SWEPT)?.parse().ok().map(Time)
}

#[cfg(test)]
mod tests {
    use beadle_engine::budget::in_lane;

    use super::*;

    #[tokio::test]
    async fn only_a_run_whose_last_mark_is_a_sweep_s_shares_what_the_sweep_reads() {
        let key = || Key::new("target-group", "aws", "corp/00g1");
        let seen = async |lane: Lane, sweep: Option<Time>| {
            let hint = due(key(), Lane::Sweep, sweep).hint;
            in_lane(lane, async { swept(hint.as_deref()) }).await
        };
        assert_eq!(seen(Lane::Sweep, Some(Time(7))).await, Some(Time(7)));
        assert_eq!(seen(Lane::Sweep, None).await, None, "a group or a user made it due");
        assert_eq!(seen(Lane::Event, Some(Time(7))).await, None);
        assert_eq!(seen(Lane::Manual, Some(Time(7))).await, None);
    }
}
