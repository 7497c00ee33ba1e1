//! Decides what Beadle writes: nothing, a pull request or a commit. Beadle can also close a pull
//! request.

use std::collections::BTreeMap;

use beadle_github::{
    AtPath, DefaultBranch, FILES_BRANCH, FilesBranch, FilesCommit, FilesPull, KeptFiles, PullState,
};

use super::text::{TITLE, body, listed};
use super::wanted::Wanted;
use super::write::{Onto, OwnBranch, Pull, Write};

/// The action that Beadle must take.
#[derive(Debug, PartialEq)]
pub(super) enum Decision<'a> {
    /// There is nothing to do.
    Nothing,
    /// Beadle has done its part and waits for a person.
    Wait(String),
    /// Beadle cannot do its part, because somebody else has committed to the branch.
    Blocked(String),
    /// Beadle writes these files.
    Propose { what: String, files: Vec<&'a Wanted>, write: Write },
    /// Beadle deletes the branch. If `pull` is set, Beadle first closes the pull request with this
    /// number.
    End { pull: Option<u64>, write: Write },
}

/// The repository of the pull request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The node id of the repository.
    pub(super) repository: &'a str,
    /// True if anyone can read the repository. The text of a pull request that anyone can read must
    /// not mention the policy.
    pub(super) is_public: bool,
}

/// Returns what a branch contains at the file's path.
fn found<'a>(files: &'a BTreeMap<String, AtPath>, file: &Wanted) -> &'a AtPath {
    files.get(&file.path).unwrap_or(&AtPath::Other)
}

/// Returns the declared files that Beadle must still add to the default branch.
pub(super) fn differing<'a>(wanted: &'a [Wanted], seen: &KeptFiles) -> Vec<&'a Wanted> {
    wanted.iter().filter(|file| file.differs(found(&seen.files, file))).collect()
}

/// Returns the files whose content a person refused. Each file comes with the number of the closed
/// pull request.
pub(super) fn refused<'a>(differing: &[&'a Wanted], seen: &KeptFiles) -> Vec<(&'a Wanted, u64)> {
    differing.iter().filter_map(|file| Some((*file, refusal(file, &seen.pulls)?))).collect()
}

/// If a person refused this content, returns the number of the closed pull request. The function
/// checks only the newest pull request that lists the file.
fn refusal(file: &Wanted, pulls: &[FilesPull]) -> Option<u64> {
    let mut own = pulls.iter().filter(|pull| pull.is_own);
    let (pull, id) = own.find_map(|pull| Some((pull, *listed(&pull.body).get(file.path.as_str())?)))?;
    (pull.state == PullState::Closed && id == file.id).then_some(pull.number)
}

/// Decides what Beadle must do with the pull request of these files.
pub(super) fn decide<'a>(
    differing: Vec<&'a Wanted>,
    seen: &KeptFiles,
    default: &DefaultBranch,
    place: Place<'_>,
) -> Decision<'a> {
    let is_open = |pull: &&FilesPull| pull.state == PullState::Open;
    let open = seen.pulls.iter().find(|pull| is_open(pull) && pull.is_own);
    let foreign = seen.pulls.iter().find(|pull| is_open(pull) && !pull.is_own);
    let mut needed = differing;
    let all = needed.len();
    needed.retain(|file| refusal(file, &seen.pulls).is_none());
    if needed.is_empty() {
        // While the branch of a closed pull request exists, a person can open the pull request
        // again.
        let can_be_opened = all > 0 && open.is_none();
        return if can_be_opened { Decision::Nothing } else { end(seen, open, foreign.is_some(), place) };
    }
    if let Some(foreign) = foreign {
        return Decision::Blocked(format!(
            "the pull request #{} from the branch `{FILES_BRANCH}` is not from Beadle: close it, and delete or rename \
             the branch",
            foreign.number
        ));
    }
    match (&seen.branch, open) {
        (Some(branch), Some(open)) if !branch.is_own => Decision::Wait(format!(
            "the branch of the pull request #{} has commits of other people: Beadle leaves it to them",
            open.number
        )),
        (Some(branch), None) if !branch.is_own => Decision::Blocked(format!(
            "the branch `{FILES_BRANCH}` has commits of other people (last commit {}): delete or rename the branch",
            branch.head
        )),
        (Some(branch), Some(open)) => update(&needed, open, branch, default, place),
        (branch, _) => {
            let onto = branch.as_ref().map_or(Onto::New, |branch| Onto::Reset(own(branch)));
            let pull = Pull::Open { base: default.name.clone(), instead_of: None };
            propose("pull request".to_owned(), needed.clone(), &needed, (onto, pull), default, place)
        }
    }
}

