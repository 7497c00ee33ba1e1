//! The requests for repositories that wait for one batched read.

use std::collections::HashMap;

use beadle_engine::{Failure, Lane, Time};
use tokio::sync::oneshot;

use crate::repository::Repository;

type Reply = oneshot::Sender<Result<Option<Repository>, Failure>>;

/// A request for a repository.
pub(crate) struct Ask {
    pub(crate) node_id: String,
    pub(crate) reply: Reply,
    /// The earliest permitted time of a stored read. If a stored read is not older than this time,
    /// Beadle can use it for the parts that only REST shows.
    pub(crate) last_seen: Option<Time>,
    /// The sweep of the request, see [`Reader::in_sweep`](crate::Reader::in_sweep).
    pub(crate) sweep: Option<Time>,
}

/// The batch that waits for further requests.
#[derive(Default)]
pub(crate) struct Pending {
    asks: Vec<Ask>,
    lane: Option<Lane>,
    pub(crate) known: CallCounts,
}

impl Pending {
    /// Adds a request to the batch that waits. Returns `true` if the caller must send the batch.
    /// This is the case if the request is the first of its batch, or more urgent than all earlier
    /// requests of the batch. A more urgent request sends the batch earlier, because the request of
    /// an event must not wait as long as a batch of a sweep waits.
    pub(crate) fn join(&mut self, ask: Ask, lane: Lane) -> bool {
        let before = self.lane;
        let lane = before.map_or(lane, |other| other.min(lane));
        self.asks.push(ask);
        self.lane = Some(lane);
        before != Some(lane)
    }

    /// Closes the batch. The caller must do so before Beadle reads anything for the batch. A later
    /// request goes into the next batch. A read that answers a request therefore began after this
    /// request. A run never uses data that is older than the event that caused the run.
    pub(crate) fn close(&mut self) -> (Vec<Ask>, Option<Lane>) {
        (std::mem::take(&mut self.asks), self.lane.take())
    }
}

/// For each kind of read, the number of calls that the last read of the whole organisation took.
#[derive(Clone, Copy, Default)]
pub(crate) struct CallCounts {
    pub(crate) teams: usize,
    pub(crate) properties: usize,
}

/// Returns, for each node, the earliest permitted time of a stored answer. A node is missing from
/// the result if the read of this node must not use stored answers. If one of several requests for
/// a repository needs a new read, all these requests get the new read.
pub(crate) fn last_seen(asks: &[Ask]) -> HashMap<String, Time> {
    let mut nodes: HashMap<String, Time> = HashMap::new();
    for ask in asks {
        if let Some(since) = ask.last_seen {
            let latest = nodes.entry(ask.node_id.clone()).or_insert(since);
            *latest = since.max(*latest);
        }
    }
    for ask in asks.iter().filter(|ask| ask.last_seen.is_none()) {
        nodes.remove(&ask.node_id);
    }
    nodes
}

/// Returns the sweep of each node. If several requests for one repository do not all belong to the
/// same sweep, the repository belongs to no sweep.
pub(crate) fn sweeps(asks: &[Ask]) -> HashMap<String, Option<Time>> {
    let mut nodes: HashMap<String, Option<Time>> = HashMap::new();
    for ask in asks {
        let sweep = nodes.entry(ask.node_id.clone()).or_insert(ask.sweep);
        *sweep = sweep.filter(|_| *sweep == ask.sweep);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(node_id: &str, last_seen: Option<Time>) -> Ask {
        Ask { node_id: node_id.to_owned(), reply: oneshot::channel().0, last_seen, sweep: None }
    }

    #[test]
    fn a_repository_belongs_to_a_sweep_if_every_request_for_it_does() {
        let sweep = |at: i64| Some(Time(at));
        for (requests, expected) in [
            (vec![sweep(1)], sweep(1)),
            (vec![sweep(1), sweep(1)], sweep(1)),
            (vec![sweep(1), None], None),
            (vec![None, sweep(1)], None),
            (vec![sweep(1), sweep(2), sweep(1)], None),
        ] {
            let asks = requests.iter().map(|sweep| Ask { sweep: *sweep, ..ask("R_1", None) });
            let asks: Vec<Ask> = asks.collect();
            assert_eq!(sweeps(&asks)["R_1"], expected, "{requests:?}");
        }
    }

    #[test]
    fn an_answer_of_the_last_read_is_used_only_if_every_request_accepts_it() {
        let since = |at: i64| Some(Time(at));
        for (requests, expected) in [
            (vec![since(1)], since(1)),
            (vec![since(1), since(2), since(1)], since(2)),
            (vec![since(1), None], None),
            (vec![None, since(1), since(2)], None),
        ] {
            let mut asks: Vec<Ask> = requests.iter().map(|accepts| ask("R_1", *accepts)).collect();
            asks.push(ask("R_2", since(3)));
            let found = last_seen(&asks);
            let found = ["R_1", "R_2"].map(|node| found.get(node).copied());
            assert_eq!(found, [expected, since(3)], "{requests:?}");
        }
    }

    #[test]
    fn what_is_asked_after_a_batch_was_closed_never_gets_its_answer() {
        let mut pending = Pending::default();
        assert!(pending.join(ask("R_1", None), Lane::Sweep), "somebody has to send it");
        assert!(!pending.join(ask("R_1", None), Lane::Sweep), "two asks for one, of the same moment");
        assert!(pending.join(ask("R_1", None), Lane::Event), "an event waits no longer than it must");
        assert!(!pending.join(ask("R_1", None), Lane::Manual), "the event sends it");
        let (asks, lane) = pending.close();
        assert_eq!((asks.len(), lane), (4, Some(Lane::Event)), "in the most urgent lane");
        // A request for the same repository arrives while Beadle reads the first batch.
        assert!(pending.join(ask("R_1", None), Lane::Sweep), "a batch of its own");
        let (asks, lane) = pending.close();
        assert_eq!((asks.len(), lane), (1, Some(Lane::Sweep)));
        let (asks, lane) = pending.close();
        assert!(asks.is_empty() && lane.is_none());
    }
}
