//! Writes a policy that declares the live state. An import reads every repository of an
//! organisation, and divides the values into files in the way a person would do it.

mod accepted;
mod calls;
mod convert;
mod environments;
mod factor;
mod files;
mod interactions;
mod label;
mod live;
mod noted;
mod observed;
mod organisation;
mod organization;
mod pages;
mod rulesets;
#[cfg(test)]
mod tests;
mod units;
mod workflows;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Class, Failure};
use beadle_github::{Asks, Cursor, Reader, Repository, SelectedBy};
use futures::{StreamExt as _, TryStreamExt as _};

pub use self::convert::{Conversion, Incumbent, convert};
pub(crate) use self::observed::Observed;
pub(crate) use self::organisation::rulesets as organisation_rulesets;
pub(crate) use self::units::{LISTS, UNITS};
use crate::aspects::ALL;
use crate::policy::{Node, forms, is_skipped_by_name};

/// The number of repositories that an import reads at the same time. The transport limits the
/// number of requests.
const AT_ONCE: usize = 32;
/// The maximum number of names in a note.
const NAMES: usize = 5;

/// The parts of a repository that an import reads.
pub(crate) const ASKS: Asks = Asks {
    topics: true,
    teams: true,
    collaborators: true,
    protection: true,
    rest_settings: true,
    labels: true,
    milestones: true,
    deploy_keys: true,
    rulesets: true,
    properties: true,
};

/// A policy that declares the live state.
#[derive(Debug)]
pub struct Import {
    /// The text of each file. The key is the file's path in the policy's folder.
    pub files: BTreeMap<String, String>,
    /// Notes for people about missing parts of the policy.
    pub notes: Vec<String>,
    /// The number of repositories that the policy describes.
    pub repositories: usize,
}

/// Reads the repositories of an organisation and returns a policy that declares the live state. If
/// `names` is not empty, the policy has only the files of these repositories. `home` is the name of
/// the repository that contains the policy files. The import omits this repository.
pub async fn import_policy(
    reader: &Reader,
    home: &str,
    names: &[String],
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Import, Failure> {
    reader.ask_for(ASKS);
    reader.select_by(SelectedBy::default());
    let mut notes = Vec::new();
    let (all, own) = if names.is_empty() {
        let all = everything(reader, home, &mut notes, progress).await?;
        let own = Box::pin(organisation::read(reader, &mut notes)).await?;
        let (own, refused) = accepted::without_refused(own);
        notes.extend(refused);
        (all, Some(own))
    } else {
        (named(reader, names, progress).await?, None)
    };
    let factored = factor::factor(&all, own.is_some());
    let files = files::files(reader.organisation(), &all, &factored, own.as_ref());
    for (file, text) in &files {
        if let Err(problem) = Node::parse(file, text) {
            let text =
                format!("Beadle wrote {file} and cannot read it ({}); please report it", problem.message);
            return Err(Failure::new(Class::Fatal, text));
        }
    }
    notes.extend(of_repositories(&all));
    Ok(Import { files, notes, repositories: all.len() })
}

/// Returns the reason why a plan would skip a repository. The caller writes the reason into a note.
fn skipped(repository: &Repository, home: &str) -> Option<&'static str> {
    if repository.archived {
        Some("archived")
    } else if repository.is_advisory_fork() {
        Some("private forks of security advisories")
    } else if is_skipped_by_name(&repository.name, home) {
        Some("Beadle changes such a repository only if it has a file in repos/")
    } else if forms::REPOSITORY.check(&repository.name).is_err() {
        Some("their names cannot be the name of a file")
    } else {
        None
    }
}