fn own(branch: &FilesBranch) -> OwnBranch {
    OwnBranch { id: branch.id.clone(), head: branch.head.clone() }
}

/// Decides what Beadle must do with its open pull request.
fn update<'a>(
    needed: &[&'a Wanted],
    open: &FilesPull,
    branch: &FilesBranch,
    default: &DefaultBranch,
    place: Place<'_>,
) -> Decision<'a> {
    let what = format!("pull request #{}", open.number);
    let known = listed(&open.body);
    if known.keys().any(|path| !needed.iter().any(|file| file.path == *path)) {
        // The branch contains a file that must not get into the default branch, so Beadle must
        // reset the branch. After the reset, the branch has no commit that the default branch
        // lacks, so GitHub closes the pull request.
        let pull = Pull::Open { base: default.name.clone(), instead_of: Some(open.id.clone()) };
        let onto = Onto::Reset(own(branch));
        return propose(what, needed.to_vec(), needed, (onto, pull), default, place);
    }
    let has = |file: &&&Wanted| *found(&branch.files, file) == AtPath::File(file.id.clone());
    let missing: Vec<&'a Wanted> = needed.iter().filter(|file| !has(file)).copied().collect();
    let is_listed = needed.iter().all(|file| known.get(file.path.as_str()) == Some(&file.id.as_str()));
    if missing.is_empty() && is_listed {
        return Decision::Wait(format!("the pull request #{} waits for a merge", open.number));
    }
    let onto = Onto::Present(own(branch));
    let changed = if missing.is_empty() { needed.to_vec() } else { missing.clone() };
    let pull = Pull::Update(open.id.clone());
    let mut decision = propose(what, changed, needed, (onto, pull), default, place);
    if let Decision::Propose { write: Write::Propose { commit, .. }, .. } = &mut decision {
        commit.files = contents(&missing);
    }
    decision
}

fn contents(files: &[&Wanted]) -> BTreeMap<String, String> {
    files.iter().map(|file| (file.path.clone(), file.content.clone())).collect()
}

/// Returns a write that commits files to the default branch.
pub(super) fn commit(files: &[&Wanted], default: &DefaultBranch) -> FilesCommit {
    FilesCommit {
        branch: default.id.clone(),
        onto: default.head.clone(),
        headline: TITLE.to_owned(),
        files: contents(files),
    }
}

fn propose<'a>(
    what: String,
    files: Vec<&'a Wanted>,
    all: &[&Wanted],
    (onto, pull): (Onto, Pull),
    default: &DefaultBranch,
    place: Place<'_>,
) -> Decision<'a> {
    let write = Write::Propose {
        repository: place.repository.to_owned(),
        onto,
        commit: commit(all, default),
        pull,
        body: body(all, !place.is_public),
    };
    Decision::Propose { what, files, write }
}

/// Decides what Beadle must still do if the default branch already has all files.
fn end<'a>(seen: &KeptFiles, open: Option<&FilesPull>, is_foreign: bool, place: Place<'_>) -> Decision<'a> {
    let Some(branch) = seen.branch.as_ref().filter(|_| !is_foreign) else { return Decision::Nothing };
    // If a branch has no commit and Beadle opened no pull request from it, a person has created the
    // branch to reserve its name.
    let is_ours = branch.is_own && (branch.ahead > 0 || seen.pulls.iter().any(|pull| pull.is_own));
    match open {
        Some(open) if !branch.is_own => Decision::Wait(format!(
            "the files match the policy, but the branch of the pull request #{} has commits of other people: Beadle \
             leaves it open",
            open.number
        )),
        _ if !is_ours => Decision::Nothing,
        _ => {
            let write = Write::End {
                repository: place.repository.to_owned(),
                pull: open.map(|open| open.id.clone()),
                branch: own(branch),
            };
            Decision::End { pull: open.map(|open| open.number), write }
        }
    }
}
