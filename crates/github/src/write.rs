//! Contains all methods that write to GitHub. The code that creates plans cannot call them.

use beadle_engine::{Class, Failure, Lane, Time};
use beadle_transport::{Answer, Method, Path, TransportError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::below::Below;
use crate::documents::protection;
use crate::fresh::{FRESH, TRIES, is_fresh};
use crate::grantee::{Confirmed, Grantee, Purpose};
use crate::graphql::run;
use crate::read::name_of;
use crate::repository::Permission;
use crate::shape::shape;

/// Changes an organisation and its repositories.
#[derive(Clone)]
pub struct Writer {
    api: Api,
}

/// Changes one repository. The id identifies the repository. Beadle looks up its present name at
/// most five seconds before each write.
pub struct Named {
    api: Api,
    id: u64,
    node_id: String,
    known: tokio::sync::Mutex<RepositoryNow>,
}

/// The present name of the repository, and when Beadle asked for it.
#[derive(Clone)]
struct RepositoryNow {
    owner: String,
    name: String,
    asked: Time,
}

/// The workflow run that GitHub started for a dispatch.
#[derive(Deserialize)]
struct DispatchedRun {
    workflow_run_id: u64,
}

/// The repository in GitHub's answer to a write.
#[derive(Deserialize)]
struct Written {
    id: u64,
}

impl Writer {
    /// Creates a writer that uses this connection.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Returns a copy of the writer that sends its calls in this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { api: self.api.in_lane(lane) }
    }

    /// Returns a copy of the writer for one plan. The plan's writes are valid until the time
    /// `valid_until`. After this time, Beadle does not send a write, because the write could
    /// overwrite newer changes of other people.
    #[must_use]
    pub fn until(&self, valid_until: Time) -> Self {
        Self { api: self.api.until(valid_until) }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Looks up the present name of a repository. Returns an error if the repository no longer has
    /// the planned id and owner.
    pub async fn named(&self, id: u64, node_id: &str) -> Result<Named, Failure> {
        let known = look_up(&self.api, id, node_id).await?;
        let known = tokio::sync::Mutex::new(known);
        Ok(Named { api: self.api.clone(), id, node_id: node_id.to_owned(), known })
    }

    /// Creates a branch protection rule.
    pub async fn create_rule(&self, input: Value) -> Result<(), Failure> {
        self.mutate("creating a branch protection rule", protection::CREATE_RULE, input).await
    }

    /// Updates a branch protection rule.
    pub async fn update_rule(&self, input: Value) -> Result<(), Failure> {
        self.mutate("changing a branch protection rule", protection::UPDATE_RULE, input).await
    }

    /// Deletes a branch protection rule.
    pub async fn delete_rule(&self, id: &str) -> Result<(), Failure> {
        let input = json!({ "branchProtectionRuleId": id });
        self.mutate("deleting a branch protection rule", protection::DELETE_RULE, input).await
    }

    /// Asks GitHub to send a webhook delivery again.
    pub async fn redeliver(&self, id: u64) -> Result<(), Failure> {
        let path = Path::at("app/hook/deliveries").id(id).then("attempts");
        self.api.post_as_app(path).await.map(drop).map_err(Failure::from)
    }

    /// Dispatches a workflow. Returns the id of the workflow run if GitHub's answer contains this
    /// id.
    pub async fn dispatch(
        &self,
        repository: &str,
        workflow: &str,
        reference: &str,
        inputs: &Value,
    ) -> Result<Option<u64>, Failure> {
        let path = Path::at("repos").value(self.api.organisation()).value(repository);
        let path = path.then("actions/workflows").value(workflow).then("dispatches");
        let body = json!({ "ref": reference, "inputs": inputs, "return_run_details": true });
        let answer = self.api.write(Method::POST, &path, Some(body)).await?;
        // An older GitHub server sends an empty answer.
        let run = answer.json::<Value>().ok().and_then(|run| shape(&run));
        Ok(run.map(|DispatchedRun { workflow_run_id }| workflow_run_id))
    }

    /// Sends a write to `path` below the organisation.
    pub async fn to_organisation(
        &self,
        method: Method,
        path: impl Into<Below>,
        body: Option<Value>,
    ) -> Result<(), Failure> {
        let path = Path::at("orgs").value(self.api.organisation()).then(path.into().into_path());
        self.api.write(method, &path, body).await.map(drop).map_err(Failure::from)
    }

    /// `POST /repos/{template_owner}/{template_repo}/generate`: creates a repository from a
    /// template.
    pub async fn generate(&self, (owner, name): (&str, &str), body: Value) -> Result<(), Failure> {
        let path = Path::at("repos").value(owner).value(name).then("generate");
        self.api.write(Method::POST, &path, Some(body)).await.map(drop).map_err(Failure::from)
    }

    /// `POST /repos/{owner}/{repo}/forks`: creates a fork of a repository.
    pub async fn fork(&self, (owner, name): (&str, &str), body: Value) -> Result<(), Failure> {
        let path = Path::at("repos").value(owner).value(name).then("forks");
        self.api.write(Method::POST, &path, Some(body)).await.map(drop).map_err(Failure::from)
    }

    pub(crate) async fn mutate(&self, doing: &str, document: &str, input: Value) -> Result<(), Failure> {
        run(&self.api, doing, document, json!({ "input": input }), true).await?.whole(doing).map(drop)
    }
}

/// Looks up the present name of a repository. Returns an error if the repository no longer has the
/// planned id and owner.
async fn look_up(api: &Api, id: u64, node_id: &str) -> Result<RepositoryNow, Failure> {
    let conflict = |text: String| Err(Failure::new(Class::Conflict, text));
    let asked = api.clock().now();
    match name_of(api, node_id).await? {
        None => conflict(format!("repository {id} no longer exists; nothing was written")),
        Some((found, ..)) if found != id => conflict(format!(
            "the node id of repository {id} belongs to repository {found} now; nothing was written"
        )),
        Some((_, owner, name)) if !owner.eq_ignore_ascii_case(api.organisation()) => conflict(format!(
            "repository {id} was transferred to {owner}/{name} since it was read; nothing was written"
        )),
        Some((_, owner, name)) => Ok(RepositoryNow { owner, name, asked }),
    }
}

impl RepositoryNow {
    /// Returns the path `{owner}/{repo}`.
    fn path(&self) -> Path {
        Path::at("").value(&self.owner).value(&self.name)
    }

    /// Returns the path `/repos/{owner}/{repo}`.
    fn repository(&self) -> Path {
        Path::at("repos").then(self.path())
    }

    /// Returns the path `/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}`.
    fn team(&self, team: &Confirmed) -> Path {
        Path::at("orgs").value(&self.owner).then("teams").value(team.name()).then("repos").then(self.path())
    }

    /// Returns the path `/repos/{owner}/{repo}/collaborators/{username}`.
    fn collaborator(&self, account: &Confirmed) -> Path {
        self.repository().then("collaborators").value(account.name())
    }
}

impl Named {
    /// Returns the present name of the repository. Asks GitHub again if the last answer is too old.
    async fn known(&self) -> Result<RepositoryNow, Failure> {
        let mut known = self.known.lock().await;
        if !is_fresh(known.asked, self.api.clock().now()) {
            *known = look_up(&self.api, self.id, &self.node_id).await?;
        }
        Ok(known.clone())
    }

    /// Sends a write to a path. `path` builds the path from the repository's name. If the write has
    /// to wait, another repository can take the name in the meantime. Beadle then looks up the name
    /// again.
    async fn attempt(
        &self,
        method: Method,
        path: impl Fn(&RepositoryNow) -> Path + Send,
        body: Option<Value>,
    ) -> Result<Result<Answer, TransportError>, Failure> {
        let mut tries = 0;
        loop {
            let known = self.known().await?;
            let (path, by) = (path(&known), known.asked + FRESH);
            match self.api.write_by(method.clone(), &path, body.clone(), by).await {
                Err(error) if error.is_late() && tries < TRIES => tries += 1,
                written => return Ok(written),
            }
        }
    }

    async fn write(
        &self,
        method: Method,
        path: impl Fn(&RepositoryNow) -> Path + Send,
        body: Option<Value>,
    ) -> Result<Answer, Failure> {
        self.attempt(method, path, body).await?.map_err(Failure::from)
    }

    /// Sends a write to `path` below the repository.
    pub async fn send(
        &self,
        method: Method,
        path: impl Into<Below>,
        body: Option<Value>,
    ) -> Result<(), Failure> {
        let below = path.into().into_path();
        let path = |known: &RepositoryNow| known.repository().then(below.clone());
        self.write(method, path, body).await.map(drop)
    }

    /// Reads `path` below the repository. For example, before Beadle writes a secret, it reads the
    /// key that encrypts the secret.
    pub async fn read(&self, path: impl Into<Below>) -> Result<Value, Failure> {
        let below = path.into().into_path();
        let known = self.known().await?;
        let answer = self.api.get(&known.repository().then(below)).await?;
        answer.json().map_err(Failure::from)
    }

    /// `PATCH /repos/{owner}/{repo}`: changes settings, and can rename the repository.
    pub async fn update(&self, body: Value) -> Result<(), Failure> {
        let renamed = body["name"].as_str().map(str::to_owned);
        let answer = self.write(Method::PATCH, RepositoryNow::repository, Some(body)).await?;
        if let Some(renamed) = renamed {
            self.known.lock().await.name = renamed;
        }
        self.is_answered_for(&answer).await
    }

    /// Checks that the answer to a write is about the planned repository.
    async fn is_answered_for(&self, answer: &Answer) -> Result<(), Failure> {
        let written = answer.json::<Value>().ok().and_then(|written| shape(&written));
        match written {
            Some(Written { id: other }) if other != self.id => {
                // With this time, the name counts as too old, so the next write looks up the name
                // again.
                self.known.lock().await.asked = Time(0);
                let text = format!(
                    "GitHub answered for repository {other} in place of repository {}, because another \
                     repository got its name in the same moment; check both repositories",
                    self.id
                );
                Err(Failure::new(Class::Conflict, text).after_a_part())
            }
            _ => Ok(()),
        }
    }

    /// `PATCH /repos/{owner}/{repo}` with a body that does not rename the repository. If GitHub
    /// refuses the body (422), the function returns `Ok` with GitHub's message. Even if GitHub
    /// refuses the body, it might have accepted a part of the body.
    pub async fn try_update(&self, body: Value) -> Result<Option<String>, Failure> {
        match self.attempt(Method::PATCH, RepositoryNow::repository, Some(body)).await? {
            Ok(answer) => self.is_answered_for(&answer).await.map(|()| None),
            Err(error) if error.status() == Some(422) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// `POST /repos/{owner}/{repo}/branches/{branch}/rename`: renames a branch. A branch protection
    /// rule for exactly this branch gets the new name. If the branch is the default branch, it
    /// stays the default branch.
    pub async fn rename_branch(&self, branch: &str, new: &str) -> Result<(), Failure> {
        let path = |known: &RepositoryNow| known.repository().then("branches").value(branch).then("rename");
        self.write(Method::POST, path, Some(json!({ "new_name": new }))).await.map(drop)
    }

    /// `POST /repos/{owner}/{repo}/git/refs`: creates a branch that begins at the head of the
    /// branch `from`.
    pub async fn create_branch(&self, branch: &str, from: &str) -> Result<(), Failure> {
        let path = self.known().await?.repository().then("branches").value(from);
        let found: Value = self.api.get(&path).await.map_err(Failure::from)?.json().map_err(Failure::from)?;
        let Some(head) = found["commit"]["sha"].as_str() else {
            let text = format!("GitHub does not show the head of the branch `{from}`");
            return Err(Failure::new(Class::Retry, text));
        };
        let body = json!({ "ref": format!("refs/heads/{branch}"), "sha": head });
        let path = |known: &RepositoryNow| known.repository().then("git/refs");
        self.write(Method::POST, path, Some(body)).await.map(drop)
    }

    /// `PUT /repos/{owner}/{repo}/topics`: replaces all topics.
    pub async fn replace_topics(&self, topics: &[String]) -> Result<(), Failure> {
        self.send(Method::PUT, "topics", Some(json!({ "names": topics }))).await
    }

    /// Sends a write to a path. `path` builds the path from two names: the repository's name and
    /// the name of the team or account. If the write has to wait, another repository, team or
    /// account can take one of the names in the meantime. Beadle then looks up both names again.
    async fn write_for(
        &self,
        method: Method,
        (whom, purpose): (&Grantee, Purpose),
        path: impl Fn(&RepositoryNow, &Confirmed) -> Path + Send,
        body: Option<Value>,
    ) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let confirmed = whom.confirm(&self.api, purpose).await?;
            let known = self.known().await?;
            let (path, by) = (path(&known, &confirmed), known.asked.min(confirmed.asked()) + FRESH);
            match self.api.write_by(method.clone(), &path, body.clone(), by).await {
                Err(error) if error.is_late() && tries < TRIES => tries += 1,
                written => return written.map(drop).map_err(Failure::from),
            }
        }
    }

    /// `PUT /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}`: gives a team a permission.
    pub async fn put_team(&self, team: &Grantee, permission: &Permission) -> Result<(), Failure> {
        let body = json!({ "permission": permission.as_str() });
        self.write_for(Method::PUT, (team, Purpose::Grant), RepositoryNow::team, Some(body)).await
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}`: removes a team's access.
    pub async fn remove_team(&self, team: &Grantee) -> Result<(), Failure> {
        self.write_for(Method::DELETE, (team, Purpose::Remove), RepositoryNow::team, None).await
    }

    /// `PUT /repos/{owner}/{repo}/collaborators/{username}`: invites an account, or changes its
    /// permission.
    pub async fn put_collaborator(&self, account: &Grantee, permission: &Permission) -> Result<(), Failure> {
        let body = json!({ "permission": permission.as_str() });
        self.write_for(Method::PUT, (account, Purpose::Grant), RepositoryNow::collaborator, Some(body)).await
    }

    /// `DELETE /repos/{owner}/{repo}/collaborators/{username}`: removes an account's access.
    pub async fn remove_collaborator(&self, account: &Grantee) -> Result<(), Failure> {
        self.write_for(Method::DELETE, (account, Purpose::Remove), RepositoryNow::collaborator, None).await
    }

    /// `PATCH /repos/{owner}/{repo}/invitations/{invitation_id}`: changes the permission in an
    /// invitation.
    pub async fn change_invitation(&self, id: u64, permission: &Permission) -> Result<(), Failure> {
        let path = Below::at("invitations").id(id);
        self.send(Method::PATCH, path, Some(json!({ "permissions": permission.as_invitation() }))).await
    }

    /// `DELETE /repos/{owner}/{repo}/invitations/{invitation_id}`: withdraws an invitation.
    pub async fn withdraw_invitation(&self, id: u64) -> Result<(), Failure> {
        self.send(Method::DELETE, Below::at("invitations").id(id), None).await
    }
}
