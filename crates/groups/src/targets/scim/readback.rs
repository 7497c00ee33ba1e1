//! Each write of members is read back once: servers answer that they did it, and do nothing, or
//! more than that.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Class, Failure};
use beadle_scim::Members;
use futures::future::try_join3;

use super::ScimReader;
use super::writer::ScimWriter;
use crate::targets::StopNote;

/// Before a surprise is believed it is asked for in another way, this much later: a list may be
/// short, or late.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// The number of members about whom Beadle asks; for the others the list counts.
const ASKED: usize = 5;
/// A group of more members is read back by asking for single members, where that is one call each.
const LARGE: usize = 100;

/// A write of members that the server took.
pub(super) struct Written<'a> {
    pub(super) group: &'a str,
    pub(super) added: &'a [String],
    pub(super) removed: &'a [String],
    /// The members before the write, if they were read.
    pub(super) before: Option<BTreeSet<String>>,
    /// The members after the write, if the server's answer shows them.
    pub(super) shown: Option<Vec<String>>,
}

/// The differences between a group and its expected members after a write.
#[derive(Debug, Default, PartialEq, Eq)]
struct Surprise {
    /// Members who were added and are not in it, or were removed and are.
    undone: Vec<String>,
    /// Members who were in it, whom nobody removed, and who are gone.
    lost: Vec<String>,
}

impl Surprise {
    fn of(written: &Written<'_>, now: &BTreeSet<String>) -> Self {
        let added = written.added.iter().filter(|id| !now.contains(*id));
        let removed = written.removed.iter().filter(|id| now.contains(*id));
        Self {
            undone: added.chain(removed).cloned().collect(),
            lost: written.stayers().filter(|id| !now.contains(*id)).cloned().collect(),
        }
    }

    fn is_none(&self) -> bool {
        self.undone.is_empty() && self.lost.is_empty()
    }
}

impl Written<'_> {
    /// Members who were in the group before and whom the write does not name.
    pub(super) fn stayers(&self) -> impl Iterator<Item = &String> {
        self.before.iter().flatten().filter(move |id| !self.removed.contains(*id))
    }

    /// Of those who were lost, the members who are put back: those who have to stay. A single one
    /// may have been removed by somebody else at the same moment.
    pub(super) fn to_put_back(&self, lost: &[String], has_to_stay: impl Fn(&str) -> bool) -> Vec<String> {
        let back: Vec<String> = lost.iter().filter(|id| has_to_stay(id)).cloned().collect();
        let is_emptied = lost.len() == self.stayers().count();
        if back.len() == 1 && !is_emptied { Vec::new() } else { back }
    }

    /// The members that the group must have now.
    fn expected(&self) -> BTreeSet<String> {
        self.stayers().chain(self.added).cloned().collect()
    }
}

impl ScimReader {
    /// The differences from the expected result of a write, and the present members.
    async fn read_back(&self, written: &Written<'_>) -> Result<(Surprise, BTreeSet<String>), Failure> {
        let now: BTreeSet<String> = if let Some(shown) = &written.shown {
            shown.iter().cloned().collect()
        } else {
            if self.is_as_asked(written).await? {
                return Ok((Surprise::default(), written.expected()));
            }
            let members = self.scim.members(written.group).await?.unwrap_or_default();
            members.into_iter().map(|member| member.id).collect()
        };
        let surprise = self.confirmed(Surprise::of(written, &now), written).await?;
        Ok((surprise, now))
    }

    /// Keeps of a surprise what is still so a moment later.
    async fn confirmed(&self, mut surprise: Surprise, written: &Written<'_>) -> Result<Surprise, Failure> {
        for wait in PATIENCE {
            if surprise.is_none() {
                break;
            }
            self.scim.clock().sleep(wait).await;
            self.ask_for(&mut surprise, written).await?;
        }
        Ok(surprise)
    }

    /// Members whom a write took out beside those that it names, though it failed.
    pub(super) async fn lost_by(&self, written: &Written<'_>) -> Result<Vec<String>, Failure> {
        let Some(members) = self.scim.members(written.group).await? else { return Ok(Vec::new()) };
        let now = members.into_iter().map(|member| member.id).collect();
        // Whether what was asked for was done is seen when the group is planned again.
        let surprise = Surprise { undone: Vec::new(), ..Surprise::of(written, &now) };
        Ok(self.confirmed(surprise, written).await?.lost)
    }

