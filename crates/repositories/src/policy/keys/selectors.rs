//! The keys that a layer uses to select repositories.

use super::super::shape::{Key, Shape, key};
use super::super::shapes::{SLUG, SLUGS, TEXTS, VISIBILITY};

/// The keys of a layer's selector. A repository must match every key. If the value of a key is a
/// list, the repository must match at least one entry of the list.
pub(super) const CHOICE: Shape = Shape::Map(&[
    key("name", ONE_OR_MORE, "Globs on the name of the repository."),
    key("topic", ONE_OR_MORE, "Topics of the repository."),
    key("team", Shape::Either(&SLUG, &SLUGS), "Slugs of teams with access to the repository."),
    key("property", Shape::Free, "Custom properties: each name with the value or the values that match."),
    key("visibility", VISIBILITIES, "The visibility of the repository."),
    key("fork", Shape::Bool, "Whether the repository is a fork."),
    key("created_after", Shape::Text, "A date. The repository was created after this day."),
    key("created_before", Shape::Text, "A date. The repository was created before this day."),
]);
const ONE_OR_MORE: Shape = Shape::Either(&Shape::Text, &TEXTS);
const VISIBILITIES: Shape = Shape::Either(&VISIBILITY, &Shape::List(&VISIBILITY));
pub(super) const RANK: Key = key(
    "rank",
    Shape::Int(1, 999),
    "The layer with the highest rank wins. Default: 100. settings.yml has 0, files in repos/ have 1000.",
);
