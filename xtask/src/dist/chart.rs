//! Packs the Helm chart.

use anyhow::bail;

use crate::dist::archive;
use crate::dist::release::Release;
use crate::run::{root, step};

/// The folder of all charts, and the name of the chart.
const PLACE: (&str, &str) = ("deploy/helm", "beadle");

/// Packs the chart, in the form of `helm package`. The version of the chart is the version of the
/// release.
pub(crate) fn pack(release: &Release) -> anyhow::Result<()> {
    step("the Helm chart");
    let (folder, name) = PLACE;
    let folder = root().join(folder);
    let text = std::fs::read_to_string(folder.join(name).join("Chart.yaml"))?;
    check(&text, release.version)?;
    let archive = release.files.join(format!("{name}-{}", release.version));
    archive::tar(release, &folder, &[name], &archive)?;
    archive::compress(&archive, ".tgz")
}

/// Returns an error if a version of the chart is not the version of the release.
fn check(text: &str, version: &str) -> anyhow::Result<()> {
    for key in ["version", "appVersion"] {
        let line = format!("{key}: {version}");
        if !text.lines().any(|found| found == line) {
            bail!("deploy/helm/beadle/Chart.yaml must have the line `{line}`, as Cargo.toml has the version");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_has_the_version_of_the_workspace() {
        let text = include_str!("../../../deploy/helm/beadle/Chart.yaml");
        check(text, env!("CARGO_PKG_VERSION")).unwrap();
        assert!(check(text, "99.0.0").is_err());
    }
}
