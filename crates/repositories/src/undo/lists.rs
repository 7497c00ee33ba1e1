//! The lists whose entries an undo can restore, and the names of these entries in plans.

/// A list of a policy, and the names of its entries in plans.
pub(super) struct Entries {
    /// The name of the aspect. The list has the same name.
    pub(super) list: &'static str,
    /// The first word of an entry's name in plans.
    pub(super) prefix: &'static str,
    /// The key that contains the name of an entry.
    pub(super) id: &'static str,
    /// The name of the value that a plan shows when it creates or removes an entry.
    pub(super) primary: &'static str,
    /// True if a plan that removes an entry shows all values of the entry: its name and one more
    /// value.
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

/// All lists whose entries an undo can restore.
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
