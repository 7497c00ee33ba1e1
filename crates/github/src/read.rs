//! Contains all methods that read from GitHub. These methods change nothing.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use beadle_engine::{Budgets, Class, Clock, Failure, Lane, Store, Time};
use beadle_transport::Path;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::Api;
use crate::assemble::assemble;
use crate::connection::{Tally, entries, next};
use crate::documents;
use crate::documents::repositories::{IndexNode, NAME, NamedRepository};
use crate::graphql::{run, run_batch};
use crate::loader::{Bulk, Loader};
use crate::names::SelectedBy;
use crate::repository::{Asks, Invitation, Known, Repository, Visibility};
use crate::rulesets::Ruleset;
use crate::shape::shape;
use crate::teams::TeamPermission;

/// One page of an organisation's repositories.
pub struct Page {
    /// The repositories of the page.
    pub repositories: Vec<Repository>,
    /// The number of repositories in the organisation, as GitHub reports it.
    pub total: u64,
    /// Why a repository is missing from the page. `None` if no repository is missing. The page is
    /// valid even if a repository is missing.
    pub short: Option<String>,
    /// The cursor of the next page. `None` on the last page.
    pub next: Option<Cursor>,
}

/// GitHub's maximum number of repositories on a page.
const LARGE: usize = 100;

/// Where a page of repositories begins.
#[derive(Clone, Debug)]
pub struct Cursor {
    after: Value,
    /// The number of repositories on the page. If GitHub cannot return this number of repositories
    /// in one query, Beadle uses a smaller number.
    first: usize,
}

impl Cursor {
    /// Returns the cursor of the first page. The pages have the maximum size that GitHub allows.
    /// Use pages of the maximum size only for a reader that reads few parts of each repository.
    pub fn of_large_pages() -> Self {
        Self { after: Value::Null, first: LARGE }
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self { after: Value::Null, first: documents::BATCH }
    }
}

/// A repository in the list that shows only a few fields of each repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// The immutable id of the repository.
    pub id: u64,
    /// The node id of the repository.
    pub node_id: String,
    /// The name of the repository.
    pub name: String,
    /// True if the repository is archived.
    pub archived: bool,
    /// The visibility of the repository. `None` if GitHub does not show the visibility.
    pub visibility: Option<Visibility>,
}

/// Reads from GitHub. A reader has no method that writes.
#[derive(Clone)]
pub struct Reader {
    api: Api,
    /// The connection for reads below a repository. The connection can use stored answers of
    /// earlier reads.
    below: Api,
    loader: Arc<Loader>,
    /// The node ids of all repositories that the reader has read. The keys are the immutable ids. A
    /// writer addresses a repository by its node id.
    nodes: Arc<Mutex<HashMap<u64, String>>>,
    /// The time of each ruleset's last known change. Beadle learned this time when it first saw the
    /// ruleset, or when it last found the ruleset in the wanted state.
    rulesets: Arc<Mutex<HashMap<u64, String>>>,
    /// The rulesets that were in the wanted state when Beadle read them by REST.
    settled: Arc<Mutex<HashMap<u64, Settled>>>,
    /// The sweep of the reads, see [`Self::in_sweep`].
    sweep: Option<Time>,
    /// The login of the App, after the first read of its slug.
    own_login: Arc<OnceLock<String>>,
}

/// The time of a ruleset's last change, and the digest of the state that the policy wanted at that
/// time.
type Settled = (String, Vec<u8>);

#[derive(Deserialize)]
struct InvitationRow {
    id: u64,
    invitee: Option<Login>,
    permissions: String,
    #[serde(default)]
    expired: bool,
}

#[derive(Deserialize)]
struct Login {
    id: u64,
    login: String,
}

impl Reader {
    /// Creates a reader. `asks` sets which parts of repositories the reader reads.
    pub fn new(api: Api, asks: Asks) -> Self {
        let loader = Loader::new(api.clone(), asks);
        Self {
            below: api.clone(),
            api,
            loader,
            nodes: Arc::default(),
            rulesets: Arc::default(),
            settled: Arc::default(),
            sweep: None,
            own_login: Arc::default(),
        }
    }

