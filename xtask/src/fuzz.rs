//! Fuzzes the targets of `tools/fuzz` with libFuzzer. libFuzzer searches for inputs that reach new
//! code.
//!
//! libFuzzer needs programs that count how often each of their branches runs. The stable compiler
//! can build such programs, because the LLVM pass that adds the counters needs no unstable option.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::run::{self, cargo, cargo_command, root, step};

/// The time for each target, in seconds, if neither a time nor a number of runs is given.
const USUAL: u64 = 60;

/// A separate folder for the build, because its options change every crate.
const FOLDER: &str = "target/fuzz";

/// The options add the counters. They also add calls that tell libFuzzer both values of each
/// comparison.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    /// The name of a target: a file in tools/fuzz/targets. Without a name: every target
    target: Option<String>,
    /// How long to fuzz each target, such as `90s`, `10m` or `2h`. Without this option and `--runs`:
    /// 60 s
    #[arg(long = "for", value_name = "TIME", value_parser = crate::storm::seconds)]
    seconds: Option<u64>,
    /// The number of runs of each target
    #[arg(long)]
    runs: Option<u64>,
    /// Add the inputs that reach new code to the corpus in tools/fuzz
    #[arg(long)]
    keep: bool,
}

/// The figures that libFuzzer reports at the end.
#[derive(Debug, Default, PartialEq)]
struct Stats {
    runs: u64,
    runs_a_second: u64,
}

impl Stats {
    fn take(&mut self, line: &str) {
        let Some((name, value)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':')) else {
            return;
        };
        let value: u64 = value.trim().parse().unwrap_or_default();
        match name {
            "number_of_executed_units" => self.runs = value,
            "average_exec_per_sec" => self.runs_a_second = value,
            _ => {}
        }
    }
}

/// Fuzzes the targets that the arguments select.
pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<()> {
    let targets = targets(args.target.as_deref())?;
    step("building the targets");
    let programs = build(&targets)?;
    for name in &targets {
        step(&format!("fuzz {name}"));
        let program = programs.join(format!("fuzz_{name}"));
        let found = made(&root().join(FOLDER).join("corpus").join(name))?;
        let corpus = made(&root().join("tools/fuzz/corpus").join(name))?;
        fuzz(name, &program, &found, &corpus, args)?;
        if args.keep {
            run::run(Command::new(&program).arg("-merge=1").args([&corpus, &found]))?;
        }
    }
    Ok(())
}

/// Returns the name of the given target, or the names of all targets if none is given.
fn targets(wanted: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(root().join("tools/fuzz/targets"))? {
        let path = file?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    match wanted {
        None => Ok(names),
        Some(name) if names.iter().any(|other| other == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("unknown target `{name}`: must be one of {}", names.join(", ")),
    }
}

/// Builds the programs, and returns their folder.
fn build(targets: &[String]) -> anyhow::Result<PathBuf> {
    let host = host()?;
    let programs: Vec<String> = targets.iter().map(|name| format!("fuzz_{name}")).collect();
    let mut args = vec!["build", "--profile", "fuzz", "--package", "beadle-fuzz", "--features", "libfuzzer"];
    // With the option `--target`, cargo does not use the flags for build scripts and macros.
    args.extend(["--target-dir", FOLDER, "--target", host.as_str()]);
    args.extend(programs.iter().flat_map(|program| ["--bin", program.as_str()]));
    cargo(&args, &[("RUSTFLAGS", FLAGS)])?;
    Ok(root().join(FOLDER).join(host).join("fuzz"))
}

/// Returns the name of this machine's platform, such as `x86_64-unknown-linux-gnu`.
fn host() -> anyhow::Result<String> {
    let output = cargo_command().args(["--version", "--verbose"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("cargo does not name the platform of this machine")
}

fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.to_owned())
}

/// Runs one target. libFuzzer adds new inputs to `found`, and failing inputs to `corpus`.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's command shows its work")]
fn fuzz(name: &str, program: &Path, found: &Path, corpus: &Path, args: &FuzzArgs) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let dictionary = root().join("tools/fuzz/dictionaries").join(format!("{name}.dict"));
    command.arg(format!("-dict={}", dictionary.display()));
    command.arg(format!("-artifact_prefix={}/", corpus.display()));
    command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"]);
    if let Some(runs) = args.runs {
        command.arg(format!("-runs={runs}"));
    }
    if let Some(seconds) = args.seconds.or(args.runs.is_none().then_some(USUAL)) {
        command.arg(format!("-max_total_time={seconds}"));
    }
    command.args([found, corpus]).stderr(Stdio::piped()).current_dir(root());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let mut stats = Stats::default();
    let mut reader = BufReader::new(child.stderr.take().context("the program has no standard error")?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        stats.take(&text);
        // libFuzzer prints a line for each new input.
        if !["\tNEW ", "\tREDUCE "].iter().any(|word| text.contains(word)) {
            eprint!("{text}");
        }
        line.clear();
    }
    let status = child.wait()?;
    let Stats { runs, runs_a_second } = stats;
    let all = counted(name, runs)?;
    println!("{name}: {runs} runs, {runs_a_second} a second; {all} runs in all");
    if !status.success() {
        bail!(
            "{name} failed, and its input is in {}: run `cargo test --package beadle-fuzz {name}`",
            corpus.display()
        );
    }
    Ok(())
}

/// Adds new runs of a target to its earlier runs, and returns the sum.
fn counted(name: &str, runs: u64) -> anyhow::Result<u64> {
    let file = made(&root().join(FOLDER).join("runs"))?.join(name);
    let before = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let all = runs.saturating_add(before);
    fs::write(&file, all.to_string())?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_libfuzzer_are_read() {
        let mut stats = Stats::default();
        for line in [
            "#524288\tpulse  cov: 3108 ft: 9317 corp: 1207/58Kb exec/s: 37449 rss: 433Mb\n",
            "stat::number_of_executed_units: 1048576\n",
            "stat::average_exec_per_sec:     34952\n",
            "stat::new_units_added:          17\n",
        ] {
            stats.take(line);
        }
        assert_eq!(stats, Stats { runs: 1_048_576, runs_a_second: 34_952 });
    }

    #[test]
    fn a_target_has_a_name() {
        assert!(targets(None).unwrap().len() >= 10);
        assert_eq!(targets(Some("policy")).unwrap(), ["policy"]);
        assert!(targets(Some("polcy")).unwrap_err().to_string().contains("policy"));
    }
}
