//! Creates the marks of a target's groups. A mark makes a group's key due. The hint in the mark
//! tells the run whether the run can use the answers of a sweep.

use std::sync::Arc;

use beadle_engine::{Failure, Key, Lane, Mark, Metadata, Note, Store, Time, trace};
use serde::{Deserialize, Serialize};

/// If a sweep made a mark, the hint of the mark begins with this word. After this word, the hint
/// has the time at which the sweep made its marks, and the name of the directory.
const SWEPT: &str = "swept ";
/// The first word of the hint if a command plans a key without a mark. The second word is the start
/// time of the sweep.
const SHOWN: &str = "shown ";
/// The hint of a mark that does not come from a sweep.
const ALONE: &str = "alone";

/// The time of the latest sweep that has marked all groups of the directory.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Swept(Time);

impl Metadata for Swept {
    const KIND: &'static str = "swept";
}

fn marked(source: &str) -> Note<Swept> {
    Note::of(&[source])
}

/// Creates a mark for a group of a target. Only this function creates marks for groups of a target,
/// because this function adds the hint. The hint tells a run whether a sweep made the last mark in
/// the sweep lane. `sweep` is the directory, and the time at which the sweep made its marks.
pub(crate) fn due(key: Key, lane: Lane, sweep: Option<(&str, Time)>) -> Mark {
    let hint = sweep.map_or_else(|| ALONE.to_owned(), |(source, at)| format!("{SWEPT}{} {source}", at.0));
    // Each group of a sweep has a separate trace. A common trace would contain every group of the
    // sweep.
    let trace = if sweep.is_none() { trace::current() } else { None };
    Mark { hint: Some(hint), trace, ..Mark::new(key, lane) }
}

/// Records in the store that a sweep has marked all of its keys. The runs of the sweep can share
/// one survey only after this call. A survey that began before this call could be older than the
/// sweep's last mark.
pub(crate) async fn all_marked(store: &Arc<dyn Store>, source: &str, at: Time) -> Result<(), Failure> {
    Ok(marked(source).put(store.as_ref(), &Swept(at)).await?)
}

/// Returns the hint for a group that a sweep plans directly, without the queue. `began` is the
/// start time of the sweep.
pub fn sweep_hint(began: Time) -> String {
    format!("{SHOWN}{}", began.0)
}

/// Returns the time of a sweep, if the run can use the survey of this sweep. Otherwise, returns
/// `None`. The run can use the survey if three conditions are true. The run's last mark comes from
/// the sweep. This sweep has marked all of its keys. No later sweep of the directory has marked all
/// of its keys. If an event or an operator marked the key too, the run is in a different lane and
/// uses no survey.
pub(crate) async fn swept(
    store: Option<&Arc<dyn Store>>,
    hint: Option<&str>,
    lane: Lane,
) -> Result<Option<Time>, Failure> {
    let (Lane::Sweep, Some(hint)) = (lane, hint) else { return Ok(None) };
    if let Some(at) = hint.strip_prefix(SHOWN) {
        return Ok(at.parse().ok().map(Time));
    }
    let swept = hint.strip_prefix(SWEPT).and_then(|text| text.split_once(' '));
    let (Some((at, source)), Some(store)) = (swept, store) else { return Ok(None) };
    let Some(at) = at.parse().ok().map(Time) else { return Ok(None) };
    let is_marked = marked(source).get(store.as_ref()).await? == Some(Swept(at));
    Ok(is_marked.then_some(at))
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn only_a_run_whose_last_mark_is_a_sweep_s_shares_what_the_sweep_reads() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let seen = async |lane: Lane, sweep: Option<(&'static str, Time)>| {
            let hint = due(Key::new("target-group", "aws", "corp/00g1"), Lane::Sweep, sweep).hint;
            swept(Some(&store), hint.as_deref(), lane).await.unwrap()
        };
        let sweep = Some(("corp", Time(7)));
        assert_eq!(seen(Lane::Sweep, sweep).await, None, "the sweep is still marking");
        all_marked(&store, "corp", Time(7)).await.unwrap();
        assert_eq!(seen(Lane::Sweep, sweep).await, Some(Time(7)));
        assert_eq!(seen(Lane::Sweep, Some(("corp", Time(6)))).await, None);
        assert_eq!(seen(Lane::Sweep, Some(("other", Time(7)))).await, None);
        assert_eq!(seen(Lane::Sweep, None).await, None, "a group or a user made it due");
        assert_eq!(seen(Lane::Event, sweep).await, None);
        assert_eq!(seen(Lane::Manual, sweep).await, None);
        let shown = swept(None, Some(&sweep_hint(Time(9))), Lane::Sweep).await.unwrap();
        assert_eq!(shown, Some(Time(9)), "a command covers no mark");
    }
}