    /// Returns a reader that uses the same connection and reads these parts. Besides the
    /// connection, the two readers share only the login of the App, so the new reader does not
    /// affect this reader.
    #[must_use]
    pub fn apart(&self, asks: Asks, selected_by: SelectedBy) -> Self {
        let reader = Self { own_login: self.own_login.clone(), ..Self::new(self.api.clone(), asks) };
        reader.select_by(selected_by);
        reader
    }

    /// Returns a copy of the reader that reads in this lane. Both readers share all remembered
    /// data.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { api: self.api.in_lane(lane), below: self.below.in_lane(lane), ..self.clone() }
    }

    /// Returns a copy of the reader. If the copy reads a path below a repository, it can use a
    /// stored answer. A process must have read this answer at the time `since` or later. If the
    /// store has no such answer for the path, the copy sends a request. The store records only the
    /// day of a read, so an answer can be up to a day older than `since`.
    #[must_use]
    pub fn as_last_seen(&self, since: Time) -> Self {
        Self { below: self.api.as_last_seen(since), ..self.clone() }
    }

    /// Returns a copy of the reader for a run of a sweep. `sweep` is the stored time at which the
    /// sweep began. The sweep must be the only cause of the run. The run can then use a read of the
    /// whole organisation from another run of this sweep. The run takes the teams and the custom
    /// properties of a repository from that read. That read began after the start of the sweep.
    #[must_use]
    pub fn in_sweep(&self, sweep: Option<Time>) -> Self {
        Self { sweep, ..self.clone() }
    }

    /// Returns the store that keeps GitHub's answers between runs.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.api.kept()
    }

    /// Returns whether this is the login of the App. Returns `false` as long as nobody has read the
    /// App's slug with [`Self::app_slug`]. Sends no request.
    pub fn is_own_login(&self, login: &str) -> bool {
        self.own_login.get().is_some_and(|own| own.eq_ignore_ascii_case(login))
    }

    /// Remembers the login of the App with this slug.
    pub(crate) fn remember_slug(&self, slug: &str) {
        self.own_login.get_or_init(|| format!("{slug}[bot]"));
    }

    /// Returns the lane of this reader's calls.
    pub fn lane(&self) -> Lane {
        self.api.lane()
    }

    /// Sets the parts of a repository that the reader reads from now on.
    pub fn ask_for(&self, asks: Asks) {
        self.loader.ask_for(asks);
    }

    /// Sets the names in the selectors of the policy's layers. From now on, the reader resolves
    /// these names with each batch.
    pub fn select_by(&self, selected_by: SelectedBy) {
        self.loader.select_by(selected_by);
    }

    /// Repeats the read of some parts of a repository. These parts came from a read of the whole
    /// organisation or from earlier reads.
    pub async fn refresh(&self, repository: &mut Repository) -> Result<(), Failure> {
        let before = repository.teams.clone();
        self.loader.refresh(&self.api, repository).await?;
        let (Known::Known(before), Known::Known(now)) = (&before, &mut repository.teams) else {
            return Ok(());
        };
        for team in now.iter_mut().filter(|team| team.permission.rank().is_some()) {
            // A list can show the base role instead of the custom role.
            let was_custom =
                |other: &&TeamPermission| other.id == team.id && other.permission.rank().is_none();
            if before.iter().any(|other| was_custom(&other))
                && let Some(role) = self.team_role(&team.slug, &repository.owner, &repository.name).await?
            {
                team.permission = role;
            }
        }
        Ok(())
    }

    /// Returns the node id of a repository that this reader has already read.
    pub fn node_of(&self, id: u64) -> Option<String> {
        self.nodes.lock().get(&id).cloned()
    }

    fn remember(&self, repository: &Repository) {
        let mut nodes = self.nodes.lock();
        nodes.insert(repository.id, repository.node_id.clone());
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Returns the connection for reads below a repository.
    pub(crate) fn below_repository(&self, repository: &Repository) -> Api {
        self.below.of_repository(repository.id)
    }

    /// Returns the organisation's login.
    pub fn organisation(&self) -> &str {
        self.api.organisation()
    }

    /// Returns the clock of the connection.
    pub fn clock(&self) -> &Clock {
        self.api.clock()
    }

    /// Returns the budgets of the calls.
    pub fn budgets(&self) -> &Budgets {
        self.api.budgets()
    }

    /// Returns a repository by its node id, or `None` if it does not exist. Requests that arrive at
    /// the same moment share one query. The caller must check that the repository has the expected
    /// immutable id.
    pub async fn repository(&self, node_id: &str) -> Result<Option<Repository>, Failure> {
        self.read_repository(node_id, None).await
    }

    /// Returns a repository, as [`Self::repository`] does. But the parts that only REST shows can
    /// come from stored reads, if Beadle made these reads at the time `since` or later.
    pub async fn repository_last_seen(
        &self,
        node_id: &str,
        since: Time,
    ) -> Result<Option<Repository>, Failure> {
        self.read_repository(node_id, Some(since)).await
    }

    async fn read_repository(
        &self,
        node_id: &str,
        last_seen: Option<Time>,
    ) -> Result<Option<Repository>, Failure> {
        let found = self.loader.load(node_id, self.lane(), last_seen, self.sweep).await?;
        if let Some(repository) = &found {
            self.remember(repository);
        }
        Ok(found)
    }

    /// Reads the data of the whole organisation. Beadle reads the teams and the custom properties
    /// of the organisation only if the number of repositories is large.
    pub async fn bulk(&self, repositories: usize) -> Bulk {
        self.loader.bulk(&self.api, repositories).await
    }

    /// Returns one page of the organisation's repositories. The repositories have only the parts
    /// that GraphQL shows.
    pub async fn page(&self, cursor: &Cursor) -> Result<Page, Failure> {
        const DOING: &str = "listing the organisation's repositories";
        let asks = self.loader.asks();
        let document = documents::listing(asks);
        let mut first = cursor.first;
        let answer = loop {
            let variables = json!({ "org": self.organisation(), "first": first, "after": cursor.after });
            match run_batch(&self.api, DOING, &document, variables).await {
                // GitHub ends a query after 10 s, so Beadle asks for fewer repositories.
                Err(unanswered) if unanswered.too_much && first > 5 => first /= 2,
                Ok(answer) if answer.is_cut() && first > 5 => first /= 2,
                answer => break answer.map_err(|unanswered| unanswered.failure)?,
            }
        };
        let page = &answer.data["organization"]["repositories"];
        if !page.is_object() {
            let nobody = || {
                let text = format!("{DOING}: there is no organisation {}", self.organisation());
                Failure::new(Class::Rejected, text)
            };
            return Err(answer.errors.first().map_or_else(nobody, |error| error.failure(DOING)));
        }
        let mut found = Page {
            repositories: Vec::new(),
            total: page["totalCount"].as_u64().unwrap_or(u64::MAX),
            short: None,
            next: next(page)?.map(|after| Cursor { after, first }),
        };
        for (at, node) in page["nodes"].as_array().into_iter().flatten().enumerate() {
            let path = [json!("organization"), json!("repositories"), json!("nodes"), json!(at)];
            match assemble(&self.api, node, asks, &answer, &path).await {
                Ok(repository) => {
                    self.remember(&repository);
                    found.repositories.push(repository);
                }
                Err(failure) => found.short = Some(failure.text),
            }
        }
        Ok(found)
    }

    /// Adds the parts that GraphQL does not show.
    pub async fn complete(&self, repositories: &mut [Repository], bulk: &Bulk) -> Result<(), Failure> {
        let failures = self.loader.complete(&self.api, repositories, bulk).await;
        failures.into_iter().flatten().next().map_or(Ok(()), Err)
    }

    /// Returns the ids and names of all repositories.
    pub async fn index(&self) -> Result<Vec<IndexRow>, Failure> {
        const DOING: &str = "listing the organisation's repositories";
        let (mut rows, mut ids) = (Vec::new(), HashSet::new());
        let mut tally = Tally::default();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "org": self.organisation(), "after": after });
            let data = run(&self.api, DOING, documents::INDEX, variables, false).await?.whole(DOING)?;
            let page = &data["organization"]["repositories"];
            let following = tally.page(page).map_err(|failure| failure.during(DOING))?;
            for node in entries(page) {
                let Some(IndexNode { database_id: id, id: node_id, name, is_archived, visibility }) =
                    shape(node)
                else {
                    let text = format!("{DOING}: an entry of the list has no identity");
                    return Err(Failure::new(Class::Retry, text));
                };
                if !ids.insert(id) {
                    let text = format!("{DOING}: the list shows repository {id} twice");
                    return Err(Failure::new(Class::Retry, text));
                }
                rows.push(IndexRow {
                    id,
                    node_id,
                    name: name.unwrap_or_default(),
                    archived: is_archived.unwrap_or(false),
                    visibility: visibility.and_then(|visibility| visibility.parse().ok()),
                });
            }
            if let Some(cursor) = following {
                after = cursor;
            } else {
                tally.complete(DOING)?;
                return Ok(rows);
            }
        }
    }

    /// Returns whether an earlier query showed that this server does not know a GraphQL field.
    pub fn lacks(&self, field: &str) -> bool {
        self.api.is_lacking(field)
    }

    /// Returns whether a repository has a branch.
    pub async fn branch_exists(&self, node_id: &str, branch: &str) -> Result<bool, Failure> {
        const DOING: &str = "looking for a branch";
        let variables = json!({ "id": node_id, "name": format!("refs/heads/{branch}") });
        let data = run(&self.api, DOING, documents::BRANCH, variables, false).await?.whole(DOING)?;
        Ok(data.pointer("/node/ref").is_some_and(Value::is_object))
    }

    /// Returns whether somebody changed a ruleset after Beadle first saw it, or after Beadle last
    /// found it in the wanted state. GraphQL does not show a whole ruleset. So Beadle reads a
    /// changed ruleset by REST until REST shows the wanted state.
    pub fn has_changed(&self, ruleset: &Ruleset) -> bool {
        let mut seen = self.rulesets.lock();
        *seen.entry(ruleset.id).or_insert_with(|| ruleset.updated_at.clone()) != ruleset.updated_at
    }

    /// Remembers that REST showed the ruleset in the `wanted` state.
    pub fn settle(&self, ruleset: &Ruleset, wanted: &Value) {
        let mut seen = self.rulesets.lock();
        seen.insert(ruleset.id, ruleset.updated_at.clone());
        let mut settled = self.settled.lock();
        settled.insert(ruleset.id, (ruleset.updated_at.clone(), digest(wanted)));
    }

    /// Returns whether REST has shown the ruleset in the `wanted` state after the ruleset's last
    /// change. If the result is true, Beadle knows the parts that GraphQL does not show. If the
    /// policy now wants another state, Beadle must read the ruleset by REST again.
    pub fn is_settled(&self, ruleset: &Ruleset, wanted: &Value) -> bool {
        let settled = self.settled.lock();
        settled
            .get(&ruleset.id)
            .is_some_and(|(updated_at, was)| *updated_at == ruleset.updated_at && *was == digest(wanted))
    }
}

