//! Runs the tests of the workspace. Several test programs run at the same time.
//!
//! Two ways to run tests are combined:
//!
//! - **libtest** runs all tests of one program as threads of one process. The end-to-end tests need
//!   this, because a process reads GitHub's large descriptions only once for all of its tests.
//!   Tests that emulate AWS also run in this way, so that they can share an emulator.
//! - **nextest** runs every other test in a separate process. So the tests of all programs can run
//!   on all processors, and nextest ends a test that takes too long (`.config/nextest.toml`).

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::chromium;
use crate::postgresql;
use crate::run::{self, cargo, cargo_command, root, step};
use crate::side_by_side::{self, Job};
use crate::tools;

/// The arguments for the build of the tests. All builds use the same arguments, so that cargo never
/// builds a crate twice.
pub(crate) const BUILD: &[&str] =
    &["--workspace", "--features", "beadle/failpoints,beadle/aws,beadle/postgres,beadle/otel"];

/// The features that only tests need. Cargo sets them when it builds the tests. Another build with
/// these features compiles no crate again.
pub(crate) const TESTING: &[&str] =
    &["--features", "beadle-engine/testing,beadle-secrets/testing,beadle-transport/testing"];

/// The package and the name of the end-to-end test program.
const E2E: (&str, &str) = ("beadle", "e2e");
/// The modules of the end-to-end test program that have the tests with an emulated AWS.
const AWS_MODULES: &[&str] = &["aws::", "dynamodb::", "identity_store::"];
/// The test programs that emulate AWS, except the end-to-end test program.
const AWS_PROGRAMS: &[(&str, &str)] =
    &[("beadle-store-dynamodb", "store"), ("beadle-aws", "intake"), ("beadle-secrets", "aws")];

/// The end-to-end tests that start PostgreSQL have this text in their names.
const POSTGRES_TESTS: &str = "postgres";
/// The test program of the store in PostgreSQL. One process runs all its tests, on one server.
const POSTGRES_PROGRAM: (&str, &str) = ("beadle-store-postgres", "store");

/// A test program that prints nothing for this time counts as hanging. `.config/nextest.toml` has
/// the same limit for one test.
const SILENCE: Duration = Duration::from_mins(20);

/// The tests that one run of this command selects.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    /// The tests that do not emulate AWS.
    WithoutAws,
    /// The tests that emulate AWS.
    Aws,
    /// The tests with one of these texts in their names.
    Named(&'a [String]),
    /// The tests that `cargo test` selects with these arguments.
    Passed(&'a [String]),
}

impl<'a> Part<'a> {
    fn of(args: &'a [String]) -> Self {
        match args {
            [] => Self::WithoutAws,
            [only] if only == "aws" => Self::Aws,
            args if args.iter().any(|arg| arg.starts_with('-')) => Self::Passed(args),
            names => Self::Named(names),
        }
    }
}

/// A test program that cargo has built.
#[derive(Debug, PartialEq)]
struct Program {
    package: String,
    name: String,
    /// The kind of cargo's target: `test` for a file in `tests/`, `lib` or `bin` for unit tests.
    kind: String,
    path: PathBuf,
    /// The folder of the program's package. The program runs in this folder.
    folder: PathBuf,
}

/// The programs that must run. `programs` lists the programs that run all of their tests in one
/// process, each with its arguments. The field `nextest` has the arguments of the program nextest,
/// if nextest has tests to run.
#[derive(Debug, PartialEq)]
struct Plan {
    programs: Vec<((&'static str, &'static str), Vec<String>)>,
    nextest: Option<Vec<String>>,
}

/// Runs the tests that the arguments of `cargo xtask test` select.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let part = Part::of(args);
    // Tests that emulate AWS need no browser.
    let browser = if part == Part::Aws { None } else { chromium::for_tests()? };
    let postgres = postgresql::for_tests()?;
    if let Part::Passed(args) = part {
        fetch(&part)?;
        step("tests");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let env: Vec<(&str, &str)> =
            browser.iter().map(|program| (chromium::VARIABLE, program.as_str())).collect();
        return cargo(&[&["test"][..], BUILD, &args].concat(), &env);
    }
    // The tools are downloaded while the processors build the tests.
    step("building the tests");
    let (fetched, programs) = std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&part));
        let programs = build();
        (fetching.join(), programs)
    });
    let programs = programs?;
    fetched.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    if let Part::Named(names) = part {
        ensure_named(&programs, names)?;
    }
    let plan = plan(&part, postgres);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut jobs = Vec::new();
    for (wanted, args) in plan.programs {
        let matching = |program: &&Program| {
            program.kind == "test" && (program.package.as_str(), program.name.as_str()) == wanted
        };
        let program = programs.iter().find(matching).with_context(|| {
            format!("cargo built no tests {} of {}: correct xtask/src/suite.rs", wanted.1, wanted.0)
        })?;
        let mut command = Command::new(&program.path);
        command.args(args).current_dir(&program.folder);
        if wanted == E2E {
            // These tests spend most of their time waiting, for example for a lease, a budget or
            // the next run of a task. So these tests use more threads than the machine has
            // processors.
            command.env("RUST_TEST_THREADS", (2 * processors).to_string());
            command.envs(browser.iter().map(|program| (chromium::VARIABLE, program)));
        }
        // `cargo test` also sets these variables.
        command.env("CARGO", env!("CARGO")).env("CARGO_MANIFEST_DIR", &program.folder);
        jobs.push(Job { name: format!("{}::{}", wanted.0, wanted.1), command });
    }
    if let Some(args) = plan.nextest {
        let mut command = cargo_command();
        command.args(["nextest", "run"]).args(BUILD).args(args);
        command.env("PATH", tools::path()?).current_dir(root());
        // The end-to-end tests take longest, so they start first. All other tests start directly
        // after the end-to-end tests, and run at the same time.
        jobs.insert(1.min(jobs.len()), Job { name: "all other tests".to_owned(), command });
    }
    step("tests");
    side_by_side::run(jobs, processors.max(2), SILENCE)
}

