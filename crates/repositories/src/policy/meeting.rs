//! Decides whether several parts of a policy might apply to the same repository. The decision uses
//! only the policy's files, and no data about repositories.

use std::collections::BTreeSet;

use super::layers::{Choice, Layer, LayerKind, ListMode, ListModes};
use super::node::Node;
use super::pattern::Pattern;
use super::selector::Selector;

/// A part of a policy: either a file without its `first_match`, or one entry of `first_match`.
/// A part applies to a repository completely or not at all.
pub(super) struct Part<'a> {
    /// The layer that contains the part. `None` if the part only represents a name from a selector.
    pub(super) layer: Option<&'a Layer>,
    /// The index of the entry in `first_match`. `None` if the part is not such an entry.
    pub(super) case: Option<usize>,
    /// The values that the part sets.
    pub(super) root: Option<&'a Node>,
    /// The conditions of the part. The part applies if all conditions match.
    conditions: Vec<Condition<'a>>,
}

enum Condition<'a> {
    /// Matches one repository. The first value is the name of the file in lower case. If the file
    /// sets a new name for its repository, the second value is this new name.
    Named(String, Option<&'a str>),
    /// Matches if one of the lists of a suborg matches.
    Suborg { globs: &'a [Pattern], teams: &'a [String], properties: &'a [Selector] },
    /// Matches the repositories that a layer or an entry of `first_match` selects.
    Choice(&'a Choice),
}

/// Returns all parts of the layers, in the order of the layers. After these parts, the result
/// contains one part for each name in a selector.
pub(super) fn parts(layers: &[Layer]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut names = BTreeSet::new();
    for layer in layers {
        let own = |case, root, conditions| Part { layer: Some(layer), case, root: Some(root), conditions };
        parts.push(own(None, &layer.root, conditions(layer)));
        for (number, case) in layer.cases.iter().enumerate() {
            let mut conditions = conditions(layer);
            if !case.choice.is_empty() {
                conditions.push(Condition::Choice(&case.choice));
            }
            parts.push(own(Some(number), &case.root, conditions));
        }
        if let LayerKind::Suborg { globs, .. } = &layer.kind {
            names.extend(globs.iter().filter_map(Pattern::literal));
        }
        let globs = layer.selectors().flat_map(|selector| &selector.names);
        names.extend(globs.filter_map(Pattern::literal));
    }
    parts.extend(names.into_iter().map(|name| {
        let conditions = vec![Condition::Named(name, None)];
        Part { layer: None, case: None, root: None, conditions }
    }));
    parts
}

fn conditions(layer: &Layer) -> Vec<Condition<'_>> {
    match &layer.kind {
        LayerKind::Organisation => Vec::new(),
        LayerKind::Suborg { globs, teams, properties } => {
            vec![Condition::Suborg { globs, teams, properties }]
        }
        LayerKind::Selected(choice) if choice.is_empty() => Vec::new(),
        LayerKind::Selected(choice) => vec![Condition::Choice(choice)],
        LayerKind::Repository(name) => vec![Condition::Named(name.to_lowercase(), layer.given_name())],
    }
}

impl Part<'_> {
    /// Returns whether the part applies to only one repository.
    pub(super) fn is_single(&self) -> bool {
        self.single_name().is_some()
    }

    /// Returns the repository's name in lower case if the part applies to only one repository.
    /// Returns `None` if the part can apply to several repositories.
    pub(super) fn single_name(&self) -> Option<&str> {
        match self.conditions.first() {
            Some(Condition::Named(name, _)) => Some(name),
            _ => None,
        }
    }

    /// Returns the modes that the part sets for its lists.
    pub(super) fn list_modes(&self) -> ListModes {
        let Some(layer) = self.layer else { return ListModes::new() };
        if let Some(case) = self.case.and_then(|at| layer.cases.get(at)) {
            return case.list_modes.clone();
        }
        let additive = ListMode { exclusive: false, asked: layer.root.asked.clone() };
        let mut list_modes: ListModes =
            layer.additive.iter().map(|name| (name.clone(), additive.clone())).collect();
        list_modes.extend(layer.list_modes.clone());
        list_modes
    }

    /// Returns whether this part certainly applies to every repository that `narrow` applies to.
    pub(super) fn covers(&self, narrow: &Self) -> bool {
        // A later entry of `first_match` applies only if no earlier entry matches. So it is never
        // certain that a later entry applies.
        let is_certain = self.case.is_none_or(|case| case == 0);
        let is_implied = |wide: &Condition<'_>| narrow.conditions.iter().any(|own| own.is_within(wide));
        std::ptr::eq(self, narrow) || (is_certain && self.conditions.iter().all(is_implied))
    }

    /// Returns whether the two parts certainly never apply to the same repository.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let is_same_layer = match (self.layer, other.layer) {
            (Some(one), Some(two)) => one.file == two.file,
            _ => false,
        };
        // Only one entry of a `first_match` applies to a repository.
        let is_another_case = is_same_layer && self.case.is_some() && other.case.is_some();
        let apart = |one: &Condition<'_>| other.conditions.iter().any(|two| one.is_apart_from(two));
        is_another_case || self.conditions.iter().any(apart)
    }
}

