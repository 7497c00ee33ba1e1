//! Checks rules that the shape of a file cannot express. For example, an entry must not appear
//! twice, some keys must not be missing, and values must not contradict each other.

use super::contradictions;
use super::file_template;
use super::keys::ALL_SECTIONS;
use super::list_forms;
use super::lists::{entries, list_of};
use super::marker::misspelt;
use super::node::{Kind, Node};
use super::organisation_checks;
use super::pattern::{globs, short};
use super::problem::{Problem, Severity};
use super::schema::FileKind;
use crate::identity;

/// The maximum number of reviewers of an environment.
const REVIEWERS: usize = 6;
/// The lists of an environment whose entries are identified by a name.
const OF_ENVIRONMENT: [&str; 2] = ["variables", "secrets"];

/// Returns the names of the sections whose entries have identities (`crate::identity`).
fn named() -> impl Iterator<Item = &'static str> {
    ALL_SECTIONS.iter().map(|section| section.name).filter(|name| identity::kind(name).is_some())
}

/// Checks that no selector is empty. An empty selector would match every repository.
fn check_choice(root: &Node, problems: &mut Vec<Problem>) {
    for (key, hint) in [
        ("select", "to reach every repository, remove `select`"),
        ("except", "to except no repository, remove `except`"),
    ] {
        let Some(node) = root.get(key) else { continue };
        let empty = |node: &Node| match &node.kind {
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
            _ => false,
        };
        for (name, value) in node.get("property").map(Node::entries).unwrap_or_default() {
            // Beadle cannot compare a property with this name or value. Without this error, the
            // selector would ignore the property.
            if name.text().is_none() || !is_comparable(value) {
                let name = name.text().map_or_else(|| name.json().to_string(), str::to_owned);
                let text = format!(
                    "`{key}.property`: the name `{}` must be a text, and its value a text or a list of texts",
                    short(&name)
                );
                problems.push(Problem::error(value.asked.clone(), value.column, text));
            }
        }
        let values = node.entries().iter().flat_map(|(_, value)| {
            std::iter::once(value).chain(value.entries().iter().map(|(_, value)| value))
        });
        if node.entries().is_empty() || values.into_iter().any(empty) {
            let text = format!(
                "`{key}` must not be empty or have an empty list: an empty selector matches every repository"
            );
            problems.push(Problem::error(node.asked.clone(), node.column, text).hint(hint));
        }
    }
}

/// Returns whether a value of `property` is a text, a number or a boolean, or a list of such
/// values.
fn is_comparable(value: &Node) -> bool {
    let is_plain = |node: &Node| node.is_scalar() && !node.is_null();
    if let Kind::List(items) = &value.kind { items.iter().all(is_plain) } else { is_plain(value) }
}

/// Returns the name of an entry for error messages. The name of a webhook does not contain the
/// address, because the address can contain a secret.
fn named_entry(list: &str, item: &Node) -> String {
    match identity::name(list, item).filter(|_| list != "webhooks") {
        Some(name) => format!("the entry `{}`", short(&name.written)),
        None => "this entry".to_owned(),
    }
}

fn check_autolinks(root: &Node, problems: &mut Vec<Problem>) {
    for link in entries(root, "autolinks") {
        if let Some(template) = link.get("url_template")
            && template.text().is_some_and(|text| !text.contains("<num>"))
        {
            let text = "`url_template` must contain `<num>`, which stands for the rest of the reference";
            problems.push(Problem::error(template.asked.clone(), template.column, text));
        }
    }
}

/// Checks each declared file. A file must have at most one source for its content, and its template
/// must be valid.
fn check_files(root: &Node, problems: &mut Vec<Problem>) {
    for file in entries(root, "files") {
        let Some(template) = file.get("template") else { continue };
        if file.get("content").is_some() {
            let text = "an entry of `files` must not have both `content` and `template`";
            problems.push(Problem::error(template.asked.clone(), template.column, text));
        }
        if let Some(Err(why)) = template.text().map(file_template::check) {
            problems.push(Problem::error(template.asked.clone(), template.column, why));
        }
    }
}

