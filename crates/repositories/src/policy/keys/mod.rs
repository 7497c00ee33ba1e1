//! All keys that the files of a policy can contain. The sections of a file come from the aspects.
//!
//! <https://github.com/github/safe-settings> (docs/sample-settings)

#[cfg(test)]
mod coverage;
mod creation;
mod joined;
mod selectors;
mod waivers;

use super::shape::{Key, Shape, Status, key, never};
use super::shapes::{SLUGS, TEXTS, VISIBILITY};
use crate::{aspects, organisation};
use joined::{count, join, joined, names};
use selectors::{CHOICE, RANK};
pub(crate) use waivers::{WAIVER, WAIVERS_FILE};

/// The keys that each aspect adds to the section `repository`.
const OF_REPOSITORY: [&[Key]; aspects::ALL.len()] = {
    let mut lists: [&[Key]; aspects::ALL.len()] = [&[]; aspects::ALL.len()];
    let mut at = 0;
    while at < aspects::ALL.len() {
        lists[at] = aspects::ALL[at].repository_keys;
        at += 1;
    }
    lists
};

/// The sections that each aspect of a repository adds.
const OF_ASPECTS: [&[Key]; aspects::ALL.len()] = {
    let mut lists: [&[Key]; aspects::ALL.len()] = [&[]; aspects::ALL.len()];
    let mut at = 0;
    while at < aspects::ALL.len() {
        lists[at] = aspects::ALL[at].sections;
        at += 1;
    }
    lists
};

/// The sections that each aspect of the organisation adds to `settings.yml`.
const OF_ORGANISATION: [&[Key]; organisation::ALL.len()] = {
    let mut lists: [&[Key]; organisation::ALL.len()] = [&[]; organisation::ALL.len()];
    let mut at = 0;
    while at < organisation::ALL.len() {
        lists[at] = organisation::ALL[at].sections;
        at += 1;
    }
    lists
};

/// The keys that each aspect of the organisation adds to the section `organization`.
const IN_ORGANIZATION: [&[Key]; organisation::ALL.len()] = {
    let mut lists: [&[Key]; organisation::ALL.len()] = [&[]; organisation::ALL.len()];
    let mut at = 0;
    while at < organisation::ALL.len() {
        lists[at] = organisation::ALL[at].keys;
        at += 1;
    }
    lists
};

const KEYS_OF_REPOSITORY: [Key; count(&OF_REPOSITORY)] = join(&OF_REPOSITORY);
const SECTIONS_OF_ASPECTS: [Key; count(&OF_ASPECTS)] = join(&OF_ASPECTS);
const SECTIONS_OF_ORGANISATION: [Key; count(&OF_ORGANISATION)] = join(&OF_ORGANISATION);
const KEYS_OF_ORGANIZATION: [Key; count(&IN_ORGANIZATION)] = join(&IN_ORGANIZATION);

/// The keys of the section `organization`.
pub(crate) const ORGANIZATION: &[Key] = &KEYS_OF_ORGANIZATION;

/// The section for the organisation itself. Only `settings.yml` can contain this section.
const OF_THE_ORGANIZATION: Key =
    key("organization", Shape::Map(ORGANIZATION), "Settings and lists of the organisation itself.");

/// The keys of the section `repository`. There are three groups: the keys of the aspects, the keys
/// for the creation of a repository, and the keys that Beadle knows but does not support.
pub(crate) const REPOSITORY: &[Key] = joined![
    &KEYS_OF_REPOSITORY,
    creation::KEYS,
    &[
        never("has_downloads", "GitHub no longer has it"),
        never("new_name", "rename the file, and write the former name in `oldname`"),
        never("org", "the configuration of Beadle names the organisation"),
        never("organization", "the configuration of Beadle names the organisation"),
        never("team_id", "write the section `teams`"),
        never("custom_properties", "write the section `custom_properties`"),
        never("has_pages", "write the section `pages`"),
        never(
            "enable_vulnerability_alerts",
            "write `repository: { security: { enableVulnerabilityAlerts: ... } }`"
        ),
        never(
            "enable_automated_security_fixes",
            "write `repository: { security: { enableAutomatedSecurityFixes: ... } }`"
        ),
    ],
];