/// Fetches the tools that the tests of a selection need.
fn fetch(part: &Part<'_>) -> anyhow::Result<()> {
    tools::fetch()?;
    if *part != Part::WithoutAws {
        tools::tables()?;
    }
    Ok(())
}

/// Builds all tests. Then runs those tests of one program whose names contain `name`. Fails if no
/// test matches. Without this check, a renamed test would never run.
pub(crate) fn one(program: &str, name: &str, env: &[(&str, &str)]) -> anyhow::Result<()> {
    run::run(&mut one_command(program, name, env)?)
}

/// Returns the command of [`one`].
pub(crate) fn one_command(program: &str, name: &str, env: &[(&str, &str)]) -> anyhow::Result<Command> {
    command_of(&["--test", program], name, env)
}

/// Returns a command that runs the unit tests whose names contain `name`. Fails if no unit test has
/// such a name.
pub(crate) fn unit_command(name: &str, env: &[(&str, &str)]) -> anyhow::Result<Command> {
    command_of(&["--lib"], name, env)
}

fn command_of(programs: &[&str], name: &str, env: &[(&str, &str)]) -> anyhow::Result<Command> {
    let args = [&["test"][..], BUILD, programs, &["--", name]].concat();
    let list = [&args[..], &["--list"]].concat();
    let mut listing = cargo_command();
    // If a test program cannot be built, the errors of the compiler are visible.
    listing.args(list).current_dir(root()).stderr(std::process::Stdio::inherit());
    let listed = listing.output()?;
    anyhow::ensure!(listed.status.success(), "cannot list the tests of {}", programs.join(" "));
    let has_test = String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.ends_with(": test"));
    anyhow::ensure!(has_test, "no test of {} has a name with `{name}`", programs.join(" "));
    let mut command = cargo_command();
    command.args(args).envs(env.iter().copied()).current_dir(root());
    Ok(command)
}

/// Returns an error if one of `names` matches no test. Without this check, a misspelled name would
/// run no test, and this would look like success.
fn ensure_named(programs: &[Program], names: &[String]) -> anyhow::Result<()> {
    let mut tests = Vec::new();
    for program in programs {
        let mut command = Command::new(&program.path);
        let listed = command.arg("--list").current_dir(&program.folder).output();
        let listed = listed.with_context(|| format!("cannot run {}", program.path.display()))?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        tests.extend(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned));
    }
    for name in names {
        anyhow::ensure!(tests.iter().any(|test| test.contains(name)), "no test has a name with `{name}`");
    }
    Ok(())
}

/// Returns the programs that must run for a selection of tests. If PostgreSQL is not installed, the
/// plan leaves out the tests that need PostgreSQL.
fn plan(part: &Part<'_>, postgres: bool) -> Plan {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<String>>();
    let names = match part {
        Part::Named(names) => names.to_vec(),
        _ => Vec::new(),
    };
    let e2e = match part {
        Part::WithoutAws => AWS_MODULES.iter().flat_map(|&module| owned(&["--skip", module])).collect(),
        Part::Aws => owned(AWS_MODULES),
        Part::Named(_) | Part::Passed(_) => names.clone(),
    };
    let without = if postgres { Vec::new() } else { owned(&["--skip", POSTGRES_TESTS]) };
    let mut programs = vec![(E2E, [e2e, without].concat())];
    if *part != Part::WithoutAws {
        programs.extend(AWS_PROGRAMS.iter().map(|program| (*program, names.clone())));
    }
    if *part != Part::Aws && postgres {
        programs.push((POSTGRES_PROGRAM, names.clone()));
    }
    let nextest = (*part != Part::Aws).then(|| {
        let own = [&[E2E, POSTGRES_PROGRAM][..], AWS_PROGRAMS].concat();
        let own: Vec<String> =
            own.iter().map(|(package, name)| format!("binary_id({package}::{name})")).collect();
        let others = format!("not ({})", own.join(" | "));
        [owned(&["--no-tests", "pass", "--filterset", &others]), names].concat()
    });
    Plan { programs, nextest }
}

