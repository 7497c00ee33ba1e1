//! After each write of members, reads the members back once. Some servers confirm a change that
//! they did not make, or make a larger change than requested.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Class, Failure};
use beadle_scim::Members;
use futures::future::try_join3;

use super::ScimReader;
use super::writer::ScimWriter;
use super::written::{Surprise, Written};
use crate::targets::StopNote;

/// How long Beadle waits before it checks an unexpected result with another request. Directly after
/// a write, a list can be incomplete or late.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];
/// The maximum number of members that Beadle checks one by one. For all other members, Beadle
/// relies on the list.
const ASKED: usize = 5;
/// If a group has more than this number of members, Beadle checks only some of the members after a
/// write. This rule applies only if the server can check one member with one call.
const LARGE: usize = 100;

impl ScimReader {
    /// Reads the members back. Returns the present members, and how they differ from the expected
    /// members.
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

    /// Reads the members again a moment later. Keeps only the differences that are still there.
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

    /// Returns the members that a write removed although its request did not name them.
    pub(super) async fn lost_by(&self, written: &Written<'_>) -> Result<Vec<String>, Failure> {
        let Some(members) = self.scim.members(written.group).await? else { return Ok(Vec::new()) };
        let now = members.into_iter().map(|member| member.id).collect();
        // The next plan of the group shows whether the server made the requested changes, so this
        // function does not check them.
        let surprise = Surprise { undone: Vec::new(), ..Surprise::of(written, &now) };
        Ok(self.confirmed(surprise, written).await?.lost)
    }

    /// Checks the differences with a separate request for each member. Keeps only the differences
    /// that these requests confirm.
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
            // If the list is right about all members that Beadle checked one by one, Beadle also
            // trusts what the list shows about the remaining members.
            if confirmed > 0 {
                *list = kept;
            }
        }
        Ok(())
    }

    /// Returns whether a large group is as expected. Beadle checks only three members: one that the
    /// write added, one that it removed, and one that did not change.
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

/// This value exists while Beadle puts members back. During this time, Beadle sends no other write
/// to the target.
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
    /// Reads the group after a write. If the server removed members that were not in the write,
    /// Beadle puts these members back and stops the target. Even if this function returns an error,
    /// the server has made the requested write.
    pub(super) async fn verify(&self, written: &Written<'_>, stop: &dyn StopNote) -> Result<(), Failure> {
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

    /// Reads the group after a failed write. The server might have made the write, or a larger
    /// change, although the answer was lost. If the write had several parts, the server might have
    /// made only the first part.
    pub(super) async fn verify_failed(
        &self,
        written: &Written<'_>,
        failure: Failure,
        stop: &dyn StopNote,
    ) -> Failure {
        if written.before.is_none() {
            return failure;
        }
        if failure.changed_nothing() {
            self.forget(written, stop).await;
            return failure;
        }
        let lost = match self.reader.lost_by(written).await {
            Ok(lost) => lost,
            Err(unread) => return failure.during(format!("reading back the write ({unread})")),
        };
        let back = written.to_put_back(&lost, |id| !stop.takes_out(id));
        if !back.is_empty() {
            return self.put_back(written, &lost, &back, stop).await.after_a_part();
        }
        // If the group lost a member that Beadle does not put back here, the next plan adds this
        // member.
        self.forget(written, stop).await;
        failure
    }

    /// Puts back the members that the server wrongly removed, and stops the target.
    pub(super) async fn put_back(
        &self,
        written: &Written<'_>,
        lost: &[String],
        wanted: &[String],
        stop: &dyn StopNote,
    ) -> Failure {
        let group = written.group;
        let _held = Held::new(&self.reader);
        // The list of members is also empty if somebody deleted the group after the write.
        if matches!(self.reader.scim.group(group).await, Ok(None)) {
            self.forget(written, stop).await;
            let text = format!("the group {group} is gone; Beadle reads the group again");
            return Failure::new(Class::Conflict, text);
        }
        // Beadle stores the stop before everything else. So the target is stopped even if the
        // process is killed before the members are back.
        let begun = stopped(written, lost, "Beadle puts them back");
        match stop.put(&begun).await {
            Ok(()) => self.forget(written, stop).await,
            Err(failure) => {
                tracing::error!(
                    group,
                    why = failure.text,
                    "stop of the target not stored, Beadle would write to this target again after a restart"
                );
            }
        }
        let mut left = 0;
        let mut refused = 0;
        for part in wanted.chunks(self.reader.scim.dialect().changes.max(1)) {
            match self.scim.add_members(group, part).await {
                Ok(changed) => refused += changed.refused.len(),
                Err(_) => left += part.len(),
            }
        }
        // If the account no longer exists at the target, this write did not remove the member.
        if refused == wanted.len() {
            let text =
                format!("{refused} accounts of the group {group} are gone; Beadle reads the group again");
            if let Err(failure) = stop.withdraw(&begun).await {
                tracing::error!(
                    group,
                    why = failure.text,
                    "stop of the target not deleted from the store, run `beadle targets probe` if the target stays stopped"
                );
            }
            return Failure::new(Class::Conflict, text);
        }
        let back = wanted.len() - left - refused;
        let text = stopped(written, lost, &format!("{back} were put back"));
        tracing::error!(
            group,
            lost = lost.len(),
            back,
            "target removed members that Beadle did not ask to remove, Beadle writes nothing more to it"
        );
        self.reader.seen().stopped = Some(text.clone());
        Failure::new(Class::Rejected, text)
    }
}

/// Returns the text with the reason why the target is stopped. `done` describes what Beadle did
/// about the lost members.
fn stopped(written: &Written<'_>, lost: &[String], done: &str) -> String {
    let what = match (written.added.len(), written.removed.len()) {
        (0, removed) => format!("the removal of {removed} members"),
        (added, _) => format!("the addition of {added} members"),
    };
    format!(
        "the target removed {} other members from the group {} at {what}, first {}; {done}; Beadle writes nothing more \
         to this target: set `removal` as the server needs it, run `beadle targets probe` with probe = \"write\", and \
         restart Beadle",
        lost.len(),
        written.group,
        lost.first().map_or("", String::as_str)
    )
}

/// Returns the error for a write that the server confirmed although it did not make the write.
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
        "the target answered that {} members of the group {} were {what}, but it did not make the change; first member: {}{hint}",
        undone.len(),
        written.group,
        undone.first().map_or("", String::as_str)
    );
    Failure::new(Class::Retry, text)
}
