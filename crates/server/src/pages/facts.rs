//! Facts that the pages show, but that are not in the store. They come from the process that serves
//! the pages.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use beadle_engine::gate::{GateSums, Holder};
use beadle_engine::journal::{PolicyCommitted, PolicyInForce};
use beadle_engine::{Change, Entry, Field, Hold, Key, PolicyLocation, Risk, StoreError, Time};
use serde::Serialize;

/// A configured organisation, and its policy.
#[derive(Clone, Debug, Serialize)]
pub struct OrganisationFacts {
    /// The name of the organisation.
    pub name: String,
    /// The mode that the process uses.
    pub mode: String,
    /// The aspects with a separate mode. Each pair contains the name of the aspect and its mode.
    pub modes: Vec<(String, String)>,
    /// True if the organisation is open. If it is not open, Beadle changes nothing in the
    /// organisation.
    pub open: bool,
    /// The generation of the policy in force. `None` if the organisation is not open.
    pub generation: Option<String>,
    /// The commit of the policy in force. `None` if the policy comes from a folder.
    pub commit: Option<PolicyCommitted>,
    /// The generations that the gate holds.
    pub held: Vec<HeldPolicy>,
    /// The waivers. The waiver that ends first comes first.
    pub waivers: Vec<WaiverFacts>,
    /// The names of the stored waivers that this version cannot read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable_waivers: Vec<String>,
}

/// An exemption for some keys of some repositories, until a certain time.
#[derive(Clone, Debug, Serialize)]
pub struct WaiverFacts {
    /// The code of the waiver.
    pub code: String,
    /// The paths of the exempt keys.
    pub keys: Vec<String>,
    /// The names of the repositories, or globs that match them.
    pub repositories: Vec<String>,
    /// The time at which the waiver ends.
    pub until: Time,
    /// The reason for the exemption.
    pub reason: String,
    /// The person or team that is responsible for the waiver.
    pub owner: String,
    /// True if the waiver is in force now.
    pub in_force: bool,
    /// The line of the policy that declares the waiver, or the command that created it.
    pub declared_by: String,
    /// True if a person can end the waiver, because the policy does not declare it.
    pub can_end: bool,
}

/// The waivers that cover one repository.
#[derive(Clone, Debug, Default)]
pub struct CoveringWaivers {
    /// The waivers. The waiver that ends first comes first.
    pub waivers: Vec<WaiverFacts>,
    /// The names of the organisation's stored waivers that this version cannot read. Each of these
    /// waivers might cover the repository.
    pub unreadable: Vec<String>,
}

/// A line of a policy that asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskedLine {
    /// The organisation of the policy.
    pub organisation: String,
    /// The generation of the policy. The same line can have a different text in each generation.
    pub generation: String,
    /// The file and the number of the line.
    pub at: PolicyLocation,
}

/// The link and the text of a policy line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineFacts {
    /// The text of the line, shortened and without secrets. `None` if the store does not have the
    /// text.
    pub text: Option<String>,
    /// The address of the line at GitHub. `None` if the policy comes from a folder.
    pub link: Option<String>,
}

/// A list in the policy. A change removes an entry because this list does not have the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentFacts {
    /// The path of the list, such as `teams`.
    pub list: String,
    /// A predicate for a sentence whose subject is the list, such as `does not have core`.
    pub lacks: String,
}

/// The policies behind a write that is in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteFacts {
    /// The policy in force during the write. `None` if the journal has no entry about this policy.
    pub policy: Option<PolicyInForce>,
    /// The earlier policy that first asked for the change. `None` if there is no such policy, or if
    /// the journal has no entry about it.
    pub first: Option<PolicyInForce>,
    /// Maps the name of each removed value to the line that last declared the removed entry.
    pub declared: BTreeMap<String, DeclaredFacts>,
}

/// The policies that asked for a held change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldFacts {
    /// The policy of the latest plan. `None` if the journal has no entry about this policy.
    pub policy: Option<PolicyInForce>,
    /// The earlier generation that first asked for the change. `None` if there is no such
    /// generation, or if it is not known.
    pub first_asked: Option<String>,
    /// The policy of the generation `first_asked`. `None` if the journal has no entry about this
    /// policy.
    pub first: Option<PolicyInForce>,
}

/// The line that last declared an entry of a repository. Beadle takes the line from the last
/// recorded policy of this repository that had the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredFacts {
    /// The path of the entry, such as `teams[core]`.
    pub path: String,
    /// The first line of the entry.
    pub at: PolicyLocation,
    /// The commit in which the entry has this line. For a policy in a folder, the field contains
    /// the name of the generation.
    pub commit: String,
    /// The address of the line at GitHub. `None` if the policy came from a folder.
    pub link: Option<String>,
}

