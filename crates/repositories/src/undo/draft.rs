//! Makes the sections of the policy file for an undo. At first, each list contains the present
//! entries of the repository. Some keys are valid only together with other keys. The file then also
//! gets these other keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::import::{LISTS, Observed, UNITS};

/// The keys that a policy can contain only with `allowed_actions: selected`.
pub(super) const SELECTED: [&str; 3] = ["github_owned_allowed", "verified_allowed", "patterns_allowed"];

/// The names of two blocks: the settings for workflows of forks, and the default setup of code
/// scanning.
pub(super) const FORKS: &str = "fork_pr_workflows_private_repos";
pub(super) const SETUP: &str = "code_scanning_default_setup";

/// The sections of a policy file. The undo puts the earlier values into these sections.
pub(super) struct Draft<'a> {
    observed: &'a Observed,
    sections: Value,
    lists: BTreeMap<&'static str, Vec<Value>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(observed: &'a Observed) -> Self {
        Self { observed, sections: json!({}), lists: BTreeMap::new() }
    }

    /// Returns the entries of a list. At first, the list contains the present entries of the
    /// repository.
    pub(super) fn list(&mut self, name: &str) -> Result<&mut Vec<Value>, String> {
        let list = LISTS.iter().find(|list| list.name == name);
        let list = list.ok_or_else(|| "Beadle cannot restore values of this aspect".to_owned())?;
        if let Some(why) = self.observed.unknown.get(list.name) {
            return Err(format!("Beadle cannot read the present value: {why}"));
        }
        let observed = self.observed;
        let live = || observed.lists.get(list.name).cloned().unwrap_or_default();
        Ok(self.lists.entry(list.name).or_insert_with(live))
    }

    /// Returns the entries of a list. At first, the list is empty.
    pub(super) fn new_list(&mut self, name: &'static str) -> &mut Vec<Value> {
        self.lists.entry(name).or_default()
    }

    /// Returns whether entries of a list might be missing in the policy. If so, the policy must not
    /// remove any entry of the list.
    pub(super) fn is_incomplete(&self, list: &str) -> bool {
        self.observed.additive.contains(list)
    }

    /// Sets a key in a block.
    pub(super) fn put(&mut self, block: &[&str], key: &str, value: Value) {
        self.begin(block, key);
        let mut at = &mut self.sections;
        for name in block {
            at = &mut at[*name];
        }
        at[key] = value;
    }

    /// Sets the keys that must be set together with `key`. These keys get the present values of the
    /// repository.
    fn begin(&mut self, block: &[&str], key: &str) {
        let observed = self.observed;
        let mut own = UNITS.iter().filter(|unit| unit.block == block);
        let has_key = |key: &str| {
            UNITS.iter().find(|unit| unit.block == block && unit.usual.iter().any(|(name, _)| *name == key))
        };
        let unit = match has_key(key) {
            Some(unit) => Some(unit),
            None if SELECTED.contains(&key) => has_key("allowed_actions"),
            // All keys of such a block must be set together.
            None => own.next().filter(|_| own.next().is_none()),
        };
        if let Some(values) = unit.and_then(|unit| observed.values.get(unit.name)) {
            self.fill(block, values);
        }
        // The block itself can be the value of a unit.
        if let Some((name, outer)) = block.split_last()
            && UNITS.iter().any(|unit| unit.name == *name && unit.block == outer)
            && let Some(values) = observed.values.get(*name)
        {
            self.fill(outer, values);
        }
    }

    /// Sets those keys of a block that do not have a value yet.
    fn fill(&mut self, block: &[&str], values: &Map<String, Value>) {
        let mut at = &mut self.sections;
        for name in block {
            at = &mut at[*name];
        }
        for (key, value) in values {
            if at[key].is_null() {
                at[key] = value.clone();
            }
        }
    }

    /// Returns the sections of the file. The result omits keys that have no effect because of the
    /// value of a different key. A policy must not contain such keys.
    pub(super) fn sections(self) -> Map<String, Value> {
        let mut sections = self.sections;
        for (name, entries) in self.lists {
            let is_additive = self.observed.additive.contains(name);
            let entries = Value::Array(entries);
            let value = if is_additive { json!({ "additive": entries }) } else { entries };
            if name == "topics" {
                sections["repository"][name] = value;
            } else {
                sections[name] = value;
            }
        }
        if let Some(actions) = sections.get_mut("actions").and_then(Value::as_object_mut)
            && actions.get("allowed_actions").is_some_and(|allowed| allowed != "selected")
        {
            actions.retain(|key, _| !SELECTED.contains(&key.as_str()));
        }
        only(&mut sections, &["actions", FORKS], "run_workflows_from_fork_pull_requests", &json!(false));
        only(&mut sections, &["security", SETUP], "state", &json!("not-configured"));
        only(&mut sections, &["pages"], "enabled", &json!(false));
        if let Some(subject) = sections.get_mut("oidc_subject").and_then(Value::as_object_mut)
            && subject.get("use_default") == Some(&json!(true))
        {
            subject.remove("include_claim_keys");
        }
        if let Value::Object(sections) = sections { sections } else { Map::new() }
    }
}

/// Removes the other keys of a block, if these keys have no effect because of the value of `key`.
fn only(sections: &mut Value, block: &[&str], key: &str, value: &Value) {
    let block = block.iter().try_fold(sections, |at, name| at.get_mut(*name));
    if let Some(block) = block.and_then(Value::as_object_mut)
        && block.get(key) == Some(value)
    {
        block.retain(|other, _| other == key);
    }
}
