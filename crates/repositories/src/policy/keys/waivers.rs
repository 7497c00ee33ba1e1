//! The keys of `waivers.yml`.

use super::super::shape::{Key, Shape, key, required};

/// The keys of one waiver.
pub(crate) const WAIVER: &[Key] = &[
    required(key(
        "repositories",
        Shape::List(&Shape::Text),
        "The names of the repositories, or globs such as `api-*`.",
    )),
    required(key(
        "keys",
        Shape::List(&Shape::Text),
        "The paths of the exempt keys, such as `branches[main].protection.enforce_admins`.",
    )),
    required(key(
        "until",
        Shape::Text,
        "The end: a date such as `2026-12-01`, or a time such as `2026-12-01T18:00:00Z`.",
    )),
    required(key("reason", Shape::Text, "Why the keys are exempt.")),
    required(key("owner", Shape::Text, "The person or team that answers for the waiver.")),
];

/// The form of `waivers.yml`.
pub(crate) const WAIVERS_FILE: Shape =
    Shape::Map(&[key("waivers", Shape::List(&Shape::Map(WAIVER)), "The waivers.")]);