/// An installation of the App in `[installations]`.
#[derive(Clone, Debug, Serialize)]
pub struct InstallationFacts {
    /// The login of the organisation.
    pub login: String,
    /// The end of a sentence, without the subject. The sentence describes what Beadle does about
    /// the installation.
    pub standing: String,
    /// The time at which the present state of the installation began, according to GitHub.
    pub since: Time,
}

/// A value that Beadle only observes, because an undo restored it.
#[derive(Clone, Debug, Serialize)]
pub struct UndoneFacts {
    /// The aspect of the value.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`.
    pub what: String,
    /// The name of the value.
    pub name: String,
    /// The time of the last undo in the repository.
    pub at: Time,
    /// The operator who started the last undo in the repository.
    pub by: String,
}

/// A generation of a policy that the gate holds.
#[derive(Clone, Debug, Serialize)]
pub struct HeldPolicy {
    /// The name of the generation.
    pub generation: String,
    /// The commit with the files of the generation, if the generation comes from a repository.
    pub commit: Option<PolicyCommitted>,
    /// The part of Beadle that holds the generation: the service or a command.
    pub held_by: Holder,
    /// The code of the held plan.
    pub plan: String,
    /// The time at which the hold began.
    pub since: Time,
    /// The limits that the changes exceed.
    pub why: String,
    /// The sums of the changes that the generation would write.
    pub sums: GateSums,
    /// Where the generation removes, weakens or exposes something, such as `8 of 40 repositories`,
    /// or `8 repositories and the organisation itself`.
    #[serde(skip)]
    pub places: String,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// The changes, one group for each kind of change.
    pub groups: Vec<HeldChanges>,
    /// The number of further groups that `groups` does not contain.
    pub more_groups: usize,
    /// The number of drifted values. The sums do not include these values.
    pub drift: u64,
    /// One line of text for each kind of change that waits for the end of a waiver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delayed: Vec<String>,
    /// The operator who approved the generation. `None` if nobody has approved the generation.
    pub approved_by: Option<String>,
}

/// Identical changes of several repositories.
#[derive(Clone, Debug, Serialize)]
pub struct HeldChanges {
    /// The most severe risk of the changes.
    pub risk: Risk,
    /// The aspect of the changes.
    pub aspect: String,
    /// The changed thing, such as `team platform`.
    pub what: String,
    /// The number of repositories.
    pub repositories: u64,
    /// Some of the repositories.
    pub examples: Vec<String>,
    /// Some of the lines of the policy that ask for the changes, such as `settings.yml:12`. Empty if
    /// the lines are not known.
    pub asked: Vec<String>,
    /// The number of further lines that `asked` does not contain.
    pub more_asked: usize,
    /// The names of the repositories. This list is empty on a page with several pull requests, and
    /// for a policy that the gate holds.
    pub names: Vec<String>,
    /// The number of further names that `names` does not contain. If `names` is empty, the number of
    /// further names that `examples` does not contain.
    pub more_names: usize,
}

/// The names of the repositories with one kind of change, or with drift.
#[derive(Clone, Debug, Default)]
pub struct ChangedRepositories {
    /// The names.
    pub names: Vec<String>,
    /// The number of further names that `names` does not contain.
    pub more: usize,
}

/// The names of the repositories in the result of a check.
#[derive(Clone, Debug, Default)]
pub struct CheckedRepositories {
    /// The repositories for each kind of change. Empty if the names are not known.
    pub changes: Vec<ChangedRepositories>,
    /// The repositories that drifted before the merge. Empty if the names are not known.
    pub drifted: ChangedRepositories,
}

/// The latest check result for an open pull request of a policy. This result shows the effects of a
/// merge.
#[derive(Clone, Debug, Serialize)]
pub struct PullFacts {
    /// The key of the pull request.
    pub key: String,
    /// The organisation that uses the policy.
    pub organisation: String,
    /// The readable name of the pull request, such as `acme/admin#7`.
    pub name: String,
    /// The number of the pull request.
    pub number: u64,
    /// The commit that was checked.
    pub head: String,
    /// The time at which the check ended.
    pub checked: Time,
    /// How the check ended, such as `success`.
    pub conclusion: String,
    /// The title of the check.
    pub title: String,
    /// The title of the pull request. This text is empty if the title is not known.
    pub pull_title: String,
    /// The login of the pull request's author. `None` if the login is not known.
    pub author: Option<String>,
    /// The address of the pull request at GitHub. `None` if the address is not known.
    pub link: Option<String>,
    /// True if the pull request comes from a fork.
    pub is_from_fork: bool,
    /// The reason why the check shows no changes. `None` if the check shows changes, or if the
    /// reason is not known.
    pub no_preview: Option<String>,
    /// The effects of a merge. `None` if the check shows no changes.
    pub merge: Option<MergeFacts>,
}

