//! The probe compares a server with its configuration in Beadle. The probe uses the server's
//! description of itself, the server's present behaviour, and the behaviour at earlier probes.

mod write;

use std::collections::BTreeMap;
use std::fmt;

use beadle_engine::Failure;
use beadle_transport::{Path, TransportError};
use futures::future;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::Api;
use crate::dialect::{Members, Paging};
use crate::filter::Filter;
use crate::list::Listed;
use crate::model::{Group, User};
use crate::read::{IMPOSSIBLE, Reader};

pub use write::probe_writes;

/// One result of a probe, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The server matches the configuration.
    Fine(String),
    /// The probe could not answer a question. The text is the reason.
    Unknown(String),
    /// The server contradicts the configuration.
    Contradiction(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Fine(text) | Self::Unknown(text) | Self::Contradiction(text)) = self;
        f.write_str(text)
    }
}

/// The behaviour of a server, as the server's answer to each question of the probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence(pub BTreeMap<String, String>);

impl Evidence {
    fn saw(&mut self, question: &str, answer: impl Into<String>) {
        self.0.insert(question.to_owned(), answer.into());
    }

    /// Stores how the server answered a question. If the request failed, the function stores
    /// nothing, because the next probe can succeed.
    fn does(&mut self, question: &str, answer: &'static str) {
        if answer != FAILS {
            self.saw(question, answer);
        }
    }

    /// Returns the differences between the server's behaviour and the earlier behaviour `before`.
    /// The comparison covers only the questions that the server answered both times.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let differs = |(question, now): (&String, &String)| {
            let was = before.0.get(question).filter(|was| *was != now)?;
            Some(format!("{question}: the server did `{was}` before and does `{now}` now"))
        };
        self.0.iter().filter_map(differs).collect()
    }

    /// Adds the earlier answer to each question that has no new answer.
    #[must_use]
    pub fn with(mut self, before: Self) -> Self {
        for (question, answer) in before.0 {
            self.0.entry(question).or_insert(answer);
        }
        self
    }
}

/// The results of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The behaviour of the server.
    pub evidence: Evidence,
}

impl Probed {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds the results of the probe `further`. If both probes have an answer to a question, the
    /// result keeps the answer of `further`.
    pub fn take(&mut self, further: Self) {
        self.findings.extend(further.findings);
        self.evidence = further.evidence.with(std::mem::take(&mut self.evidence));
    }

    /// Returns whether this probe wrote members to a test group, and the server added and removed
    /// exactly these members.
    pub fn writes_as_asked(&self) -> bool {
        let saw = |(question, answer): (&str, &str)| {
            self.evidence.0.get(question).is_some_and(|seen| seen.as_str() == answer)
        };
        saw(write::ADDS) && saw(write::REMOVES)
    }

    /// Returns whether the server contradicts the configuration.
    pub fn contradicts(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding, Finding::Contradiction(_)))
    }
}

impl Reader {
    /// Compares the dialect with the server's statements (`ServiceProviderConfig`) and with the
    /// server's behaviour: filters, lists, and the members of a group. Writes nothing.
    pub async fn probe(&self) -> Result<Probed, Failure> {
        let mut probed = Probed::default();
        let dialect = self.dialect();
        // The probe sends independent requests at the same time, so that it waits for a slow server
        // only once.
        let (claims, groups, early) = Box::pin(future::join3(
            self.probe_claims(&mut probed),
            self.groups(),
            future::OptionFuture::from(dialect.trusted.then(|| self.impossible_group())),
        ))
        .await;
        claims?;
        if probed.contradicts() {
            return Ok(probed);
        }
        // The server's description of itself can be wrong, so the result depends on the server's
        // behaviour.
        let groups = groups?;
        let word = match dialect.paging {
            Paging::Cursor => "cursor",
            Paging::Index => "index",
        };
        probed.found(match &groups.short {
            None => {
                Finding::Fine(format!("the target lists {} groups with paging by {word}", groups.rows.len()))
            }
            Some(why) => Finding::Unknown(format!("whether the list of groups is complete: {why}")),
        });
        for odd in &groups.odd {
            probed.found(Finding::Unknown(format!("group {}: {}; Beadle skips the group", odd.id, odd.why)));
        }
        let page = self.api.page_size();
        if page < dialect.page {
            let text = format!(
                "the server refuses pages of {} and accepts pages of {page}: set page = {page}",
                dialect.page
            );
            probed.found(Finding::Unknown(text));
            probed.evidence.saw("largest page taken", page.to_string());
        }
        let does = if let Some(does) = early {
            does?
        } else {
            // These requests come after all other requests, because they need a page size that the
            // server has accepted.
            let asked = future::try_join3(self.probe_filters(), self.probe_paging(), self.impossible_group());
            let (filters, paging, does) = Box::pin(asked).await?;
            probed.take(filters);
            probed.take(paging);
            does
        };
        probed.evidence.does("Users by an impossible groups.value", does);
        if dialect.members == Members::Users && does == IGNORES {
            probed.found(Finding::Contradiction(
                "the server ignores the filter `groups.value`: it finds users in a group that does not exist; set \
                 members = \"group\""
                    .into(),
            ));
        }
        if !probed.contradicts() {
            let finding = self.probe_members(&groups.rows, does == NOBODY, &mut probed.evidence).await?;
            probed.found(finding);
        }
        Ok(probed)
    }

