//! Finds values that contradict each other. Each single value is valid, but GitHub refuses the
//! combination.

mod across;
mod incomplete;
mod rulesets;

use beadle_engine::PolicyLocation;

pub(super) use self::across::across;
pub(super) use self::incomplete::incomplete;
use super::keys::OF_ENTERPRISE;
use super::lists::{entries, list_of};
use super::node::{Kind, Node};
use super::problem::{Problem, Severity};
use super::rules;
use super::schema::FileKind;

/// The maximum number of topics that GitHub accepts for a repository.
const TOPICS: usize = 20;

/// The data about one kind of merge commit: three keys, and the accepted messages for each title.
/// The keys are for the title, the message and the merge method.
type TitleAndMessage =
    (&'static str, &'static str, &'static str, &'static [(&'static str, &'static [&'static str])]);

/// The combinations of title and message that GitHub accepts.
const PAIRS: &[TitleAndMessage] = &[
    (
        "squash_merge_commit_title",
        "squash_merge_commit_message",
        "allow_squash_merge",
        &[
            ("PR_TITLE", &["PR_BODY", "BLANK", "COMMIT_MESSAGES"]),
            ("COMMIT_OR_PR_TITLE", &["COMMIT_MESSAGES"]),
        ],
    ),
    (
        "merge_commit_title",
        "merge_commit_message",
        "allow_merge_commit",
        &[("PR_TITLE", &["PR_BODY", "BLANK"]), ("MERGE_MESSAGE", &["PR_TITLE"])],
    ),
];

/// The keys of the merge methods. GitHub requires that at least one method is on.
const METHODS: [&str; 3] = ["allow_squash_merge", "allow_merge_commit", "allow_rebase_merge"];

/// Values that contradict each other. Each value is valid, but GitHub refuses the combination.
pub(super) struct Contradiction<'a> {
    /// The names that can disable the values: the name of the section, and sometimes the name of a
    /// part of the section. If `disable_plugins` contains one of these names, Beadle does not use
    /// the values.
    pub(super) names: &'static [&'static str],
    /// The contradicting keys of the section. If the list is empty, Beadle cannot use the whole
    /// section.
    pub(super) keys: Vec<&'static str>,
    /// The contradicting values. Beadle reports the problem at the line of the first value.
    values: Vec<&'a Node>,
    text: String,
    hint: Option<String>,
}

impl<'a> Contradiction<'a> {
    fn new(names: &'static [&'static str], values: Vec<&'a Node>, text: impl Into<String>) -> Self {
        Self { names, keys: Vec::new(), values, text: text.into(), hint: None }
    }

    /// Limits the contradiction to these keys of the section. Without this call, the contradiction
    /// affects the whole section.
    fn only(mut self, keys: &[&'static str]) -> Self {
        self.keys = keys.to_vec();
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the problem for one file that contains all of the values.
    fn problem(self) -> Option<Problem> {
        let problem = error(self.values.first()?, self.text);
        Some(match self.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        })
    }

    /// Returns the lines of the values. Each line appears only once.
    pub(super) fn places(&self) -> Vec<&'a PolicyLocation> {
        let mut places: Vec<&PolicyLocation> = self.values.iter().map(|value| &value.asked).collect();
        places.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        places.dedup();
        places
    }

    /// Returns the message about values from several files.
    pub(super) fn why(&self) -> String {
        let places: Vec<String> = self.places().into_iter().map(ToString::to_string).collect();
        format!("{} ({})", self.text, places.join(", "))
    }

    /// Returns whether `disable_plugins` disables the values. Beadle then ignores the
    /// contradiction.
    pub(super) fn is_disabled(&self, disabled: &[String]) -> bool {
        self.names.iter().any(|name| disabled.iter().any(|other| other == name))
    }
}

fn error(node: &Node, text: impl Into<String>) -> Problem {
    Problem::error(node.asked.clone(), node.column, text)
}

/// Finds the contradictions in some sections. The sections come from one file, or from the merged
/// layers of a repository. `rank` returns the rank of the layer that contains a line.
pub(super) fn found<'a>(root: &'a Node, rank: &dyn Fn(&PolicyLocation) -> i64) -> Vec<Contradiction<'a>> {
    let mut found = Vec::new();
    let repository = root.get("repository");
    if let Some(repository) = repository {
        merging(repository, &mut found);
        topics(repository, &mut found);
    }
    // The block `repository.security` and the section `security` can turn the same features on or
    // off. For each feature, the layer of higher rank wins.
    let security = (repository.and_then(|node| node.get("security")), root.get("security"));
    let winner = |incumbent: &str, own: &'static str| {
        let one = security.0.and_then(|node| Some((node.get(incumbent)?, incumbent.to_owned())));
        let other = security.1.and_then(|node| Some((node.get(own)?, own.to_owned())));
        match (one, other) {
            (Some(one), Some(other)) if rank(&one.0.asked) > rank(&other.0.asked) => Some(one),
            (one, other) => other.or(one),
        }
    };
    fixes(
        winner("enableAutomatedSecurityFixes", "dependabot_security_updates"),
        winner("enableVulnerabilityAlerts", "dependabot_alerts"),
        &["security"],
        &mut found,
    );
    prefixes(entries(root, "autolinks"), &mut found);
    for ruleset in entries(root, "rulesets") {
        targets(ruleset, &mut found);
        requests(ruleset, &mut found);
    }
    found
}