    /// Keeps of a surprise what single questions confirm.
    async fn ask_for(&self, surprise: &mut Surprise, written: &Written<'_>) -> Result<(), Failure> {
        for (list, was_lost) in [(&mut surprise.lost, true), (&mut surprise.undone, false)] {
            let (mut kept, mut confirmed) = (Vec::new(), 0);
            for (at, id) in std::mem::take(list).into_iter().enumerate() {
                let should_be_in = was_lost || written.added.contains(&id);
                if at < ASKED {
                    if self.scim.is_member(written.group, &id).await? == should_be_in {
                        continue;
                    }
                    confirmed += 1;
                }
                kept.push(id);
            }
            // The list that is wrong about all who were asked for is as wrong about the others.
            if confirmed > 0 {
                *list = kept;
            }
        }
        Ok(())
    }

    /// Whether a large group is as it has to be, as far as one member who was written and one who
    /// stays tell.
    async fn is_as_asked(&self, written: &Written<'_>) -> Result<bool, Failure> {
        let dialect = self.scim.dialect();
        let size = written.before.as_ref().map_or(0, BTreeSet::len) + written.added.len();
        if !dialect.trusted || dialect.members != Members::Users || size <= LARGE {
            return Ok(false);
        }
        let named = |id: &&String| !written.added.contains(*id);
        let stays = written.stayers().find(named);
        let asked = try_join3(
            self.is_in(written.group, written.added.last(), true),
            self.is_in(written.group, written.removed.last(), false),
            self.is_in(written.group, stays, true),
        );
        let (added, removed, stays) = Box::pin(asked).await?;
        Ok(added && removed && stays)
    }

    async fn is_in(&self, group: &str, id: Option<&String>, wanted: bool) -> Result<bool, Failure> {
        match id {
            Some(id) => Ok(self.scim.is_member(group, id).await? == wanted),
            None => Ok(true),
        }
    }
}

/// While members are put back nothing else is written to the target: other groups are written to at the same moment.
struct Held<'a>(&'a ScimReader);

impl<'a> Held<'a> {
    fn new(reader: &'a ScimReader) -> Self {
        reader.seen().putting_back += 1;
        Self(reader)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.seen().putting_back -= 1;
    }
}

impl ScimWriter {
    /// Holds a group to what was written. Whom the server took out beside that is put back, and the
    /// target is stopped. Whatever fails here, the write was made before.
    pub(super) async fn hold_to(&self, written: &Written<'_>, stop: &dyn StopNote) -> Result<(), Failure> {
        if written.added.is_empty() && written.removed.is_empty() {
            self.forget(written, stop).await;
            return Ok(());
        }
        self.compare(written, stop).await.map_err(Failure::after_a_part)
    }

    async fn compare(&self, written: &Written<'_>, stop: &dyn StopNote) -> Result<(), Failure> {
        let group = written.group;
        let read = self.reader.read_back(written).await;
        let (surprise, now) = read.map_err(|failure| failure.during("reading back the write"))?;
        if surprise.is_none() {
            self.forget(written, stop).await;
            if written.before.is_some() {
                let now = self.reader.scim.clock().now();
                self.reader.seen().members.insert(group.to_owned(), (now, written.expected()));
            }
            return Ok(());
        }
        let back = written.to_put_back(&surprise.lost, |id| !stop.takes_out(id));
        if !back.is_empty() {
            return Err(self.put_back(written, &surprise.lost, &back, stop).await);
        }
        self.forget(written, stop).await;
        Err(match surprise.lost.as_slice() {
            [] => not_done(written, &surprise.undone, now.len()),
            [one] => {
                let text =
                    format!("{one} left the group {group} during the write; Beadle reads the group again");
                Failure::new(Class::Conflict, text)
            }
            [first, ..] => {
                let text = format!(
                    "{} members left the group {group} during the write, the first {first}; Beadle reads the group again",
                    surprise.lost.len()
                );
                Failure::new(Class::Conflict, text)
            }
        })
    }

    /// Holds a group to a write that failed: one whose answer was lost may have been done, and more
    /// than it; of one in parts the first may have been done.
    pub(super) async fn hold_to_failed(
        &self,
        written: &Written<'_>,
        failure: Failure,
        stop: &dyn StopNote,
    ) -> Failure {
        if written.before.is_none() {
            return failure;
        }
        if failure.class.changed_nothing() && !failure.is_partial {
            self.forget(written, stop).await;
            return failure;
        }
        let lost = match self.reader.lost_by(written).await {
            Ok(lost) => lost,
            Err(unread) => return failure.during(format!("reading back what was written ({unread})")),
        };
        let back = written.to_put_back(&lost, |id| !stop.takes_out(id));
        if !back.is_empty() {
            return self.put_back(written, &lost, &back, stop).await.after_a_part();
        }
        // Whoever else was lost comes back with the next plan.
        self.forget(written, stop).await;
        failure
    }

