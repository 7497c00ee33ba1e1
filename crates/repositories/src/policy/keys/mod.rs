//! Every key of the files of a policy. The sections of a file come from the aspects.
//!
//! <https://github.com/github/safe-settings> (docs/sample-settings)

mod joined;
mod selectors;

use super::shape::{Key, Shape, key, later, never};
use super::shapes::{SLUGS, TEXTS, VISIBILITY};
use crate::{aspects, organisation};
use joined::{count, join, joined, names};
use selectors::{CHOICE, RANK};

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

const KEYS_OF_REPOSITORY: [Key; count(&OF_REPOSITORY)] = join(&OF_REPOSITORY);
const SECTIONS_OF_ASPECTS: [Key; count(&OF_ASPECTS)] = join(&OF_ASPECTS);
const SECTIONS_OF_ORGANISATION: [Key; count(&OF_ORGANISATION)] = join(&OF_ORGANISATION);

/// The section `repository`: the keys of the aspects, and keys that Beadle does not carry out.
pub(crate) const REPOSITORY: &[Key] = joined![
    &KEYS_OF_REPOSITORY,
    &[
        never("has_downloads", "GitHub no longer has it"),
        later("force_create", "Making a repository that does not exist."),
        later("template", "What a repository is made from."),
        later("oldname", "The name before a rename."),
        later("auto_init", "A first commit for a new repository."),
        later("gitignore_template", "For a new repository."),
        later("license_template", "For a new repository."),
    ],
];

/// The sections that every file of settings may have.
pub(crate) const SECTIONS: &[Key] = joined![
    &[key("repository", Shape::Map(REPOSITORY), "Settings.")],
    &SECTIONS_OF_ASPECTS,
    &[
        later("milestones", "Milestones."),
        later("validator", "Patterns that names have to match."),
        later("environments", "Deployment environments."),
        later("variables", "Actions variables."),
    ],
];

/// Returns the sections that are lists and may say whether they are exclusive.
pub(crate) fn lists() -> Vec<&'static str> {
    SECTIONS.iter().filter(|key| key.shape.has_list_mode()).map(|key| key.name).collect()
}

/// Every section, of repositories and of the organisation.
pub(crate) const ALL_SECTIONS: &[Key] = joined![SECTIONS, &SECTIONS_OF_ORGANISATION];

/// The parts of sections that a list of plugins may name, as it may name every section.
const PLUGIN_PARTS: &[&str] = &["topics", "archive"];
const PLUGIN_NAMES: [&str; ALL_SECTIONS.len() + PLUGIN_PARTS.len()] = names(ALL_SECTIONS, PLUGIN_PARTS);
const PLUGIN: Shape = Shape::OneOf(&PLUGIN_NAMES);
const PLUGINS: Shape = Shape::List(&Shape::Either(
    &PLUGIN,
    &Shape::Map(&[
        key("plugin", PLUGIN, "The section."),
        key(
            "target",
            Shape::OneOf(&["self", "children", "all"]),
            "Which layers it is for; here it holds for all.",
        ),
    ]),
));

/// `settings.yml`.
pub(crate) const SETTINGS: &[Key] = joined![
    SECTIONS,
    &SECTIONS_OF_ORGANISATION,
    &[
        key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay."),
        key("disable_plugins", PLUGINS, "Sections that are left alone."),
        later("ruleset_scope", "Where rulesets apply."),
        later("centralized_ruleset_bypass_actors", "Who may bypass rulesets."),
        later("app_installations", "Apps and their repositories."),
        later("custom_repository_roles", "Roles of the organisation."),
    ],
];

/// `suborgs/*.yml`.
pub(crate) const SUBORG: &[Key] = joined![
    SECTIONS,
    &[
        key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay."),
        later("disable_plugins", "Sections that are left alone; carried out in settings.yml."),
        later("ruleset_scope", "Where rulesets apply."),
        RANK,
        key("suborgrepos", TEXTS, "Repositories of this group, by glob."),
        key("suborgteams", SLUGS, "Repositories of this group, by a team that has access."),
        key("suborgproperties", Shape::List(&Shape::Free), "Repositories of this group, by custom property."),
    ],
];

/// `layers/*.yml`.
pub(crate) const LAYER: &[Key] = joined![
    SECTIONS,
    &[
        RANK,
        key("select", CHOICE, "Whom it is for; everybody if not said."),
        key("except", CHOICE, "Whom it is not for all the same."),
        key("first_match", Shape::List(&Shape::Map(CASE)), "Of these the first that matches holds too."),
    ],
];

/// One of a layer's `first_match`.
const CASE: &[Key] = joined![
    SECTIONS,
    &[
        key("select", CHOICE, "Whom it is for; everybody if not said."),
        key("except", CHOICE, "Whom it is not for all the same."),
    ],
];

/// `repos/*.yml`.
pub(crate) const REPO: &[Key] = joined![
    SECTIONS,
    &[
        key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay."),
        later("disable_plugins", "Sections that are left alone; carried out in settings.yml."),
    ],
];

/// One of `tests/*.yml`.
pub(crate) const TEST: Shape = Shape::Map(&[
    key("name", Shape::Text, "What it is about."),
    key(
        "repository",
        Shape::Map(&[
            key("name", Shape::Text, "Its name."),
            key("topics", TEXTS, "Its topics."),
            key("teams", TEXTS, "Teams that have access."),
            key("properties", Shape::Free, "Its custom properties."),
            key("visibility", VISIBILITY, "Who can see it; `private` if not said."),
            key("fork", Shape::Bool, "Whether it is a fork."),
            key("archived", Shape::Bool, "Whether it is archived."),
            key("created_at", Shape::Text, "The day on which it was made."),
            key("default_branch", Shape::Text, "Its default branch; `main` if not said."),
        ]),
        "A repository like this",
    ),
    key("expect", Shape::Map(SECTIONS), "has to resolve to (at least) this."),
    key("absent", TEXTS, "Paths of which nothing may be asked, such as `teams[contractors]`."),
    key("skipped", Shape::Bool, "Whether it has to be left alone."),
]);

const RESTRICTED: Shape = Shape::Either(
    &TEXTS,
    &Shape::Map(&[key("include", TEXTS, "Only these."), key("exclude", TEXTS, "All but these.")]),
);

/// The remark on validators.
const VALIDATORS: &str =
    "Beadle runs no JavaScript of a policy: this rule is not checked; write it as a test in tests/*.yml";

/// `deployment-settings.yml`.
pub(crate) const DEPLOYMENT: &[Key] = &[
    key(
        "restrictedRepos",
        Shape::OrNull(&RESTRICTED),
        "Repositories that are left alone: a list, or include and exclude.",
    ),
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
    fn lists_that_can_be_exclusive_are_recognised_by_their_shape() {
        let lists: BTreeSet<&str> = lists().into_iter().collect();
        let expected =
            ["autolinks", "collaborators", "custom_properties", "labels", "rulesets", "teams", "webhooks"];
        assert_eq!(lists, BTreeSet::from(expected));
    }

    #[test]
    fn the_keys_of_an_entry_are_found_through_each_form_of_a_list() {
        let required = |section: &str| -> Vec<&'static str> {
            let section = ALL_SECTIONS.iter().find(|known| known.name == section).unwrap();
            section.shape.entry_keys().iter().filter(|key| key.is_required).map(|key| key.name).collect()
        };
        assert_eq!(required("teams"), ["name", "permission"]);
        assert_eq!(required("branches"), ["name", "protection"]);
        assert_eq!(required("labels"), ["name"]);
        assert_eq!(required("actions"), [""; 0]);
    }
}
