//! Reads many repositories with one query. The loader collects requests that several reconcilers
//! send at the same moment, and reads all of the requested repositories together. An error in the
//! answer affects only one repository: the repository at the error's path.

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
use crate::pending::{Ask, CallCounts, Pending, last_seen, sweeps};
use crate::properties::{self, Properties};
use crate::read::{invitations, rest_settings};
use crate::repository::{Asks, Known, Repository};
use crate::sweep_read::SweepRead;
use crate::teams::{Snapshot, of_repository, snapshot};

/// How long the first request of a batch waits for other requests.
const GATHER: Duration = Duration::from_millis(5);
/// How long the first request of a batch waits if the request belongs to a sweep. The runs of a
/// sweep send their requests at different moments. Each batch needs at least one query, so a longer
/// wait saves queries.
const GATHER_SWEPT: Duration = Duration::from_millis(50);
/// If Beadle reads at least this number of repositories, it reads the teams and the custom
/// properties of the whole organisation together. If Beadle knows that a read of the whole
/// organisation needs more calls, it reads the data of each repository separately instead.
const MANY: usize = 20;

/// Data of the whole organisation. Beadle reads this data once and uses it for many repositories.
pub struct Bulk {
    teams: Option<Result<Arc<Snapshot>, Failure>>,
    properties: Option<Result<Arc<Properties>, Failure>>,
    /// The names that do not exist, although layers use them to select repositories. The field is
    /// `Err` if a budget is used up. The reads of all repositories of the batch then fail, and
    /// Beadle repeats them later.
    missing: Result<Arc<Missing>, Failure>,
}

impl Bulk {
    /// Returns the lists that further batches of a sweep can use, or `None` if Beadle read no list.
    fn of_sweep(&self, sweep: Time, begun: Time) -> Option<SweepRead> {
        let teams = self.teams.as_ref().and_then(|read| read.as_ref().ok().cloned());
        let properties = self.properties.as_ref().and_then(|read| read.as_ref().ok().cloned());
        let has_list = teams.is_some() || properties.is_some();
        has_list.then_some(SweepRead { sweep, begun, teams, properties })
    }
}

/// Collects requests for repositories and reads the repositories in batches.
pub struct Loader {
    api: Api,
    asks: Mutex<Asks>,
    selected_by: Mutex<SelectedBy>,
    pending: Mutex<Pending>,
    /// The last read of the whole organisation for a sweep. All batches of the sweep share this
    /// read.
    shared: tokio::sync::Mutex<Option<Arc<SweepRead>>>,
}