/// Returns the digest of a wanted state.
fn digest(wanted: &Value) -> Vec<u8> {
    Sha256::digest(wanted.to_string()).to_vec()
}

/// Looks up the id, the owner and the name of a repository. The writer needs these values before
/// its first write.
pub(crate) async fn name_of(api: &Api, node_id: &str) -> Result<Option<(u64, String, String)>, Failure> {
    const DOING: &str = "looking up the name of the repository";
    let answer = run(api, DOING, NAME, json!({ "id": node_id }), false).await?;
    let found = answer.data.get("node").and_then(shape);
    let Some(NamedRepository { database_id, name, owner }) = found else {
        return match answer.errors.first() {
            Some(error) if !error.is_not_found() => Err(error.failure(DOING)),
            _ => Ok(None),
        };
    };
    Ok(Some((database_id, owner.login, name)))
}

/// Reads the open invitations of a repository. Only REST shows invitations.
pub(crate) async fn invitations(api: &Api, owner: &str, name: &str) -> Result<Vec<Invitation>, Failure> {
    let path = Path::at("repos").value(owner).value(name).then("invitations?per_page=100");
    let rows: Vec<InvitationRow> = api.list(&path).await?;
    let invitation = |row: InvitationRow| Invitation {
        id: row.id,
        account: row.invitee.as_ref().map(|invitee| invitee.id),
        login: row.invitee.map(|invitee| invitee.login),
        permission: row.permissions.into(),
        expired: row.expired,
    };
    Ok(rows.into_iter().map(invitation).collect())
}

/// Reads those settings of a repository that only REST shows.
pub(crate) async fn rest_settings(api: &Api, owner: &str, name: &str) -> Result<Map<String, Value>, Failure> {
    let answer = api.read(&Path::at("repos").value(owner).value(name)).await?;
    answer.json().map_err(Failure::from)
}
