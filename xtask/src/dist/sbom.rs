//! Writes a list of the program's components (SBOM) in the format CycloneDX.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::dist::build::FEATURES;
use crate::dist::release::Release;
use crate::run::{cargo_command, root, run, step};
use crate::tools;

/// The target for the list of dependencies. The other Linux targets have the same dependencies.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Writes the list.
pub(crate) fn write(release: &Release) -> anyhow::Result<()> {
    step("the list of components");
    // cargo-cyclonedx writes a file next to every Cargo.toml. So this command runs in a copy of the
    // workspace.
    let (archive, source) = (release.work.join("source.tar"), release.work.join("source"));
    let _ = std::fs::remove_dir_all(&source); // this removes the copy of an earlier commit
    std::fs::create_dir_all(&source)?;
    let mut git = Command::new("git");
    git.args(["archive", "--format=tar", "--output"]).arg(&archive).arg("HEAD");
    run(git.current_dir(root()))?;
    run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&source))?;
    let mut command = cargo_command();
    command.args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--manifest-path"]);
    command.arg(source.join("crates/beadle/Cargo.toml")).args(["--features", FEATURES, "--target", TARGET]);
    command.env("SOURCE_DATE_EPOCH", release.epoch.to_string()).env("PATH", tools::release_path()?);
    run(command.current_dir(&source))?;
    let text = std::fs::read_to_string(source.join("crates/beadle/beadle.cdx.json"))
        .context("cargo cyclonedx wrote no file for the package beadle")?;
    let place = source.display().to_string();
    let text = format!("{:#}\n", without_build(&text.replace(&place, ""))?);
    std::fs::write(file(release), text)?;
    Ok(())
}

/// Removes the parts that differ in each build: the random number and the time of the document.
fn without_build(text: &str) -> anyhow::Result<Value> {
    let mut list: Value = serde_json::from_str(text)?;
    let document = list.as_object_mut().context("the list of components must be an object")?;
    document.remove("serialNumber");
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        metadata.remove("timestamp");
    }
    Ok(list)
}

/// Returns the path of the list.
fn file(release: &Release) -> PathBuf {
    release.files.join(format!("beadle-{}.cdx.json", release.version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_has_no_time_and_no_random_number() {
        let text = json!({
            "bomFormat": "CycloneDX",
            "serialNumber": "urn:uuid:1",
            "metadata": { "timestamp": "2026-11-29T08:00:00Z", "component": { "name": "beadle" } },
        });
        let expected = json!({ "bomFormat": "CycloneDX", "metadata": { "component": { "name": "beadle" } } });
        assert_eq!(without_build(&text.to_string()).unwrap(), expected);
        assert!(without_build("[]").is_err());
    }
}