    /// Puts members back whom the target took out, and stops the target.
    pub(super) async fn put_back(
        &self,
        written: &Written<'_>,
        lost: &[String],
        wanted: &[String],
        stop: &dyn StopNote,
    ) -> Failure {
        let group = written.group;
        let _held = Held::new(&self.reader);
        // A group that somebody deleted meanwhile shows no members, too.
        if matches!(self.reader.scim.group(group).await, Ok(None)) {
            self.forget(written, stop).await;
            let text = format!("the group {group} is gone; Beadle reads it again");
            return Failure::new(Class::Conflict, text);
        }
        // A kill while they are put back must leave the target stopped.
        let begun = stopped(written, lost, "Beadle puts them back");
        match stop.put(&begun).await {
            Ok(()) => self.forget(written, stop).await,
            Err(failure) => tracing::error!(group, why = failure.text, "stop of the target not stored"),
        }
        let mut left = 0;
        let mut refused = 0;
        for part in wanted.chunks(self.reader.scim.dialect().changes.max(1)) {
            match self.scim.add_members(group, part).await {
                Ok(changed) => refused += changed.refused.len(),
                Err(_) => left += part.len(),
            }
        }
        // An account that the target does not know any more was not lost by this write.
        if refused == wanted.len() {
            let text =
                format!("{refused} accounts of the group {group} are gone; Beadle reads the group again");
            if let Err(failure) = stop.withdraw(&begun).await {
                tracing::error!(group, why = failure.text, "stop of the target not taken back");
            }
            return Failure::new(Class::Conflict, text);
        }
        let back = wanted.len() - left - refused;
        let text = stopped(written, lost, &format!("{back} were put back"));
        tracing::error!(group, lost = lost.len(), back, "target removed other members with a write");
        self.reader.seen().stopped = Some(text.clone());
        Failure::new(Class::Rejected, text)
    }
}

/// Why nothing is written to the target any more; `done` is what became of those who were lost.
fn stopped(written: &Written<'_>, lost: &[String], done: &str) -> String {
    let what = match (written.added.len(), written.removed.len()) {
        (0, removed) => format!("the removal of {removed} members"),
        (added, _) => format!("the addition of {added} members"),
    };
    format!(
        "the target took {} other members out of the group {} at {what}, the first {}; {done}; nothing more is written to \
         this target: set `removal` as the server needs it, run `beadle targets probe` with probe = \"write\", and start Beadle again",
        lost.len(),
        written.group,
        lost.first().map_or("", String::as_str)
    )
}

/// The server answered that it did what it was asked, and did not.
fn not_done(written: &Written<'_>, undone: &[String], shows: usize) -> Failure {
    let what = if written.added.is_empty() { "removed" } else { "added" };
    let hint = match shows {
        _ if written.added.is_empty() => String::new(),
        0 => "; the group shows no members: the server may not show them, see `members`".to_owned(),
        shows if shows.is_multiple_of(LARGE) => {
            format!("; the group shows {shows} members: the server may not show more, see `members`")
        }
        _ => String::new(),
    };
    let text = format!(
        "the target answered that {} members of the group {} were {what}, and did not make the change, first member {}{hint}",
        undone.len(),
        written.group,
        undone.first().map_or("", String::as_str)
    );
    Failure::new(Class::Retry, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[&str]) -> Vec<String> {
        list.iter().map(|id| (*id).to_owned()).collect()
    }

    fn surprise(added: &[&str], removed: &[&str], before: &[&str], now: &[&str]) -> Surprise {
        let (added, removed) = (ids(added), ids(removed));
        let written = Written {
            group: "g",
            added: &added,
            removed: &removed,
            before: Some(ids(before).into_iter().collect()),
            shown: None,
        };
        Surprise::of(&written, &ids(now).into_iter().collect())
    }

    #[test]
    fn a_write_is_held_to_what_it_names_and_to_those_who_stay() {
        assert!(surprise(&["c"], &[], &["a", "b"], &["a", "b", "c"]).is_none());
        assert!(surprise(&[], &["a"], &["a", "b"], &["b"]).is_none());
        assert!(surprise(&[], &["a"], &["a", "b"], &["b", "z"]).is_none(), "somebody else may add");
        assert_eq!(surprise(&[], &["a"], &["a", "b", "c"], &[]).lost, ["b", "c"], "it was emptied");
        assert_eq!(surprise(&["c"], &[], &["a", "b"], &["c"]).lost, ["a", "b"], "it was replaced");
        assert_eq!(surprise(&["c"], &[], &["a"], &["a"]).undone, ["c"]);
        assert_eq!(surprise(&[], &["a"], &["a", "b"], &["a", "b"]).undone, ["a"]);
    }
}
