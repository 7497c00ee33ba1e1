//! Reads many repositories with one query. The loader collects the requests of several reconcilers
//! that arrive at the same moment, and reads all of their repositories together. An error in the
//! answer affects only the repository that the error names.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Class, Failure, Lane, Time, trace};
use futures::future::join_all;
use serde_json::json;
use tokio::sync::oneshot;

use crate::api::Api;
use crate::assemble::{assemble, part, unless_limited};
use crate::documents::{self, BATCH};
use crate::graphql::run_batch;
use crate::names::{Missing, SelectedBy, missing};
use crate::properties::{self, Properties};
use crate::read::{invitations, rest_settings};
use crate::repository::{Asks, Known, Repository};
use crate::teams::{Snapshot, of_repository, snapshot};

/// How long the first request of a batch waits for other requests.
const GATHER: Duration = Duration::from_millis(5);
/// From this number of repositories on, Beadle reads the teams of the whole organisation, and not
/// the teams of each repository. If Beadle knows that the whole organisation needs more calls, it
/// reads the teams of each repository.
const MANY: usize = 20;

type Reply = oneshot::Sender<Result<Option<Repository>, Failure>>;

/// A request for a repository.
struct Ask {
    node_id: String,
    reply: Reply,
    /// For the parts that only REST shows, Beadle can use an earlier read that is not older than
    /// this time.
    last_seen: Option<Time>,
}

#[derive(Default)]
struct Pending {
    asks: Vec<Ask>,
    lane: Option<Lane>,
    known: CallCounts,
}

impl Pending {
    /// Adds a request to the batch that waits. Returns `true` if the request is the first of its
    /// batch; the caller must then send the batch.
    fn join(&mut self, ask: Ask, lane: Lane) -> bool {
        self.asks.push(ask);
        self.lane = Some(self.lane.map_or(lane, |other| other.min(lane)));
        self.asks.len() == 1
    }

    /// Closes the batch before Beadle reads anything for it. A later request goes into the next
    /// batch. So every read begins after all requests that it answers. A run never uses data that
    /// is older than the event that caused the run.
    fn close(&mut self) -> (Vec<Ask>, Option<Lane>) {
        (std::mem::take(&mut self.asks), self.lane.take())
    }
}

/// The known number of calls that a read of the whole organisation takes, for each kind of read.
#[derive(Clone, Copy, Default)]
struct CallCounts {
    teams: usize,
    properties: usize,
}

/// The data that Beadle reads for the whole organisation and uses for many repositories.
pub struct Bulk {
    teams: Option<Result<Snapshot, Failure>>,
    properties: Option<Result<Properties, Failure>>,
    /// The names that do not exist. `Err` if a budget is used up. Every repository of the batch
    /// then fails, and Beadle reads it later.
    missing: Result<Arc<Missing>, Failure>,
}

/// Collects requests for repositories and reads the repositories in batches.
pub struct Loader {
    api: Api,
    asks: Mutex<Asks>,
    selected_by: Mutex<SelectedBy>,
    pending: Mutex<Pending>,
}

impl Loader {
    pub(crate) fn new(api: Api, asks: Asks) -> Arc<Self> {
        Arc::new(Self {
            api,
            asks: Mutex::new(asks),
            selected_by: Mutex::default(),
            pending: Mutex::default(),
        })
    }

    pub(crate) fn asks(&self) -> Asks {
        *self.asks.lock()
    }

    pub(crate) fn ask_for(&self, asks: Asks) {
        *self.asks.lock() = asks;
    }

    pub(crate) fn select_by(&self, selected_by: SelectedBy) {
        *self.selected_by.lock() = selected_by;
    }

    fn selected_by(&self) -> SelectedBy {
        self.selected_by.lock().clone()
    }