/// The sections that every settings file can contain.
pub(crate) const SECTIONS: &[Key] =
    joined![&[key("repository", Shape::Map(REPOSITORY), "Settings.")], &SECTIONS_OF_ASPECTS];

/// Returns the names of the sections whose list can be exclusive or additive.
pub(crate) fn lists() -> Vec<&'static str> {
    SECTIONS.iter().filter(|key| key.shape.has_list_mode()).map(|key| key.name).collect()
}

/// The sections of repositories and the sections of the organisation.
pub(crate) const ALL_SECTIONS: &[Key] = joined![SECTIONS, &SECTIONS_OF_ORGANISATION, &[OF_THE_ORGANIZATION]];

/// Returns the names of the supported keys in the section `organization`.
pub(crate) fn organization_keys() -> impl Iterator<Item = &'static str> {
    ORGANIZATION.iter().filter(|key| key.status == Status::Carried).map(|key| key.name)
}

/// Returns the possible keys of a section's entries.
pub(crate) fn entry_keys(section: &str) -> impl Iterator<Item = &'static str> {
    let section = ALL_SECTIONS.iter().find(|known| known.name == section);
    section.map(|known| known.shape.entry_keys()).unwrap_or_default().iter().map(|key| key.name)
}

/// The names that a list of plugins can contain in addition to the names of sections. `topics` and
/// `archive` are parts of the section `repository`. Beadle does not support `app_installations`.
const PLUGIN_PARTS: &[&str] = &["topics", "archive", "app_installations"];
const PLUGIN_NAMES: [&str; ALL_SECTIONS.len() + PLUGIN_PARTS.len()] = names(ALL_SECTIONS, PLUGIN_PARTS);
const PLUGIN: Shape = Shape::OneOf(&PLUGIN_NAMES);
const TARGET: Shape = Shape::OneOf(&["self", "children", "all"]);
const DISABLE: Shape = Shape::List(&Shape::Either(
    &PLUGIN,
    &Shape::Map(&[
        key("plugin", PLUGIN, "The section."),
        key(
            "target",
            TARGET,
            "The layers that the entry reaches: this file, files of a higher rank, or both. Default: `all`.",
        ),
    ]),
));
const ADDITIVE: Shape = Shape::List(&Shape::Either(
    &PLUGIN,
    &Shape::Map(&[
        key("plugin", PLUGIN, "The list."),
        key("target", TARGET, "Beadle ignores this key, and applies the entry to every layer."),
    ]),
));

/// The description of `disable_plugins` for all files except settings.yml.
const DISABLED: &str = "Sections that Beadle ignores in this file, in files of a higher rank, or in both.";

/// The key that makes the Probot settings app use the settings of another repository.
const EXTENDS: Key = never("_extends", "Beadle reads no settings of other repositories");

/// Another name of the section `repository` in safe-settings' schemas. safe-settings itself ignores
/// this name.
const REPOSITORIES: Key = never("repositories", "safe-settings ignores it; write the section `repository`");

/// The key of safe-settings that limits rulesets.
const RULESET_SCOPE: Key = never(
    "ruleset_scope",
    "GitHub has no such value; write the ruleset in settings.yml, and select repositories with `conditions`",
);

/// The safe-settings key that chooses which repositories an App can access. GitHub's API for this
/// choice needs an App that is installed on an enterprise:
/// <https://docs.github.com/en/enterprise-cloud@latest/rest/enterprise-admin/organization-installations>.
const APP_INSTALLATIONS: Key = never("app_installations", OF_ENTERPRISE);
/// The explanation for the list of Apps. Beadle does not change this list.
pub(super) const OF_ENTERPRISE: &str =
    "only an App of the enterprise can choose the repositories of an App, and Beadle has none";

