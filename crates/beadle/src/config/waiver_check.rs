//! Compares the waivers of a policy with the limits of the configuration.

use beadle_engine::Time;
use beadle_repositories::policy::{Problem, Severity, Waiver, WaiverState};
use beadle_repositories::{Policy, PolicyError};

use super::OrgConfig;
use super::conversions::waiver_rules;

/// Returns an error if the policy waives a key that the configuration lists in `never_waive`. This
/// check does not depend on the time, so an accepted policy stays valid.
pub(super) fn refuse(org: &OrgConfig, policy: &Policy) -> Result<(), PolicyError> {
    let rules = waiver_rules(org);
    let refused = policy.waivers.iter().filter_map(|waiver| match waiver.state(&rules, Time(0)) {
        WaiverState::Never(key) => {
            let text = format!("`{key}` must not be waived, because `never_waive` has it");
            problem(waiver, &text, "remove the key, or ask an owner of beadle.toml")
        }
        WaiverState::InForce | WaiverState::Ended | WaiverState::From(_) => None,
    });
    let problems: Vec<Problem> = refused.collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(PolicyError::Invalid { problems, sources: policy.sources.clone() })
}

/// Returns the findings about the ends of waivers. These findings depend on the time, so Beadle
/// does not refuse an accepted policy because of them.
pub(crate) fn findings(org: &OrgConfig, policy: &Policy, now: Time) -> Vec<Problem> {
    let rules = waiver_rules(org);
    let finding = |waiver: &Waiver| match waiver.state(&rules, now) {
        WaiverState::From(begin) => {
            let days = rules.longest.as_secs() / (24 * 3600);
            let text =
                format!("`until` is more than {days} days away: the waiver has no effect before {begin}");
            problem(waiver, &text, "choose an earlier end, or raise `longest` in [org.waivers]")
        }
        WaiverState::Ended => {
            let text = format!("the waiver ended at {}", waiver.until);
            let ended = problem(waiver, &text, "remove the waiver, or extend it");
            ended.map(|problem| problem.severity(Severity::Warning))
        }
        WaiverState::InForce | WaiverState::Never(_) => None,
    };
    policy.waivers.iter().filter_map(finding).collect()
}

/// Returns an error with the line of a waiver.
fn problem(waiver: &Waiver, text: &str, hint: &str) -> Option<Problem> {
    waiver.asked.clone().map(|asked| Problem::error(asked, 1, text).hint(hint))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const SETTINGS: &str = "repository: { has_wiki: false }";
    const DAY: i64 = 86_400_000;

    fn org(lines: &str) -> std::sync::Arc<OrgConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        let text = format!("[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"policy\"\n{lines}");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap().file.org[0].clone()
    }

    /// Returns a policy with a waiver that ends 101 days after the epoch.
    fn policy() -> Policy {
        let waiver = "waivers:\n- { repositories: [shop], keys: [branches.main.enforce_admins], until: 1970-04-11, \
                      reason: release, owner: mona }\n";
        let files = [("settings.yml", SETTINGS), ("waivers.yml", waiver)];
        let files = files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_waiver_of_a_key_on_never_waive_is_refused() {
        assert!(refuse(&org(""), &policy()).is_ok());
        for (never, refused) in [
            ("branches[*].protection.enforce_admins", true),
            ("branches", true),
            ("branches[release].protection", false),
        ] {
            let org = org(&format!("[org.waivers]\nnever_waive = [\"{never}\"]\n"));
            let found = refuse(&org, &policy());
            assert_eq!(found.is_err(), refused, "{never}");
            if let Err(error) = found {
                assert!(error.to_string().contains("must not be waived"), "{error}");
            }
        }
    }

    #[test]
    fn check_reports_a_waiver_that_ended_or_ends_too_late() {
        let (org, policy) = (org("[org.waivers]\nlongest = \"7d\"\n"), policy());
        for (now, expected) in [
            (0, Some((Severity::Error, "more than 7 days away"))),
            (95 * DAY, None),
            (101 * DAY, Some((Severity::Warning, "ended at 1970-04-12T00:00:00Z"))),
        ] {
            let found = findings(&org, &policy, Time(now));
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some((severity, text)) => {
                    let [problem] = found.as_slice() else { panic!("{found:?}") };
                    assert_eq!(problem.severity, severity);
                    assert!(problem.message.contains(text), "{problem:?}");
                }
            }
        }
    }
}