/// Reads all repositories, page by page.
async fn everything(
    reader: &Reader,
    home: &str,
    notes: &mut Vec<String>,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Vec<Observed>, Failure> {
    let short = |why: &str| {
        let text =
            format!("the list of repositories is incomplete ({why}), so the policy would be incomplete");
        Failure::new(Class::Retry, text)
    };
    let mut page = reader.page(&Cursor::default()).await?;
    let total = page.total;
    let bulk = reader.bulk(usize::try_from(total).unwrap_or(usize::MAX)).await;
    let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
    let mut left_out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    loop {
        if let Some(why) = &page.short {
            return Err(short(why));
        }
        let before = ids.len();
        let mut own = page.repositories;
        own.retain(|repository| ids.insert(repository.id));
        if ids.len() == before && page.next.is_some() {
            return Err(short("a page repeats the repositories of other pages"));
        }
        own.retain(|repository| match skipped(repository, home) {
            Some(why) => {
                left_out.entry(why).or_default().push(repository.name.clone());
                false
            }
            None => true,
        });
        reader.complete(&mut own, &bulk).await?;
        all.extend(observed(reader, &own).await?);
        progress(ids.len() as u64, total);
        let Some(next) = &page.next else { break };
        page = reader.page(next).await?;
    }
    if (ids.len() as u64) < total {
        return Err(short(&format!("{} of {total}", ids.len())));
    }
    notes.extend(left_out.into_iter().map(|(why, names)| format!("left out {}: {why}", listed(&names))));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// Reads the repositories with these names.
async fn named(
    reader: &Reader,
    names: &[String],
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Vec<Observed>, Failure> {
    let index = reader.index().await?;
    let organisation = reader.organisation();
    let (mut all, mut ids) = (Vec::new(), BTreeSet::new());
    for (at, name) in names.iter().enumerate() {
        let bare = name.strip_prefix(&format!("{organisation}/")).unwrap_or(name);
        let missing =
            || Failure::new(Class::Rejected, format!("there is no repository `{name}` in {organisation}"));
        let row = index.iter().find(|row| row.name.eq_ignore_ascii_case(bare)).ok_or_else(missing)?;
        if !ids.insert(row.id) {
            continue;
        }
        let seen =
            reader.repository(&row.node_id).await?.filter(|seen| seen.id == row.id).ok_or_else(missing)?;
        // Beadle also uses this name as the name of a file.
        if let Err(misfit) = forms::REPOSITORY.check(&seen.name) {
            let text = format!("the name of a repository must {}, found `{}`", misfit.must, seen.name);
            return Err(Failure::new(Class::Rejected, text));
        }
        if seen.archived {
            let text =
                format!("{} is archived: a policy does not manage archived repositories", seen.full_name());
            return Err(Failure::new(Class::Rejected, text));
        }
        all.extend(observed(reader, &[seen]).await?);
        progress(at as u64 + 1, names.len() as u64);
    }
    Ok(all)
}

async fn observed(reader: &Reader, repositories: &[Repository]) -> Result<Vec<Observed>, Failure> {
    let reads = repositories.iter().map(|repository| one(reader, repository));
    futures::stream::iter(reads).buffered(AT_ONCE).try_collect().await
}

/// The aspects that need no separate calls for each repository.
const WITHOUT_CALLS: [&str; 9] = [
    "settings",
    "topics",
    "teams",
    "collaborators",
    "protection",
    "labels",
    "milestones",
    "deploy_keys",
    "custom_properties",
];

/// Reads everything about a repository that a policy can declare.
pub(crate) async fn one(reader: &Reader, repository: &Repository) -> Result<Observed, Failure> {
    of_aspects(reader, repository, &|_| true).await
}

/// Reads everything that a policy can declare in some aspects of a repository. The result can also
/// contain values of other aspects.
pub(crate) async fn of_aspects(
    reader: &Reader,
    repository: &Repository,
    is_wanted: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<Observed, Failure> {
    let mut observed = live::observed(repository);
    let is_of_environments = |aspect: &str| matches!(aspect, "environments" | "variables");
    let needs_calls = |aspect: &str| !WITHOUT_CALLS.contains(&aspect) && !is_of_environments(aspect);
    let wants = |own: &dyn Fn(&str) -> bool| ALL.iter().any(|one| own(one.name) && is_wanted(one.name));
    let (has_calls, has_environments) = (wants(&needs_calls), wants(&is_of_environments));
    if has_calls {
        Box::pin(calls::read(reader, repository, &mut observed)).await?;
    }
    if has_environments {
        Box::pin(environments::read(reader, repository, &mut observed)).await?;
    }
    accepted::leave_out_refused(&mut observed);
    let owner = &repository.owner;
    let path = format!("/repos/{owner}/{}/", repository.name);
    observed.forget_path(&path, &format!("/repos/{owner}/REPO/"));
    Ok(observed)
}

/// Returns the notes of all repositories. Notes with the same text become one note.
fn of_repositories(all: &[Observed]) -> Vec<String> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in all {
        for note in one.all_notes() {
            names.entry(note).or_default().push(one.name.clone());
        }
    }
    let who = |names: &[String]| {
        let is_shared = names.len() > NAMES && names.len() == all.len();
        if is_shared { "all repositories".to_owned() } else { listed(names) }
    };
    names.into_iter().map(|(note, names)| format!("{}: {note}", who(&names))).collect()
}

/// Returns a text for a list of names. The text contains the first few names and the number of the
/// remaining names.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        others => format!("{shown} and {others} more"),
    }
}
