//! Counts the REST calls of a benchmark for each pattern of paths.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

/// The number of patterns that a benchmark prints.
const SHOWN: usize = 10;

/// The number of calls, and the units that GitHub counts toward its hourly limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) calls: u32,
    pub(crate) units: u32,
}

/// Maps each pattern to the calls whose paths match the pattern.
#[derive(Default)]
pub(crate) struct Patterns(BTreeMap<String, Spent>);

impl Patterns {
    /// Adds the REST calls among `calls`, which are entries of the simulator's log.
    pub(crate) fn add(&mut self, calls: &[Value]) {
        for call in calls {
            let path = call["path"].as_str().unwrap_or_default();
            if path.ends_with("/graphql") {
                continue;
            }
            let units = call["cost"].as_u64().unwrap_or_default();
            let spent = self.0.entry(pattern(path)).or_default();
            spent.calls += 1;
            spent.units += u32::try_from(units).unwrap_or(u32::MAX);
        }
    }

    /// Returns the patterns that cost the most units. The most expensive pattern comes first. The
    /// list leaves out the patterns that cost nothing.
    pub(crate) fn most_expensive(&self) -> Vec<(&str, Spent)> {
        let costly = self.0.iter().filter(|(_, spent)| spent.units > 0);
        let mut costly: Vec<(&str, Spent)> =
            costly.map(|(pattern, spent)| (pattern.as_str(), *spent)).collect();
        costly.sort_by_key(|(_, spent)| Reverse(spent.units));
        costly.truncate(SHOWN);
        costly
    }
}

/// Returns a path with placeholders for names and ids.
fn pattern(path: &str) -> String {
    // How many of the next segments are names.
    let mut names = 0;
    let segments = path.split('/').map(|segment| {
        if names > 0 {
            names -= 1;
            return "{name}";
        }
        names = match segment {
            "repos" => 2,
            "orgs" | "apps" | "environments" | "teams" | "users" => 1,
            _ => 0,
        };
        let is_id = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        if is_id { "{id}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_has_no_names_and_no_ids() {
        for (path, expected) in [
            ("/repos/acme/r00001/hooks", "/repos/{name}/{name}/hooks"),
            ("/repos/acme/teams/teams", "/repos/{name}/{name}/teams"),
            ("/repos/acme/r1/rulesets/71", "/repos/{name}/{name}/rulesets/{id}"),
            (
                "/repos/acme/r1/environments/live/variables",
                "/repos/{name}/{name}/environments/{name}/variables",
            ),
            ("/orgs/acme/teams/core/repos", "/orgs/{name}/teams/{name}/repos"),
            ("/orgs/acme/properties/values", "/orgs/{name}/properties/values"),
        ] {
            assert_eq!(pattern(path), expected);
        }
    }

    #[test]
    fn the_most_expensive_patterns_come_first() {
        let call = |path: &str, cost: u64| json!({ "path": path, "cost": cost });
        let mut patterns = Patterns::default();
        patterns.add(&[
            call("/repos/acme/a/teams", 1),
            call("/repos/acme/a/hooks", 1),
            call("/repos/acme/b/hooks", 1),
            call("/repos/acme/b/teams", 0),
            call("/repos/acme/a/pages", 0),
            call("/graphql", 9),
        ]);
        let expected = [
            ("/repos/{name}/{name}/hooks", Spent { calls: 2, units: 2 }),
            ("/repos/{name}/{name}/teams", Spent { calls: 2, units: 1 }),
        ];
        assert_eq!(patterns.most_expensive(), expected);
        for n in 0..2 * SHOWN {
            patterns.add(&[call(&format!("/orgs/acme/list-{n}"), 1)]);
        }
        assert_eq!(patterns.most_expensive().len(), SHOWN);
    }
}