/// The effects of merging a pull request.
#[derive(Clone, Debug, Serialize)]
pub struct MergeFacts {
    /// The base of the check: the policy generation that the check compared with the pull request.
    /// `None` if this generation is not known.
    pub base: Option<String>,
    /// True if the policy generation `base` is in force.
    pub base_in_force: bool,
    /// A clause of a sentence about the policy that the check used as its base. `None` if
    /// `base_in_force` is true.
    #[serde(skip)]
    pub compared: Option<String>,
    /// The sums of the changes that Beadle would write.
    pub sums: GateSums,
    /// The number of repositories whose declared values the merge would change.
    pub affected: u64,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// The number of groups with a change.
    pub changed_groups: u64,
    /// The number of values that drifted before the merge. The sums do not include these values.
    pub drift: u64,
    /// The names of the repositories with drifted values. This list is empty on a page with several
    /// pull requests, and if the names are not known.
    pub drifted: Vec<String>,
    /// The number of further names that `drifted` does not contain.
    pub more_drifted: usize,
    /// The reason why the gate would hold the policy. `None` if the policy would pass the gate.
    pub held: Option<String>,
    /// The number of parts that Beadle could not plan.
    pub incomplete: u64,
    /// The changes, one group for each kind of change.
    pub changes: Vec<HeldChanges>,
    /// The number of further kinds of changes that `changes` does not contain.
    pub more_changes: usize,
}

/// The source of the facts about the organisations of a process.
#[async_trait]
pub trait Facts: Send + Sync + 'static {
    /// Returns the configured organisations, in the order of the configuration.
    async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError>;
    /// Returns the names of the configured organisations, in the order of the configuration.
    fn names(&self) -> Vec<String>;
    /// Returns the waivers that cover a repository of an organisation.
    async fn waivers(&self, organisation: &str, repository: &str) -> Result<CoveringWaivers, StoreError>;
    /// Returns the values that Beadle only observes in a repository, because an undo restored them.
    async fn undone(&self, key: &Key) -> Result<Vec<UndoneFacts>, StoreError>;
    /// Returns the check results of the open pull requests that change a policy. The newest result
    /// comes first.
    async fn pulls(&self) -> Result<Vec<PullFacts>, StoreError>;
    /// Returns the names of the repositories in the result of a check.
    async fn checked_repositories(&self, _pull: &PullFacts) -> Result<CheckedRepositories, StoreError> {
        Ok(CheckedRepositories::default())
    }
    /// Returns the known installations of the App in `[installations]`, sorted by login.
    async fn installations(&self) -> Result<Vec<InstallationFacts>, StoreError>;
    /// Returns the names of the configured targets of groups.
    fn targets(&self) -> Vec<String>;
    /// Returns the keys of the repositories and groups that have this present or former name.
    async fn keys_called(&self, _name: &str) -> Result<Vec<Key>, StoreError> {
        Ok(Vec::new())
    }
    /// Returns the texts and the addresses of lines that asked for changes. The result leaves out a
    /// line if Beadle knows nothing about it.
    async fn policy_lines(
        &self,
        _asked: BTreeSet<AskedLine>,
    ) -> Result<BTreeMap<AskedLine, LineFacts>, StoreError> {
        Ok(BTreeMap::new())
    }
    /// If a change removes an entry from a list, returns the list as the policy declares it. This
    /// list does not have the entry. Otherwise, returns `None`.
    fn absent(&self, _change: &Change<()>, _field: &Field) -> Option<AbsentFacts> {
        None
    }
    /// Returns the policies behind the writes of journal entries, by the numbers of the entries. The
    /// result leaves out an entry if Beadle knows nothing about its policies.
    async fn write_facts(&self, _entries: &[Entry]) -> Result<BTreeMap<u64, WriteFacts>, StoreError> {
        Ok(BTreeMap::new())
    }
    /// Returns the policies that asked for held changes, by the digests of the changes. The result
    /// leaves out a change if Beadle knows nothing about its policies.
    async fn hold_facts(&self, _holds: &[&Hold]) -> Result<BTreeMap<String, HoldFacts>, StoreError> {
        Ok(BTreeMap::new())
    }
}
