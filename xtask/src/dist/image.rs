//! Builds the container image: one static program and the trusted certificates. `umoci` writes the
//! files of the image directly, so no daemon and no root rights are needed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::debian;
use crate::dist::archive;
use crate::dist::release::Release;
use crate::dist::target::Target;
use crate::run::{run, step};

/// The path of the trusted certificates. The path is the same in the image and on the machine that
/// builds the image.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// The user and the group of the program. `deploy/docker/Dockerfile` uses the same user and the
/// same group.
const USER: &str = "65532";
/// The properties of the image, written as options of `umoci config`.
const CONFIG: &[(&str, &str)] = &[
    ("--os", "linux"),
    ("--config.user", "65532:65532"),
    ("--config.workingdir", "/etc/beadle"),
    ("--config.env", "BEADLE_CONFIG=/etc/beadle/beadle.toml"),
    ("--config.env", "BEADLE_STORE=/var/lib/beadle/beadle.db"),
    ("--config.volume", "/var/lib/beadle"),
    ("--config.exposedports", "8080/tcp"),
    ("--config.exposedports", "8081/tcp"),
    ("--config.entrypoint", "/usr/local/bin/beadle"),
    ("--config.cmd", "--log-format"),
    ("--config.cmd", "json"),
    ("--config.cmd", "serve"),
    ("--config.label", "org.opencontainers.image.title=beadle"),
    ("--config.label", "org.opencontainers.image.licenses=MIT OR Apache-2.0"),
    ("--config.label", "org.opencontainers.image.source=https://github.com/beadle-rs/beadle"),
];

/// Builds the image from the folder of a static program. If `umoci` cannot be downloaded, only
/// prints that the image is left out.
pub(crate) fn build(release: &Release, target: &Target, folder: &Path) -> anyhow::Result<()> {
    let Some(umoci) = umoci() else { return Ok(()) };
    step(&format!("image for {}", target.architecture));
    let work = release.work.join("image").join(target.debian);
    let _ = std::fs::remove_dir_all(&work); // this removes the files of an earlier build
    let (files, state) = (work.join("files"), work.join("state"));
    for place in ["usr/local/bin", "etc/ssl/certs", "etc/beadle", "tmp", "var/lib"] {
        std::fs::create_dir_all(files.join(place))?;
    }
    std::fs::create_dir_all(&state)?;
    std::fs::copy(folder.join("beadle"), files.join("usr/local/bin/beadle"))?;
    std::fs::copy(Path::new("/").join(CERTIFICATES), files.join(CERTIFICATES))
        .with_context(|| format!("cannot copy /{CERTIFICATES}: install ca-certificates"))?;
    run(Command::new("chmod").args(["--recursive", "u=rwX,go=rX"]).arg(&files))?;
    std::fs::set_permissions(files.join("tmp"), Permissions::from_mode(0o1777))?;
    std::fs::set_permissions(&state, Permissions::from_mode(0o700))?;
    let at = format!("@{}", release.epoch);
    run(Command::new("find").arg(&work).args(["-exec", "touch", "--date", &at, "{}", "+"]))?;

    let layout = work.join("layout").display().to_string();
    let image = format!("{layout}:{}", release.version);
    let call = |args: &[&str]| run(Command::new(&umoci).args(args));
    call(&["init", "--layout", &layout])?;
    call(&["new", "--image", &image])?;
    let created = answer("date", &["--utc", "--date", &at, "+%Y-%m-%dT%H:%M:%SZ"])?;
    let (user, group) = (answer("id", &["--user"])?, answer("id", &["--group"])?);
    for (from, to, owner) in [(&files, "/", "0"), (&state, "/var/lib/beadle", USER)] {
        // In the image, the files of the user who runs this command belong to `owner`.
        let (users, groups) = (format!("{owner}:{user}:1"), format!("{owner}:{group}:1"));
        let from = from.display().to_string();
        call(&[
            "insert",
            "--image",
            &image,
            "--uid-map",
            &users,
            "--gid-map",
            &groups,
            "--history.created",
            &created,
            "--history.created_by",
            "cargo xtask dist",
            &from,
            to,
        ])?;
    }
    let version = format!("org.opencontainers.image.version={}", release.version);
    let own = [
        ("--created", &created[..]),
        ("--architecture", target.debian),
        ("--config.label", version.as_str()),
    ];
    let properties: Vec<&str> = own.iter().chain(CONFIG).flat_map(|(name, value)| [*name, *value]).collect();
    call(&[&["config", "--image", &image, "--no-history"], &properties[..]].concat())?;
    call(&["gc", "--layout", &layout])?;

    let names = ["blobs", "index.json", "oci-layout"];
    archive::tar(release, Path::new(&layout), &names, &file(release, target))
}

/// Unpacks the files of an image into a folder, and returns the root folder of the container.
/// Returns `None` if there is no image.
pub(crate) fn unpack(release: &Release, target: &Target, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let archive = file(release, target);
    let Some(umoci) = umoci() else { return Ok(None) };
    if !archive.exists() {
        step(&format!("there is no image for {}, it is not checked", target.architecture));
        return Ok(None);
    }
    let (layout, bundle) = (folder.join("layout"), folder.join("bundle"));
    std::fs::create_dir_all(&layout)?;
    run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&layout))?;
    let image = format!("{}:{}", layout.display(), release.version);
    run(Command::new(umoci).args(["unpack", "--rootless", "--image", &image]).arg(&bundle))?;
    Ok(Some(bundle.join("rootfs")))
}

/// Returns the path of the image, in the format `oci-archive` of skopeo and podman.
fn file(release: &Release, target: &Target) -> PathBuf {
    release.files.join(format!("beadle-{}-image-{}.tar", release.version, target.debian))
}

/// Returns the path of `umoci`.
fn umoci() -> Option<PathBuf> {
    match debian::program("umoci", "umoci") {
        Ok(program) => Some(program),
        Err(error) => {
            step(&format!("umoci is missing, the image is left out: {error:#}"));
            None
        }
    }
}

/// Returns the output of a program.
fn answer(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let answer =
        Command::new(program).args(args).output().with_context(|| format!("cannot run {program}"))?;
    if !answer.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&answer.stderr));
    }
    Ok(String::from_utf8(answer.stdout)?.trim().to_owned())
}
