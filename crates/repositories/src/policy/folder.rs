//! Reads the files of a policy. This code reads a file only if it is regular, not too large, and
//! inside the policy's folder.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::error::PolicyError;

/// The maximum size, in bytes, of a file that Beadle reads.
const LARGEST: u64 = 4 << 20;

/// The extensions that the files of a policy can have.
const ENDINGS: [&str; 2] = ["yml", "yaml"];

/// The names, without the extension, of the policy files outside of subfolders.
const ROOT_STEMS: [&str; 5] = ["settings", "deployment-settings", "teams", "members", "waivers"];

/// The policy file that contains the group mappings. The format of the file is TOML, and Beadle
/// does not read the file as a layer.
pub const MAPPINGS: &str = "groups.toml";

/// The policy folder that contains the templates for files. The names of these templates can have
/// any extension.
pub(super) const TEMPLATES: &str = "templates";

/// The path that Beadle reads at the moment. If a file system hangs, the caller can report this
/// path.
#[derive(Clone, Debug, Default)]
pub struct ReadingAt(Arc<Mutex<PathBuf>>);

impl ReadingAt {
    /// Records the path of the next read.
    pub fn note(&self, path: &Path) {
        path.clone_into(&mut self.0.lock());
    }

    /// Returns the most recently recorded path.
    pub fn path(&self) -> PathBuf {
        self.0.lock().clone()
    }
}

/// Reads the texts of all policy files. The key of each text is the path of its file, relative to
/// the folder.
pub(super) fn read_folder(
    folder: &Path,
    at: &ReadingAt,
) -> std::result::Result<BTreeMap<String, String>, PolicyError> {
    at.note(folder);
    std::fs::read_dir(folder).map_err(unreadable(folder))?;
    let mut sources = read_part(folder, "", &ROOT_STEMS, at)?;
    for part in ["suborgs", "layers", "repos", "rules", TEMPLATES] {
        sources.extend(read_part(folder, part, &[], at)?);
    }
    Ok(sources)
}

/// Returns whether a file of a repository is part of a policy. `file` is the path relative to the
/// folder of the policy.
pub fn is_policy_file(file: &str) -> std::result::Result<bool, PolicyError> {
    let (part, name) = file.rsplit_once('/').unwrap_or(("", file));
    let stems: &[&str] = match part {
        "" => &ROOT_STEMS,
        "suborgs" | "layers" | "repos" | "rules" => &[],
        TEMPLATES => return is_template(Path::new(name)).map_err(unreadable(Path::new(file))),
        _ => return Ok(false),
    };
    is_read(Path::new(name), stems).map_err(unreadable(Path::new(file)))
}

/// Returns whether a file of a repository contains tests of the policy. `file` is the path relative
/// to the folder of the policy.
pub fn is_test_file(file: &str) -> std::result::Result<bool, PolicyError> {
    match file.strip_prefix("tests/") {
        Some(name) if !name.contains('/') => {
            is_yaml(Path::new(name), &[]).map_err(unreadable(Path::new(file)))
        }
        _ => Ok(false),
    }
}

/// Returns whether Beadle reads a file of a folder. `stems` is empty except for the root of the
/// policy. Only the root can contain the file with the group mappings.
fn is_read(path: &Path, stems: &[&str]) -> Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if stems.is_empty() || !name.eq_ignore_ascii_case(MAPPINGS) {
        return is_yaml(path, stems);
    }
    if name == MAPPINGS {
        return Ok(true);
    }
    // The author expects that Beadle reads this file, so an unusual name is an error.
    Err(refused(format!("the name must be `{MAPPINGS}`, found `{name}`; rename the file")))
}

/// Returns whether Beadle reads a file in the folder of the templates. Beadle ignores names that
/// begin with a dot, because Kubernetes makes links with such names in the folder of a `ConfigMap`.
fn is_template(path: &Path) -> Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| refused("the name of a policy file must be UTF-8"))?;
    Ok(!name.starts_with('.'))
}

