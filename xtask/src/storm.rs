//! Runs storms, which simulate the engine: `crates/engine/tests/storm`.

use crate::run::cargo;

/// The number of storms, if neither their number nor their time is given.
const USUAL: u64 = 10_000;

/// Runs the storms that the arguments of `cargo xtask storm` ask for.
pub(crate) fn run(seconds: Option<u64>, seeds: Option<u64>, from: u64) -> anyhow::Result<()> {
    let mut env = vec![
        ("STORM_FROM", from.to_string()),
        // With this option, the seed also decides the choices of tokio's `select!`. A storm then
        // runs in the same way each time.
        ("RUSTFLAGS", "--cfg tokio_unstable".to_owned()),
    ];
    if let Some(seconds) = seconds {
        env.push(("STORM_SECONDS", seconds.to_string()));
    }
    if let Some(seeds) = seeds.or(seconds.is_none().then_some(USUAL)) {
        env.push(("STORM_SEEDS", seeds.to_string()));
    }
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // The option changes every crate, so this build has a folder of its own.
    let args = ["test", "--release", "--target-dir", "target/storm", "--package", "beadle-engine"];
    let test = ["--test", "storm", "--", "--nocapture", "no_storm_breaks_a_promise"];
    cargo(&[&args[..], &test].concat(), &env)
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