/// Checks one file for contradictions.
pub(super) fn check(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let mut contradictions = found(root, &|_| 0);
    for configuration in entries(root, "code_security_configurations") {
        let value = |key: &str| configuration.get(key).map(|node| (node, key.to_owned()));
        let (updates, alerts) = (value("dependabot_security_updates"), value("dependabot_alerts"));
        fixes(updates, alerts, &["code_security_configurations"], &mut contradictions);
    }
    problems.extend(contradictions.into_iter().filter_map(Contradiction::problem));
    for branch in entries(root, "branches") {
        if let Some(protection) = branch.get("protection") {
            actors(protection, problems);
        }
    }
    for (at, ruleset) in entries(root, "rulesets").iter().enumerate() {
        rulesets::check(&format!("rulesets[{at}]"), ruleset, kind == FileKind::Settings, problems);
    }
}

/// For each merge method, returns the value that turns the method off. The result is `None` for a
/// method that the block does not turn off.
pub(super) fn off(repository: &Node) -> [Option<&Node>; 3] {
    METHODS.map(|key| repository.get(key).filter(|value| value.bool() == Some(false)))
}

fn merging<'a>(repository: &'a Node, found: &mut Vec<Contradiction<'a>>) {
    let off = off(repository);
    if let [Some(first), Some(second), Some(last)] = off {
        let text = format!("at least one of {} must be true", METHODS.join(", "));
        let values = vec![last, first, second];
        found.push(Contradiction::new(&["repository"], values, text).only(&METHODS));
    }
    for (title, message, method, pairs) in PAIRS {
        // If a merge method is off, Beadle does not send its title and message. If the policy turns
        // off all methods, Beadle does not change the methods, but sends the titles and messages.
        let is_off = repository.get(method).is_some_and(|value| value.bool() == Some(false));
        if is_off && off.contains(&None) {
            continue;
        }
        let (Some(titled), Some(worded)) = (repository.get(title), repository.get(message)) else { continue };
        let Some((_, valid)) = pairs.iter().find(|(name, _)| titled.text() == Some(*name)) else { continue };
        if let Some(text) = worded.text()
            && !valid.contains(&text)
        {
            let with = titled.text().unwrap_or_default();
            let text = format!(
                "`repository.{message}` must be one of {} with `{title}: {with}`, found `{text}`",
                valid.join(", ")
            );
            let contradiction = Contradiction::new(&["repository"], vec![worded, titled], text);
            found.push(contradiction.only(&[*title, *message]));
        }
    }
}

