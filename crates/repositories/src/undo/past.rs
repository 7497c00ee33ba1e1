//! Makes the policy for the undo of one repository. The undo must revert some writes, and this
//! policy contains the values from before these writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beadle_github::Repository;
use serde_json::{Map, Value, json};

use super::draft::{Draft, FORKS, SELECTED, SETUP};
use super::reversal::{Reversal, SITE};
use super::{entries, protection};
use crate::import::Observed;
use crate::policy::{Policy, PolicyError, Severity};

/// The names of the values that can be null both at GitHub and in a policy.
const NULLABLE: [&str; 2] = ["description", "homepage"];
/// The prefix that the name of a security feature has in plans.
const FEATURE: &str = "security_and_analysis.";

/// The policy that declares the earlier values, and the values that it cannot declare.
pub(crate) struct Past {
    /// The policy. `None` if there is nothing to restore.
    pub(crate) policy: Option<Policy>,
    /// The positions of the values that Beadle cannot restore. Each position comes with its reason.
    pub(crate) left: BTreeMap<usize, String>,
    /// The positions of the values that Beadle restores only partly. Each position comes with a
    /// text about the missing part.
    pub(crate) remarks: BTreeMap<usize, String>,
}

impl Past {
    /// Makes the policy for a repository. If `seen` is `None`, the policy is for the organisation
    /// itself. `all` contains the values of the undo. `open` contains the positions of the values
    /// that the policy must declare.
    pub(crate) fn of(
        seen: Option<&Repository>,
        observed: &Observed,
        all: &[Reversal],
        open: &[usize],
    ) -> Self {
        let mut past = Self { policy: None, left: BTreeMap::new(), remarks: BTreeMap::new() };
        let mut draft = Draft::new(observed);
        let wanted: Vec<(usize, &Reversal)> =
            open.iter().filter_map(|at| Some((*at, all.get(*at)?))).collect();
        let only: Vec<Reversal> = wanted.iter().map(|(_, one)| (*one).clone()).collect();
        // Beadle undoes a rename after all other values, because the other values belong to the
        // present name.
        let (renames, others): (Vec<_>, Vec<_>) =
            wanted.iter().copied().partition(|(_, one)| matches!(one.name.as_str(), "name" | "title"));
        let mut sections: BTreeMap<usize, &str> = BTreeMap::new();
        for (at, one) in others.into_iter().chain(renames) {
            match put(&mut draft, one, &only, seen) {
                Ok(remark) => {
                    sections.insert(at, section(&one.aspect));
                    past.remarks.extend(remark.map(|remark| (at, remark)));
                }
                Err(why) => {
                    past.left.insert(at, why);
                }
            }
        }
        let file = seen.map_or_else(|| "settings.yml".to_owned(), |seen| format!("repos/{}.yml", seen.name));
        past.policy = past.accepted(&file, draft.sections(), &sections);
        past
    }

    /// Returns a policy with these sections. If validation rejects a section, Beadle does not
    /// restore the values of this section.
    fn accepted(
        &mut self,
        file: &str,
        all: Map<String, Value>,
        places: &BTreeMap<usize, &str>,
    ) -> Option<Policy> {
        let kept: BTreeSet<&str> = places.values().copied().collect();
        let mut all = all;
        all.retain(|name, _| kept.contains(name.as_str()));
        if all.is_empty() {
            return None;
        }
        if let Ok(policy) = load(file, &all) {
            return Some(policy);
        }
        let mut good = Map::new();
        for (name, value) in all {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            match load(file, &alone) {
                Ok(_) => {
                    good.insert(name, value);
                }
                Err(why) => {
                    let own = places.iter().filter(|(_, section)| **section == name);
                    let why = format!("a policy cannot declare the earlier value: {why}");
                    self.left.extend(own.map(|(at, _)| (*at, why.clone())));
                }
            }
        }
        match load(file, &good) {
            Ok(policy) => Some(policy),
            // Each section alone is valid, but the sections contradict each other.
            Err(why) => {
                let why = format!("a policy cannot declare the earlier values together: {why}");
                let open = places.keys().copied().filter(|at| !self.left.contains_key(at));
                let open: Vec<usize> = open.collect();
                self.left.extend(open.into_iter().map(|at| (at, why.clone())));
                None
            }
        }
    }
}

/// Loads a policy with only one file. The file is JSON, and JSON is also valid YAML.
fn load(file: &str, sections: &Map<String, Value>) -> Result<Policy, String> {
    let text = Value::Object(sections.clone()).to_string();
    let files = BTreeMap::from([(file.to_owned(), text)]);
    Policy::from_sources(files, "", Path::new("policy")).map_err(|error| match error {
        PolicyError::Invalid { problems, .. } => {
            let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            errors.next().map(|problem| problem.message.clone()).unwrap_or_default()
        }
        other => other.to_string(),
    })
}