/// The keys of `settings.yml`.
pub(crate) const SETTINGS: &[Key] = joined![
    SECTIONS,
    &SECTIONS_OF_ORGANISATION,
    &[
        OF_THE_ORGANIZATION,
        key("additive_plugins", ADDITIVE, "Lists of which Beadle keeps the entries that are not listed."),
        key("disable_plugins", DISABLE, "Sections that Beadle leaves alone."),
        EXTENDS,
        REPOSITORIES,
        RULESET_SCOPE,
        never(
            "centralized_ruleset_bypass_actors",
            "GitHub has no such value; write `bypass_actors` in each ruleset"
        ),
        APP_INSTALLATIONS,
    ],
];

/// The keys of `suborgs/*.yml`.
pub(crate) const SUBORG: &[Key] = joined![
    SECTIONS,
    &[
        key("additive_plugins", ADDITIVE, "Lists of which Beadle keeps the entries that are not listed."),
        key("disable_plugins", DISABLE, DISABLED),
        EXTENDS,
        REPOSITORIES,
        APP_INSTALLATIONS,
        RULESET_SCOPE,
        RANK,
        key("suborgrepos", TEXTS, "Selects repositories by globs on their names."),
        key("suborgteams", SLUGS, "Selects repositories by the teams with access to them."),
        key(
            "suborgproperties",
            Shape::List(&Shape::Free),
            "Selects repositories by their custom properties."
        ),
    ],
];

/// The keys of `layers/*.yml`.
pub(crate) const LAYER: &[Key] = joined![
    SECTIONS,
    &[
        RANK,
        key("select", CHOICE, "The repositories that the layer reaches. Default: every repository."),
        key("except", CHOICE, "Exceptions: selected repositories that the layer does not reach."),
        key(
            "first_match",
            Shape::List(&Shape::Map(CASE)),
            "Values for some of the repositories. Only the first matching entry applies."
        ),
    ],
];

/// The keys of one entry of `first_match` in a layer.
const CASE: &[Key] = joined![
    SECTIONS,
    &[
        key("select", CHOICE, "The repositories that the layer reaches. Default: every repository."),
        key("except", CHOICE, "Exceptions: selected repositories that the layer does not reach."),
    ],
];

/// The keys of `repos/*.yml`.
pub(crate) const REPO: &[Key] = joined![
    SECTIONS,
    &[
        key("additive_plugins", ADDITIVE, "Lists of which Beadle keeps the entries that are not listed."),
        key("disable_plugins", DISABLE, DISABLED),
        EXTENDS,
        REPOSITORIES,
        APP_INSTALLATIONS,
    ],
];

/// The keys of one test in `tests/*.yml`.
pub(crate) const TEST: Shape = Shape::Map(&[
    key("name", Shape::Text, "The name of the test, for errors."),
    key(
        "repository",
        Shape::Map(&[
            key("name", Shape::Text, "The name of the repository."),
            key("topics", TEXTS, "The topics of the repository."),
            key("teams", TEXTS, "The slugs of the teams with access."),
            key("properties", Shape::Free, "The custom properties of the repository."),
            key("visibility", VISIBILITY, "The visibility of the repository. Default: `private`."),
            key("fork", Shape::Bool, "Whether the repository is a fork."),
            key("archived", Shape::Bool, "Whether the repository is archived."),
            key("created_at", Shape::Text, "The date on which the repository was created."),
            key("default_branch", Shape::Text, "The default branch. Default: `main`."),
        ]),
        "The repository of the test.",
    ),
    key("expect", Shape::Map(SECTIONS), "The values that the repository must get, at least."),
    key("absent", TEXTS, "The paths that must have no value, such as `teams[contractors]`."),
    key("skipped", Shape::Bool, "Whether Beadle must skip the repository."),
]);

/// The lists whose entries a rule can check one by one.
pub(crate) const EACH: &[&str] = &[
    "teams",
    "collaborators",
    "branches",
    "rulesets",
    "labels",
    "milestones",
    "autolinks",
    "deploy_keys",
    "custom_properties",
    "webhooks",
    "environments",
    "variables",
    "secrets",
    "dependabot_secrets",
    "codespaces_secrets",
    "files",
];