impl Loader {
    pub(crate) fn new(api: Api, asks: Asks) -> Arc<Self> {
        Arc::new(Self {
            api,
            asks: Mutex::new(asks),
            selected_by: Mutex::default(),
            pending: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
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

    /// Repeats the read of some parts of one repository. These parts came from a read of the whole
    /// organisation or from earlier reads.
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
        sweep: Option<Time>,
    ) -> Result<Option<Repository>, Failure> {
        let (reply, answer) = oneshot::channel();
        let sends = {
            let mut pending = self.pending.lock();
            pending.join(Ask { node_id: node_id.to_owned(), reply, last_seen, sweep }, lane)
        };
        if sends {
            let loader = self.clone();
            let wait = if sweep.is_some() { GATHER_SWEPT } else { GATHER };
            // The requests of a batch belong to the trace of the caller that sends the batch.
            tokio::spawn(trace::carried(async move {
                loader.api.clock().sleep(wait).await;
                let (asks, lane) = loader.pending.lock().close();
                // Each request of the batch has a lane. Beadle sends the batch in the most urgent
                // of these lanes.
                let api = loader.api.in_lane(lane.unwrap_or(Lane::Manual));
                loader.answer(&api, asks).await;
            }));
        }
        let lost = |_| Err(Failure::new(Class::Retry, "the batched read ended without an answer"));
        answer.await.unwrap_or_else(lost)
    }

    async fn answer(&self, api: &Api, asks: Vec<Ask>) {
        // If the batch is empty, a more urgent request has already sent the batch.
        if asks.is_empty() {
            return;
        }
        let mut ids: Vec<String> = asks.iter().map(|ask| ask.node_id.clone()).collect();
        let (last_seen, sweeps) = (last_seen(&asks), sweeps(&asks));
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
        let mut found: Vec<(String, Repository)> = taken.collect();
        for (id, repository) in &mut found {
            repository.last_seen = last_seen.get(id.as_str()).copied();
        }
        results.extend(Box::pin(self.complete_batch(api, found, &sweeps, missing)).await);
        for Ask { node_id: id, reply, .. } in asks {
            // Two callers can ask for the same repository.
            let unanswered =
                || Err(Failure::new(Class::Retry, format!("GitHub's answer does not contain the node {id}")));
            let result = results.get(&id).cloned().unwrap_or_else(unanswered);
            let _ = reply.send(result); // a caller that gave up needs no answer
        }
    }

    /// Adds the parts that GraphQL does not provide to the repositories of a batch. `sweeps`
    /// contains the sweep of each node. Returns the result for each node.
    async fn complete_batch(
        &self,
        api: &Api,
        found: Vec<(String, Repository)>,
        sweeps: &HashMap<String, Option<Time>>,
        missing: Result<Arc<Missing>, Failure>,
    ) -> Vec<(String, Result<Option<Repository>, Failure>)> {
        let sweep_of = |(id, _): &(String, Repository)| sweeps.get(id).copied().flatten();
        // If another batch of the sweep is reading the whole organisation, this batch waits here
        // for that read, and then uses the read's result. A batch with a request that is more
        // urgent than a sweep does not wait.
        let mut shared = if api.lane() == Lane::Sweep { Some(self.shared.lock().await) } else { None };
        let read: Option<Arc<SweepRead>> = shared.as_ref().and_then(|shared| (**shared).clone());
        let now = api.clock().now();
        let is_served = |one: &(String, Repository)| {
            read.as_ref().is_some_and(|read| read.serves(sweep_of(one), now) && read.knows(one.1.id))
        };
        let (served, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_served);
        // Beadle reads the lists after it has received all requests of the batch, so every sweep
        // with a request in the batch can use the lists.
        let sweep = others.iter().filter_map(sweep_of).max();
        let bulk = self.bulk_with(api, others.len(), std::future::ready(missing.clone())).await;
        if let (Some(shared), Some(sweep)) = (&mut shared, sweep)
            && let Some(read) = bulk.of_sweep(sweep, now)
        {
            **shared = Some(Arc::new(read));
        }
        drop(shared);
        let of_read = Bulk {
            teams: read.as_ref().and_then(|read| read.teams.clone()).map(Ok),
            properties: read.as_ref().and_then(|read| read.properties.clone()).map(Ok),
            missing,
        };
        let (mut results, served) = futures::join!(
            self.complete_each(api, others, &bulk),
            self.complete_each(api, served, &of_read),
        );
        results.extend(served);
        results
    }

    /// Adds the parts that GraphQL does not provide to some repositories. Returns the result for
    /// each node.
    async fn complete_each(
        &self,
        api: &Api,
        found: Vec<(String, Repository)>,
        bulk: &Bulk,
    ) -> Vec<(String, Result<Option<Repository>, Failure>)> {
        let (ids, mut found): (Vec<String>, Vec<Repository>) = found.into_iter().unzip();
        let failures = self.complete(api, &mut found, bulk).await;
        let results = found.into_iter().zip(failures);
        let results = results.map(|(repository, failure)| failure.map_or(Ok(Some(repository)), Err));
        // Beadle can ask with an old node id, and GitHub can answer with the present node id. An
        // answer with the present node id still belongs to the request. The immutable id in the
        // answer identifies the repository.
        ids.into_iter().zip(results).collect()
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
        // One repository can make the whole batch too expensive. So Beadle splits the batch, and
        // the other repositories still get an answer.
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

    /// Reads the data of the whole organisation. Beadle reads the teams and the custom properties
    /// of the organisation only if the number of repositories is large.
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
        // If a list changed during the read, Beadle cannot use this list. Beadle then reads the
        // data of each repository separately.
        let (teams, properties, missing) = futures::join!(
            async { if asks.teams && many(known.teams) { snapshot(api).await.transpose() } else { None } },
            async {
                let properties = asks.properties && many(known.properties);
                if properties { Some(properties::of_organisation(api).await) } else { None }
            },
            missing,
        );
        let teams = teams.map(|read| read.map(Arc::new));
        let properties = properties.map(|read| read.map(Arc::new));
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
            // The default branch from GraphQL is newer than the default branch from an earlier
            // read.
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

/// Reads a part if `is_asked` is true.
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
}
