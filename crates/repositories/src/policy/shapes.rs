//! Shapes that several sections of a policy use.

use super::forms;
use super::shape::{Key, Shape, key};

/// Describes a list that can be exclusive or additive. When Beadle merges layers, it merges such
/// lists entry by entry.
macro_rules! listed {
    ($item:expr) => {{
        use $crate::policy::shape::{Shape, key};
        use $crate::policy::shapes::{ADD, REPLACE, WITHOUT};
        Shape::Layered(
            &Shape::List(&$item),
            &[
                key("exclusive", Shape::List(&$item), "Exactly these entries."),
                key("additive", Shape::List(&$item), "At least these entries. Others stay."),
                key("add", Shape::List(&$item), ADD),
                key("replace", Shape::List(&$item), REPLACE),
                key("without", Shape::List(&Shape::Named(&$item)), WITHOUT),
            ],
        )
    }};
    // As in safe-settings, `exclude` contains patterns. Beadle keeps the entries that match one of
    // the patterns.
    ($item:expr, $exclude:expr) => {{
        use $crate::policy::shape::{Shape, key};
        use $crate::policy::shapes::{ADD, REPLACE, WITHOUT};
        Shape::Layered(
            &Shape::List(&$item),
            &[
                key("include", Shape::List(&$item), "These entries."),
                key("exclude", Shape::List(&$exclude), "Other entries that match stay."),
                key("exclusive", Shape::List(&$item), "Exactly these entries."),
                key("additive", Shape::List(&$item), "At least these entries. Others stay."),
                key("add", Shape::List(&$item), ADD),
                key("replace", Shape::List(&$item), REPLACE),
                key("without", Shape::List(&Shape::Named(&$item)), WITHOUT),
            ],
        )
    }};
}
/// Describes a list that is part of another value. When Beadle merges layers, it merges such lists
/// entry by entry. The list itself has no mode.
macro_rules! layered {
    ($item:expr) => {{
        use $crate::policy::shape::{Shape, key};
        use $crate::policy::shapes::{ADD, REPLACE, WITHOUT};
        Shape::Layered(
            &Shape::List(&$item),
            &[
                key("add", Shape::List(&$item), ADD),
                key("replace", Shape::List(&$item), REPLACE),
                key("without", Shape::List(&Shape::Named(&$item)), WITHOUT),
            ],
        )
    }};
}
pub(crate) use layered;
pub(crate) use listed;

/// The descriptions of the keys that edit a lower layer's list.
pub(crate) const ADD: &str = "These entries, in addition to the entries of lower rank.";
pub(crate) const REPLACE: &str = "Only these entries, without the entries of lower rank.";
pub(crate) const WITHOUT: &str = "Entries of lower rank that Beadle leaves out, by name or as entries.";

pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);
pub(crate) const OPTIONAL_BOOL: Shape = Shape::OrNull(&Shape::Bool);
pub(crate) const OPTIONAL_TEXT: Shape = Shape::OrNull(&Shape::Text);
pub(crate) const NAME: Shape = Shape::Form(&forms::NAME);
pub(crate) const SLUG: Shape = Shape::Form(&forms::SLUG);
pub(crate) const SLUGS: Shape = Shape::List(&SLUG);
pub(crate) const LOGIN: Shape = Shape::Form(&forms::LOGIN);
pub(crate) const VISIBILITY: Shape = Shape::OneOf(&["private", "internal", "public"]);

/// The key for the permission of a team or a person.
pub(crate) const PERMISSION: Key = key(
    "permission",
    NAME,
    "pull, triage, push, maintain, admin, or a custom role's name. Default: no change.",
);
/// An entry of a list's `exclude`: a regular expression for names.
pub(crate) const BY_REGEX: Shape = Shape::Either(
    &Shape::Regex,
    &Shape::Map(&[key("name", Shape::Regex, "A regular expression on the name.")]),
);
/// The key that restricts an entry of a list to some repositories.
pub(crate) const INCLUDE: Key =
    key("include", TEXTS, "Only in repositories whose names match one of these globs.");
/// The key that excludes some repositories from an entry of a list.
pub(crate) const EXCLUDE: Key =
    key("exclude", TEXTS, "Not in repositories whose names match one of these globs.");
