//! Reads the System Log from the last place on.
//!
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/>

use beadle_engine::{Failure, Time};
use beadle_hooks::okta::{Event, TYPES};
use beadle_transport::Path;

use crate::api::Okta;

/// The number of entries in one page. Okta returns at most 1,000.
const PAGE: usize = 1000;

/// The place to continue from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The address that the last page named. It never ends: an empty page names the address of the
    /// next read.
    Cursor(String),
    /// A time: for the first read, or if Okta does not accept the cursor any more.
    Time(Time),
}

/// A page of the log, oldest first.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The events.
    pub events: Vec<Event>,
    /// The place to continue from. Store it before you drop anything of this page.
    pub next: Option<String>,
    /// Whether more entries may exist already.
    pub is_full: bool,
}

impl Okta {
    /// Reads the events that mark keys, in the order in which Okta recorded them. The read has no
    /// end (`until`), because only such a read finds late events.
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
