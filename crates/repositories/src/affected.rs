//! Compares what two generations of a policy declare for one repository. Beadle needs to plan a
//! repository only if the two declarations differ.

use std::collections::BTreeSet;

use beadle_github::Repository;
use serde_json::Value;

use crate::aspects;
use crate::policy::{Node, OverrideStatus, Policy, Verdict};

/// A generation of a policy, and the status of the repository's files in repos/.
pub(crate) type Generation<'a> = (&'a Policy, &'a OverrideStatus<'a>);

/// Returns whether two generations declare different things for a repository. The function ignores
/// line numbers, comments and the order of files. If Beadle cannot resolve one of the generations
/// because a read failed, the result is `true`.
pub(crate) fn differs(before: Generation<'_>, after: Generation<'_>, repository: &Repository) -> bool {
    let (before, after) = (Resolved::of(before, repository), Resolved::of(after, repository));
    let is_unread =
        |resolved: &Option<Resolved>| resolved.as_ref().is_some_and(|resolved| resolved.is_unread);
    before != after || is_unread(&before) || is_unread(&after)
}

/// A repository, in its present state or in a possible later state, with the status of its files in
/// repos/.
pub(crate) type Seen<'a> = (&'a Repository, &'a OverrideStatus<'a>);

/// Returns whether the policy declares different values for the present and the later state of a
/// repository.
pub(crate) fn differs_later(policy: &Policy, (now, is): Seen<'_>, (later, will): Seen<'_>) -> bool {
    Resolved::of((policy, is), now) != Resolved::of((policy, will), later)
}

/// The values that a policy declares for one repository. Line numbers are omitted.
#[derive(Debug, PartialEq)]
struct Resolved {
    values: Option<Value>,
    /// The declared lists that are additive.
    additive: BTreeSet<String>,
    /// The settings. If two keys set the same setting, the layer of higher rank wins.
    settings: Vec<(String, Value)>,
    /// The security features. If layers disagree about the features, the layer of higher rank wins.
    security: Option<Value>,
    /// The branch protection rules. Each rule comes with the rank of its layer.
    branches: Vec<(Option<String>, Option<Value>, i64)>,
    /// The sections that Beadle does not change.
    undecided: BTreeSet<String>,
    /// The sections that Beadle changes only in part.
    partly_undecided: BTreeSet<String>,
    /// True if a person must approve removals, weakenings and exposures.
    is_doubtful: bool,
    /// True if a part is undecided because a read failed.
    is_unread: bool,
}

impl Resolved {
    /// Resolves a policy for a repository. Returns `None` if the policy skips the repository.
    fn of((policy, status): Generation<'_>, repository: &Repository) -> Option<Self> {
        let target = match policy.resolve(repository, status) {
            Verdict::Skipped(_) => return None,
            Verdict::Reached(target) => target,
        };
        let values = policy.declared(&target, repository).map(|root| sections(&root));
        let declares = |list: &str| {
            let Some(values) = &values else { return false };
            match list {
                "topics" => values.pointer("/repository/topics").is_some(),
                list => values.get(list).is_some(),
            }
        };
        // If the policy does not declare a list, the mode of the list has no effect.
        let modes = target.list_modes.iter().filter(|(list, mode)| !mode.exclusive && declares(list));
        let additive = modes.map(|(list, _)| list.clone()).collect();
        let desired = policy.desired(&target, repository);
        let settings = desired.settings.into_iter().map(|want| (want.key, want.value)).collect();
        let branches = desired.branches.into_iter();
        let branches = branches
            .map(|want| (want.pattern, want.protection.as_ref().map(Node::json), want.rank))
            .collect();
        Some(Self {
            additive,
            settings,
            security: desired.security.as_ref().map(Node::json),
            branches,
            undecided: target.undecided.iter().map(|(section, _)| section.clone()).collect(),
            partly_undecided: target.partly_undecided.iter().map(|(section, _)| section.clone()).collect(),
            is_doubtful: target.doubt().is_some(),
            is_unread: target.undecided.iter().any(|(_, unsure)| unsure.transient),
            values,
        })
    }
}

