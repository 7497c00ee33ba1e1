//! The keys by which a layer selects repositories.

use super::super::shape::{Key, Shape, key};
use super::super::shapes::{SLUG, SLUGS, TEXTS, VISIBILITY};

/// The selector of a layer: every key has to hold; of a list, one entry.
pub(super) const CHOICE: Shape = Shape::Map(&[
    key("name", ONE_OR_MORE, "Globs on the name."),
    key("topic", ONE_OR_MORE, "Topics."),
    key("team", Shape::Either(&SLUG, &SLUGS), "Slugs of teams with access."),
    key("property", Shape::Free, "Custom properties: a name, and the value or values that do."),
    key("visibility", VISIBILITIES, "Who can see it."),
    key("fork", Shape::Bool, "Whether it is a fork."),
    key("created_after", Shape::Text, "A date: made after that day."),
    key("created_before", Shape::Text, "A date: made before that day."),
]);
const ONE_OR_MORE: Shape = Shape::Either(&Shape::Text, &TEXTS);
const VISIBILITIES: Shape = Shape::Either(&VISIBILITY, &Shape::List(&VISIBILITY));
pub(super) const RANK: Key = key(
    "rank",
    Shape::Int(1, 999),
    "A higher one wins: 100 if not said, settings.yml is 0, repos/ are 1000.",
);
