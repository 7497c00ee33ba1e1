//! The System Log, read from where one stopped.
//!
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/>

use beadle_engine::{Failure, Time};
use beadle_hooks::okta::{Event, TYPES};
use beadle_transport::Path;

use crate::api::Okta;

/// Entries in one read; Okta gives at most a thousand.
const PAGE: usize = 1000;

/// Where to read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The address that the last page named. It never ends: an empty page names where to ask again.
    Cursor(String),
    /// A moment: the first time, or after a cursor that is no longer taken.
    Time(Time),
}

/// A page of the log, oldest first.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// What happened.
    pub events: Vec<Event>,
    /// Where to read on; keep it before anything of this page is forgotten.
    pub next: Option<String>,
    /// Whether there may be more already.
    pub is_full: bool,
}

impl Okta {
    /// The events that mark something, in the order in which Okta recorded them. Without an end (`until`), as only such a
    /// read misses none that come late.
    pub async fn events(&self, since: &Since) -> Result<LogPage, Failure> {
        let path = match since {
            Since::Cursor(link) => Path::given(link),
            Since::Time(time) => {
                let wanted: Vec<String> =
                    TYPES.iter().map(|kind| format!("eventType eq \"{kind}\"")).collect();
                let path = Path::at("api/v1/logs").query("since", time).query("sortOrder", "ASCENDING");
                path.query("limit", PAGE).query("filter", wanted.join(" or "))
            }
        };
        let answer = self.logs(&path).await?;
        let events: Vec<Event> = answer.json().map_err(Failure::from)?;
        Ok(LogPage { is_full: events.len() >= PAGE, next: answer.next().map(str::to_owned), events })
    }
}