/// Checks environments. GitHub refuses some combinations of the parts of an environment. Each name
/// must appear only once.
fn check_environments(root: &Node, problems: &mut Vec<Problem>) {
    for environment in entries(root, "environments") {
        if let Some(list) =
            environment.get("reviewers").filter(|list| list_of(list).items().len() > REVIEWERS)
        {
            let text = format!("an environment must have at most {REVIEWERS} reviewers");
            problems.push(Problem::error(list.asked.clone(), list.column, text));
        }
        for list in OF_ENVIRONMENT {
            for item in identity::repeated(list, entries(environment, list)) {
                let text = format!("`{list}` of an environment has {} twice", named_entry(list, item));
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
        let Some(policy) = environment.get("deployment_branch_policy") else { continue };
        let is_protected = policy.get("protected_branches").and_then(Node::bool) == Some(true);
        let custom = policy.get("custom_branch_policies");
        let has_custom =
            custom.is_some_and(|custom| custom.bool() == Some(true) || !list_of(custom).items().is_empty());
        if is_protected && has_custom {
            let text = "`protected_branches` and `custom_branch_policies` must not both be set";
            problems.push(Problem::error(policy.asked.clone(), policy.column, text));
        }
    }
}

/// Checks that no claim appears twice in the subject of OpenID Connect tokens.
fn check_claims(root: &Node, problems: &mut Vec<Problem>) {
    let claims = root.get("oidc_subject").map(|subject| entries(subject, "include_claim_keys"));
    let claims = claims.unwrap_or_default();
    for (at, claim) in claims.iter().enumerate() {
        if claims[..at].iter().any(|other| other.text() == claim.text()) {
            let text = "`include_claim_keys` must have each claim once";
            problems.push(Problem::error(claim.asked.clone(), claim.column, text));
        }
    }
}

/// Checks that no repository gets two code security configurations, because GitHub attaches only
/// one. Also checks that each new repository gets at most one configuration by default.
fn check_configurations(root: &Node, problems: &mut Vec<Problem>) {
    let of_one = [
        ("attach_to", "a repository can have only one"),
        ("default_for_new_repos", "each kind of new repository has only one default"),
    ];
    for (key, why) in of_one {
        let claims = entries(root, "code_security_configurations").iter().filter_map(|item| item.get(key));
        let mut before: Vec<&str> = Vec::new();
        for claim in claims {
            let Some(scope) = claim.text().filter(|scope| *scope != "none") else { continue };
            if before.iter().any(|other| *other == scope || *other == "all" || scope == "all") {
                let text = format!("`{key}: {scope}` overlaps with another configuration: {why}");
                problems.push(Problem::error(claim.asked.clone(), claim.column, text));
            }
            before.push(scope);
        }
    }
}

/// Checks a file, or one entry of `first_match`. The check covers the rules that a shape cannot
/// express.
pub(super) fn check_layer(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let single = kind == FileKind::Repo;
    for case in root.get("first_match").map(Node::items).unwrap_or_default() {
        check_layer(kind, case, problems);
    }
    contradictions::check(kind, root, problems);
    misspelt(root, problems);
    check_choice(root, problems);
    check_autolinks(root, problems);
    check_files(root, problems);
    check_environments(root, problems);
    check_claims(root, problems);
    check_configurations(root, problems);
    organisation_checks::check(root, problems);
    for property in entries(root, "custom_properties") {
        if property.get("name").is_none() && property.get("property_name").is_none() {
            let text = "an entry of `custom_properties` must have `name`";
            problems.push(Problem::error(property.asked.clone(), property.column, text));
        }
    }
    // The code above has already checked the entries of `first_match`.
    let own = root.without(&["first_match"]);
    list_forms::check(&own, problems);
    let mut contradictions = Vec::new();
    identity::contradictions("", &own, &mut contradictions);
    for (list, item) in contradictions {
        let text = format!("`{list}` has {} twice, with different values", named_entry(list, item));
        problems.push(Problem::error(item.asked.clone(), item.column, text));
    }
    for list in named() {
        let items = entries(root, list);
        for item in items {
            for key in ["include", "exclude"] {
                item.get(key).map(|node| globs(node, problems));
            }
        }
        // Several entries for the same team are valid if they have `include` or `exclude`. With
        // these keys, each entry can apply to different repositories.
        let everywhere = |node: &&Node| node.get("include").is_none() && node.get("exclude").is_none();
        for item in identity::repeated(list, items.iter().filter(everywhere)) {
            let text = format!("`{list}` has {} twice", named_entry(list, item));
            problems.push(Problem::error(item.asked.clone(), item.column, text));
        }
    }
    for section in ALL_SECTIONS {
        for key in section.shape.entry_keys().iter().filter(|key| key.is_required) {
            for item in entries(root, section.name).iter().filter(|item| item.get(key.name).is_none()) {
                let text = format!("an entry of `{}` must have `{}`", section.name, key.name);
                problems.push(Problem::error(item.asked.clone(), item.column, text));
            }
        }
    }
    for (at, branch) in entries(root, "branches").iter().enumerate() {
        if branch.get("protection").is_none() {
            let text = format!("`branches[{at}]` has no `protection`: the entry sets nothing");
            let problem = Problem::error(branch.asked.clone(), branch.column, text);
            let hint = "to remove the rule of the branch, write `protection: null`";
            problems.push(problem.severity(Severity::Warning).hint(hint));
        }
    }
    let Some(repository) = root.get("repository") else { return };
    for key in ["description", "homepage"] {
        if let Some(value) = repository.get(key)
            && value.text().is_some_and(|text| text.trim_end().chars().any(char::is_control))
        {
            let text = format!("`repository.{key}` must be one line without control characters");
            problems.push(Problem::error(value.asked.clone(), value.column, text));
        }
    }
    if let Some(value) = repository.get("archived").filter(|value| !single && value.bool() == Some(false)) {
        let text = "`repository.archived: false` unarchives a repository only in repos/NAME.yml: Beadle leaves the \
                    archived repositories of a layer alone";
        let problem = Problem::error(value.asked.clone(), value.column, text);
        problems.push(problem.severity(Severity::NotYet));
    }
    if let Some(value) = repository.get("oldname").filter(|_| !single) {
        let text = "`repository.oldname` is valid only in repos/NAME.yml: Beadle ignores it here";
        let problem = Problem::error(value.asked.clone(), value.column, text);
        problems.push(problem.severity(Severity::Warning));
    }
    if let Some(value) = repository.get("name").filter(|_| !single) {
        // safe-settings ignores `name` in such a file. The author might have meant only one
        // repository. Beadle therefore accepts the file only in mode `observe`. In this mode,
        // Beadle writes nothing.
        let text = "`repository.name` has an effect only in repos/NAME.yml: only mode `observe` accepts this file for all \
                    repositories";
        let problem = Problem::error(value.asked.clone(), value.column, text);
        let problem = problem.severity(Severity::NotYet).stops_writes();
        problems.push(if kind == FileKind::Settings {
            problem.hint("to convert a file of the Probot settings app, use `beadle import --from probot`")
        } else {
            problem
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_probot_app_is_recognised_by_the_name_of_its_repository() {
        for (kind, has_hint) in [(FileKind::Settings, true), (FileKind::Layer, false)] {
            let mut problems = Vec::new();
            let root = Node::parse("settings.yml", "repository: { name: shop }").unwrap();
            check_layer(kind, &root, &mut problems);
            let hints: Vec<bool> = problems
                .iter()
                .map(|problem| problem.hint.as_ref().is_some_and(|hint| hint.contains("--from probot")))
                .collect();
            assert_eq!(hints, [has_hint], "{problems:?}");
        }
    }

    #[test]
    fn no_selector_matches_every_repository_or_none_by_mistake() {
        for (text, expected) in [
            ("select: { property: { tier: gold } }", 0),
            ("select: { property: { tier: [gold, 1, true] } }", 0),
            ("select: { property: {} }", 1),
            ("except: { property: {} }", 1),
            ("select: { property: { tier: [] } }", 1),
            ("select: { property: { 2026: gold } }", 1),
            ("except: { property: { tier: } }", 1),
            ("except: { property: { tier: null } }", 1),
            ("except: { property: { tier: { gold: true } } }", 1),
            ("except: { property: { tier: [null] } }", 1),
        ] {
            let mut problems = Vec::new();
            check_layer(FileKind::Layer, &Node::parse("layers/a.yml", text).unwrap(), &mut problems);
            assert_eq!(problems.len(), expected, "{text}: {problems:?}");
        }
    }

    #[test]
    fn no_repository_gets_two_configurations() {
        for (key, one, other, expected) in [
            ("attach_to", "all", "public", 1),
            ("attach_to", "public", "public", 1),
            ("attach_to", "public", "private_or_internal", 0),
            ("default_for_new_repos", "public", "all", 1),
            ("default_for_new_repos", "all", "all", 1),
            ("default_for_new_repos", "public", "private_and_internal", 0),
            ("default_for_new_repos", "all", "none", 0),
            ("default_for_new_repos", "none", "none", 0),
        ] {
            let text = format!(
                "code_security_configurations: [{{name: a, {key}: {one}}}, {{name: b, {key}: {other}}}]"
            );
            let mut problems = Vec::new();
            check_layer(FileKind::Settings, &Node::parse("settings.yml", &text).unwrap(), &mut problems);
            assert_eq!(problems.len(), expected, "{text}: {problems:?}");
        }
    }
}
