//! Whether a server is what the configuration calls it.

use std::fmt;

use beadle_engine::Failure;
use serde_json::Value;

use crate::dialect::{Members, Paging};
use crate::read::Reader;

/// What a probe found, in the order in which it looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// So it is.
    Fine(String),
    /// It could not be told, and why.
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

impl Reader {
    /// Holds the dialect to what the server says (`ServiceProviderConfig`) and to what it does (a list, and a group read
    /// back). Nothing is written.
    pub async fn probe(&self) -> Result<Vec<Finding>, Failure> {
        let mut findings = Vec::new();
        let says: Value = match self.api.get("ServiceProviderConfig").await {
            Ok(answer) => answer.json()?,
            Err(error) if error.status() == Some(404) => {
                findings.push(Finding::Unknown("the server has no ServiceProviderConfig".into()));
                Value::Null
            }
            Err(error) => return Err(error.into()),
        };
        for feature in ["patch", "filter"] {
            if says[feature]["supported"] == Value::Bool(false) {
                let text =
                    format!("the server says that it does not support `{feature}`, which Beadle needs");
                findings.push(Finding::Contradiction(text));
            }
        }
        self.api.offers_versions(says["etag"]["supported"] == Value::Bool(true));
        let dialect = self.dialect();
        let pagination = &says["pagination"];
        let (word, other) = match dialect.paging {
            Paging::Cursor => ("cursor", "index"),
            Paging::Index => ("index", "cursor"),
        };
        if pagination[word] == Value::Bool(false) {
            let text = format!("the server says that it has no paging by {word}; say paging = \"{other}\"");
            findings.push(Finding::Contradiction(text));
        }
        if findings.iter().any(|finding| matches!(finding, Finding::Contradiction(_))) {
            return Ok(findings);
        }
        // What a server says of itself is not always so: what it does counts.
        let groups = self.groups().await?;
        findings.push(Finding::Fine(format!("{} groups are listed by {word}", groups.len())));
        findings.push(self.probe_members(&groups).await?);
        Ok(findings)
    }

    async fn probe_members(&self, groups: &[crate::model::Group]) -> Result<Finding, Failure> {
        const LOOKED_AT: usize = 5;
        for group in groups.iter().take(LOOKED_AT) {
            let members = self.members(&group.id).await?.unwrap_or_default();
            let shown = self.group(&group.id).await?.map(|group| group.members).unwrap_or_default();
            match self.dialect().members {
                Members::Users if members.is_empty() && !shown.is_empty() => {
                    return Ok(Finding::Contradiction(format!(
                        "group {}: the server answers groups.value with nobody and shows {} members in the group itself; \
                         say members = \"group\"",
                        group.name,
                        shown.len()
                    )));
                }
                Members::Group if shown.is_empty() => {
                    let by_users = self
                        .api
                        .list::<Value>("Users", Some(&crate::Filter::eq("groups.value", &group.id)), None)
                        .await;
                    if let Ok(users) = by_users
                        && !users.is_empty()
                    {
                        return Ok(Finding::Contradiction(format!(
                            "group {}: the server shows nobody in the group and finds {} users by groups.value; say \
                             members = \"users\"",
                            group.name,
                            users.len()
                        )));
                    }
                }
                _ if !members.is_empty() => {
                    let text = format!("group {} is read with {} members", group.name, members.len());
                    return Ok(Finding::Fine(text));
                }
                _ => {}
            }
        }
        Ok(Finding::Unknown(
            "no group with members was found, so how members are read could not be tried".into(),
        ))
    }
}
