//! Runs the tests of a policy. `beadle check` uses this module. A test describes a repository, and
//! the values that the policy must declare for this repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use beadle_github::{Known, Repository, TeamPermission, Visibility};
use serde_json::{Map, Value};

use super::error::PolicyError;
use super::files::Policy;
use super::folder::{ReadingAt, read_part};
use super::keys::{SETTINGS, TEST};
use super::leaves::leaves;
use super::node::Node;
use super::problem::{Problem, nearest};
use super::shape::Shape;
use super::targeting::{OverrideStatus, Verdict};

/// The results of the tests of a policy.
#[derive(Debug, Default)]
pub struct Tested {
    /// The number of tests that Beadle ran.
    pub count: usize,
    /// The expectations that the policy does not meet, and the errors in the tests themselves.
    pub problems: Vec<Problem>,
    /// The texts of the test files. Messages show excerpts from these texts.
    pub sources: BTreeMap<String, String>,
}

impl Policy {
    /// Runs the tests in the files `tests/*.yml` of the policy's folder.
    pub fn test(&self, folder: &Path) -> Result<Tested, PolicyError> {
        Ok(self.test_files(read_part(folder, "tests", &[], &ReadingAt::default())?))
    }

    /// Runs the tests in these files. The key of each text is the path of its file, relative to the
    /// folder of the policy.
    pub fn test_files(&self, sources: BTreeMap<String, String>) -> Tested {
        let mut tested = Tested::default();
        for (file, text) in &sources {
            match Node::parse(file, text) {
                Ok(root) => {
                    let before = tested.problems.len();
                    Shape::List(&TEST).check("", &root, &mut tested.problems);
                    if tested.problems.len() == before {
                        root.items().iter().for_each(|test| self.test_one(test, &mut tested));
                    }
                }
                Err(problem) => tested.problems.push(problem),
            }
        }
        tested.sources = sources;
        tested
    }

    fn test_one(&self, test: &Node, tested: &mut Tested) {
        tested.count += 1;
        let name = test.get("name").and_then(Node::text).unwrap_or("a test");
        let problem = |node: &Node, text: String| {
            Problem::error(node.asked.clone(), node.column, format!("{name}: {text}"))
        };
        let problems = &mut tested.problems;
        let Some(given) = test.get("repository") else {
            return problems.push(problem(test, "`repository` is missing".into()));
        };
        let repository = repository(given);
        let target = match self.resolve(&repository, &OverrideStatus::default()) {
            Verdict::Skipped(why) => {
                if test.get("skipped").and_then(Node::bool) != Some(true) {
                    problems.push(problem(given, format!("the repository is skipped: {why}")));
                }
                return;
            }
            Verdict::Reached(target) => target,
        };
        if test.get("skipped").and_then(Node::bool) == Some(true) {
            return problems.push(problem(given, "the repository is not skipped".into()));
        }
        for (section, why) in &target.undecided {
            problems.push(problem(given, format!("`{section}` is unknown: {why}")));
        }
        for (section, why) in &target.partly_undecided {
            problems.push(problem(given, format!("a part of `{section}` is unknown: {why}")));
        }
        let has_expectation = ["expect", "absent", "skipped"].into_iter().any(|key| test.get(key).is_some());
        if !has_expectation {
            let text = "the test must have `expect`, `absent` or `skipped`";
            problems.push(problem(test, text.into()));
        }
        let got = self.declared(&target, &repository).as_ref().map(leaves).unwrap_or_default();
        for want in test.get("expect").map(leaves).unwrap_or_default() {
            let place = Node { asked: want.asked.clone(), column: 1, ..test.clone() };
            // If an expected entry omits a field, any value of the field is correct.
            let found = got.iter().find(|leaf| leaf.path.eq_ignore_ascii_case(&want.path));
            let (path, value) = (&want.path, &want.value);
            match found.or_else(|| got.iter().find(|leaf| leaf.open == want.key)) {
                None => problems.push(problem(&place, format!("`{path}` must be {value}, found no value"))),
                Some(leaf) if leaf.value != want.value => {
                    let text = format!("`{path}` must be {value}, found {} ({})", leaf.value, leaf.asked);
                    problems.push(problem(&place, text));
                }
                Some(_) => {}
            }
        }
        for path in test.get("absent").map(Node::items).unwrap_or_default() {
            let text = path.text().unwrap_or_default();
            // The section must exist. Otherwise, the policy would always meet the expectation
            // "absent".
            let section = text.split(['.', '[']).next().unwrap_or_default();
            if !SETTINGS.iter().any(|key| key.name == section) {
                let unknown = problem(path, format!("unknown section `{section}`"));
                problems.push(match nearest(section, SETTINGS.iter().map(|key| key.name)) {
                    Some(near) => unknown.hint(format!("did you mean `{near}`?")),
                    None => unknown,
                });
            }
            let prefix = text.to_lowercase();
            if let Some(leaf) = got.iter().find(|leaf| leaf.path.to_lowercase().starts_with(&prefix)) {
                let text = format!("`{}` must be absent, found {} ({})", leaf.path, leaf.value, leaf.asked);
                problems.push(problem(path, text));
            }
        }
    }
}

