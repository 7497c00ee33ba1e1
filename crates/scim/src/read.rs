//! Contains all requests that only read.

use beadle_engine::{Class, Clock, Failure, Lane};
use beadle_transport::{Answer, Path, TransportError};
use serde_json::Value;

use crate::api::Api;
use crate::dialect::{Dialect, Members};
use crate::filter::Filter;
use crate::list::Listed;
use crate::model::{Group, Record, User};

/// A value that no record has. If the server respects filters, a filter with this value finds
/// nothing.
pub(crate) const IMPOSSIBLE: &str = "beadle-impossible-a86e2b1f";

/// Reads groups and users from a server.
#[derive(Clone)]
pub struct Reader {
    pub(crate) api: Api,
}

/// The server's answer to a search for a value that at most one record can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered<T> {
    /// The server has this record.
    One(T),
    /// The server has no record with this value.
    None,
    /// The server refused the request, or its empty answer is not reliable.
    Unreliable,
}

impl<T> Answered<T> {
    /// Returns the record, if the answer has one.
    pub fn one(self) -> Option<T> {
        match self {
            Self::One(one) => Some(one),
            Self::None | Self::Unreliable => None,
        }
    }
}

impl Reader {
    /// Creates a reader for this server.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Returns the same reader, but its reads use this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { api: self.api.in_lane(lane) }
    }

    /// Returns the lane that the reads use.
    pub fn lane(&self) -> Lane {
        self.api.lane()
    }

    /// Returns the dialect of the server.
    pub fn dialect(&self) -> Dialect {
        self.api.dialect()
    }

    /// Returns the clock of the reader.
    pub fn clock(&self) -> &Clock {
        self.api.clock()
    }

    /// Returns all groups without their members.
    pub async fn groups(&self) -> Result<Listed<Group>, Failure> {
        Ok(self.api.listed("Groups", None, Some("members")).await?)
    }

    /// Returns one group, or `None` if the group does not exist.
    pub async fn group(&self, id: &str) -> Result<Option<Group>, Failure> {
        let group: Option<Group> = one(self.api.get(&Path::at("Groups").value(id)).await)?;
        self.api.is_version(id, group.as_ref().and_then(|group| group.version.clone()));
        Ok(group)
    }

    /// Returns the group with this name. Names of groups are unique, and their case does not
    /// matter.
    pub async fn group_named(&self, name: &str) -> Result<Answered<Group>, Failure> {
        self.ask("Groups", "displayName", name, |group: &Group, name| group.name.eq_ignore_ascii_case(name))
            .await
    }

    /// Returns the group with this `externalId`. The creator of the group gave this id to the
    /// group.
    pub async fn group_with_external_id(&self, id: &str) -> Result<Answered<Group>, Failure> {
        self.ask("Groups", "externalId", id, |group: &Group, id| group.external_id.as_deref() == Some(id))
            .await
    }

    /// Returns all users that the server lists.
    pub async fn users(&self) -> Result<Listed<User>, Failure> {
        Ok(self.api.listed("Users", None, None).await?)
    }

    /// Returns one user, or `None` if the user does not exist.
    pub async fn user(&self, id: &str) -> Result<Option<User>, Failure> {
        one(self.api.get(&Path::at("Users").value(id)).await)
    }

    /// Returns the user with this `externalId`. The creator of the user gave this id to the user.
    pub async fn user_with_external_id(&self, id: &str) -> Result<Answered<User>, Failure> {
        self.ask("Users", "externalId", id, |user: &User, id| user.external_id.as_deref() == Some(id)).await
    }

    /// Returns the user with this name. Names of users are unique, and their case does not matter.
    pub async fn user_named(&self, name: &str) -> Result<Answered<User>, Failure> {
        self.ask("Users", "userName", name, |user: &User, name| user.user_name.eq_ignore_ascii_case(name))
            .await
    }

    /// Searches for the only record with a value. Some servers ignore filters or treat the value as
    /// a pattern, so Beadle itself compares the value of each returned record with the wanted
    /// value.
    async fn ask<T: Record>(
        &self,
        resource: &'static str,
        attribute: &'static str,
        value: &str,
        is_it: fn(&T, &str) -> bool,
    ) -> Result<Answered<T>, Failure> {
        let without = (resource == "Groups").then_some("members");
        // A filter cannot express this value, but a record with the value might exist.
        let Ok(filter) = Filter::eq(attribute, value) else { return Ok(Answered::Unreliable) };
        let listed: Listed<T> = match self.api.listed(resource, Some(&filter), without).await {
            Ok(listed) => listed,
            Err(error) if is_no_filter(&error) => return Ok(Answered::Unreliable),
            Err(error) => return Err(error.into()),
        };
        let all = listed.rows.len();
        let mut found: Vec<T> = listed.rows.into_iter().filter(|row| is_it(row, value)).collect();
        if found.len() == all && all > 0 {
            self.api.filters_by(resource, attribute);
        }
        if found.len() > 1 {
            let what = resource.trim_end_matches('s').to_lowercase();
            let text = format!("the target has more than one {what} `{value}`; rename or delete the others");
            return Err(Failure::new(Class::Rejected, text));
        }
        if let Some(one) = found.pop() {
            return Ok(Answered::One(one));
        }
        let is_reliable = self.dialect().trusted || self.api.has_filtered_by(resource, attribute);
        Ok(if is_reliable && all == 0 && listed.odd.is_empty() && listed.short.is_none() {
            Answered::None
        } else {
            Answered::Unreliable
        })
    }

    /// Returns the members of a group. If the dialect reads members in the list of users, the
    /// result contains users. Otherwise, the result contains only ids. Returns `None` if the server
    /// reports that the group does not exist. AWS does not report a missing group, and returns an
    /// empty list.
    pub async fn members(&self, group: &str) -> Result<Option<Vec<Member>>, Failure> {
        match self.api.dialect().members {
            Members::Users => {
                if !self.dialect().trusted {
                    self.filters_members().await?;
                }
                let filter = Filter::eq("groups.value", group)?;
                let listed: Listed<User> = match self.api.listed("Users", Some(&filter), None).await {
                    Ok(listed) => listed,
                    // If the group does not exist, the answer must not look like an empty group.
                    Err(error) if error.status() == Some(404) => {
                        return if self.group(group).await?.is_none() { Ok(None) } else { Err(error.into()) };
                    }
                    Err(error) => return Err(error.into()),
                };
                if let Some(why) = listed.short {
                    let text = format!("GET /Users: invalid response: {why}");
                    return Err(Failure::new(Class::Retry, text));
                }
                let odd = listed.odd.into_iter().map(|odd| Member { id: odd.id, user: None });
                let users =
                    listed.rows.into_iter().map(|user| Member { id: user.id.clone(), user: Some(user) });
                Ok(Some(users.chain(odd).collect()))
            }
            Members::Group => {
                let Some(found) = self.group(group).await? else { return Ok(None) };
                if let Some(why) = found.odd {
                    return Err(Failure::new(Class::Rejected, why));
                }
                Ok(Some(found.members.into_iter().map(|id| Member { id, user: None }).collect()))
            }
        }
    }

    /// Checks the filter `groups.value` with a group that cannot exist. If a server ignored this
    /// filter, it would show all users as members of every group.
    pub(crate) async fn filters_members(&self) -> Result<(), Failure> {
        if self.api.has_filtered_by("Users", "groups.value") {
            return Ok(());
        }
        let filter = Filter::eq("groups.value", IMPOSSIBLE)?;
        let found: Listed<User> = match self.api.listed("Users", Some(&filter), None).await {
            Ok(listed) => listed,
            Err(error) if error.status() == Some(404) => {
                self.api.filters_by("Users", "groups.value");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if !found.rows.is_empty() || !found.odd.is_empty() {
            let text = "the server ignores the filter `groups.value`: it finds users in a group that does not exist; \
                        set members = \"group\"";
            return Err(Failure::new(Class::Rejected, text));
        }
        self.api.filters_by("Users", "groups.value");
        Ok(())
    }

    /// Returns the groups that contain a user.
    pub async fn groups_of(&self, user: &str) -> Result<Vec<Group>, Failure> {
        let filter = Filter::eq("members.value", user)?;
        match self.api.list("Groups", Some(&filter), Some("members")).await {
            Ok(groups) => Ok(groups),
            // The user does not exist any more.
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether one account is a member of a group. This method does not use the list of all
    /// members, so its result can confirm the list.
    pub async fn is_member(&self, group: &str, user: &str) -> Result<bool, Failure> {
        match self.dialect().members {
            Members::Users if self.dialect().trusted => {
                Ok(self.groups_of(user).await?.iter().any(|found| found.id == group))
            }
            _ => {
                let members = self.members(group).await?.unwrap_or_default();
                Ok(members.iter().any(|member| member.id == user))
            }
        }
    }
}

/// A member of a group, as the server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of the user.
    pub id: String,
    /// The user, if the server shows the user in the list of members.
    pub user: Option<User>,
}

/// Returns whether the error means that the server does not accept the filter.
fn is_no_filter(error: &TransportError) -> bool {
    matches!(error.status(), Some(400 | 404 | 422 | 501))
}

/// Parses an answer that has one record.
pub(crate) fn record<T: Record>(answer: &Answer) -> Result<T, TransportError> {
    let shown: Value = answer.json()?;
    T::read(&shown).map_err(|why| TransportError::InvalidResponse { request: answer.request.clone(), why })
}

/// Converts the answer for one record. Returns `None` if the record does not exist.
fn one<T: Record>(answer: Result<Answer, TransportError>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(record(&answer)?)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
