//! Reads the System Log from the place where the last read ended.
//!
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/>

use beadle_engine::{Failure, Time};
use beadle_hooks::okta::{Event, TYPES};
use beadle_transport::Path;

use crate::api::Okta;

/// The number of entries in one page. Okta returns at most 1,000.
const PAGE: usize = 1000;

/// Where a read of the log begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The address of the next page, as the previous page contains it. Even an empty page contains
    /// the address of the next page. Later events will appear at that address.
    Cursor(String),
    /// A time. Beadle uses a time for the first read, or if Okta no longer accepts the cursor.
    Time(Time),
}

/// A page of the log, with the oldest event first.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next read begins. Process or store all events of this page before you store
    /// `next`.
    pub next: Option<String>,
    /// True if the log possibly has more entries after this page.
    pub is_full: bool,
}

impl Okta {
    /// Reads the events that mark keys, in Okta's order. The request sets no end time (`until`).
    /// With an end time, Okta would not show events that it recorded late.
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
