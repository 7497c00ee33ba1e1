//! The programs of a release: one for each architecture and each use of the C library.

use std::env::consts::ARCH;

use anyhow::bail;
use clap::ValueEnum;

use crate::package::is_installed;
use crate::run::step;

/// The oldest glibc that a program of the kind [`Kind::Glibc`] can use, as the number after `2.`.
/// glibc 2.28 is in Debian 10 and in RHEL 8. The packages of `deploy/packages/nfpm.yaml` require
/// this version.
pub(crate) const GLIBC: u32 = 28;

/// How a program uses the C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The program contains the C library, and runs on every Linux
    Static,
    /// The program uses the glibc of the system
    Glibc,
}

/// The compiler and linker for C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// `zig cc` has the C libraries of all targets, in all versions.
    Zig,
    /// The compiler of this machine. This compiler can link glibc into a program. `zig cc` cannot
    /// link glibc into a program.
    System,
}

/// A program to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The target in names of files, such as `x86_64-unknown-linux-musl`.
    pub(crate) label: String,
    /// The name of the target in Rust.
    pub(crate) triple: String,
    /// The name of the architecture in Debian and Go.
    pub(crate) debian: &'static str,
    /// The name of the architecture in Rust and RPM.
    pub(crate) architecture: &'static str,
    /// How the program uses the C library.
    pub(crate) kind: Kind,
    linker: Linker,
}

impl Target {
    /// Returns the command of cargo that builds the program.
    pub(crate) fn command(&self) -> &'static str {
        match self.linker {
            Linker::Zig => "zigbuild",
            Linker::System => "build",
        }
    }

    /// Returns the value of `--target`.
    pub(crate) fn asked(&self) -> String {
        match self.kind {
            Kind::Glibc => format!("{}.2.{GLIBC}", self.triple),
            Kind::Static => self.triple.clone(),
        }
    }

    /// Returns the options of rustc that only this target needs.
    pub(crate) fn flags(&self) -> &'static [&'static str] {
        match (self.kind, self.linker) {
            (Kind::Static, Linker::System) => &["-Ctarget-feature=+crt-static"],
            _ => &[],
        }
    }

    /// Returns whether this machine can run the program.
    pub(crate) fn runs_here(&self) -> bool {
        self.architecture == ARCH
    }
}

/// Returns the programs that the toolchain can build, and prints which ones it cannot build.
pub(crate) fn possible(only: Option<Kind>) -> anyhow::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for (architecture, debian) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
        let (musl, gnu) =
            (format!("{architecture}-unknown-linux-musl"), format!("{architecture}-unknown-linux-gnu"));
        let make = |label: &str, triple: &str, kind, linker| Target {
            label: label.to_owned(),
            triple: triple.to_owned(),
            debian,
            architecture,
            kind,
            linker,
        };
        let (has_musl, has_gnu) = (is_installed(&musl)?, is_installed(&gnu)?);
        let missing = |triple: &str, what: &str| {
            step(&format!("no {what} for {architecture}: `rustup target add {triple}` is missing"));
        };
        if only != Some(Kind::Glibc) {
            if has_musl {
                targets.push(make(&musl, &musl, Kind::Static, Linker::Zig));
            } else if has_gnu && architecture == ARCH {
                // A machine without musl can still check everything that concerns a static program.
                missing(&musl, "musl");
                targets.push(make(&format!("{gnu}-static"), &gnu, Kind::Static, Linker::System));
            } else {
                missing(&musl, "static program");
            }
        }
        if only != Some(Kind::Static) {
            if has_gnu {
                targets.push(make(&gnu, &gnu, Kind::Glibc, Linker::Zig));
            } else {
                missing(&gnu, "program for glibc");
            }
        }
    }
    if targets.is_empty() {
        bail!("the toolchain can build no program of a release");
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_command_and_target() {
        let of = |kind, linker| Target {
            label: "any".into(),
            triple: "x86_64-unknown-linux-gnu".into(),
            debian: "amd64",
            architecture: "x86_64",
            kind,
            linker,
        };
        let glibc = of(Kind::Glibc, Linker::Zig);
        assert_eq!((glibc.command(), glibc.flags().len()), ("zigbuild", 0));
        assert_eq!(glibc.asked(), "x86_64-unknown-linux-gnu.2.28");
        let alone = of(Kind::Static, Linker::System);
        assert_eq!((alone.command(), alone.flags().len()), ("build", 1));
        assert_eq!(alone.asked(), "x86_64-unknown-linux-gnu");
    }

    #[test]
    fn the_packages_require_the_glibc_of_the_program() {
        let packages = include_str!("../../../deploy/packages/nfpm.yaml");
        for line in [format!("libc6 (>= 2.{GLIBC})"), format!("glibc >= 2.{GLIBC}")] {
            assert!(packages.contains(&line), "{line}");
        }
    }
}
