//! Everything that changes something. Nothing here can be reached from a plan.

use std::sync::{Mutex, PoisonError};

use beadle_engine::{Class, Failure};
use beadle_transport::Method;
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::documents;
use crate::graphql::run;
use crate::read::name_of;
use crate::repository::Permission;

/// Writes.
#[derive(Clone)]
pub struct Writer {
    api: Api,
}

/// The writes to one repository, by the name that it had when this was made.
pub struct Named {
    api: Api,
    owner: String,
    /// A rename by ourselves changes it.
    name: Mutex<String>,
}

impl Writer {
    /// A writer.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Looks up what the repository is called now. It must be the one that was planned for: same id, same owner.
    pub async fn named(&self, id: u64, node_id: &str) -> Result<Named, Failure> {
        let conflict = |text: String| Err(Failure::new(Class::Conflict, text));
        match name_of(&self.api, node_id).await? {
            None => conflict(format!("repository {id} is gone since it was read; nothing was written")),
            Some((found, ..)) if found != id => conflict(format!(
                "the node of repository {id} is repository {found} now; nothing was written"
            )),
            Some((_, owner, name)) if !owner.eq_ignore_ascii_case(self.api.organisation()) => {
                conflict(format!(
                    "repository {id} was transferred to {owner}/{name} since it was read; nothing was written"
                ))
            }
            Some((_, owner, name)) => Ok(Named { api: self.api.clone(), owner, name: Mutex::new(name) }),
        }
    }

    /// Makes a branch protection rule.
    pub async fn create_rule(&self, input: Value) -> Result<(), Failure> {
        self.mutate("creating a branch protection rule", documents::CREATE_RULE, input).await
    }

    /// Changes a branch protection rule in place.
    pub async fn update_rule(&self, input: Value) -> Result<(), Failure> {
        self.mutate("changing a branch protection rule", documents::UPDATE_RULE, input).await
    }

    /// Takes a branch protection rule away.
    pub async fn delete_rule(&self, id: &str) -> Result<(), Failure> {
        let input = json!({ "branchProtectionRuleId": id });
        self.mutate("deleting a branch protection rule", documents::DELETE_RULE, input).await
    }

    /// Has GitHub send a webhook delivery again.
    pub async fn redeliver(&self, id: u64) -> Result<(), Failure> {
        let path = format!("app/hook/deliveries/{id}/attempts");
        self.api.post_as_app(&path).await.map(drop).map_err(Failure::from)
    }

    /// Dispatches a workflow. Gives the run's id, where GitHub says it.
    pub async fn dispatch(
        &self,
        repository: &str,
        workflow: &str,
        reference: &str,
        inputs: &Value,
    ) -> Result<Option<u64>, Failure> {
        let path = format!(
            "repos/{}/{}/actions/workflows/{}/dispatches",
            segment(self.api.organisation()),
            segment(repository),
            segment(workflow)
        );
        let body = json!({ "ref": reference, "inputs": inputs, "return_run_details": true });
        let answer = self.api.write(Method::POST, &path, Some(body)).await?;
        // An older GitHub answers with nothing.
        Ok(answer.json::<Value>().ok().and_then(|run| run["workflow_run_id"].as_u64()))
    }

    /// Writes at `path` below the organisation.
    pub async fn to_organisation(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(), Failure> {
        let path = format!("orgs/{}/{path}", segment(self.api.organisation()));
        self.api.write(method, &path, body).await.map(drop).map_err(Failure::from)
    }

    async fn mutate(&self, doing: &str, document: &str, input: Value) -> Result<(), Failure> {
        run(&self.api, doing, document, json!({ "input": input }), true).await?.whole(doing).map(drop)
    }
}

impl Named {
    fn path(&self) -> String {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{}/{}", segment(&self.owner), segment(&name))
    }

    async fn write(&self, method: Method, path: &str, body: Option<Value>) -> Result<(), Failure> {
        self.api.write(method, path, body).await.map(drop).map_err(Failure::from)
    }

    /// Writes at `path` below the repository.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<(), Failure> {
        self.write(method, &format!("repos/{}/{path}", self.path()), body).await
    }

    /// `PATCH /repos/{owner}/{repo}`.
    pub async fn update(&self, body: Value) -> Result<(), Failure> {
        let renamed = body["name"].as_str().map(str::to_owned);
        self.write(Method::PATCH, &format!("repos/{}", self.path()), Some(body)).await?;
        if let Some(renamed) = renamed {
            *self.name.lock().unwrap_or_else(PoisonError::into_inner) = renamed;
        }
        Ok(())
    }

    /// The same for a body without a new name. A text in `Ok` says that GitHub refuses what the body holds (422); it
    /// may take a part of it.
    pub async fn try_update(&self, body: Value) -> Result<Option<String>, Failure> {
        match self.api.write(Method::PATCH, &format!("repos/{}", self.path()), Some(body)).await {
            Ok(_) => Ok(None),
            Err(error) if error.status() == Some(422) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// `PUT /repos/{owner}/{repo}/topics`.
    pub async fn replace_topics(&self, topics: &[String]) -> Result<(), Failure> {
        self.write(Method::PUT, &format!("repos/{}/topics", self.path()), Some(json!({ "names": topics })))
            .await
    }

    /// `PUT /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}`.
    pub async fn put_team(&self, slug: &str, permission: &Permission) -> Result<(), Failure> {
        let body = json!({ "permission": permission.as_str() });
        self.write(Method::PUT, &self.team(slug), Some(body)).await
    }

    /// `DELETE /orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}`.
    pub async fn remove_team(&self, slug: &str) -> Result<(), Failure> {
        self.write(Method::DELETE, &self.team(slug), None).await
    }

    fn team(&self, slug: &str) -> String {
        format!("orgs/{}/teams/{}/repos/{}", segment(&self.owner), segment(slug), self.path())
    }

    /// `PUT /repos/{owner}/{repo}/collaborators/{username}`: invites, or changes the permission.
    pub async fn put_collaborator(&self, login: &str, permission: &Permission) -> Result<(), Failure> {
        let path = format!("repos/{}/collaborators/{}", self.path(), segment(login));
        self.write(Method::PUT, &path, Some(json!({ "permission": permission.as_str() }))).await
    }

    /// `DELETE /repos/{owner}/{repo}/collaborators/{username}`.
    pub async fn remove_collaborator(&self, login: &str) -> Result<(), Failure> {
        let path = format!("repos/{}/collaborators/{}", self.path(), segment(login));
        self.write(Method::DELETE, &path, None).await
    }

    /// `PATCH /repos/{owner}/{repo}/invitations/{invitation_id}`.
    pub async fn change_invitation(&self, id: u64, permission: &Permission) -> Result<(), Failure> {
        let path = format!("repos/{}/invitations/{id}", self.path());
        self.write(Method::PATCH, &path, Some(json!({ "permissions": permission.as_invitation() }))).await
    }

    /// `DELETE /repos/{owner}/{repo}/invitations/{invitation_id}`.
    pub async fn withdraw_invitation(&self, id: u64) -> Result<(), Failure> {
        self.write(Method::DELETE, &format!("repos/{}/invitations/{id}", self.path()), None).await
    }
}
