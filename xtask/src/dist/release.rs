//! The common facts about all files of one release: the version, the time and the folders.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};

use crate::dist::target::Kind;
use crate::run::root;

/// The profile of cargo that CI uses to build the programs.
pub(crate) const DRAFT: &str = "draft";

/// One release. Two releases of the same commit have identical files, even in different folders.
pub(crate) struct Release {
    /// The version of the workspace.
    pub(crate) version: &'static str,
    /// The time of the commit in seconds since 1970. Every file of the release has this time,
    /// because the time of the build would differ in each build.
    pub(crate) epoch: u64,
    /// The profile of cargo for the programs.
    pub(crate) profile: String,
    /// The folder for the files of the release.
    pub(crate) files: PathBuf,
    /// The folder for intermediate files, such as the compiled crates.
    pub(crate) work: PathBuf,
}

impl Release {
    /// Describes a release of the current commit. `name` is the name of its folders in `target`.
    pub(crate) fn of(profile: &str, name: &str) -> anyhow::Result<Self> {
        let target = root().join("target").join(name);
        for folder in ["files", "work"] {
            std::fs::create_dir_all(target.join(folder))?;
        }
        // The programs contain no path of this machine, and cargo needs the path without `..`.
        let target = target.canonicalize()?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            epoch: epoch()?,
            profile: profile.to_owned(),
            files: target.join("files"),
            work: target.join("work"),
        })
    }

    /// Returns whether the programs are built only for the checks of CI.
    pub(crate) fn is_draft(&self) -> bool {
        self.profile == DRAFT
    }

    /// Returns the kind of the programs, if the release contains only one kind. `None` means that
    /// the release contains all kinds. A draft contains only one kind, because the build of each
    /// kind compiles all crates again.
    pub(crate) fn only(&self) -> Option<Kind> {
        self.is_draft().then_some(Kind::Static)
    }

    /// Returns whether the packages contain the programs of this kind. The packages of a draft
    /// contain the draft's only program.
    pub(crate) fn packs(&self, kind: Kind) -> bool {
        kind == Kind::Glibc || self.only() == Some(kind)
    }

    /// Returns the time of the commit.
    pub(crate) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.epoch)
    }
}

/// Returns `SOURCE_DATE_EPOCH`, or the time of the last commit if the variable is not set.
fn epoch() -> anyhow::Result<u64> {
    let text = if let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") {
        text.to_string_lossy().into_owned()
    } else {
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(root());
        let answer = git.output().context("cannot run git")?;
        if !answer.status.success() {
            bail!("git knows no commit: set SOURCE_DATE_EPOCH to the time of the release");
        }
        String::from_utf8(answer.stdout)?
    };
    let text = text.trim();
    text.parse().with_context(|| format!("SOURCE_DATE_EPOCH must be a number of seconds, found `{text}`"))
}