fn all_within(own: &[Pattern], wide: &[Pattern]) -> bool {
    own.iter().all(|own| wide.iter().any(|wide| own.is_within(wide)))
}

fn all_apart(one: &[Pattern], other: &[Pattern]) -> bool {
    one.iter().all(|one| other.iter().all(|two| one.is_apart_from(two)))
}

fn all_known(own: &[String], wide: &[String]) -> bool {
    own.iter().all(|own| wide.iter().any(|wide| wide.eq_ignore_ascii_case(own)))
}

impl Condition<'_> {
    /// Returns whether the condition matches a repository with this name. The name is in lower
    /// case. Returns `None` if the match does not depend on the name alone.
    fn of_name(&self, name: &str) -> Option<bool> {
        match self {
            Self::Named(own, _) if own == name => Some(true),
            // The file sets this name for its repository. After the rename, the file still belongs
            // to the repository.
            Self::Named(_, Some(given)) if given.eq_ignore_ascii_case(name) => None,
            Self::Named(..) => Some(false),
            Self::Suborg { globs, .. } if globs.iter().any(|glob| glob.is_match(name)) => Some(true),
            Self::Suborg { teams, properties, .. } => {
                (teams.is_empty() && properties.is_empty()).then_some(false)
            }
            Self::Choice(choice) => {
                let selected = choice.select.of_name(name);
                let Some(except) = &choice.except else { return selected };
                let excepted = except.of_name(name);
                if selected == Some(false) || excepted == Some(true) {
                    return Some(false);
                }
                selected.filter(|_| excepted == Some(false))
            }
        }
    }

    /// Returns whether every repository that matches this condition certainly also matches `wide`.
    fn is_within(&self, wide: &Self) -> bool {
        match (self, wide) {
            (Self::Named(name, _), _) => wide.of_name(name) == Some(true),
            (_, Self::Named(..)) => false,
            (Self::Choice(own), Self::Choice(wide)) => {
                let is_kept = match (&own.except, &wide.except) {
                    (_, None) => true,
                    (None, Some(except)) => own.select.is_apart_from(except),
                    (Some(own), Some(except)) => format!("{own:?}") == format!("{except:?}"),
                };
                is_kept && own.select.is_within(&wide.select)
            }
            (
                Self::Suborg { globs, teams, properties },
                Self::Suborg { globs: wide, teams: wide_teams, properties: wide_properties },
            ) => {
                let property = |own: &Selector| wide_properties.iter().any(|wide| own.is_within(wide));
                all_within(globs, wide) && all_known(teams, wide_teams) && properties.iter().all(property)
            }
            (Self::Suborg { globs, teams, properties }, Self::Choice(wide)) => {
                let names = wide.select.only_names().filter(|_| wide.except.is_none());
                teams.is_empty()
                    && properties.is_empty()
                    && names.is_some_and(|names| all_within(globs, names))
            }
            (Self::Choice(own), Self::Suborg { globs, teams, properties }) => {
                let own = &own.select;
                (!own.names.is_empty() && all_within(&own.names, globs))
                    || (!own.teams().is_empty() && all_known(own.teams(), teams))
                    || properties.iter().any(|wide| own.is_within(wide))
            }
        }
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(name, given), condition) | (condition, Self::Named(name, given)) => {
                let never = |name: &str| condition.of_name(name) == Some(false);
                never(name) && given.is_none_or(|given| never(&given.to_lowercase()))
            }
            (Self::Choice(one), Self::Choice(two)) => {
                let excepts = |one: &Choice, two: &Choice| {
                    two.except.as_ref().is_some_and(|except| one.select.is_within(except))
                };
                one.select.is_apart_from(&two.select) || excepts(one, two) || excepts(two, one)
            }
            (Self::Suborg { globs, teams, properties }, Self::Choice(choice))
            | (Self::Choice(choice), Self::Suborg { globs, teams, properties }) => {
                let names = &choice.select.names;
                teams.is_empty() && properties.is_empty() && !names.is_empty() && all_apart(globs, names)
            }
            (
                Self::Suborg { globs, teams, properties },
                Self::Suborg { globs: other, teams: other_teams, properties: other_properties },
            ) => {
                let is_by_name =
                    |teams: &[String], properties: &[Selector]| teams.is_empty() && properties.is_empty();
                is_by_name(teams, properties)
                    && is_by_name(other_teams, other_properties)
                    && all_apart(globs, other)
            }
        }
    }
}