/// Builds the tests, and returns the test programs.
fn build() -> anyhow::Result<Vec<Program>> {
    let mut command = cargo_command();
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]).args(BUILD);
    command.stderr(std::process::Stdio::inherit()).current_dir(root());
    let built = command.output().context("cannot run cargo test")?;
    if !built.status.success() {
        bail!("the tests do not build");
    }
    Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(program).collect())
}

/// Parses one message of cargo. Returns `None` if the message is not about a test program.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    // Cargo also reports programs that contain no tests.
    if message["profile"]["test"] != true {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    // An example is `path+file:///beadle/crates/groups#beadle-groups@0.1.0`. If the package has the
    // name of its folder, the part before `@` is missing.
    let (place, version) = message["package_id"].as_str()?.rsplit_once('#')?;
    let package = version.split_once('@').or_else(|| place.rsplit_once('/').map(|(_, name)| (name, "")))?.0;
    let [name, kind] = [&message["target"]["name"], &message["target"]["kind"][0]].map(Value::as_str);
    let (name, kind) = (name?.to_owned(), kind?.to_owned());
    Some(Program { package: package.to_owned(), name, kind, path, folder })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn arguments_name_a_part() {
        assert_eq!(Part::of(&[]), Part::WithoutAws);
        assert_eq!(Part::of(&texts(&["aws"])), Part::Aws);
        let names = texts(&["aws::functions", "repair"]);
        assert_eq!(Part::of(&names), Part::Named(&names));
        let passed = texts(&["--test", "store"]);
        assert_eq!(Part::of(&passed), Part::Passed(&passed));
    }

    #[test]
    fn both_parts_together_are_all_tests() {
        let without = plan(&Part::WithoutAws, true);
        let aws = plan(&Part::Aws, true);
        // The end-to-end tests are divided into two parts. One part must skip exactly the modules
        // that the other part selects.
        let skipped: Vec<&String> = without.programs[0].1.iter().filter(|arg| *arg != "--skip").collect();
        assert_eq!(skipped, aws.programs[0].1.iter().collect::<Vec<_>>());
        assert_eq!(skipped.len() * 2, without.programs[0].1.len());
        // nextest must leave out exactly the tests that the other programs run.
        let left_out = &without.nextest.unwrap()[3];
        for ((package, name), args) in aws.programs.iter().chain(&without.programs[1..]) {
            assert!(left_out.contains(&format!("binary_id({package}::{name})")), "{left_out}");
            assert!((*package, *name) == E2E || args.is_empty(), "{args:?}");
        }
        assert_eq!(left_out.matches("binary_id").count(), aws.programs.len() + without.programs.len() - 1);
        assert_eq!(aws.nextest, None);
    }

    #[test]
    fn names_select_from_all_tests() {
        let names = texts(&["repair"]);
        let plan = plan(&Part::Named(&names), true);
        assert_eq!(plan.programs.len(), 2 + AWS_PROGRAMS.len());
        assert!(plan.programs.iter().all(|(_, args)| *args == names));
        assert_eq!(plan.nextest.unwrap().last(), names.last());
    }

    #[test]
    fn without_postgresql_its_tests_are_left_out() {
        for part in [Part::WithoutAws, Part::Aws] {
            let plan = plan(&part, false);
            assert_eq!(plan.programs[0].1[plan.programs[0].1.len() - 2..], ["--skip", POSTGRES_TESTS]);
            assert!(plan.programs.iter().all(|(program, _)| *program != POSTGRES_PROGRAM));
            assert!(plan.nextest.is_none_or(|args| args[3].contains("beadle-store-postgres")));
        }
    }

    #[test]
    fn programs_are_found_in_the_messages_of_cargo() {
        let message = |id: &str, kind: &str, test: bool| {
            json!({
                "reason": "compiler-artifact", "package_id": id, "manifest_path": "/beadle/crates/groups/Cargo.toml",
                "target": { "name": "leavers", "kind": [kind] }, "profile": { "test": test },
                "executable": "/beadle/target/debug/deps/leavers-1",
            })
            .to_string()
        };
        let groups = "path+file:///beadle/crates/groups#beadle-groups@0.1.0";
        let found = program(&message(groups, "test", true)).unwrap();
        assert_eq!((found.package.as_str(), found.name.as_str()), ("beadle-groups", "leavers"));
        assert_eq!(found.folder, PathBuf::from("/beadle/crates/groups"));
        assert_eq!(found.kind, "test");
        assert_eq!(program(&message(groups, "bin", true)).unwrap().kind, "bin");
        let xtask = "path+file:///beadle/xtask#0.1.0";
        assert_eq!(program(&message(xtask, "test", true)).unwrap().package, "xtask");
        assert_eq!(program(&message(xtask, "test", false)), None);
        assert_eq!(program("{\"reason\":\"build-finished\",\"success\":true}"), None);
    }
}