    /// Reads some parts of one repository again: the parts that came from a read of the whole
    /// organisation, or from the last reads.
    pub(crate) async fn refresh(&self, api: &Api, repository: &mut Repository) -> Result<(), Failure> {
        let bulk = Bulk { teams: None, properties: None, missing: missing(api, &self.selected_by()).await };
        let all = self.asks();
        let (has_age, is_last_seen) = (repository.has_age, repository.last_seen.take().is_some());
        let asks = Asks {
            teams: all.teams && has_age,
            properties: all.properties && has_age,
            collaborators: all.collaborators && is_last_seen,
            rest_settings: all.rest_settings && is_last_seen,
            ..Asks::default()
        };
        Box::pin(self.read_rest(api, repository, asks, &bulk)).await
    }

    pub(crate) async fn load(
        self: &Arc<Self>,
        node_id: &str,
        lane: Lane,
        last_seen: Option<Time>,
    ) -> Result<Option<Repository>, Failure> {
        let (reply, answer) = oneshot::channel();
        let first = {
            let mut pending = self.pending.lock();
            pending.join(Ask { node_id: node_id.to_owned(), reply, last_seen }, lane)
        };
        if first {
            let loader = self.clone();
            // The requests of the batch belong to the trace of its first caller.
            tokio::spawn(trace::carried(async move {
                loader.api.clock().sleep(GATHER).await;
                let (asks, lane) = loader.pending.lock().close();
                // Beadle sends the batch in the most urgent lane of all its requests.
                let api = loader.api.in_lane(lane.unwrap_or(Lane::Manual));
                loader.answer(&api, asks).await;
            }));
        }
        let lost = |_| Err(Failure::new(Class::Retry, "the batched read ended without an answer"));
        answer.await.unwrap_or_else(lost)
    }

    async fn answer(&self, api: &Api, asks: Vec<Ask>) {
        let mut ids: Vec<String> = asks.iter().map(|ask| ask.node_id.clone()).collect();
        let last_seen = last_seen(&asks);
        ids.sort_unstable();
        ids.dedup();
        let selected_by = self.selected_by();
        let reads = join_all(ids.chunks(BATCH).map(|chunk| self.by_ids(api, chunk)));
        let (chunks, missing) = futures::join!(reads, missing(api, &selected_by));
        let mut results: HashMap<String, Result<Option<Repository>, Failure>> =
            chunks.into_iter().flatten().collect();
        let taken = results
            .iter_mut()
            .filter_map(|(id, result)| Some((id.clone(), result.as_mut().ok().and_then(Option::take)?)));
        let (ids, mut found): (Vec<String>, Vec<Repository>) = taken.unzip();
        for (id, repository) in ids.iter().zip(&mut found) {
            repository.last_seen = last_seen.get(id).copied();
        }
        let bulk = self.bulk_with(api, found.len(), std::future::ready(missing)).await;
        let failures = self.complete(api, &mut found, &bulk).await;
        // Beadle may ask with an old node id, and GitHub may answer with the present node id. The
        // answer still belongs to the request. The immutable id shows which repository it is.
        for ((id, repository), failure) in ids.into_iter().zip(found).zip(failures) {
            results.insert(id, failure.map_or(Ok(Some(repository)), Err));
        }
        for Ask { node_id: id, reply, .. } in asks {
            // Two callers may ask for the same repository.
            let unanswered =
                || Err(Failure::new(Class::Retry, format!("GitHub's answer does not contain the node {id}")));
            let result = results.get(&id).cloned().unwrap_or_else(unanswered);
            let _ = reply.send(result); // a caller that gave up needs no answer
        }
    }

