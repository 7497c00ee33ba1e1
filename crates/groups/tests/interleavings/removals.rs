//! The state that the target should have, and the check of every removal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::{GROUPS, Stage, group};

/// The maximum age of a read that can cause the removal of a member: two minutes, in milliseconds.
const OLDEST: u64 = 120_000;
/// The longest delay of a write in a storm, in milliseconds. The value is the deadline of a
/// request.
const DELAY: u64 = 30_000;

/// The numbers of removals that the test found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removals {
    pub(crate) all: usize,
    /// The number of removed people who had joined again between the read and the write.
    pub(crate) raced: usize,
}

impl Removals {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { all: self.all + other.all, raced: self.raced + other.raced }
    }
}

impl Stage {
    /// Returns the people who should be in each group of the target, by the name of the group.
    pub(crate) fn wanted(&self) -> BTreeMap<String, BTreeSet<String>> {
        let state = self.okta.state();
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (_, group) in state["groups"].as_object().unwrap() {
            let is_there = |id: &&String| {
                !["SUSPENDED", "DEPROVISIONED"]
                    .contains(&state["users"][id.as_str()]["status"].as_str().unwrap())
            };
            let people = group["members"].as_object().unwrap().keys().filter(is_there).cloned();
            let people: BTreeSet<String> = people.collect();
            wanted.entry("All".into()).or_default().extend(people.iter().cloned());
            let name = group["profile"]["name"].as_str().unwrap().trim_start_matches("AWS_");
            wanted.insert(name.to_owned(), people);
        }
        wanted
    }

    pub(crate) fn held(&self) -> BTreeMap<String, BTreeSet<String>> {
        let state = self.aws.state();
        let groups = state["groups"].as_object().unwrap().values();
        let people = |group: &Value| {
            let ids = group["members"].as_object().unwrap().keys();
            ids.map(|id| state["users"][id]["externalId"].as_str().unwrap().to_owned()).collect()
        };
        groups.map(|group| (group["displayName"].as_str().unwrap().to_owned(), people(group))).collect()
    }

    /// Checks every removal. Shortly before a removal, Beadle must have read each source group
    /// completely. The check fails if one of these reads contains the removed person. The person
    /// can join again between the read and the removal, and the next run then adds the person
    /// again.
    pub(crate) fn removals_were_right(&self) -> Result<Removals, String> {
        let state = self.aws.state();
        let oldest = OLDEST + if self.storms.is_some() { DELAY } else { 0 };
        let mut calls: Vec<(bool, Value)> = self.okta.calls().into_iter().map(|call| (true, call)).collect();
        calls.extend(self.aws.calls().into_iter().map(|call| (false, call)));
        calls.sort_by_key(|(_, call)| call["at"].as_u64());
        // The complete reads of each source group: their times and the people that they contained.
        let mut read: HashMap<String, Vec<(u64, BTreeSet<String>)>> = HashMap::new();
        // For each person, the times at which Beadle read a status that ends the person's access.
        let mut leaving: HashMap<String, u64> = HashMap::new();
        let mut removals = Removals::default();
        for (is_okta, call) in &calls {
            let now = call["ms"].as_u64().unwrap();
            let path = call["path"].as_str().unwrap();
            if *is_okta {
                let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
                if let (["api", "v1", "groups", id, "users"], 200) =
                    (parts.as_slice(), call["status"].as_u64().unwrap())
                {
                    let rows = call["answer"].as_array().into_iter().flatten();
                    let mut people = BTreeSet::new();
                    for row in rows {
                        let id = row["id"].as_str().unwrap().to_owned();
                        if ["SUSPENDED", "DEPROVISIONED"].contains(&row["status"].as_str().unwrap()) {
                            leaving.insert(id, now);
                        } else {
                            people.insert(id);
                        }
                    }
                    // If a fault made the list shorter, the list is not complete.
                    if call["spoiled"] != json!(true) {
                        read.entry((*id).to_owned()).or_default().push((now, people));
                    }
                }
                continue;
            }
            if call["method"] != "PATCH" || call["status"] != 204 {
                continue;
            }
            let id = path.rsplit('/').next().unwrap();
            let Some(target) = state["groups"].get(id) else { continue };
            let external = target["externalId"].as_str().unwrap().trim_start_matches("beadle:corp/");
            for operation in call["request"]["Operations"].as_array().into_iter().flatten() {
                if operation["op"] != "remove" {
                    continue;
                }
                for member in operation["value"].as_array().unwrap() {
                    let account = member["value"].as_str().unwrap();
                    let person = state["users"][account]["externalId"].as_str().unwrap();
                    let without = |(at, people): &(u64, BTreeSet<String>)| {
                        at + oldest >= now && !people.contains(person)
                    };
                    let is_in =
                        |source: &String| !read.get(source).is_some_and(|reads| reads.iter().any(without));
                    let sources: Vec<String> = if external.starts_with("beadle:into/") {
                        (0..GROUPS).map(group).collect()
                    } else {
                        vec![external.to_owned()]
                    };
                    let is_leaving = leaving.get(person).is_some_and(|at| at + oldest >= now);
                    if let Some(source) = sources.iter().find(|source| is_in(source) && !is_leaving) {
                        return Err(format!(
                            "{person} was taken out of {external}, and {source} was not read without them"
                        ));
                    }
                    removals.all += 1;
                    let is_back = |source: &String| {
                        read.get(source)
                            .and_then(|reads| reads.last())
                            .is_some_and(|(_, people)| people.contains(person))
                    };
                    removals.raced += usize::from(sources.iter().any(is_back));
                }
            }
        }
        Ok(removals)
    }
}
