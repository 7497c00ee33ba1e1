//! The probe that writes: it creates a group of its own, fills it, removes its members one by one,
//! and deletes it.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Failure, Time};

use super::{Finding, Probed};
use crate::dialect::Removal;
use crate::model::Group;
use crate::read::Reader;
use crate::write::{Changed, Writer};

/// The number of people in the group.
const PEOPLE: usize = 3;
/// The times to wait between reads, because some servers show a write only after a moment.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// The question about additions, and its right answer.
pub(super) const ADDS: (&str, &str) = ("add members", "adds them");
/// The question about removals, and its right answer.
pub(super) const REMOVES: (&str, &str) = ("remove members", "removes them");

/// The prefix of the name of a probe's group.
const PREFIX: &str = "beadle-probe-";
/// The age below which a group may belong to a probe that another process runs now.
const RUNNING: Duration = Duration::from_secs(600);

/// Tests the server's writes on a group that it creates and deletes.
pub async fn probe_writes(reader: &Reader, writer: &Writer) -> Result<Probed, Failure> {
    let mut probed = Probed::default();
    delete_left_behind(reader, writer, &mut probed).await?;
    let people: Vec<String> =
        reader.users().await?.rows.into_iter().take(PEOPLE).map(|user| user.id).collect();
    if people.len() < PEOPLE {
        let text = format!("writes of members: the server lists fewer than {PEOPLE} users");
        probed.found(Finding::Unknown(text));
        return Ok(probed);
    }
    let name = name_at(reader.api.clock().now());
    let Some(group) = writer.create_group(&name, &name).await? else {
        probed.found(Finding::Unknown(format!("writes of members: the name {name} is taken")));
        return Ok(probed);
    };
    let tried = Try { reader, writer, group: &group.id, people: &people }.all(&mut probed).await;
    // The group is deleted after every result.
    writer.delete_group(&group.id).await?;
    tried?;
    let gone = reader.group(&group.id).await?.is_none();
    probed.evidence.saw("delete", if gone { "deletes" } else { "does not delete" });
    Ok(probed)
}

/// Returns the name of a probe's group, which is its `externalId` too.
fn name_at(time: Time) -> String {
    format!("{PREFIX}{}", time.0)
}

/// Returns the time at which a probe created a group; `None` if no probe did, or if somebody
/// changed the group since.
fn made_at(group: &Group) -> Option<Time> {
    let time = Time(group.name.strip_prefix(PREFIX)?.parse().ok()?);
    let name = name_at(time);
    let is_own = group.name == name && group.external_id.as_ref() == Some(&name);
    is_own.then_some(time)
}

/// Deletes the groups of killed probes.
async fn delete_left_behind(reader: &Reader, writer: &Writer, probed: &mut Probed) -> Result<(), Failure> {
    let now = reader.api.clock().now();
    let is_left = |group: &Group| made_at(group).is_some_and(|at| now.since(at) > RUNNING);
    for listed in reader.groups().await?.rows.into_iter().filter(is_left) {
        // The group may have changed after the list.
        let Some(group) = reader.group(&listed.id).await?.filter(is_left) else { continue };
        writer.delete_group(&group.id).await?;
        let text = format!("the group {}, which an interrupted probe left behind, was deleted", group.name);
        probed.found(Finding::Fine(text));
    }
    Ok(())
}

struct Try<'a> {
    reader: &'a Reader,
    writer: &'a Writer,
    group: &'a str,
    people: &'a [String],
}

impl Try<'_> {
    async fn all(&self, probed: &mut Probed) -> Result<(), Failure> {
        let (first, rest) = self.people.split_at(1);
        for (part, wanted) in [(first, first), (rest, self.people)] {
            let changed = self.writer.add_members(self.group, part).await?;
            if let Some(does) = self.otherwise(&changed, wanted).await? {
                probed.evidence.saw(ADDS.0, does.split(':').next().unwrap_or_default());
                probed.found(Finding::Contradiction(format!("adding members to a group: the server {does}")));
                return Ok(());
            }
        }
        probed.evidence.saw(ADDS.0, ADDS.1);
        for left in (0..self.people.len()).rev() {
            let (stay, go) = self.people[..=left].split_at(left);
            let changed = self.writer.remove_members(self.group, go).await?;
            if let Some(does) = self.otherwise(&changed, stay).await? {
                probed.evidence.saw(REMOVES.0, does.split(':').next().unwrap_or_default());
                let other = match self.reader.dialect().removal {
                    Removal::Array => "path",
                    Removal::Path => "array",
                };
                probed.found(Finding::Contradiction(format!(
                    "removing 1 member from a group of {}: the server {does}; set removal = \"{other}\"",
                    left + 1
                )));
                return Ok(());
            }
        }
        probed.evidence.saw(REMOVES.0, REMOVES.1);
        probed.found(Finding::Fine(
            "a group of the probe's own was made, filled, emptied one by one and deleted".into(),
        ));
        Ok(())
    }

    /// Returns the server's deviation; `None` if the group has exactly the expected members.
    async fn otherwise(&self, changed: &Changed, wanted: &[String]) -> Result<Option<String>, Failure> {
        if let Some(refused) = changed.refused.first() {
            return Ok(Some(format!("refuses it: {}", refused.why)));
        }
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let mut waits = PATIENCE.iter();
        loop {
            let members = self.reader.members(self.group).await?.unwrap_or_default();
            let held: BTreeSet<&str> = members.iter().map(|member| member.id.as_str()).collect();
            if held == wanted {
                return Ok(None);
            }
            match waits.next() {
                Some(wait) => self.reader.api.clock().sleep(*wait).await,
                None => {
                    return Ok(Some(format!(
                        "leaves {} members where {} have to be",
                        held.len(),
                        wanted.len()
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Record as _;

    #[test]
    fn only_an_unchanged_group_of_a_probe_is_the_probe_s() {
        let time = |name: &str, external: &str| {
            let shown = serde_json::json!({ "id": "g1", "displayName": name, "externalId": external });
            made_at(&Group::read(&shown).unwrap())
        };
        let name = name_at(Time(1_799_990_000_000));
        assert_eq!(time(&name, &name), Some(Time(1_799_990_000_000)));
        assert_eq!(time(&name, "00g1"), None, "another owner");
        assert_eq!(time("Probes", &name), None, "renamed");
        assert_eq!(time("beadle-probe-x", "beadle-probe-x"), None);
    }
}