/// Returns the policy section that declares the values of an aspect.
pub(super) fn section(aspect: &str) -> &str {
    match aspect {
        "settings" | "topics" => "repository",
        "protection" => "branches",
        "organisation_rulesets" => "rulesets",
        other => other,
    }
}

/// Puts the earlier value of one field into the file. Returns a remark about the parts that the
/// undo does not restore.
fn put(
    draft: &mut Draft<'_>,
    one: &Reversal,
    all: &[Reversal],
    seen: Option<&Repository>,
) -> Result<Option<String>, String> {
    if let Some(put) = entries::put(draft, one, all) {
        return put;
    }
    let (name, before) = (one.name.as_str(), &one.before);
    let declared = || {
        if before.is_null() { Err("GitHub showed no value before".to_owned()) } else { Ok(before.clone()) }
    };
    match one.aspect.as_str() {
        "protection" => {
            let seen = seen.ok_or("an organisation has no branches")?;
            protection::put(draft.new_list("branches"), one, all, seen)?;
        }
        "topics" => {
            let topics = draft.list("topics")?;
            topics.retain(|topic| topic != name);
            if !before.is_null() {
                topics.push(json!(name));
            }
        }
        "settings" => setting(draft, one)?,
        "organization" => draft.put(&["organization"], name, declared()?),
        "actions" => match name.strip_prefix(FORKS).and_then(|rest| rest.strip_prefix('.')) {
            Some(key) => draft.put(&["actions", FORKS], key, declared()?),
            // GitHub shows these values only while `allowed_actions` is `selected`.
            None if before.is_null() && SELECTED.contains(&name) => {}
            None => draft.put(&["actions"], name, declared()?),
        },
        "security" => match name.strip_prefix(SETUP).and_then(|rest| rest.strip_prefix('.')) {
            Some(key) => draft.put(&["security", SETUP], key, declared()?),
            None => draft.put(&["security"], name, declared()?),
        },
        "immutable_releases" => draft.put(&[], "immutable_releases", declared()?),
        // A subject without its own claims has GitHub's default claims.
        "oidc_subject" if before.is_null() && name == "include_claim_keys" => {}
        "pages" => pages(draft, one, all)?,
        "interaction_limit" | "oidc_subject" => draft.put(&[one.aspect.as_str()], name, declared()?),
        "secrets" | "dependabot_secrets" | "codespaces_secrets" => {
            return Err("GitHub and the journal have no value of a secret".to_owned());
        }
        "files" => {
            return Err(
                "revert the commit in the repository: the journal has no contents of files".to_owned()
            );
        }
        "creation" => return Err("Beadle deletes no repository".to_owned()),
        _ => return Err("Beadle cannot restore values of this aspect".to_owned()),
    }
    Ok(None)
}

/// Puts the earlier value of a Pages site into the file. If Beadle created the site, the undo
/// removes the site and all values of the site.
fn pages(draft: &mut Draft<'_>, one: &Reversal, all: &[Reversal]) -> Result<(), String> {
    let is_created = |other: &Reversal| other.is_beside(one) && other.name == SITE && other.before == false;
    if all.iter().any(is_created) {
        draft.put(&["pages"], SITE, json!(false));
        return Ok(());
    }
    if one.name == SITE {
        return Err("the journal does not have the values that the site had".to_owned());
    }
    if one.before.is_null() && one.name != "cname" {
        return Err("GitHub showed no value before".to_owned());
    }
    draft.put(&["pages"], &one.name, one.before.clone());
    Ok(())
}

fn setting(draft: &mut Draft<'_>, one: &Reversal) -> Result<(), String> {
    let (name, before) = (one.name.as_str(), &one.before);
    if name == "name" {
        return Err("the name is the identity of the repository: rename it at GitHub".to_owned());
    }
    if let Some(feature) = name.strip_prefix(FEATURE) {
        let status = before.as_str().filter(|status| matches!(*status, "enabled" | "disabled"));
        let status = status.ok_or("the journal does not have a state that Beadle can set")?;
        draft.put(&["repository", "security_and_analysis"], feature, json!({ "status": status }));
        return Ok(());
    }
    if before.is_null() && !NULLABLE.contains(&name) {
        return Err("GitHub showed no value before".to_owned());
    }
    let is_empty = NULLABLE.contains(&name) && before == "";
    draft.put(&["repository"], name, if is_empty { Value::Null } else { before.clone() });
    Ok(())
}