/// Creates the repository that a test describes.
pub(crate) fn repository(given: &Node) -> Repository {
    let text = |key: &str| given.get(key).and_then(Node::text);
    let bool = |key: &str| given.get(key).and_then(Node::bool).unwrap_or(false);
    let texts = |key: &str| given.get(key).map(Node::texts).unwrap_or_default();
    let properties = given.get("properties").map(Node::entries).unwrap_or_default();
    let properties =
        properties.iter().filter_map(|(key, value)| Some((key.text()?.to_owned(), value.json())));
    Repository {
        id: 1,
        node_id: "test".into(),
        name: text("name").unwrap_or_default().to_owned(),
        owner: String::new(),
        archived: bool("archived"),
        fork: bool("fork"),
        visibility: text("visibility").and_then(|text| text.parse().ok()).unwrap_or(Visibility::Private),
        settings: Map::new(),
        rest_settings: Known::NotAsked,
        default_branch: Some(text("default_branch").unwrap_or("main").to_owned()),
        topics: Known::Known(texts("topics")),
        teams: Known::Known(
            texts("teams")
                .into_iter()
                .zip(1..)
                .map(|(slug, id)| TeamPermission {
                    id,
                    slug,
                    permission: "push".to_owned().into(),
                    parent: None,
                })
                .collect(),
        ),
        has_age: false,
        last_seen: None,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: text("created_at").unwrap_or("2000-01-01").to_owned(),
        vulnerability_alerts: None,
        labels: Known::NotAsked,
        milestones: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::Known(properties.collect::<BTreeMap<String, Value>>()),
    }
}

#[cfg(test)]
mod checks {
    use beadle_github::Unsure;

    use super::*;

    #[test]
    fn a_selector_that_could_not_be_read_is_a_doubt_that_a_retry_can_end_unless_it_was_refused() {
        const SUBORG: &str = "suborgteams: [core]\nlabels: [{ name: a, color: ff0000 }]";
        const LAYER: &str = "rank: 5\nselect: { topic: core }\nlabels: [{ name: a, color: ff0000 }]";
        let (busy, refused) = (Unsure::for_now("502".to_owned()), Unsure::for_people("403".to_owned()));
        for (layer, change, unread) in [
            ("suborgs/a.yml", SUBORG, &busy),
            ("layers/a.yml", LAYER, &busy),
            ("suborgs/a.yml", SUBORG, &refused),
            ("layers/a.yml", LAYER, &refused),
        ] {
            let sources = [(layer, change), ("settings.yml", "repository: { has_wiki: false }")];
            let sources = sources.map(|(file, text)| (file.to_owned(), text.to_owned()));
            let policy = Policy::from_sources(BTreeMap::from(sources), "admin", Path::new("policy")).unwrap();
            let given = Node::parse("test.yml", "name: shop").unwrap();
            let (topics, teams) = (Known::Unknown(unread.clone()), Known::Unknown(unread.clone()));
            let seen = Repository { topics, teams, ..repository(&given) };
            let Verdict::Reached(target) = policy.resolve(&seen, &OverrideStatus::default()) else {
                panic!("{layer} is left alone");
            };
            let doubt = target.undecided.iter().find(|(section, _)| section == "labels");
            let Some((_, unsure)) = doubt else { panic!("{:?}", target.undecided) };
            assert_eq!(unsure.transient, unread.transient, "{unsure}");
            assert!(unsure.why.contains(&unread.why), "{unsure}");
        }
    }
}
