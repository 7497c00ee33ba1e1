//! Notes each write of members until it is read back. If a read-back was not possible, Beadle makes
//! it before the next write: otherwise nobody would notice the members that the write of a killed
//! process removed.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Failure, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::writer::ScimWriter;
use super::written::Written;
use crate::targets::StopNote;

/// The maximum number of unchanged members in a note. A store limits the size of a value, and this
/// sample is enough to find out whether a write removed other members.
const MOST: usize = 1000;
/// The age from which other people may have removed the missing members. After that, Beadle blames
/// the write only if the group lost all members.
const BLAMED: Duration = Duration::from_secs(600);

/// A write of members that was not read back.
#[derive(Serialize, Deserialize)]
struct Unread {
    stay: BTreeSet<String>,
    added: Vec<String>,
    removed: Vec<String>,
    /// The start of the write. An earlier version did not note it.
    #[serde(default)]
    at: Option<Time>,
}

impl ScimWriter {
    /// Notes a write of members before it is sent.
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

    /// Forgets the note of a write, because its effect is known.
    pub(super) async fn forget(&self, written: &Written<'_>, stop: &dyn StopNote) {
        if written.before.is_none() {
            return;
        }
        if let Err(failure) = stop.forget_write(written.group).await {
            tracing::warn!(group = written.group, why = failure.text, "note of a write not deleted");
        }
    }

    /// Reads back the last write of a group's members, if that was not possible after the write.
    pub(super) async fn settle(&self, group: &str, stop: &dyn StopNote) -> Result<(), Failure> {
        let Some(text) = stop.unread_write(group).await? else { return Ok(()) };
        let Ok(unread) = serde_json::from_str::<Unread>(&text) else {
            tracing::warn!(group, "note of a write cannot be read and is deleted");
            return stop.forget_write(group).await;
        };
        let now = self.reader.scim.clock().now();
        let is_old = unread.at.is_none_or(|at| now.since(at) > BLAMED);
        let (added, removed) = (unread.added.as_slice(), unread.removed.as_slice());
        let written = Written { group, added, removed, before: Some(unread.stay), shown: None };
        let read = self.reader.lost_by(&written).await;
        let lost = read.map_err(|failure| failure.during("reading back the write before this one"))?;
        let is_emptied = lost.len() > 1 && lost.len() == written.stayers().count();
        // The plan is newer than the write: a member whom it does not want may have had to leave
        // since.
        let back =
            if is_old && !is_emptied { Vec::new() } else { written.to_put_back(&lost, |id| stop.wants(id)) };
        if !back.is_empty() {
            return Err(self.put_back(&written, &lost, &back, stop).await);
        }
        self.forget(&written, stop).await;
        Ok(())
    }
}
