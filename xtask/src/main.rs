//! Developer commands: `cargo xtask test`, `ci`, `storm`, `fuzz`, `upgrade`, `house`, `pages`, `bench`,
//! `package`, `dist`, `deployments`, `tools`, `described`, `screenshots`.

mod chromium;
mod debian;
mod described;
mod dist;
mod fuzz;
mod house;
mod links;
mod package;
mod postgresql;
mod prometheus;
mod run;
mod screenshots;
mod side_by_side;
mod storm;
mod suite;
mod tools;
mod upgrade;

use std::process::Command as Process;
use std::time::Duration;

use clap::{Parser, Subcommand};

use run::{cargo, cargo_command, step};
use side_by_side::Job;

/// Developer commands of Beadle.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests, without root and without release builds
    ///
    /// `cargo xtask test` and `cargo xtask test aws` together run every test.
    Test {
        /// Nothing: every test that does not emulate AWS. `aws`: every test that emulates AWS.
        /// Other texts: the tests with one of them in their names, such as `repair`. Options, such
        /// as `--test store`, are passed to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the checks of a change except the tests: formatting, lints, docs, dependencies, the demo
    Ci,
    /// Run Beadle in random storms, until one breaks a promise
    ///
    /// In each kind of storm, another part of the world fails. If a storm breaks a promise, the
    /// command prints its seed. The kind `week` runs the service of a large organisation for a week
    /// in an hour.
    Storm {
        /// The kinds of storms. Without a name: all of them
        which: Vec<storm::Storm>,
        /// How long to run each kind, such as `90s`, `10m` or `2h`
        #[arg(long = "for", value_name = "TIME", value_parser = storm::seconds)]
        seconds: Option<u64>,
        /// The number of storms of each kind
        #[arg(long)]
        seeds: Option<u64>,
        /// The seed of the first storm
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Fuzz the parsers, until an input breaks a promise
    ///
    /// libFuzzer changes the inputs of the corpus at random, and keeps the inputs that reach new
    /// code. The command prints the number of runs, and the number of runs a second. If an input
    /// breaks a promise, the command adds the input to the corpus.
    Fuzz(fuzz::FuzzArgs),
    /// Run an older version and this version on one state: a rolling upgrade on PostgreSQL and
    /// DynamoDB, and a file of SQLite
    Upgrade {
        /// The commit of the older version, such as `v0.2.0` or `HEAD~20`
        #[arg(long, value_name = "COMMIT")]
        from: String,
    },
    /// Check the rules of the house: circles of files, long files, the direction of dependencies
    House,
    /// Build docs/ as a book into target/book, and check the links of every Markdown file
    Pages,
    /// Measure: `calls` (calls, points, memory), `day` (the sweeps of a day), `burst` (500 events at
    /// once), `fresh` (a new repository), `policy` (a large policy), `directory` (calls to the target),
    /// `pages` (the pages of a large organisation), `sweep` (of the service), `limits` (100,000
    /// repositories in simulated time), `drain` (100,000 due keys), `startup` (with a long journal),
    /// `intake` (deliveries a second), `coldstart` (of the Lambda function). Without a name: all of them
    Bench {
        /// Names of the measurements
        #[arg(value_parser = BENCHMARKS)]
        which: Option<String>,
    },
    /// Build the packages of the Lambda functions into target/lambda, or check them too
    Package(package::PackageArgs),
    /// Build the files of a release into target/packages, or check them
    Dist(dist::DistArgs),
    /// Check the files of deploy/: SAM, Terraform, the chart and the Dockerfile
    Deployments,
    /// Fetch the tools of the tests and checks, at pinned versions
    Tools,
    /// Generate the table that the simulated GitHub uses to check bodies, from GitHub's description
    Described,
    /// Take the pictures of the pages for the documentation, into docs/screenshots (needs Chromium)
    Screenshots,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Test { args } => suite::run(&args),
        Command::Ci => ci(),
        Command::Storm { which, seconds, seeds, from } => storm::run(&which, seconds, seeds, from),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Upgrade { from } => upgrade::show(&from),
        Command::House => house::check(),
        Command::Pages => pages(),
        Command::Bench { which } => bench(which.as_deref()),
        Command::Package(args) => package::run_step(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Deployments => tools::deployments(),
        Command::Tools => tools::everything(),
        Command::Described => described::write(),
        Command::Screenshots => screenshots::take(),
    }
}

fn ci() -> anyhow::Result<()> {
    step("formatting");
    cargo(&["fmt", "--all", "--check"], &[])?;
    step("the house");
    house::check()?;
    step("lints");
    cargo(&[&["clippy", "--all-targets"], suite::BUILD, &["--", "--deny", "warnings"]].concat(), &[])?;
    step("the build for deployments, without AWS");
    cargo(&["clippy", "--package", "beadle", "--", "--deny", "warnings"], &[])?;
    step("docs");
    let deny = [("RUSTDOCFLAGS", "--deny warnings")];
    // `cargo doc` uses the same features as the lints, so that cargo checks no dependency again.
    let private = ["--no-deps", "--document-private-items"];
    cargo(&[&["doc"], suite::BUILD, suite::TESTING, &private].concat(), &deny)?;
    step("the pages");
    pages()?;
    step("workflows");
    tools::workflows()?;
    step("the rules of Prometheus and the dashboard");
    prometheus::check()?;
    step("the table of GitHub's description");
    described::check()?;
    step("dependencies");
    tools::cargo_deny()?;
    long_jobs()?;
    step("the files of a release");
    dist::run(&dist::DistArgs::check_draft())?;
    step("the demo");
    cargo(&["run", "--release", "--", "demo"], &[])
}

/// A job of [`long_jobs`] that prints nothing for this time counts as hanging. The 10,000
/// interleavings print nothing until their end.
const SILENCE: Duration = Duration::from_mins(45);

/// Runs the jobs that take minutes, two at a time. Each of them uses mostly one processor. A storm
/// lasts a minute, so it needs a processor for itself: beside more jobs, it would try fewer seeds.
fn long_jobs() -> anyhow::Result<()> {
    step("builds of a release and of the demo, 10,000 interleavings and storms");
    // While this program runs, cargo can build it again. The path of the program stays the same.
    let program = std::env::current_exe()?;
    let own = |args: &[&str]| {
        let mut command = Process::new(&program);
        command.args(args);
        command
    };
    let mut demo = cargo_command();
    demo.args(["build", "--release", "--bin", "beadle-demo"]).current_dir(run::root());
    let minute = &[("STORM_SECONDS", "60")];
    let jobs = [
        ("files of a release", own(&["dist", "--profile", "draft"])),
        ("interleavings", suite::one_command("interleavings", "", &[("INTERLEAVINGS", "10000")])?),
        ("storms of the engine", suite::one_command("storm", "no_storm_breaks", minute)?),
        ("storms of vendors", suite::unit_command("no_storm_of_github", minute)?),
        ("storms of directories", suite::one_command("interleavings", "no_storm_of_a_directory", minute)?),
        ("storms of disks", suite::one_command("disks", "no_storm_of_disks", minute)?),
        ("deployments", own(&["deployments"])),
        ("demo", demo),
    ];
    side_by_side::run(jobs.map(|(name, command)| Job { name: name.to_owned(), command }).into(), 2, SILENCE)?;
    step("a load of a minute");
    suite::one("e2e", "a_load_of_200_deliveries", &[("LOAD_SECONDS", "60")])
}

fn pages() -> anyhow::Result<()> {
    links::check()?;
    tools::book()
}

/// The benchmarks, in the order of their runs.
const BENCHMARKS: [&str; 13] = [
    "calls",
    "day",
    "burst",
    "fresh",
    "policy",
    "directory",
    "pages",
    "sweep",
    "limits",
    "drain",
    "startup",
    "intake",
    "coldstart",
];

fn bench(which: Option<&str>) -> anyhow::Result<()> {
    let packages = ["--package", "beadle", "--package", "beadle-bench"];
    cargo(&[&["build", "--release", "--features", "beadle/postgres"][..], &packages].concat(), &[])?;
    let program = run::root().join("target/release/beadle-bench");
    for name in BENCHMARKS {
        if which.is_none_or(|which| which == name) {
            if name == "coldstart" {
                package::build()?;
                tools::deploy()?;
            }
            step(&format!("bench {name}"));
            if name == "limits" {
                // This benchmark needs tokio's simulated time. No other program is built with
                // simulated time.
                let test = ["test", "--release", "--package", "beadle-transport", "--test", "limits"];
                let only = ["--", "--ignored", "--nocapture"];
                cargo(&[&test[..], &only].concat(), &[])?;
            } else {
                // `cargo run` would build most crates again, because another selection of packages
                // has other features.
                run::run(Process::new(&program).arg(name).current_dir(run::root()))?;
            }
        }
    }
    Ok(())
}
