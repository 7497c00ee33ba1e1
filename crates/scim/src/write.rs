//! Everything that changes something. Doing it twice does no harm.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use beadle_engine::{Class, Failure};
use beadle_transport::{Answer, Method, Path, TransportError};
use serde_json::{Value, json};

use crate::api::Api;
use crate::dialect::{Members, Removal};
use crate::filter::{Filter, Inexpressible};
use crate::model::{Group, NewUser, Record as _, User};
use crate::read::record;

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// A group that was just made may not be found for a moment.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2700),
];

/// Writes to a server.
#[derive(Clone)]
pub struct Writer {
    api: Api,
    /// Groups that were made here: the server may not find them for a moment.
    fresh: Arc<Mutex<HashSet<String>>>,
}

/// A member that the server does not take, alone, with what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The user's id.
    pub member: String,
    /// What the server said.
    pub why: String,
}

/// The result of a write of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Members that the server did not take.
    pub refused: Vec<Refused>,
    /// The members after the write, if the server's answer shows them.
    pub shown: Option<Vec<String>>,
}

/// Makes the operations of a PATCH for some members.
type Operations<'a> = dyn Fn(&[String]) -> Result<Vec<Value>, Inexpressible> + Send + Sync + 'a;

impl Writer {
    /// A writer to this server.
    pub fn new(api: Api) -> Self {
        Self { api, fresh: Arc::default() }
    }

