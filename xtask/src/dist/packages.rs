//! Builds the packages for Debian and for systems with RPM.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::release::Release;
use crate::dist::target::Target;
use crate::run::{root, run, step};
use crate::tools;

/// The file that lists the files and the properties of the packages.
const DESCRIPTION: &str = "deploy/packages/nfpm.yaml";

/// Builds both packages from the folder of a program.
pub(crate) fn build(release: &Release, target: &Target, folder: &Path) -> anyhow::Result<()> {
    for (packager, file) in [("deb", deb(release, target)), ("rpm", rpm(release, target))] {
        step(&format!("{packager} for {}", target.architecture));
        let mut command = Command::new(tools::release_program("nfpm"));
        command.args(["package", "--config", DESCRIPTION, "--packager", packager, "--target"]).arg(file);
        command.env("SOURCE_DATE_EPOCH", release.epoch.to_string());
        command.env("BEADLE_ARCH", target.debian).env("BEADLE_VERSION", release.version);
        run(command.env("BEADLE_FILES", folder).current_dir(root()))?;
    }
    Ok(())
}

/// Returns the path of the package for Debian.
pub(crate) fn deb(release: &Release, target: &Target) -> PathBuf {
    release.files.join(format!("beadle_{}_{}.deb", release.version, target.debian))
}

/// Returns the path of the package for systems with RPM.
pub(crate) fn rpm(release: &Release, target: &Target) -> PathBuf {
    release.files.join(format!("beadle-{}-1.{}.rpm", release.version, target.architecture))
}
