//! Files of a repository, such as `CODEOWNERS` and workflows. Beadle compares each file by the id
//! of its content. For all files that differ, Beadle opens one pull request from its own branch,
//! and updates this pull request while it is open. When the default branch has all files, Beadle
//! closes the pull request. If somebody else commits to the branch, Beadle does not change the
//! branch and its pull request.
//!
//! If the policy has the section for files, Beadle makes one GraphQL query for each repository.
//! While Beadle's branch exists, Beadle makes a second query. If a template uses the topics or the
//! custom properties, Beadle reads these values for many repositories together.
//!
//! <https://docs.github.com/graphql/reference/mutations#createcommitonbranch>

mod decide;
#[cfg(test)]
mod tests;
mod text;
mod wanted;
mod write;

use std::collections::BTreeMap;

use async_trait::async_trait;
use beadle_engine::{Failure, Field, Risk};
use beadle_github::{Asks, AtPath, KeptFiles, Visibility};
use serde_json::{Value, json};

use self::decide::{Decision, Place, commit, decide, differing, refused};
use self::wanted::Wanted;
use self::write::Write;
use super::aspect::{AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, field};
use super::properties::comparable;
use crate::policy::file_template::TemplateFacts;
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::layered;
use crate::policy::{Node, forms};

/// The aspect for the files that Beadle keeps in a repository.
pub(crate) const FILES: Aspect = Aspect {
    name: "files",
    sections: &[key(
        "files",
        SHAPE,
        "Files. Beadle keeps them by a pull request, and leaves all other files alone.",
    )],
    repository_keys: &[],
    permissions: &[
        AppPermission::write("contents", "contents (repository)"),
        AppPermission::write("pull_requests", "pull requests (repository)"),
        AppPermission::write("workflows", "workflows (repository)"),
    ],
    events: &["pull_request", "push"],
    reads,
    stage: Stage::Body,
    is_apart: false,
    planner: &Files,
};

const ENTRY: Shape = Shape::Map(&[
    required(key(
        "path",
        Shape::Form(&forms::FILE),
        "The path of the file, below the root of the repository.",
    )),
    key("content", Shape::Text, "The whole content of the file."),
    key(
        "template",
        Shape::Text,
        "A template of the content, in place of `content`, such as `{{ repository.name }}`.",
    ),
    key(
        "template_file",
        Shape::Form(&forms::FILE),
        "The name of a file in templates/ of the policy that has the template.",
    ),
    key(
        "when_exists",
        Shape::OneOf(&["replace", "keep"]),
        "What Beadle does if the file exists with another content. Default: `replace`.",
    ),
    key(
        "push",
        Shape::Bool,
        "Whether Beadle commits the file to the default branch, without a pull request. Default: false.",
    ),
]);
const SHAPE: Shape = layered!(ENTRY);

struct Files;

fn reads(sections: &Sections<'_>) -> Asks {
    sections.get("files").map(|list| named(list.items())).unwrap_or_default()
}

/// Returns the parts of a repository that the templates of these entries use.
fn named(entries: &[Node]) -> Asks {
    let templates = || entries.iter().filter_map(|entry| entry.get("template")?.text());
    let names = |fact: &str| templates().any(|template| template.contains(fact));
    Asks { topics: names("topics"), properties: names("properties"), ..Asks::default() }
}

/// Returns whether the change of a file weakens the protection of the repository. A new or changed
/// workflow weakens the protection, because a workflow can use the secrets of the repository.
/// GitHub runs a workflow even from a branch that is not merged. A direct commit to `CODEOWNERS`
/// also weakens the protection, because this file decides who reviews, and nobody reviews a direct
/// commit.
fn weakens(file: &Wanted) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    file.path.starts_with(".github/workflows/") || (file.is_pushed && name == "CODEOWNERS")
}

/// Returns the difference of a file.
fn difference(file: &Wanted, seen: &KeptFiles) -> Field {
    let before = match seen.files.get(&file.path) {
        Some(AtPath::File(id)) => json!(id),
        _ => Value::Null,
    };
    let risk = if weakens(file) {
        Risk::Weakens
    } else if before.is_null() {
        Risk::Adds
    } else {
        Risk::Changes
    };
    field(&file.path, before, json!(file.id), Some(&file.asked), risk)
}

