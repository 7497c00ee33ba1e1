//! The lists of a policy with entries that an undo restores, and the names of these entries in
//! plans.

/// A list of a policy, and the names of its entries in plans.
pub(super) struct Entries {
    /// The name of the aspect, which is also the name of the list.
    pub(super) list: &'static str,
    /// The first word in the name that an entry has in plans.
    pub(super) prefix: &'static str,
    /// The key whose value is the name of the thing in an entry.
    pub(super) id: &'static str,
    /// The name of the value with which a plan creates or removes an entry.
    pub(super) primary: &'static str,
    /// True if the plan of a removal shows all values of the entry: the name and one more value.
    pub(super) is_whole: bool,
}

const fn entries(
    list: &'static str,
    prefix: &'static str,
    id: &'static str,
    primary: &'static str,
) -> Entries {
    Entries { list, prefix, id, primary, is_whole: false }
}

/// All lists of which an undo restores entries.
pub(super) const ALL: &[Entries] = &[
    Entries { is_whole: true, ..entries("teams", "team ", "name", "permission") },
    Entries { is_whole: true, ..entries("collaborators", "collaborator ", "username", "permission") },
    entries("labels", "label ", "name", "color"),
    entries("milestones", "milestone ", "title", "title"),
    entries("autolinks", "autolink ", "key_prefix", "url_template"),
    entries("deploy_keys", "deploy key ", "title", "key"),
    Entries { is_whole: true, ..entries("custom_properties", "", "name", "value") },
    Entries { is_whole: true, ..entries("variables", "variable ", "name", "value") },
    entries("webhooks", "webhook ", "url", "events"),
    entries("environments", "environment ", "name", "environment"),
    entries("rulesets", "ruleset ", "name", "ruleset"),
];