fn topics<'a>(repository: &'a Node, found: &mut Vec<Contradiction<'a>>) {
    let Some(node) = repository.get("topics") else { return };
    let items = list_of(node).items();
    if let Some(item) = items.get(TOPICS) {
        let text = format!("`repository.topics` must have at most {TOPICS} topics, found {}", items.len());
        let values = std::iter::once(item).chain(items).collect();
        found.push(Contradiction::new(&["repository", "topics"], values, text).only(&["topics"]));
    }
}

/// Reports a problem if the security updates are on and the alerts are off. Each argument contains
/// a value, and the name of the value's key.
fn fixes<'a>(
    fixes: Option<(&'a Node, String)>,
    alerts: Option<(&'a Node, String)>,
    names: &'static [&'static str],
    found: &mut Vec<Contradiction<'a>>,
) {
    let is = |node: &Node, on: bool| {
        let word = if on { "enabled" } else { "disabled" };
        node.bool() == Some(on) || node.text() == Some(word)
    };
    let (Some((fix, fix_key)), Some((alert, alert_key))) = (fixes, alerts) else { return };
    if is(fix, true) && is(alert, false) {
        let text = format!("`{fix_key}` needs `{alert_key}`, which the policy turns off");
        let contradiction = Contradiction::new(names, vec![fix, alert], text);
        found.push(contradiction.hint(format!("turn `{alert_key}` on, or `{fix_key}` off")));
    }
}

/// Refuses `{}` as the list of actors who can push. GitHub also refuses `{}`. The author might mean
/// that nobody can push, or that everyone can push.
fn actors(protection: &Node, problems: &mut Vec<Problem>) {
    let found = protection.get("restrictions");
    if let Some(node) = found.filter(|node| matches!(&node.kind, Kind::Map(entries) if entries.is_empty())) {
        let problem = error(node, "`restrictions: {}` is ambiguous");
        problems.push(problem.hint(
            "write `restrictions: null` for everybody with write access, or `restrictions: { users: [], teams: [], apps: [] }` for nobody",
        ));
    }
}

/// Checks that the prefix of an autolink does not begin with the prefix of another autolink.
fn prefixes<'a>(links: &'a [Node], found: &mut Vec<Contradiction<'a>>) {
    let prefix = |link: &'a Node| Some((link, link.get("key_prefix")?.text()?));
    for (at, link) in links.iter().enumerate() {
        let Some((_, own)) = prefix(link) else { continue };
        let overlaps =
            |(_, other): &(&Node, &str)| *other != own && (own.starts_with(other) || other.starts_with(own));
        if let Some((before, other)) = links[..at].iter().filter_map(prefix).find(overlaps) {
            let text = format!(
                "`key_prefix` must not overlap with `{other}`: one prefix begins with the other prefix"
            );
            found.push(Contradiction::new(&["autolinks"], vec![link, before], text));
        }
    }
}

/// Checks that all rules of a ruleset are valid for the target of the ruleset.
fn targets<'a>(ruleset: &'a Node, found: &mut Vec<Contradiction<'a>>) {
    let Some(target) = ruleset.get("target") else { return };
    let Some(what @ ("push" | "branch" | "tag")) = target.text() else { return };
    for rule in entries(ruleset, "rules") {
        let Some(node) = rule.get("type") else { continue };
        let Some(known) = node.text().and_then(rules::find) else { continue };
        if known.is_push == (what == "push") {
            continue;
        }
        let text = format!("a ruleset with `target: {what}` cannot have the rule `{}`", known.kind);
        let contradiction = Contradiction::new(&["rulesets"], vec![node, target], text);
        found.push(if known.is_push {
            contradiction.hint("put the rule into a ruleset with `target: push`")
        } else {
            contradiction
        });
    }
}

