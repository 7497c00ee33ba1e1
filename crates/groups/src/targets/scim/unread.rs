//! Keeps a note about each write of members until Beadle has read the members back. If Beadle could
//! not read the members back after a write, it reads them before the next write. The note remains
//! in the store if the process is killed after the write. Without the note, nobody would notice
//! that the write removed more members than requested.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Failure, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::writer::ScimWriter;
use super::written::Written;
use crate::targets::StopNote;

/// The maximum number of unchanged members in a note, because a store limits the size of a value.
/// With this number, Beadle can still find out whether a write removed members by mistake.
const MOST: usize = 1000;
/// If a write is older than this, somebody else might have removed the missing members. Beadle then
/// blames the write only if the group lost all of its members.
const BLAMED: Duration = Duration::from_secs(600);

/// A write of members. Beadle has not read the members back yet.
#[derive(Serialize, Deserialize)]
struct Unread {
    stay: BTreeSet<String>,
    added: Vec<String>,
    removed: Vec<String>,
    /// The time at which the write began. `None` if an earlier version of Beadle wrote the note,
    /// because that version did not store the time.
    #[serde(default)]
    at: Option<Time>,
}

impl ScimWriter {
    /// Stores a note about a write of members. The caller must call this function before it sends
    /// the write.
    pub(super) async fn begin(&self, written: &Written<'_>, stop: &dyn StopNote) -> Result<(), Failure> {
        if written.before.is_none() {
            return Ok(());
        }
        let unread = Unread {
            stay: written.stayers().take(MOST).cloned().collect(),
            added: written.added.to_vec(),
            removed: written.removed.to_vec(),
            at: Some(self.reader.scim.clock().now()),
        };
        stop.note_write(written.group, &json!(unread).to_string()).await
    }

    /// Deletes the note about a write, because the effect of the write is known.
    pub(super) async fn forget(&self, written: &Written<'_>, stop: &dyn StopNote) {
        if written.before.is_none() {
            return;
        }
        if let Err(failure) = stop.forget_write(written.group).await {
            tracing::warn!(
                group = written.group,
                why = failure.text,
                "record of a checked write not deleted, the next run checks the write again"
            );
        }
    }

    /// Reads back the last write of a group's members, if Beadle could not do this directly after
    /// the write.
    pub(super) async fn settle(&self, group: &str, stop: &dyn StopNote) -> Result<(), Failure> {
        let Some(text) = stop.unread_write(group).await? else { return Ok(()) };
        let Ok(unread) = serde_json::from_str::<Unread>(&text) else {
            tracing::warn!(
                group,
                "record of an unchecked write is invalid, Beadle deletes the record and skips the check"
            );
            return stop.forget_write(group).await;
        };
        let now = self.reader.scim.clock().now();
        let is_old = unread.at.is_none_or(|at| now.since(at) > BLAMED);
        let (added, removed) = (unread.added.as_slice(), unread.removed.as_slice());
        let written = Written { group, added, removed, before: Some(unread.stay), shown: None };
        let read = self.reader.lost_by(&written).await;
        let lost = read.map_err(|failure| failure.during("reading back the write before this one"))?;
        let is_emptied = lost.len() > 1 && lost.len() == written.stayers().count();
        // The plan is more recent than the write. So Beadle puts back only members that the plan
        // wants. Any other member possibly had to leave after the write.
        let back =
            if is_old && !is_emptied { Vec::new() } else { written.to_put_back(&lost, |id| stop.wants(id)) };
        if !back.is_empty() {
            return Err(self.put_back(&written, &lost, &back, stop).await);
        }
        self.forget(&written, stop).await;
        Ok(())
    }
}
