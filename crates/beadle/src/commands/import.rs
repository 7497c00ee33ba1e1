//! `beadle import`: writes a policy that declares the present state, or converts the files of
//! another tool.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use beadle_repositories::policy::read_text;
use beadle_repositories::{Incumbent, Policy, Severity, import_policy};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::cli::{ImportArgs, Tool};
use crate::commands::{FAILED, FINE, import_group_mappings};
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};
use crate::output::progress::Progress;

pub(crate) async fn run(config: &Arc<Config>, args: &ImportArgs, printer: &Printer) -> anyhow::Result<u8> {
    if config.file.org.is_empty() && !config.file.target.is_empty() {
        return only_groups(config, args, printer).await;
    }
    let orgs = config.orgs(args.org.as_deref())?;
    let [file] = orgs.as_slice() else {
        let names: Vec<&str> = orgs.iter().map(|org| org.name.as_str()).collect();
        bail!(
            "the configuration must have one organisation, found {}\nhint: choose one with --org",
            names.join(", ")
        );
    };
    // Beadle checks the folder before it reads the organisation, because the read of an
    // organisation needs many calls.
    ensure_empty(&args.into)?;
    let app = App::new(config, ClientOptions::PATIENT);
    let reader = app.reader(file)?;
    let progress = Progress::new(&format!("reading {}", file.name), printer);
    let home = &file.policy_repository;
    let at = |done, total| progress.at(done, total);
    let read = Box::pin(import_policy(&reader, home, &args.repo, &at)).await;
    progress.end();
    let mut import = read?;
    let mut mapped = None;
    if args.repo.is_empty() {
        match Box::pin(import_group_mappings::mappings(&app)).await {
            Ok(Some((text, groups))) => {
                import.files.insert(import_group_mappings::FILE.to_owned(), text);
                mapped = Some(groups);
            }
            Ok(None) => {}
            Err(error) => import.notes.push(format!("mappings of groups are not imported: {error:#}")),
        }
    }
    write(&args.into, &import.files)?;
    ensure_valid(&args.into, home)?;
    for note in &import.notes {
        printer.note(note);
    }
    let repositories = counted(import.repositories, "repository", "repositories");
    printer.line(format!(
        "{} for {repositories} of {}",
        wrote(&args.into, &import.files, printer),
        file.name
    ));
    printer.line(format!(
        "next: set `policy` of {0} in the configuration to this folder, and run `beadle plan --org {0}`",
        file.name
    ));
    if let Some(groups) = mapped {
        say_mapped(groups, &args.into, printer);
    }
    Ok(FINE)
}

/// Imports only mappings, because the configuration has targets but no organisation.
async fn only_groups(config: &Arc<Config>, args: &ImportArgs, printer: &Printer) -> anyhow::Result<u8> {
    ensure_empty(&args.into)?;
    let app = App::new(config, ClientOptions::PATIENT);
    if let Some((text, groups)) = Box::pin(import_group_mappings::mappings(&app)).await? {
        write(&args.into, &BTreeMap::from([(import_group_mappings::FILE.to_owned(), text)]))?;
        say_mapped(groups, &args.into, printer);
    }
    Ok(FINE)
}

fn say_mapped(groups: usize, folder: &Path, printer: &Printer) {
    let (file, groups) = (import_group_mappings::FILE, counted(groups, "group", "groups"));
    printer.line(format!("wrote {}: mappings of {groups}", folder.join(file).display()));
    printer.line(format!(
        "next: move {file} to the folder of beadle.toml, set `groups_from = [\"{file}\"]`, and run `beadle plan`"
    ));
}

/// Converts files of another tool. Prints each line that Beadle cannot convert. If a file has an
/// error, writes nothing.
pub(crate) fn convert(tool: Tool, args: &ImportArgs, printer: &Printer) -> anyhow::Result<u8> {
    ensure_empty(&args.into)?;
    let mut sources = BTreeMap::new();
    for path in &args.files {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.insert(path.display().to_string(), text);
    }
    let from = match tool {
        Tool::Probot => Incumbent::Probot,
        Tool::SafeSettings => Incumbent::SafeSettings,
        Tool::Peribolos => Incumbent::Peribolos,
    };
    let made = match beadle_repositories::convert(from, args.org.as_deref(), &sources) {
        Ok(made) => made,
        Err(why) => bail!("the files together are not a valid policy: {why}"),
    };
    for problem in &made.problems {
        printer.lines(problem.render(sources.get(&*problem.asked.file).map(String::as_str)));
    }
    let count = |severity| made.problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = count(Severity::Error);
    if errors > 0 || made.files.is_empty() {
        let why =
            if errors > 0 { counted(errors, "error", "errors") } else { "no settings found".to_owned() };
        printer.line(printer.paint(Tone::Danger, format!("wrote nothing: {why}")));
        return Ok(FAILED);
    }
    write(&args.into, &made.files)?;
    let unconverted = counted(count(Severity::NotYet), "key is", "keys are");
    printer.line(format!("{}; {unconverted} not converted", wrote(&args.into, &made.files, printer)));
    printer.line(
        "next: set `policy` in the configuration to this folder, and run `beadle check` and `beadle plan`",
    );
    Ok(FINE)
}

/// Returns a readable text that lists the written files.
fn wrote(folder: &Path, files: &BTreeMap<String, String>, printer: &Printer) -> String {
    let lines: usize = files.values().map(|text| text.lines().count()).sum();
    let wrote = printer.paint(Tone::Good, format!("wrote {}", folder.display()));
    format!("{wrote}: {} with {}", counted(files.len(), "file", "files"), counted(lines, "line", "lines"))
}

/// Returns an error if the folder is not empty.
fn ensure_empty(folder: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    if entries.next().is_some() {
        bail!(
            "{} must be empty or not exist: Beadle overwrites no file\nhint: name another folder with --into",
            folder.display()
        );
    }
    Ok(())
}

/// Writes new files into the folder, and creates the folder.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for (file, text) in files {
        let path = folder.join(file);
        let what = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(what)?;
        let mut new = fs::OpenOptions::new().write(true).create_new(true).open(&path).with_context(what)?;
        new.write_all(text.as_bytes()).with_context(what)?;
    }
    Ok(())
}

/// Checks the written policy. Loads the policy in the same way as every other command does.
fn ensure_valid(folder: &Path, home: &str) -> anyhow::Result<()> {
    match Policy::load(folder, home) {
        Ok(_) => Ok(()),
        Err(error) => {
            bail!("Beadle wrote an invalid policy to {}; please report it\n{error}", folder.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_or_an_empty_folder_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        ensure_empty(folder.path()).unwrap();
        let inner = folder.path().join("policy");
        ensure_empty(&inner).unwrap();
        let files = BTreeMap::from([("repos/shop.yml".to_owned(), "repository: {}\n".to_owned())]);
        write(&inner, &files).unwrap();
        ensure_valid(&inner, "admin").unwrap();
        assert!(ensure_empty(&inner).unwrap_err().to_string().contains("must be empty"));
        assert!(ensure_empty(&inner.join("repos/shop.yml")).is_err(), "a file is no folder");
        let error = write(&inner, &files).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("shop.yml"), "{error}");
    }
}