    /// Reads `ServiceProviderConfig`, the server's description of itself.
    async fn probe_claims(&self, probed: &mut Probed) -> Result<(), Failure> {
        let says: Value = match self.api.get(&Path::at("ServiceProviderConfig")).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.status() == Some(404) => {
                probed.found(Finding::Unknown("the server has no ServiceProviderConfig".into()));
                Value::Null
            }
            Err(error) => return Err(error.into()),
        };
        for feature in ["patch", "filter"] {
            if says[feature]["supported"] == Value::Bool(false) {
                let text =
                    format!("the server says that it does not support `{feature}`, which Beadle needs");
                probed.found(Finding::Contradiction(text));
            }
        }
        self.api.offers_versions(says["etag"]["supported"] == Value::Bool(true));
        let pagination = &says["pagination"];
        let (word, other) = match self.dialect().paging {
            Paging::Cursor => ("cursor", "index"),
            Paging::Index => ("index", "cursor"),
        };
        if pagination[word] == Value::Bool(false) {
            let text = format!("the server says that it has no paging by {word}; set paging = \"{other}\"");
            probed.found(Finding::Contradiction(text));
        }
        Ok(())
    }

    /// Tests whether the server filters correctly. The filter looks for a value that no record has.
    async fn probe_filters(&self) -> Result<Probed, Failure> {
        const FILTERS: [(&str, &str); 4] = [
            ("Users", "userName"),
            ("Users", "externalId"),
            ("Groups", "displayName"),
            ("Groups", "externalId"),
        ];
        let mut probed = Probed::default();
        let asked: Vec<_> =
            FILTERS.into_iter().map(|(resource, by)| impossible(&self.api, resource, by)).collect();
        for ((resource, attribute), does) in FILTERS.into_iter().zip(future::try_join_all(asked).await?) {
            if does == IGNORES {
                probed.found(Finding::Unknown(format!(
                    "{resource} by `{attribute}`: the server ignores the filter, and Beadle reads the list instead"
                )));
            }
            probed.evidence.does(&format!("{resource} by an impossible {attribute}"), does);
        }
        Ok(probed)
    }

    /// Reads the first two users with a page size of one, to test whether the server reads pages
    /// correctly.
    async fn probe_paging(&self) -> Result<Probed, Failure> {
        let mut probed = Probed::default();
        if self.dialect().paging != Paging::Index {
            return Ok(probed);
        }
        let paths = [1, 2].map(|start| Path::at("Users").query("startIndex", start).query("count", 1));
        let (first, second) = future::join(self.api.get(&paths[0]), self.api.get(&paths[1])).await;
        let mut pages = Vec::new();
        for page in [first, second] {
            match page {
                Ok(answer) => pages.push(answer.json::<Value>()?),
                Err(error) if error.status().is_some() => {
                    probed.evidence.saw("pages of one user", "refuses them");
                    return Ok(probed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let id = |page: &Value| page["Resources"][0]["id"].clone();
        let (first, second) = (id(&pages[0]), id(&pages[1]));
        // With fewer than two users, this test shows nothing.
        if first.is_null() || second.is_null() {
            return Ok(probed);
        }
        let does = if first == second {
            probed.found(Finding::Unknown(
                "paging: the server sends the first page again, so Beadle cannot read a list of more than one page"
                    .into(),
            ));
            "repeats the first page"
        } else {
            "goes on"
        };
        probed.evidence.saw("the second page", does);
        let counts = match pages[0]["totalResults"].as_u64() {
            None => "does not count",
            Some(1) if first != second => {
                probed.found(Finding::Unknown(
                    "length of lists: `totalResults` counts the page; set `page` to the server's largest page".into(),
                ));
                "counts the page"
            }
            Some(_) => "counts the list",
        };
        probed.evidence.saw("totalResults", counts);
        Ok(probed)
    }

    /// Asks for the users in a group. The request contains an id that no group has. A correct
    /// server returns no users.
    async fn impossible_group(&self) -> Result<&'static str, Failure> {
        let does = impossible(&self.api, "Users", "groups.value").await?;
        if does == NOBODY {
            self.api.filters_by("Users", "groups.value");
        }
        Ok(does)
    }

    /// Counts the members of a group in two ways. Returns the number of members that Beadle reads
    /// in this dialect, and the number of members that the group itself shows.
    async fn counts(&self, group: &Group) -> Result<(usize, usize), Failure> {
        let members = async {
            let members = self.members(&group.id).await?;
            Ok::<usize, Failure>(members.map_or(0, |members| members.len()))
        };
        match self.dialect().members {
            Members::Users => {
                let shown = async {
                    let group = self.group(&group.id).await?;
                    Ok::<usize, Failure>(group.map_or(0, |group| group.members.len()))
                };
                future::try_join(members, shown).await
            }
            Members::Group => members.await.map(|count| (count, count)),
        }
    }

    async fn probe_members(
        &self,
        groups: &[Group],
        finds_nobody: bool,
        evidence: &mut Evidence,
    ) -> Result<Finding, Failure> {
        const LOOKED_AT: usize = 5;
        // One group is usually enough to see how the server shows members. Beadle checks a few more
        // groups at the same time.
        let looked_at = &groups[..groups.len().min(LOOKED_AT)];
        let (first, rest) = looked_at.split_at(looked_at.len().min(1));
        for part in [first, rest] {
            let asked: Vec<_> = part.iter().map(|group| self.counts(group)).collect();
            for (group, (members, shown)) in part.iter().zip(future::try_join_all(asked).await?) {
                match self.dialect().members {
                    Members::Users if members == 0 && shown > 0 => {
                        return Ok(Finding::Contradiction(format!(
                            "group {}: the filter `groups.value` finds no user, but the group itself shows {shown} \
                             members; set members = \"group\"",
                            group.name
                        )));
                    }
                    Members::Group if shown == 0 && finds_nobody => {
                        let filter = Filter::eq("groups.value", &group.id)?;
                        let by_users: Result<Listed<User>, TransportError> =
                            self.api.listed("Users", Some(&filter), None).await;
                        if let Ok(users) = by_users
                            && !users.rows.is_empty()
                        {
                            return Ok(Finding::Contradiction(format!(
                                "group {}: the group itself shows no members, but the filter `groups.value` finds {} \
                                 users; set members = \"users\"",
                                group.name,
                                users.rows.len()
                            )));
                        }
                    }
                    _ if members > 0 => {
                        evidence.saw("members of a group", "shows them");
                        let text = format!("read group {} with {members} members", group.name);
                        return Ok(Finding::Fine(text));
                    }
                    _ => {}
                }
            }
        }
        Ok(Finding::Unknown(
            "no group with members was found, so the probe could not try to read members".into(),
        ))
    }
}

/// The answer of a correct server to a filter with an impossible value.
const NOBODY: &str = "finds nobody";
/// The answer of a server that ignores filters.
const IGNORES: &str = "ignores the filter";
/// The answer of a server that fails or cannot filter. The answer does not show whether the server
/// ignores filters.
const FAILS: &str = "fails";

/// Returns how the server answers a filter with an impossible value.
async fn impossible(
    api: &Api,
    resource: &'static str,
    attribute: &'static str,
) -> Result<&'static str, Failure> {
    let filter = Filter::eq(attribute, IMPOSSIBLE)?;
    let path = Path::at(resource).query("count", api.page_size()).query("filter", filter);
    let page: Value = match api.get(&path).await {
        Ok(answer) => answer.json()?,
        Err(error) if error.status() == Some(404) => return Ok(NOBODY),
        Err(error) if matches!(error.status(), Some(400 | 403 | 422 | 501)) => {
            return Ok("refuses the filter");
        }
        Err(error) if error.status().is_some_and(|status| status >= 500) => return Ok(FAILS),
        Err(error) => return Err(error.into()),
    };
    Ok(if page["Resources"].as_array().is_none_or(Vec::is_empty) { NOBODY } else { IGNORES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_otherwise_than_before_is_told_and_what_was_not_asked_is_not() {
        let mut before = Evidence::default();
        before.saw("removal", "takes out whom it names");
        before.saw("paging", "goes on");
        let mut now = Evidence::default();
        now.saw("paging", "repeats the first page");
        now.saw("filter", NOBODY);
        let differences = now.differences(&before);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(differences[0].contains("repeats the first page"));
        assert_eq!(now.with(before).0.len(), 3);
    }
}
