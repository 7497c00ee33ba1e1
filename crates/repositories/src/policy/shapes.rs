//! Shapes that several sections of a policy share.

use super::forms;
use super::shape::{Key, Shape, key};

/// Describes a list that can be exclusive or additive.
macro_rules! listed {
    ($item:expr) => {{
        use $crate::policy::shape::{Shape, key};
        Shape::Either(
            &Shape::List(&$item),
            &Shape::Map(&[
                key("exclusive", Shape::List(&$item), "Exactly these entries."),
                key("additive", Shape::List(&$item), "At least these entries. Others stay."),
            ]),
        )
    }};
    // As in safe-settings, `exclude` has patterns of entries that Beadle keeps.
    ($item:expr, $exclude:expr) => {{
        use $crate::policy::shape::{Shape, key};
        Shape::Either(
            &Shape::List(&$item),
            &Shape::Map(&[
                key("include", Shape::List(&$item), "These entries."),
                key("exclude", Shape::List(&$exclude), "Other entries that match stay."),
                key("exclusive", Shape::List(&$item), "Exactly these entries."),
                key("additive", Shape::List(&$item), "At least these entries. Others stay."),
            ]),
        )
    }};
}
pub(crate) use listed;

pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);
pub(crate) const OPTIONAL_BOOL: Shape = Shape::OrNull(&Shape::Bool);
pub(crate) const OPTIONAL_TEXT: Shape = Shape::OrNull(&Shape::Text);
pub(crate) const NAME: Shape = Shape::Form(&forms::NAME);
pub(crate) const SLUG: Shape = Shape::Form(&forms::SLUG);
pub(crate) const SLUGS: Shape = Shape::List(&SLUG);
pub(crate) const LOGIN: Shape = Shape::Form(&forms::LOGIN);
pub(crate) const VISIBILITY: Shape = Shape::OneOf(&["private", "internal", "public"]);

/// The permission of a team or a person.
pub(crate) const PERMISSION: Key = key(
    "permission",
    NAME,
    "pull, triage, push, maintain, admin, or a custom role's name. Default: no change.",
);
/// A regular expression on names, in `exclude` of a list.
pub(crate) const BY_REGEX: Shape = Shape::Either(
    &Shape::Regex,
    &Shape::Map(&[key("name", Shape::Regex, "A regular expression on the name.")]),
);
/// The repositories in which an entry of a list counts.
pub(crate) const INCLUDE: Key =
    key("include", TEXTS, "Only in repositories whose names match one of these globs.");
/// The repositories in which an entry of a list does not count.
pub(crate) const EXCLUDE: Key =
    key("exclude", TEXTS, "Not in repositories whose names match one of these globs.");