/// The keys of one rule in `rules/*.yml`.
pub(crate) const RULE: Shape = Shape::Map(&[
    key("name", Shape::Text, "The name of the rule, for messages."),
    key(
        "each",
        Shape::OneOf(EACH),
        "A list: the rule checks its entries one by one. Default: the rule checks all values together.",
    ),
    key("when", Shape::Text, "A condition: the rule checks only values for which the condition is true."),
    key("expect", Shape::Text, "An expression over `base`, `override` and `resolved` that must be true."),
    key("message", Shape::Text, "The message for values that break the rule."),
]);

const RESTRICTED: Shape = Shape::Either(
    &TEXTS,
    &Shape::Map(&[
        key("include", TEXTS, "Beadle skips all repositories that match none of these."),
        key("exclude", TEXTS, "Beadle skips the repositories that match one of these."),
    ]),
);

/// The explanation for the validators of safe-settings. Beadle does not run these validators.
const VALIDATORS: &str = "Beadle runs no JavaScript; mode `enforce` refuses a policy with validators, unless [[org]] has \
                          `validators = \"ignored\"`; write each validator as a rule in rules/*.yml";

/// The keys of `deployment-settings.yml`.
pub(crate) const DEPLOYMENT: &[Key] = &[
    key(
        "restrictedRepos",
        Shape::OrNull(&RESTRICTED),
        "The repositories that Beadle skips: a list of patterns, or `include` and `exclude`.",
    ),
    key("disable_plugins", DISABLE, "Sections that Beadle leaves alone."),
    never("configvalidators", VALIDATORS),
    never("overridevalidators", VALIDATORS),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_unique<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        let mut known = BTreeSet::new();
        names.all(|name| known.insert(name))
    }

    #[test]
    fn no_two_aspects_describe_one_key_or_have_one_name() {
        for keys in [REPOSITORY, SETTINGS, SUBORG, LAYER, REPO] {
            assert!(is_unique(keys.iter().map(|key| key.name)), "{keys:?}");
        }
        assert!(is_unique(crate::aspect_names()));
    }

    #[test]
    fn a_list_with_an_identity_is_a_section() {
        for list in crate::identity::keys(false) {
            assert!(ALL_SECTIONS.iter().any(|section| section.name == list), "{list}");
        }
    }

    #[test]
    fn a_rule_can_check_the_entries_of_every_list_of_a_repository() {
        let with_entries = crate::identity::keys(false);
        let of_repositories: BTreeSet<&str> =
            with_entries.into_iter().filter(|list| *list != "code_security_configurations").collect();
        assert_eq!(EACH.iter().copied().collect::<BTreeSet<_>>(), of_repositories);
    }

    #[test]
    fn lists_that_can_be_exclusive_are_recognised_by_their_shape() {
        let lists: BTreeSet<&str> = lists().into_iter().collect();
        let expected = [
            "autolinks",
            "codespaces_secrets",
            "collaborators",
            "custom_properties",
            "dependabot_secrets",
            "deploy_keys",
            "environments",
            "labels",
            "milestones",
            "rulesets",
            "secrets",
            "teams",
            "variables",
            "webhooks",
        ];
        assert_eq!(lists, BTreeSet::from(expected));
    }

    #[test]
    fn the_keys_of_an_entry_are_found_through_each_form_of_a_list() {
        let required = |section: &str| -> Vec<&'static str> {
            let section = ALL_SECTIONS.iter().find(|known| known.name == section).unwrap();
            section.shape.entry_keys().iter().filter(|key| key.is_required).map(|key| key.name).collect()
        };
        assert_eq!(required("teams"), ["name"]);
        assert_eq!(required("branches"), ["name"]);
        assert_eq!(required("rulesets"), ["name"]);
        assert_eq!(required("labels"), ["name"]);
        assert_eq!(required("environments"), ["name"]);
        assert_eq!(required("actions"), [""; 0]);
    }
}
