//! Contains all requests that write. Beadle can repeat each of these requests without harm.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Class, Failure, Lane};
use beadle_transport::{Answer, Method, Path, TransportError};
use serde_json::{Value, json};

use crate::api::Api;
use crate::attribute::{Attribute, operations};
use crate::dialect::{Members, Removal};
use crate::filter::{Filter, Inexpressible};
use crate::model::{Group, NewUser, Record as _, User};
use crate::read::record;

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The waiting times before the retries of a write, if the server does not find a new group yet.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_millis(2700),
];

/// Writes groups and users to a server.
#[derive(Clone)]
pub struct Writer {
    api: Api,
    /// The groups that this writer created. The server might not find these groups yet.
    fresh: Arc<Mutex<HashSet<String>>>,
}

/// A member that the server refused to add or to remove, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The id of the user.
    pub member: String,
    /// The reason that the server gave.
    pub why: String,
}

/// The result of writing members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The members that the server refused.
    pub refused: Vec<Refused>,
    /// The members of the group after the write, if the server's answer shows them.
    pub shown: Option<Vec<String>>,
}

/// A function that builds the operations of a PATCH request for these members.
type Operations<'a> = dyn Fn(&[String]) -> Result<Vec<Value>, Inexpressible> + Send + Sync + 'a;

impl Writer {
    /// Returns the same writer, but its requests use this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { api: self.api.in_lane(lane), fresh: self.fresh.clone() }
    }

    /// Creates a writer for this server.
    pub fn new(api: Api) -> Self {
        Self { api, fresh: Arc::default() }
    }

    /// Creates a group. Returns `None` if the server reports that another group has the name or the
    /// id.
    pub async fn create_group(&self, name: &str, external_id: &str) -> Result<Option<Group>, Failure> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": name, "externalId": external_id, "members": [],
        });
        match self.api.send(Method::POST, &Path::at("Groups"), Some(&body)).await {
            Ok(answer) => {
                let group: Group = record(&answer)?;
                self.fresh.lock().insert(group.id.clone());
                Ok(Some(group))
            }
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a group without creating a new one. Returns `false` if the server reports that
    /// another group has the name.
    pub async fn rename_group(&self, group: &str, name: &str) -> Result<bool, Failure> {
        let operations = [json!({ "op": "replace", "path": "displayName", "value": name })];
        match self.patch(&Path::at("Groups").value(group), group, &operations).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(409) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a group. A missing group is not an error.
    pub async fn delete_group(&self, group: &str) -> Result<(), Failure> {
        let path = Path::at("Groups").value(group);
        gone(self.api.send_if(Method::DELETE, &path, None, self.api.as_read(group)).await)
    }

    /// Adds members. The number of members must not exceed the maximum for one request. The result
    /// lists the members that the server refused. The server added all other members.
    pub async fn add_members(&self, group: &str, members: &[String]) -> Result<Changed, Failure> {
        let operations = |members: &[String]| -> Result<Vec<Value>, Inexpressible> {
            let values: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
            Ok(vec![json!({ "op": "add", "path": "members", "value": values })])
        };
        self.change_members(group, members, &operations).await
    }

    /// Removes members. The number of members must not exceed the maximum for one request.
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

    /// Sends one request for all members. If the server refuses the request, the function splits
    /// the list of members in half. The function repeats this step until it knows the refused
    /// members. An error states whether the server has already written one of the halves.
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
            // A server gives the same answer in two cases: the group does not exist, or a member
            // does not exist.
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

    /// Returns the members of a group from the answer to a write. Returns `None` if the list is
    /// missing or empty, because some servers always return an empty list.
    fn shown(&self, answer: &Answer) -> Option<Vec<String>> {
        if self.api.dialect().members != Members::Group {
            return None;
        }
        let group = Group::read(&answer.json().ok()?).ok()?;
        (group.odd.is_none() && !group.members.is_empty()).then_some(group.members)
    }

    /// Creates a user. Returns `None` if the server reports that another user has the name or the
    /// id.
    pub async fn create_user(&self, user: &NewUser) -> Result<Option<User>, Failure> {
        match self.api.send(Method::POST, &Path::at("Users"), Some(&user.body())).await {
            Ok(answer) => Ok(Some(record(&answer)?)),
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets these values of a user. All other values of the user do not change. If `emails` is a text,
    /// the user has only this address afterwards. To keep the other addresses, pass the complete list.
    pub async fn update_user(&self, id: &str, values: &[(&str, Value)]) -> Result<(), Failure> {
        let operation = |(path, value): &(&str, Value)| {
            let value = match *path {
                // A list is complete, see `User::emails_with`.
                "emails" if value.is_string() => json!([{ "value": value, "type": "work", "primary": true }]),
                _ => value.clone(),
            };
            json!({ "op": "replace", "path": path, "value": value })
        };
        let operations: Vec<Value> = values.iter().map(operation).collect();
        self.patch(&Path::at("Users").value(id), id, &operations).await?;
        Ok(())
    }

    /// Sets attributes of `user`, which Beadle has just read. Removes an attribute with the value
    /// null. All other values of the user do not change.
    pub async fn set_attributes(&self, user: &User, values: &[(Attribute, Value)]) -> Result<(), Failure> {
        let operations = operations(&user.other, values);
        self.patch(&Path::at("Users").value(&user.id), &user.id, &operations).await?;
        Ok(())
    }

    async fn patch(&self, path: &Path, id: &str, operations: &[Value]) -> Result<Answer, TransportError> {
        let body = json!({ "schemas": [PATCH_OP], "Operations": operations });
        let is_fresh = self.fresh.lock().contains(id);
        let mut waits = if is_fresh { PATIENCE.iter() } else { [].iter() };
        loop {
            match self.api.send_if(Method::PATCH, path, Some(&body), self.api.as_read(id)).await {
                Err(error) if error.status() == Some(404) => match waits.next() {
                    Some(wait) => self.api.clock().sleep(*wait).await,
                    None => return Err(error),
                },
                // The answer is 200 with the resource, or 204 without it. Both kinds of answer can
                // contain the new version of the resource.
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

/// Returns whether the server might accept the same request with a different body. A different body
/// does not help if the cause of the refusal is the credential, the rate limit or the address.
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
