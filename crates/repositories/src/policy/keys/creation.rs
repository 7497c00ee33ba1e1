//! The keys of the section `repository` that control the creation of a repository or a branch.
//! These keys belong to no aspect, because an aspect only compares existing things.
//!
//! <https://docs.github.com/rest/repos/repos#create-an-organization-repository>,
//! <https://docs.github.com/rest/repos/repos#create-a-repository-using-a-template>,
//! <https://docs.github.com/rest/repos/forks#create-a-fork>

use crate::policy::forms;
use crate::policy::shape::{Key, Shape, key};

pub(super) const KEYS: &[Key] = &[
    key("force_create", Shape::Bool, "Creates the repository if it does not exist. Needs a file in repos/."),
    key(
        "template",
        Shape::Form(&forms::TEMPLATE),
        "The template of a new repository: OWNER/NAME, or NAME for a repository of the organisation.",
    ),
    key(
        "include_all_branches",
        Shape::Bool,
        "Copies all branches of the template or of the forked repository, not only the default branch.",
    ),
    key(
        "fork",
        Shape::Form(&forms::FORKED),
        "The repository of which a new repository is a fork: OWNER/NAME.",
    ),
    key("auto_init", Shape::Bool, "Creates a first commit in a new repository."),
    key(
        "gitignore_template",
        Shape::Form(&forms::NAME),
        "The `.gitignore` of a new repository, by its name in github/gitignore, such as `Rust`.",
    ),
    key(
        "license_template",
        Shape::Form(&forms::NAME),
        "The license of a new repository, by its keyword, such as `mit`.",
    ),
    key(
        "oldname",
        Shape::Form(&forms::FORMER_NAME),
        "The name of an existing repository that gets the name of the file. Only in the file of one repository.",
    ),
    key(
        "default_branch_when_missing",
        Shape::OneOf(&["report", "rename", "create"]),
        "Whether Beadle renames the present default branch, creates the branch, or reports that it does not exist.",
    ),
];