/// Returns only those sections of a policy that belong to an aspect. A key outside these sections,
/// such as the selector of a layer, has an effect only through these sections.
fn sections(root: &Node) -> Value {
    let names = || aspects::ALL.iter().flat_map(|aspect| aspect.sections).map(|section| section.name);
    let sections = root.entries().iter().filter_map(|(key, value)| {
        let key = key.text().filter(|key| *key == "repository" || names().any(|name| name == *key))?;
        Some((key.to_owned(), value.json()))
    });
    sections.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_github::{Known, Unsure};

    use super::*;
    use crate::policy::repository;

    fn policy(files: &[(&str, &str)]) -> Policy {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn shop() -> Repository {
        repository(&Node::parse("test", "{ name: shop, topics: [web], teams: [core] }").unwrap())
    }

    fn is_affected(before: &[(&str, &str)], after: &[(&str, &str)]) -> bool {
        let status = OverrideStatus::default();
        differs((&policy(before), &status), (&policy(after), &status), &shop())
    }

    const SETTINGS: &str =
        "repository: { has_wiki: false, topics: [web] }\nteams: [{ name: core, permission: push }]\n";

    #[test]
    fn only_what_a_policy_declares_for_the_repository_counts() {
        let base = &[("settings.yml", SETTINGS)];
        for (what, after, affected) in [
            ("a comment", format!("# why\n\n{SETTINGS}"), false),
            ("quotes", SETTINGS.replace("push", "'push'"), false),
            ("a value", SETTINGS.replace("false", "true"), true),
            ("an entry less", SETTINGS.replace("[{ name: core, permission: push }]", "[]"), true),
            ("an entry for others", SETTINGS.replace("}]", "}, { name: x, include: ['api-*'] }]"), false),
            ("an entry for it", SETTINGS.replace("}]", "}, { name: x, include: ['sh*'] }]"), true),
            ("a list mode", format!("additive_plugins: [teams]\n{SETTINGS}"), true),
            ("a mode without a list", format!("additive_plugins: [labels]\n{SETTINGS}"), false),
            ("a disabled section", format!("disable_plugins: [teams]\n{SETTINGS}"), true),
        ] {
            assert_eq!(is_affected(base, &[("settings.yml", after.as_str())]), affected, "{what}: {after}");
        }
    }

    #[test]
    fn only_layers_that_reach_the_repository_count() {
        let settings = ("settings.yml", SETTINGS);
        for (file, text, affected) in [
            ("repos/shop.yml", "repository: { has_issues: false }", true),
            ("repos/shop.yml", "repository: { has_wiki: false }", false),
            ("repos/other.yml", "repository: { has_issues: false }", false),
            ("suborgs/web.yml", "suborgrepos: ['sh*']\nrepository: { has_issues: false }", true),
            ("suborgs/api.yml", "suborgrepos: ['api-*']\nrepository: { has_issues: false }", false),
            ("layers/web.yml", "select: { topic: web }\nrepository: { has_issues: false }", true),
            ("layers/api.yml", "select: { topic: api }\nrepository: { has_issues: false }", false),
            ("suborgs/core.yml", "suborgteams: [core]\nrepository: { has_issues: false }", true),
            ("deployment-settings.yml", "restrictedRepos: [shop]", true),
            ("deployment-settings.yml", "restrictedRepos: [other]", false),
        ] {
            assert_eq!(is_affected(&[settings], &[settings, (file, text)]), affected, "{file}: {text}");
            assert_eq!(
                is_affected(&[settings, (file, text)], &[settings]),
                affected,
                "without {file}: {text}"
            );
        }
    }

    #[test]
    fn a_file_that_lost_its_text_affects_what_it_may_reach() {
        let settings = ("settings.yml", SETTINGS);
        for (file, affected) in [("repos/shop.yml", true), ("repos/other.yml", false)] {
            let with_text = (file, "repository: { has_wiki: false }");
            assert_eq!(is_affected(&[settings, with_text], &[settings, (file, "")]), affected, "{file}");
        }
    }

    #[test]
    fn a_repository_whose_selection_could_not_be_read_counts_as_affected() {
        let files = [
            ("settings.yml", SETTINGS),
            ("layers/web.yml", "select: { topic: web }\nrepository: { has_issues: false }"),
        ];
        let (policy, status) = (policy(&files), OverrideStatus::default());
        for (unsure, affected) in
            [(Unsure::for_now("502".to_owned()), true), (Unsure::for_people("403".to_owned()), false)]
        {
            let seen = Repository { topics: Known::Unknown(unsure), ..shop() };
            assert_eq!(differs((&policy, &status), (&policy, &status), &seen), affected);
        }
    }
}