/// Returns whether a file has one of the extensions of a policy. If `stems` is not empty, the file
/// must also have one of these names.
fn is_yaml(path: &Path, stems: &[&str]) -> Result<bool> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let Some(right) = ENDINGS.into_iter().find(|right| ending.eq_ignore_ascii_case(right)) else {
        return Ok(false);
    };
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
        return Err(refused("the name of a policy file must be UTF-8"));
    };
    if !stems.is_empty() && !stems.contains(&stem) {
        return Ok(false);
    }
    if ending != right {
        // The author expects that Beadle reads this file, so an unusual extension is an error.
        let why = format!(
            "the extension must be `.{right}`, found `.{ending}`; rename the file to `{stem}.{right}`"
        );
        return Err(refused(why));
    }
    Ok(true)
}

/// Returns the subfolder `.github` if it contains policy files. safe-settings keeps its files in
/// this subfolder.
pub(super) fn inner_policy(folder: &Path) -> Option<PathBuf> {
    let inner = folder.join(".github");
    let names = ["settings.yml", "settings.yaml", "suborgs", "layers", "repos"];
    names.into_iter().any(|name| inner.join(name).exists()).then_some(inner)
}

/// Reads the texts of the policy files in a subfolder of the policy. If `stems` is not empty, the
/// function reads only files with these names.
pub(super) fn read_part(
    folder: &Path,
    part: &str,
    stems: &[&str],
    at: &ReadingAt,
) -> std::result::Result<BTreeMap<String, String>, PolicyError> {
    let mut sources = BTreeMap::new();
    let root = folder.canonicalize().map_err(unreadable(folder))?;
    let path = folder.join(part);
    at.note(&path);
    // A symbolic link without a target is an error. Beadle cannot read the files behind the link,
    // but these files might still exist.
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(sources),
        found => found.map_err(unreadable(&path))?,
    };
    let real = inside(&root, &path).map_err(unreadable(&path))?;
    for entry in std::fs::read_dir(&real).map_err(unreadable(&path))? {
        let path = path.join(entry.map_err(unreadable(&path))?.file_name());
        let is_wanted = if part == TEMPLATES { is_template(&path) } else { is_read(&path, stems) };
        if !is_wanted.map_err(unreadable(&path))? {
            continue;
        }
        at.note(&path);
        let real = inside(&root, &path).map_err(unreadable(&path))?;
        // Beadle ignores subfolders of the templates folder. For a policy in a repository, Beadle
        // does the same.
        if part == TEMPLATES && real.is_dir() {
            continue;
        }
        let text = read_text(&real).map_err(unreadable(&path))?;
        // At this point, the name is always UTF-8, because the code above refuses other names.
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sources.insert(if part.is_empty() { file } else { format!("{part}/{file}") }, text);
    }
    Ok(sources)
}

/// Reads the text of a regular file that is not too large. The function refuses pipes and devices,
/// because they can block the reader forever.
pub fn read_text(path: &Path) -> Result<String> {
    // The function makes this check before it opens the file, because opening a device can have an
    // effect.
    check_regular(&std::fs::metadata(path)?)?;
    read_opened(open(path)?)
}

/// Opens a file without waiting. The path might now belong to a pipe. A normal call to open a pipe
/// waits for a writer.
fn open(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Reads the text of an open file if the file is regular. The function checks the open file,
/// because the path might already belong to another file.
fn read_opened(file: File) -> Result<String> {
    check_regular(&file.metadata()?)?;
    // Files in /proc do not report a size. So the function checks the limit during the read.
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST { Err(too_large()) } else { Ok(text) }
}

fn check_regular(found: &Metadata) -> Result<()> {
    if found.is_dir() {
        return Err(refused("must be a file, found a folder"));
    }
    if !found.is_file() {
        return Err(refused("must be a regular file, found a pipe, a socket or a device"));
    }
    if found.len() > LARGEST { Err(too_large()) } else { Ok(()) }
}

/// Resolves the links in a path and checks that the result is inside the folder. Without this
/// check, a link could point to another file on the machine. An error message could then show the
/// content of this other file.
fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let real = path.canonicalize()?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(refused(
            "the symbolic link must not leave the policy's folder; replace the link with a copy of the file",
        ))
    }
}