/// Checks the actors that can bypass a ruleset only through a pull request. GitHub accepts such
/// actors only in a ruleset for branches. GitHub never accepts a deploy key as such an actor.
fn requests<'a>(ruleset: &'a Node, found: &mut Vec<Contradiction<'a>>) {
    for actor in entries(ruleset, "bypass_actors") {
        let Some(mode) = actor.get("bypass_mode").filter(|mode| mode.text() == Some("pull_request")) else {
            continue;
        };
        let target = ruleset.get("target").filter(|target| target.text() != Some("branch"));
        if let Some(target) = target {
            let text = format!(
                "`bypass_mode: pull_request` is only for a ruleset with `target: branch`, found `{}`",
                target.text().unwrap_or_default()
            );
            found.push(Contradiction::new(&["rulesets"], vec![mode, target], text));
        }
        if let Some(kind) = actor.get("actor_type").filter(|kind| kind.text() == Some("DeployKey")) {
            let text = "a deploy key cannot have `bypass_mode: pull_request`";
            found.push(Contradiction::new(&["rulesets"], vec![mode, kind], text).hint("use `always`"));
        }
    }
}

/// Reports two kinds of entries of `disable_plugins`: entries without an effect, and entries that
/// are not the name of a plugin.
pub(super) fn idle_plugins(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    for item in root.get("disable_plugins").map(Node::items).unwrap_or_default() {
        if matches!(item.kind, Kind::Map(_)) && item.get("plugin").is_none() {
            problems.push(error(item, "an entry of `disable_plugins` must have `plugin`"));
        }
        let (target, none) = match (kind, item.get("target").and_then(Node::text)) {
            (FileKind::Deployment, Some(target @ "self")) => {
                (target, "deployment-settings.yml has no sections")
            }
            (FileKind::Repo, Some(target @ "children")) => {
                (target, "no file has a higher rank than repos/NAME.yml")
            }
            _ => continue,
        };
        let problem = error(item, format!("`target: {target}` has no effect here: {none}"));
        problems.push(problem.severity(Severity::Warning).hint("remove `target`"));
    }
}

/// Reports two things: keys that Beadle supports only partly, and lists that cannot be additive.
pub(super) fn remarks(root: &Node, lists: &[&str], problems: &mut Vec<Problem>) {
    let mut refused = Vec::new();
    let mut remark = |node: &Node, text: String| problems.push(error(node, text).severity(Severity::NotYet));
    for item in root.get("additive_plugins").map(Node::items).unwrap_or_default() {
        let name = item.get("plugin").unwrap_or(item).text().unwrap_or_default();
        // `topics` is a list in the section `repository`. The lists of branch rules, files and
        // configurations are always additive: Beadle never removes an unlisted entry from them. The
        // list of custom roles belongs to the organisation, and can be additive.
        let always = ["topics", "branches", "files", "code_security_configurations"];
        let is_kept = always.contains(&name) || name == "custom_repository_roles";
        if name == "app_installations" {
            remark(item, format!("`additive_plugins`: `{name}` has no effect: {OF_ENTERPRISE}"));
        } else if !is_kept && !lists.contains(&name) {
            refused.push(error(
                item,
                format!("`additive_plugins`: `{name}` is not a list that can be additive"),
            ));
        }
        if let Some(target @ ("self" | "children")) = item.get("target").and_then(Node::text) {
            remark(
                item,
                format!(
                    "`target: {target}`: Beadle keeps `{name}` additive for every layer, not only for some"
                ),
            );
        }
    }
    for item in root.get("suborgproperties").map(Node::items).unwrap_or_default() {
        let is_named = item.get("property_name").or(item.get("name")).is_some();
        if let Some((key, _)) = item.entries().get(1).filter(|_| !is_named) {
            let text = "`suborgproperties`: only the first key of an entry selects; write one entry for each property";
            remark(key, text.to_owned());
        }
    }
    problems.extend(refused);
}

#[cfg(test)]
mod tests;
