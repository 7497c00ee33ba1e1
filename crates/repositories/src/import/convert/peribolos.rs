//! Converts the file `org.yaml` of peribolos. The file contains the settings of repositories, and
//! the access that teams have.
//!
//! <https://docs.prow.k8s.io/docs/components/cli-tools/peribolos/>

use std::collections::BTreeMap;

use serde_json::Map;

use super::result::{Conversion, problem, unconverted};
use super::tree::{block, list, put, text};
use crate::policy::{FileKind, Node};

/// The keys of a repository that have the same meaning in the section `repository`.
const SETTINGS: &[&str] = &[
    "description",
    "homepage",
    "private",
    "has_issues",
    "has_projects",
    "has_wiki",
    "allow_squash_merge",
    "allow_merge_commit",
    "allow_rebase_merge",
    "squash_merge_commit_title",
    "squash_merge_commit_message",
    "default_branch",
    "archived",
];

/// The sections of each repository. The key is the repository's name.
type Repositories = BTreeMap<String, Node>;

/// Converts the organisation with this name. If there is no name, the files must contain exactly
/// one organisation.
pub(super) fn peribolos(
    organisation: Option<&str>,
    sources: &BTreeMap<String, String>,
    made: &mut Conversion,
) {
    for (file, source) in sources {
        let Some(root) = made.parsed(file, source) else { continue };
        let orgs = root.get("orgs").map(Node::entries).unwrap_or_default();
        let is_wanted = |name: &Node| {
            let name = name.text().unwrap_or_default();
            organisation.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let found: Vec<&(Node, Node)> = orgs.iter().filter(|(name, _)| is_wanted(name)).collect();
        let [(_, org)] = found.as_slice() else {
            let names: Vec<&str> = orgs.iter().filter_map(|(name, _)| name.text()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let text = match organisation {
                Some(wanted) => format!("`orgs` must have the organisation `{wanted}`, found: {names}"),
                None => {
                    format!("`orgs` must have one organisation, or `--org` must choose one, found: {names}")
                }
            };
            made.problems.push(problem(&root, &text));
            continue;
        };
        let mut repositories = Repositories::new();
        for (key, value) in org.entries() {
            match key.text().unwrap_or_default() {
                "repos" => settings(value, &mut repositories, made),
                "teams" => {}
                name @ ("members" | "admins") => {
                    made.problems.push(unconverted(
                        key,
                        &format!("`{name}`: Beadle does not manage the members of an organisation"),
                    ));
                }
                name => {
                    made.problems.push(unconverted(
                        key,
                        &format!("`{name}`: Beadle does not manage this setting of an organisation"),
                    ));
                }
            }
        }
        if let Some(teams) = org.get("teams") {
            access(teams, &mut repositories, made);
        }
        for (name, sections) in repositories {
            if made.accepts(&sections, &name) {
                made.add(file, FileKind::Repo, format!("repos/{name}.yml"), &sections, Map::new());
            }
        }
    }
}

/// Adds the settings of all repositories.
fn settings(repos: &Node, repositories: &mut Repositories, made: &mut Conversion) {
    for (name, repo) in repos.entries() {
        let mut settings = block(repo, Vec::new());
        for (key, value) in repo.entries() {
            let key_text = key.text().unwrap_or_default();
            if SETTINGS.contains(&key_text) {
                settings = put(&settings, key_text, value.clone());
            } else {
                made.problems.push(unconverted(
                    key,
                    &format!("`{key_text}`: Beadle has no such key for a repository"),
                ));
            }
        }
        if let Some(name) = name.text() {
            repositories.insert(name.to_owned(), block(repo, vec![("repository", settings)]));
        }
    }
}

/// Adds the access of the teams. The lists are additive, because peribolos might not know all
/// teams.
fn access(teams: &Node, repositories: &mut Repositories, made: &mut Conversion) {
    for (name, team) in teams.entries() {
        let slug = slug(name.text().unwrap_or_default());
        for (key, value) in team.entries() {
            match key.text().unwrap_or_default() {
                "repos" => {
                    for (repository, permission) in value.entries() {
                        if let Some(repository) = repository.text() {
                            grant(repository, &slug, permission, repositories, made);
                        }
                    }
                }
                "teams" => access(value, repositories, made),
                key_text @ ("members" | "maintainers") => {
                    let why = format!("`{key_text}`: Beadle takes the members of a team from a directory");
                    made.problems.push(unconverted(key, &why));
                }
                key_text => {
                    let why = format!(
                        "`{key_text}`: Beadle creates no team, and changes only the access of a team"
                    );
                    made.problems.push(unconverted(key, &why));
                }
            }
        }
    }
}

/// Adds the access of one team to one repository.
fn grant(
    repository: &str,
    slug: &str,
    permission: &Node,
    repositories: &mut Repositories,
    made: &mut Conversion,
) {
    let level = match permission.text().unwrap_or_default() {
        "none" => {
            made.problems
                .push(unconverted(permission, "`none`: in Beadle, a team without access has no entry"));
            return;
        }
        "read" => "pull",
        "write" => "push",
        other => other,
    };
    let entry =
        block(permission, vec![("name", text(permission, slug)), ("permission", text(permission, level))]);
    let sections = repositories.remove(repository).unwrap_or_else(|| block(permission, Vec::new()));
    let known =
        sections.get("teams").and_then(|teams| teams.get("additive")).map(Node::items).unwrap_or_default();
    let entries = known.iter().cloned().chain([entry]).collect();
    let teams = block(permission, vec![("additive", list(permission, entries))]);
    repositories.insert(repository.to_owned(), put(&sections, "teams", teams));
}

/// Returns the slug that GitHub gives to a team with this name.
fn slug(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words: Vec<&str> = name.split(|c: char| !fits(c)).filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}