#[async_trait]
impl AspectPlanner for Files {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("files") else { return Ok(()) };
        let repository = context.repository;
        let named = named(section.items());
        if (named.topics && plan.read(&repository.topics).is_none())
            || (named.properties && plan.read(&repository.properties).is_none())
        {
            return Ok(());
        }
        // GitHub shows topics and properties in any order. The content of a file must not depend on
        // this order.
        let mut topics = repository.topics.value().cloned();
        if let Some(topics) = &mut topics {
            topics.sort_unstable();
        }
        let properties = repository.properties.value().map(|properties| -> BTreeMap<String, Value> {
            properties.iter().map(|(name, value)| (name.clone(), comparable(value))).collect()
        });
        let facts = TemplateFacts {
            name: &repository.name,
            owner: &repository.owner,
            visibility: repository.visibility.as_str(),
            default_branch: repository.default_branch.as_deref().unwrap_or_default(),
            topics: topics.as_deref(),
            properties: properties.as_ref(),
        };
        let mut wanted = Vec::new();
        for entry in section.items() {
            match Wanted::of(entry, facts) {
                Ok(file) => wanted.push(file),
                Err(why) => {
                    let path = entry.get("path").and_then(Node::text).unwrap_or_default();
                    plan.cannot_resolve_part(path, format!("{why} ({})", entry.asked));
                }
            }
        }
        let is_complete = plan.unresolved.is_empty();
        let paths: Vec<&str> = wanted.iter().map(|file| file.path.as_str()).collect();
        let seen = context.reader.kept_files(&repository.node_id, &paths).await?;
        let Some(default) = &seen.default else {
            if !wanted.is_empty() {
                plan.wait("the repository has no commit yet: Beadle adds the files after the first one");
            }
            return Ok(());
        };
        for file in wanted.iter().filter(|file| seen.files.get(&file.path) == Some(&AtPath::Other)) {
            let reason = format!("`{}` is a folder or a submodule, not a file ({})", file.path, file.asked);
            plan.cannot_resolve_part(&file.path, reason);
        }
        let (pushed, proposed): (Vec<&Wanted>, Vec<&Wanted>) =
            differing(&wanted, &seen).into_iter().partition(|file| file.is_pushed);
        if !pushed.is_empty() {
            let fields = pushed.iter().map(|file| difference(file, &seen)).collect();
            plan.change(format!("commit to {}", default.name), fields, Write::Push(commit(&pushed, default)));
        }
        // The open pull request might contain a file whose declared content is unknown now.
        if !is_complete {
            return Ok(());
        }
        for (file, number) in refused(&proposed, &seen) {
            plan.wait(format!(
                "`{}`: a person closed the pull request #{number}, so Beadle does not propose this content again ({})",
                file.path, file.asked
            ));
        }
        let place =
            Place { repository: &repository.node_id, is_public: repository.visibility == Visibility::Public };
        match decide(proposed, &seen, default, place) {
            Decision::Nothing => {}
            Decision::Wait(why) => plan.wait(why),
            Decision::Blocked(why) => plan.cannot_resolve_part("pull request", why),
            Decision::Propose { what, files, write } => {
                let fields = files.iter().map(|file| difference(file, &seen)).collect();
                plan.change(what, fields, write);
            }
            Decision::End { pull, write } => {
                // The branch contains only commits of Beadle, so no person loses work.
                let asked = Some(&section.node.asked);
                let closed = field("state", json!("open"), json!("closed"), asked, Risk::Changes);
                let deleted = field("branch", json!("present"), json!("deleted"), asked, Risk::Changes);
                let (what, fields) = match pull {
                    Some(number) => (format!("pull request #{number}"), vec![closed, deleted]),
                    None => ("branch of the pull request".to_owned(), vec![deleted]),
                };
                plan.change(what, fields, write);
            }
        }
        Ok(())
    }
}
