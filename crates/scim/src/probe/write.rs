//! The writing part of the probe. This part creates a test group, adds members, removes the members
//! one by one, and deletes the group.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Failure, Time};

use super::{Finding, Probed};
use crate::dialect::Removal;
use crate::model::Group;
use crate::read::Reader;
use crate::write::{Changed, Writer};

/// The number of people that the probe adds to the test group.
const PEOPLE: usize = 3;
/// The time that the probe waits between two reads. Some servers show a write only after a moment.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// The question whether a server adds members, and the answer of a correct server.
pub(super) const ADDS: (&str, &str) = ("add members", "adds them");
/// The question whether a server removes members, and the answer of a correct server.
pub(super) const REMOVES: (&str, &str) = ("remove members", "removes them");

/// The prefix of the test group's name.
const PREFIX: &str = "beadle-probe-";
/// If a test group is younger than this, another process might still be running the probe that
/// created it.
const RUNNING: Duration = Duration::from_secs(600);

/// Tests the server's writes with a test group. This function creates and deletes the group.
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
    // The probe always deletes the test group, even after a failure.
    writer.delete_group(&group.id).await?;
    tried?;
    let gone = reader.group(&group.id).await?.is_none();
    probed.evidence.saw("delete", if gone { "deletes" } else { "does not delete" });
    Ok(probed)
}

/// Returns the name of a test group. The same text is the group's `externalId`.
fn name_at(time: Time) -> String {
    format!("{PREFIX}{}", time.0)
}

/// Returns when a probe created a test group. Returns `None` if the group is not a test group, or
/// if somebody has changed the group since its creation.
fn made_at(group: &Group) -> Option<Time> {
    let time = Time(group.name.strip_prefix(PREFIX)?.parse().ok()?);
    let name = name_at(time);
    let is_own = group.name == name && group.external_id.as_ref() == Some(&name);
    is_own.then_some(time)
}

/// Deletes test groups that remain because somebody killed an earlier probe.
async fn delete_left_behind(reader: &Reader, writer: &Writer, probed: &mut Probed) -> Result<(), Failure> {
    let now = reader.api.clock().now();
    let is_left = |group: &Group| made_at(group).is_some_and(|at| now.since(at) > RUNNING);
    for listed in reader.groups().await?.rows.into_iter().filter(is_left) {
        // Somebody might have changed the group after Beadle read the list.
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
            "the probe created a group, added members, removed them one by one and deleted the group".into(),
        ));
        Ok(())
    }

    /// Returns the difference between the group's members and the expected members, or `None` if
    /// there is no difference.
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