fn too_large() -> Error {
    refused(format!("must have at most {} MiB", LARGEST >> 20))
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, why.into())
}

fn unreadable(path: &Path) -> impl FnOnce(Error) -> PolicyError {
    let path = path.to_owned();
    move |why| PolicyError::Unreadable { path, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policy")).unwrap();
        std::fs::create_dir(folder.path().join("policy/repos")).unwrap();
        std::fs::write(folder.path().join("policy/settings.yml"), "repository: { has_wiki: false }").unwrap();
        folder
    }

    fn load(folder: &tempfile::TempDir) -> std::result::Result<Policy, PolicyError> {
        Policy::load(&folder.path().join("policy"), "admin")
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leaves_the_folder_is_refused_by_name_and_shows_nothing() {
        use std::os::unix::fs::symlink;
        for (link, to) in [
            ("policy/repos/shop.yml", "../../gh.token"),
            ("policy/settings.yml", "/proc/self/environ"),
            ("policy/layers", "../outside"),
            ("policy/suborgs", "../nowhere"),
        ] {
            let folder = folder();
            std::fs::write(folder.path().join("gh.token"), "ghp_verysecret: [").unwrap();
            std::fs::create_dir(folder.path().join("outside")).unwrap();
            std::fs::write(folder.path().join("outside/a.yml"), "ghp_verysecret: [").unwrap();
            let link = folder.path().join(link);
            let _ = std::fs::remove_file(&link);
            symlink(to, &link).unwrap();
            let error = load(&folder).unwrap_err().to_string();
            assert!(error.contains(&*link.to_string_lossy()), "{error}");
            assert!(!error.contains("ghp_"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_inside_the_folder_are_followed() {
        use std::os::unix::fs::symlink;
        // Kubernetes mounts a ConfigMap with links like these.
        let folder = folder();
        let policy = folder.path().join("policy");
        std::fs::create_dir(policy.join("..2026")).unwrap();
        std::fs::rename(policy.join("settings.yml"), policy.join("..2026/settings.yml")).unwrap();
        symlink("..2026", policy.join("..data")).unwrap();
        symlink("..data/settings.yml", policy.join("settings.yml")).unwrap();
        assert_eq!(load(&folder).unwrap().layers.len(), 1);
        symlink("policy", folder.path().join("current")).unwrap();
        assert_eq!(Policy::load(&folder.path().join("current"), "admin").unwrap().layers.len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = folder();
        let shop = folder.path().join("policy/repos/shop.yml");
        let made = std::process::Command::new("mkfifo").arg(&shop).output().unwrap().status;
        assert!(made.success());
        let error = load(&folder).unwrap_err().to_string();
        assert!(error.contains("repos/shop.yml") && error.contains("a pipe"), "{error}");
        std::fs::remove_file(&shop).unwrap();
        std::fs::write(&shop, "#".repeat(5 << 20)).unwrap();
        let error = load(&folder).unwrap_err().to_string();
        assert!(error.contains("repos/shop.yml") && error.contains("at most 4 MiB"), "{error}");
        std::fs::remove_file(&shop).unwrap();
        std::fs::create_dir(&shop).unwrap();
        assert!(load(&folder).unwrap_err().to_string().contains("found a folder"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_after_the_look_keeps_nobody_waiting() {
        let folder = folder();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).output().unwrap().status.success());
        // The test simulates a path that changes: it is a regular file during the check, but a pipe
        // when Beadle opens it.
        let (sender, read) = std::sync::mpsc::channel();
        let _reader = std::thread::spawn(move || sender.send(open(&pipe).and_then(read_opened)));
        let read = read.recv_timeout(std::time::Duration::from_secs(60)).expect("the pipe was waited for");
        assert!(read.unwrap_err().to_string().contains("a pipe"));
    }

    #[test]
    fn a_read_notes_the_path_that_it_has_arrived_at() {
        let (folder, at) = (folder(), ReadingAt::default());
        let shop = folder.path().join("policy/repos/shop.yml");
        std::fs::create_dir(&shop).unwrap();
        assert!(Policy::load_noting(&folder.path().join("policy"), "admin", &at).is_err());
        assert_eq!(at.path(), shop);
    }

    #[test]
    fn a_policy_in_the_folder_github_is_named() {
        let folder = folder();
        std::fs::rename(folder.path().join("policy"), folder.path().join(".github")).unwrap();
        let error = Policy::load(folder.path(), "admin").unwrap_err().to_string();
        assert!(error.contains("/.github has files of a policy"), "{error}");
    }

    #[test]
    fn a_file_of_a_repository_is_part_of_a_policy_by_its_path() {
        for (file, is_part, has_tests) in [
            ("settings.yml", true, false),
            ("deployment-settings.yaml", true, false),
            ("repos/shop.yml", true, false),
            ("suborgs/a.b.yaml", true, false),
            ("rules/overrides.yml", true, false),
            ("groups.toml", true, false),
            ("templates/CODEOWNERS", true, false),
            ("templates/ci.yml.j2", true, false),
            ("templates/.gitkeep", false, false),
            ("templates/deep/ci.yml", false, false),
            ("layers/groups.toml", false, false),
            ("other.toml", false, false),
            ("teams.yml", true, false),
            ("members.yml", true, false),
            ("tests/shop.yml", false, true),
            ("tests/deep/shop.yml", false, false),
            ("repos/deep/shop.yml", false, false),
            ("other.yml", false, false),
            ("layers/README.md", false, false),
            ("workflows/settings.yml", false, false),
        ] {
            assert_eq!(is_policy_file(file).unwrap(), is_part, "{file}");
            assert_eq!(is_test_file(file).unwrap(), has_tests, "{file}");
        }
        let error = is_policy_file("repos/shop.YML").unwrap_err().to_string();
        assert!(error.contains("repos/shop.YML") && error.contains("`shop.yml`"), "{error}");
        let error = is_policy_file("Groups.toml").unwrap_err().to_string();
        assert!(error.contains("must be `groups.toml`, found `Groups.toml`"), "{error}");
    }

    #[test]
    fn mappings_are_part_of_the_generation_and_not_a_layer() {
        let folder = folder();
        let before = load(&folder).unwrap();
        assert_eq!(before.mappings(), None);
        let text = "[[groups]]\nsource = \"corp\"\n";
        std::fs::write(folder.path().join("policy/groups.toml"), text).unwrap();
        let after = load(&folder).unwrap();
        assert_eq!(after.mappings(), Some(text));
        assert_eq!(after.layers.len(), before.layers.len());
        assert_ne!(after.generation, before.generation);
    }

    #[test]
    fn templates_of_any_extension_are_read_from_their_folder() {
        let folder = folder();
        let templates = folder.path().join("policy/templates");
        std::fs::create_dir(&templates).unwrap();
        std::fs::write(templates.join("CODEOWNERS"), "* @acme/core\n").unwrap();
        std::fs::write(templates.join(".gitkeep"), "").unwrap();
        std::fs::create_dir(templates.join("deep")).unwrap();
        std::fs::write(templates.join("deep/ci.yml"), "x").unwrap();
        let settings = "files: [{ path: CODEOWNERS, template_file: CODEOWNERS }]\n";
        std::fs::write(folder.path().join("policy/settings.yml"), settings).unwrap();
        let policy = load(&folder).unwrap();
        let files: Vec<&str> = policy.sources.keys().map(String::as_str).collect();
        assert_eq!(files, ["settings.yml", "templates/CODEOWNERS"]);
    }

    #[test]
    fn an_ending_in_capitals_is_named_with_the_right_one() {
        let folder = folder();
        std::fs::write(folder.path().join("policy/repos/shop.YML"), "repository: {}").unwrap();
        let error = load(&folder).unwrap_err().to_string();
        assert!(error.contains("repos/shop.YML") && error.contains("`shop.yml`"), "{error}");
    }
}
