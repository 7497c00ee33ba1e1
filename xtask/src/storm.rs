//! Runs storms. A storm simulates that a part of the world fails: the engine with its store,
//! GitHub, the directories, or the disk. A week is a storm of ordinary events on the whole service.
//! Each kind of storm is a test of a package.

use clap::ValueEnum;

use crate::run::{cargo, step};

/// A kind of storms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storm {
    /// The engine as a whole: store calls fail, processes are killed, clocks jump
    Engine,
    /// GitHub: limits, failures, lost answers, wrong lists, earlier states
    Vendors,
    /// Okta and a SCIM server, with the same faults
    Directories,
    /// Disks under SQLite: torn logs, deleted files, failing writes, full and read-only disks
    Disks,
    /// A week in an hour: the service with 10,000 repositories and 2,000 groups, and its memory and store
    Week,
}

/// The default amount of storms of a kind. This amount applies if the caller gives no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usual {
    /// This number of storms.
    Storms(u64),
    /// One storm of this number of seconds. A kind with this value ignores the requested number of
    /// storms.
    Seconds(u64),
}

/// The place of the test for one kind of storms.
#[derive(Debug)]
struct Place {
    package: &'static str,
    /// The test program. `None` means the unit tests of the package.
    program: Option<&'static str>,
    test: &'static str,
    /// The features for the build of the test.
    features: &'static str,
    /// The storms that run if the caller gives neither a number nor a time.
    usual: Usual,
}

impl Storm {
    fn place(self) -> Place {
        let (package, program, test, usual) = match self {
            Self::Engine => {
                ("beadle-engine", Some("storm"), "no_storm_breaks_a_promise", Usual::Storms(10_000))
            }
            Self::Vendors => {
                ("beadle-repositories", None, "no_storm_of_github_breaks_a_promise", Usual::Storms(200))
            }
            Self::Directories => {
                let test = "no_storm_of_a_directory_breaks_a_promise";
                ("beadle-groups", Some("interleavings"), test, Usual::Storms(2_000))
            }
            Self::Disks => {
                let test = "no_storm_of_disks_breaks_a_promise";
                ("beadle-store-sqlite", Some("disks"), test, Usual::Storms(500))
            }
            Self::Week => ("beadle", Some("e2e"), "a_week_of_events_ends_as_declared", Usual::Seconds(3_600)),
        };
        // The end-to-end tests are always built with the features of `cargo xtask test`.
        let features = if self == Self::Week { "failpoints,aws,postgres,otel" } else { "" };
        Place { package, program, test, features, usual }
    }

    /// Returns the arguments of cargo that select the test. The result does not include the
    /// arguments that build the test.
    fn selection(self) -> Vec<&'static str> {
        let place = self.place();
        let program = place.program.map_or_else(|| vec!["--lib"], |program| vec!["--test", program]);
        [&["--package", place.package, "--features", place.features][..], &program[..]].concat()
    }
}

impl Usual {
    /// Returns the time and the number of storms to run. The caller can give a time, a number, or
    /// neither.
    fn amount(self, seconds: Option<u64>, seeds: Option<u64>) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Storms(usual) => (seconds, seeds.or(seconds.is_none().then_some(usual))),
            Self::Seconds(usual) => (seconds.or(Some(usual)), None),
        }
    }
}

/// Runs the storms that the arguments of `cargo xtask storm` ask for, one kind after the other.
pub(crate) fn run(
    which: &[Storm],
    seconds: Option<u64>,
    seeds: Option<u64>,
    from: u64,
) -> anyhow::Result<()> {
    let which = if which.is_empty() { Storm::value_variants() } else { which };
    for storm in which {
        step(&format!("storms: {storm:?}"));
        let place = storm.place();
        let mut env = vec![
            ("STORM_FROM", from.to_string()),
            // With this option, the seed also decides the choices of tokio's `select!`. A storm
            // then runs in the same way each time.
            ("RUSTFLAGS", "--cfg tokio_unstable".to_owned()),
        ];
        let (seconds, seeds) = place.usual.amount(seconds, seeds);
        if let Some(seconds) = seconds {
            env.push(("STORM_SECONDS", seconds.to_string()));
        }
        if let Some(seeds) = seeds {
            env.push(("STORM_SEEDS", seeds.to_string()));
        }
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // The option changes every crate, so this build has a separate folder.
        let build = ["test", "--release", "--target-dir", "target/storm"];
        let args = [&build[..], &storm.selection()[..], &["--", "--nocapture", place.test]].concat();
        cargo(&args, &env)?;
    }
    Ok(())
}

/// Parses a time such as `90s`, `10m` or `2h`, in seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    parsed
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "must be a time such as `90s`, `10m` or `2h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without this check, a renamed test would never run, and this would look like success.
    #[test]
    fn the_test_of_each_kind_of_storms_exists() {
        let files = [
            (Storm::Engine, "crates/engine/tests/storm/main.rs"),
            (Storm::Vendors, "crates/repositories/src/pairs/storm.rs"),
            (Storm::Directories, "crates/groups/tests/interleavings/main.rs"),
            (Storm::Disks, "crates/store-sqlite/tests/disks/main.rs"),
            (Storm::Week, "crates/beadle/tests/e2e/week/mod.rs"),
        ];
        assert_eq!(files.map(|(storm, _)| storm), Storm::value_variants());
        for (storm, file) in files {
            let text = std::fs::read_to_string(crate::run::root().join(file)).unwrap();
            assert!(text.contains(&format!("fn {}(", storm.place().test)), "{file}");
        }
    }

    #[test]
    fn a_kind_runs_for_the_given_time_or_as_usual() {
        let storms = Usual::Storms(7);
        assert_eq!(storms.amount(None, None), (None, Some(7)));
        assert_eq!(storms.amount(Some(60), None), (Some(60), None));
        assert_eq!(storms.amount(Some(60), Some(1)), (Some(60), Some(1)));
        let week = Usual::Seconds(3_600);
        assert_eq!(week.amount(None, Some(2)), (Some(3_600), None));
        assert_eq!(week.amount(Some(60), None), (Some(60), None));
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, expected) in [("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for text in ["", "10", "m", "0s", "-1s", "1d", "99999999999999999h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