    /// Makes a group. The server may say that there is one of this name or id: then `None`.
    pub async fn create_group(&self, name: &str, external_id: &str) -> Result<Option<Group>, Failure> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": name, "externalId": external_id, "members": [],
        });
        match self.api.send(Method::POST, &Path::at("Groups"), Some(&body)).await {
            Ok(answer) => {
                let group: Group = record(&answer)?;
                self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(group.id.clone());
                Ok(Some(group))
            }
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a group another name, in place. Returns false where the server says that the name is
    /// taken.
    pub async fn rename_group(&self, group: &str, name: &str) -> Result<bool, Failure> {
        let operations = [json!({ "op": "replace", "path": "displayName", "value": name })];
        match self.patch(&Path::at("Groups").value(group), group, &operations).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(409) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a group; one that is gone is no failure.
    pub async fn delete_group(&self, group: &str) -> Result<(), Failure> {
        let path = Path::at("Groups").value(group);
        gone(self.api.send_if(Method::DELETE, &path, None, self.api.as_read(group)).await)
    }

    /// Adds members: at most as many as one request may change. Whom the server does not take is told apart from the
    /// others, who are added.
    pub async fn add_members(&self, group: &str, members: &[String]) -> Result<Changed, Failure> {
        let operations = |members: &[String]| -> Result<Vec<Value>, Inexpressible> {
            let values: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
            Ok(vec![json!({ "op": "add", "path": "members", "value": values })])
        };
        self.change_members(group, members, &operations).await
    }

    /// Takes members out: at most as many as one request may change.
    pub async fn remove_members(&self, group: &str, members: &[String]) -> Result<Changed, Failure> {
        let removal = self.api.dialect().removal;
        let one = |id: &String| -> Result<Value, Inexpressible> {
            let path = format!("members[{}]", Filter::eq("value", id)?);
            Ok(json!({ "op": "remove", "path": path }))
        };
        let operations = |members: &[String]| -> Result<Vec<Value>, Inexpressible> {
            match removal {
                Removal::Array => {
                    let values: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
                    Ok(vec![json!({ "op": "remove", "path": "members", "value": values })])
                }
                Removal::Path => members.iter().map(one).collect(),
            }
        };
        self.change_members(group, members, &operations).await
    }

    /// One request, and where the server refuses it, its halves, until it is known who is refused. A
    /// failure says whether one of the halves was written before.
    async fn change_members(
        &self,
        group: &str,
        members: &[String],
        operations: &Operations<'_>,
    ) -> Result<Changed, Failure> {
        let path = Path::at("Groups").value(group);
        let mut changed = Changed::default();
        let mut waiting = vec![members];
        let mut is_there = false;
        let mut is_begun = false;
        let failed = |failure: Failure, begun: bool| if begun { failure.after_a_part() } else { failure };
        while let Some(part) = waiting.pop() {
            if part.is_empty() {
                continue;
            }
            let body = operations(part).map_err(|error| failed(error.into(), is_begun))?;
            let error = match self.patch(&path, group, &body).await {
                Ok(answer) => {
                    changed.shown = self.shown(&answer);
                    is_begun = true;
                    continue;
                }
                Err(error) => error,
            };
            if !is_about_its_content(&error) {
                return Err(failed(error.into(), is_begun));
            }
            // A server answers the same for a missing group as for a missing member.
            if error.status() == Some(404) && !is_there {
                let is_gone = self.is_gone(group).await.map_err(|failure| failed(failure, is_begun))?;
                if is_gone {
                    let text = format!("the target has no group {group} any more; Beadle reads it again");
                    return Err(failed(Failure::new(Class::Conflict, text), is_begun));
                }
                is_there = true;
            }
            if part.len() == 1 {
                changed.refused.push(Refused { member: part[0].clone(), why: error.to_string() });
            } else {
                let (left, right) = part.split_at(part.len() / 2);
                waiting.extend([right, left]);
            }
        }
        Ok(changed)
    }

    async fn is_gone(&self, group: &str) -> Result<bool, Failure> {
        match self.api.get(&Path::at("Groups").value(group)).await {
            Ok(_) => Ok(false),
            Err(error) if error.status() == Some(404) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The members of a group, if an answer to a write shows them. An empty list may be a list that
    /// the server never fills.
    fn shown(&self, answer: &Answer) -> Option<Vec<String>> {
        if self.api.dialect().members != Members::Group {
            return None;
        }
        let group = Group::read(&answer.json().ok()?).ok()?;
        (group.odd.is_none() && !group.members.is_empty()).then_some(group.members)
    }

    /// Makes a user. The server may say that there is one of this name or id: then `None`.
    pub async fn create_user(&self, user: &NewUser) -> Result<Option<User>, Failure> {
        match self.api.send(Method::POST, &Path::at("Users"), Some(&user.body())).await {
            Ok(answer) => Ok(Some(record(&answer)?)),
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a user these values; what else the user has stays.
    pub async fn update_user(&self, id: &str, values: &[(&str, Value)]) -> Result<(), Failure> {
        let operation = |(path, value): &(&str, Value)| {
            let value = match *path {
                "emails" => json!([{ "value": value, "type": "work", "primary": true }]),
                _ => value.clone(),
            };
            json!({ "op": "replace", "path": path, "value": value })
        };
        let operations: Vec<Value> = values.iter().map(operation).collect();
        self.patch(&Path::at("Users").value(id), id, &operations).await?;
        Ok(())
    }

    async fn patch(&self, path: &Path, id: &str, operations: &[Value]) -> Result<Answer, TransportError> {
        let body = json!({ "schemas": [PATCH_OP], "Operations": operations });
        let is_fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        let mut waits = if is_fresh { PATIENCE.iter() } else { [].iter() };
        loop {
            match self.api.send_if(Method::PATCH, path, Some(&body), self.api.as_read(id)).await {
                Err(error) if error.status() == Some(404) => match waits.next() {
                    Some(wait) => self.api.clock().sleep(*wait).await,
                    None => return Err(error),
                },
                // 200 with the resource, or 204; with its version after this, or without.
                Ok(answer) => {
                    let version = answer.headers.get("etag").and_then(|tag| tag.to_str().ok());
                    self.api.is_version(id, version.map(str::to_owned));
                    return Ok(answer);
                }
                Err(error) => {
                    if error.status() == Some(412) {
                        self.api.is_version(id, None);
                    }
                    return Err(error);
                }
            }
        }
    }
}

/// Whether another content may be taken: it is not about who asks, how often, or what for.
fn is_about_its_content(error: &TransportError) -> bool {
    matches!(error.status(), Some(400 | 404 | 409 | 422))
}

fn gone(answer: Result<beadle_transport::Answer, TransportError>) -> Result<(), Failure> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.status() == Some(404) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