    async fn by_ids(&self, api: &Api, ids: &[String]) -> Vec<(String, Result<Option<Repository>, Failure>)> {
        const DOING: &str = "reading repositories";
        let asks = self.asks();
        let document = documents::by_ids(asks);
        let read = run_batch(api, DOING, &document, json!({ "ids": ids })).await;
        let is_too_much = match &read {
            Ok(answer) => answer.is_cut(),
            Err(unanswered) => unanswered.too_much,
        };
        // If one repository makes the whole batch too expensive, the other repositories still get
        // an answer.
        if ids.len() > 1 && is_too_much {
            let (left, right) = ids.split_at(ids.len() / 2);
            let mut results = Box::pin(self.by_ids(api, left)).await;
            results.extend(Box::pin(self.by_ids(api, right)).await);
            return results;
        }
        let answer = match read {
            Ok(answer) => answer,
            Err(unanswered) => {
                return ids.iter().map(|id| (id.clone(), Err(unanswered.failure.clone()))).collect();
            }
        };
        let mut results = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            let node = &answer.data["nodes"][at];
            let path = [json!("nodes"), json!(at)];
            let result = match answer.error_at(&path) {
                Some(error) if error.is_not_found() && node.is_null() => Ok(None),
                _ if node.is_object() && node["__typename"] != "Repository" => Ok(None),
                _ => assemble(api, node, asks, &answer, &path).await.map(Some),
            };
            results.push((id.clone(), result));
        }
        results
    }

    /// Reads the data of the whole organisation that this number of repositories needs.
    pub(crate) async fn bulk(&self, api: &Api, repositories: usize) -> Bulk {
        let selected_by = self.selected_by();
        Box::pin(self.bulk_with(api, repositories, missing(api, &selected_by))).await
    }

    async fn bulk_with(
        &self,
        api: &Api,
        repositories: usize,
        missing: impl Future<Output = Result<Arc<Missing>, Failure>>,
    ) -> Bulk {
        let (asks, known) = (self.asks(), self.known());
        let many = |calls: usize| repositories >= MANY.max(calls);
        // If the lists changed during the read, they cannot be used. Beadle then reads the data of
        // each repository separately.
        let (teams, properties, missing) = futures::join!(
            async { if asks.teams && many(known.teams) { snapshot(api).await.transpose() } else { None } },
            async {
                let properties = asks.properties && many(known.properties);
                if properties { Some(properties::of_organisation(api).await) } else { None }
            },
            missing,
        );
        let mut pending = self.pending.lock();
        if let Some(Ok(taken)) = &teams {
            pending.known.teams = taken.calls;
        }
        if let Some(Ok(taken)) = &properties {
            pending.known.properties = taken.calls;
        }
        Bulk { teams, properties, missing }
    }

    /// Reads the parts that GraphQL does not provide. Returns the failure for each repository that
    /// Beadle must read again later.
    pub(crate) async fn complete(
        &self,
        api: &Api,
        repositories: &mut [Repository],
        bulk: &Bulk,
    ) -> Vec<Option<Failure>> {
        let asks = self.asks();
        let reads = repositories.iter_mut().map(|repository| self.read_rest(api, repository, asks, bulk));
        join_all(reads).await.into_iter().map(Result::err).collect()
    }

    fn known(&self) -> CallCounts {
        self.pending.lock().known
    }

    async fn read_rest(
        &self,
        api: &Api,
        repository: &mut Repository,
        asks: Asks,
        bulk: &Bulk,
    ) -> Result<(), Failure> {
        let (owner, name) = (repository.owner.clone(), repository.name.clone());
        repository.missing = bulk.missing.clone()?;
        repository.has_age = bulk.teams.is_some() || bulk.properties.is_some();
        let id = repository.id;
        // GraphQL shows no default branch for an empty repository. REST shows the name that the
        // branch will have.
        let nameless = asks.protection && repository.default_branch.is_none() && !repository.archived;
        let own = api.of_repository(id);
        let remembered = repository.last_seen.map(|since| own.as_last_seen(since));
        let rest = remembered.as_ref().unwrap_or(&own);
        let of_settings = if nameless { &own } else { rest };
        let teams = async {
            match &bulk.teams {
                Some(Ok(snapshot)) => Ok(Known::Known(snapshot.of(id))),
                Some(Err(failure)) => unless_limited(failure).map(Known::Unknown),
                None => part(None, of_repository(api, &owner, &name)).await,
            }
        };
        let properties = async {
            match &bulk.properties {
                Some(Ok(all)) => Ok(all.of(id)),
                Some(Err(failure)) => unless_limited(failure).map(Known::Unknown),
                None => part(None, properties::of_repository(api, &owner, &name)).await,
            }
        };
        let (teams, properties, invited, settings) = futures::join!(
            asked(asks.teams, teams),
            asked(asks.properties, properties),
            asked(asks.collaborators, part(None, invitations(rest, &owner, &name))),
            asked(asks.rest_settings || nameless, part(None, rest_settings(of_settings, &owner, &name))),
        );
        if let Some(read) = teams? {
            repository.teams = read;
        }
        if let Some(read) = properties? {
            repository.properties = read;
        }
        if let Some(read) = invited? {
            repository.invitations = read;
        }
        if let Some(read) = settings? {
            // The default branch that GraphQL shows is newer than the answer of the last read.
            if let Known::Known(settings) = &read
                && (nameless || repository.last_seen.is_none())
            {
                let branch = settings.get("default_branch").and_then(serde_json::Value::as_str);
                repository.default_branch = branch.map(str::to_owned);
            }
            repository.rest_settings = read;
        }
        Ok(())
    }
}

/// Returns the nodes that may use the answers of the last reads, and how old these answers may be.
/// If one of several requests for a repository needs a new read, all of them get the new read.
fn last_seen(asks: &[Ask]) -> HashMap<String, Time> {
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

/// Reads a part if the reader asks for it.
async fn asked<T>(
    is_asked: bool,
    read: impl Future<Output = Result<Known<T>, Failure>>,
) -> Result<Option<Known<T>>, Failure> {
    if is_asked { read.await.map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Budgets, Clock};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;
    use secrecy::SecretString;
    use serde_json::Value;

    use super::*;
    use crate::auth::Credential;
    use crate::endpoint::Endpoint;

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_which_github_leaves_out_parts_is_halved() {
        let wire = Recorder::new(|arrived| {
            let ids = arrived.body["variables"]["ids"].as_array().cloned().unwrap_or_default();
            if ids.len() > 1 {
                let error =
                    json!({ "type": "RESOURCE_LIMITS_EXCEEDED", "message": "no", "path": ["nodes", 0] });
                return (
                    200,
                    json!({ "data": { "nodes": vec![Value::Null; ids.len()] }, "errors": [error] }),
                );
            }
            let node = |id: &Value| {
                json!({ "__typename": "Repository", "databaseId": 1, "id": id, "name": "shop",
                    "visibility": "PRIVATE", "owner": { "login": "acme" } })
            };
            let nodes: Vec<Value> = ids.iter().map(node).collect();
            (200, json!({ "data": { "nodes": nodes } }))
        });
        let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let clock = Clock::simulated(Time(0));
        let api = Api::new(&endpoint, "acme", token, budgets, &clock, settings).unwrap();
        let loader = Loader::new(api.clone(), Asks::default());
        let read = loader.by_ids(&api, &["R_1".to_owned(), "R_2".to_owned()]).await;
        let node_of = |found: &Result<Option<Repository>, Failure>| {
            found.as_ref().ok()?.as_ref().map(|repository| repository.node_id.clone())
        };
        let nodes: Vec<String> = read.iter().filter_map(|(_, found)| node_of(found)).collect();
        assert_eq!(nodes, ["R_1", "R_2"]);
        assert_eq!(wire.arrived().len(), 3);
    }

    fn ask(node_id: &str, last_seen: Option<Time>) -> Ask {
        Ask { node_id: node_id.to_owned(), reply: oneshot::channel().0, last_seen }
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
        assert!(!pending.join(ask("R_1", None), Lane::Event), "two asks for one, of the same moment");
        let (asks, lane) = pending.close();
        assert_eq!((asks.len(), lane), (2, Some(Lane::Event)), "in the most urgent lane");
        // A request for the same repository arrives while Beadle reads the first batch.
        assert!(pending.join(ask("R_1", None), Lane::Sweep), "a batch of its own");
        let (asks, lane) = pending.close();
        assert_eq!((asks.len(), lane), (1, Some(Lane::Sweep)));
        let (asks, lane) = pending.close();
        assert!(asks.is_empty() && lane.is_none());
    }
}
