//! The description of an aspect. The description contains everything that the rest of Beadle needs
//! to know about the aspect. Beadle derives the sections of a policy, the JSON Schema and the
//! checks of `beadle doctor` from the aspects.

use std::collections::BTreeMap;

use async_trait::async_trait;
use beadle_engine::{Change, Class, Failure, Field, Instructions, Mode, PolicyLocation, Risk, Turn};
use beadle_github::{Asks, Below, Known, Method, Named, Names, Reader, Repository, Visibility, Writer};
use secrecy::SecretString;
use serde_json::Value;

use crate::policy::shape::Key;
use crate::policy::{Desired, Node, Want};
use crate::secret_memory::SecretMemory;

/// One part of a repository that Beadle reads, compares and writes separately from the other parts.
/// Each aspect is a constant of this type, in its own file.
pub struct Aspect {
    /// The name of the aspect in plans, modes and metrics.
    pub name: &'static str,
    /// The sections that the aspect adds to the files of a policy.
    pub(crate) sections: &'static [Key],
    /// The keys that the aspect adds to the section `repository`.
    pub(crate) repository_keys: &'static [Key],
    /// The permissions of the GitHub App that these sections need.
    pub(crate) permissions: &'static [AppPermission],
    /// The webhook events that report a change of the aspect.
    pub(crate) events: &'static [&'static str],
    /// Returns the repository parts that Beadle needs for a policy with these sections. Beadle
    /// reads these parts for many repositories together. The planner of the aspect reads everything
    /// else.
    pub(crate) reads: fn(&Sections<'_>) -> Asks,
    /// The stage of the changes that the planner adds with [`AspectPlan::change`].
    pub(crate) stage: Stage,
    /// True if Beadle is allowed to write changes of different things, such as two labels, in any
    /// order. If the value is false, Beadle writes the changes of the aspect in the order of the
    /// plan.
    pub(crate) is_apart: bool,
    /// Compares the desired state with the observed state and plans the changes.
    pub(crate) planner: &'static dyn AspectPlanner,
}

impl Aspect {
    /// Returns the policy sections that this aspect applies as a whole or in part.
    pub(crate) fn owned(&self) -> impl Iterator<Item = &'static str> {
        let repository = (!self.repository_keys.is_empty()).then_some("repository");
        self.sections.iter().map(|key| key.name).chain(repository)
    }

    /// Returns whether this aspect applies a section as a whole or in part.
    pub(crate) fn owns(&self, section: &str) -> bool {
        self.owned().any(|own| own == section)
    }
}

/// Finds where the repository differs from the policy in one aspect.
#[async_trait]
pub(crate) trait AspectPlanner: Send + Sync {
    /// Adds a change to `plan` for each difference. A planner cannot write, because the context has
    /// only a reader.
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure>;
}

/// A permission that the GitHub App needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppPermission {
    /// The name of the permission in the REST API.
    pub name: &'static str,
    /// The title of the permission in the App's settings, together with the permission's kind.
    pub title: &'static str,
    /// The lowest level that is sufficient.
    pub level: AccessLevel,
}

impl AppPermission {
    pub(crate) const fn read(name: &'static str, title: &'static str) -> Self {
        Self { name, title, level: AccessLevel::Read }
    }

    pub(crate) const fn write(name: &'static str, title: &'static str) -> Self {
        Self { name, title, level: AccessLevel::Write }
    }

    pub(crate) const fn admin(name: &'static str, title: &'static str) -> Self {
        Self { name, title, level: AccessLevel::Admin }
    }
}

/// The permission that most aspects need: administration of the repository.
pub(crate) const ADMINISTRATION: AppPermission =
    AppPermission::write("administration", "administration (repository)");

/// The level of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// The permission allows the App to read.
    Read,
    /// The permission allows the App to read and write.
    Write,
    /// The permission allows the App to change everything, including definitions. Only a few
    /// permissions have this level.
    Admin,
}

impl AccessLevel {
    /// Returns the level as the REST API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// The sections of one policy file that Beadle applies to repositories.
pub(crate) struct Sections<'a> {
    root: &'a Node,
    left_out: &'a [&'a str],
}

impl<'a> Sections<'a> {
    /// Returns the sections of the file `root`, except the sections in `left_out`.
    pub(crate) fn new(root: &'a Node, left_out: &'a [&'a str]) -> Self {
        Self { root, left_out }
    }

    /// Returns a section, or `None` if the file does not have it.
    pub(crate) fn get(&self, section: &str) -> Option<&'a Node> {
        self.root.get(section).filter(|_| !self.left_out.contains(&section))
    }

    /// Returns whether the file has a section.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.get(section).is_some()
    }
}

/// Returns an empty list of parts, for an aspect whose planner reads everything itself.
pub(crate) fn reads_nothing(_: &Sections<'_>) -> Asks {
    Asks::default()
}

/// Everything that the planner of an aspect needs.
pub struct Context<'a> {
    /// Reads the parts that need a separate request for each repository.
    pub reader: &'a Reader,
    /// The state that the policy declares for the repository.
    pub desired: &'a Desired,
    /// The state that Beadle read from GitHub.
    pub repository: &'a Repository,
    /// The secrets that a policy is allowed to use.
    pub secrets: &'a Secrets,
    /// True if the mode allows this run to write the aspect `settings`.
    pub settings_are_written: bool,
    /// True if the mode allows this run to write every change of the aspect `teams`.
    pub(crate) teams_are_written: bool,
    /// True if the mode allows this run to write every change of the aspect `collaborators`.
    pub(crate) collaborators_are_written: bool,
    /// Stores the id that belongs to each name in the policy.
    pub names: &'a Names,
    /// Stores digests of the secret values that Beadle wrote.
    pub(crate) secret_memory: &'a SecretMemory,
}

impl Context<'_> {
    /// Returns whether the repository is public now and remains public during this run.
    pub(crate) fn stays_public(&self) -> bool {
        self.stays(true)
    }

    /// Returns whether the repository is private or internal now, and remains private or internal
    /// during this run.
    pub(crate) fn stays_hidden(&self) -> bool {
        self.stays(false)
    }

    fn stays(&self, is_public: bool) -> bool {
        let leaves = |want: &Want| match want.key.as_str() {
            "visibility" => (want.value == Visibility::Public.as_str()) != is_public,
            "private" => want.value == Value::Bool(is_public),
            _ => false,
        };
        (self.repository.visibility == Visibility::Public) == is_public
            && !self.desired.settings.iter().any(leaves)
    }
}

/// The secret values that a policy is allowed to use. Each key is the name of a secret in the
/// configuration.
pub type Secrets = BTreeMap<String, SecretString>;

/// The code that writes one planned change to GitHub.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Writes the change. A second write must do no harm, because Beadle sometimes repeats a write.
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure>;
    /// Returns the stage in which Beadle writes the change.
    fn turn(&self) -> Turn {
        Turn::default()
    }
    /// Returns the values that the step sets in addition to the fields of its change. A step that
    /// creates a thing returns the whole body of its request: two creations can have the same
    /// fields although their bodies differ. See [`Instructions::unshown`].
    fn unshown(&self) -> Option<String> {
        None
    }
}

impl Instructions for Box<dyn Step> {
    fn unshown(&self) -> Option<String> {
        Step::unshown(&**self)
    }
}

/// The repository or the organisation that a step writes to.
pub struct WriteTarget {
    /// The writer for the repository, or `None` if the step writes to the organisation.
    pub(crate) named: Option<Named>,
    /// The writer for objects with a node id, and for paths below the organisation.
    pub(crate) writer: Writer,
    /// The reader for GitHub. A step uses this reader to find objects that were created by an
    /// earlier step of the run.
    pub(crate) reader: Reader,
}

impl WriteTarget {
    /// Returns the writer for the repository, or an error if the step writes to the organisation.
    pub fn named(&self) -> Result<&Named, Failure> {
        self.named.as_ref().ok_or_else(|| {
            Failure::new(
                Class::Fatal,
                "the change needs a repository, and its plan is the plan of an organisation",
            )
        })
    }

    /// Sends a write request to `path`. The path is below the step's target: the repository or the
    /// organisation.
    pub async fn send(
        &self,
        method: Method,
        path: impl Into<Below> + Send,
        body: Option<Value>,
    ) -> Result<(), Failure> {
        match &self.named {
            Some(named) => named.send(method, path, body).await,
            None => self.writer.to_organisation(method, path, body).await,
        }
    }

    /// Returns the id of the code security configuration that has this name.
    pub(crate) async fn configuration(&self, name: &str) -> Result<u64, Failure> {
        let all = self
            .reader
            .list_of_organisation("code-security/configurations?per_page=100", &["id", "name"])
            .await?;
        let found = all.iter().find(|known| known["name"] == name);
        let missing = || {
            Failure::new(
                Class::Conflict,
                format!("the code security configuration `{name}` does not exist yet"),
            )
        };
        found.and_then(|found| found["id"].as_u64()).ok_or_else(missing)
    }
}

/// The stages in which a run writes its changes. The first stage comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Unarchives the repository. GitHub accepts no other write to an archived repository.
    Open,
    /// Changes the visibility so that fewer people see the repository.
    Narrow,
    /// Changes settings and access. This stage comes before the rules, because some rules need a
    /// setting that is already on. Also, a restriction can list a person or a team only after this
    /// person or team has access.
    Access,
    /// Makes every change that does not belong to another stage.
    Body,
    /// Changes the visibility so that more people see the repository. This stage comes late,
    /// because Beadle must write the protection first.
    Widen,
    /// Changes security features. This stage comes after the other changes, because some features
    /// are available only in a public repository.
    Security,
    /// Renames the repository.
    Rename,
    /// Archives the repository. GitHub accepts no other write to an archived repository.
    Close,
}

/// A change, and the stage in which Beadle writes it.
pub struct PlannedChange {
    /// The change itself.
    pub change: Change<Box<dyn Step>>,
    /// The stage in which Beadle writes the change.
    pub stage: Stage,
}

/// The result of an aspect's planner.
#[derive(Default)]
pub struct AspectPlan {
    /// The changes that would make the aspect match the policy.
    pub changes: Vec<PlannedChange>,
    /// The parts of the aspect for which a read or a resolution failed.
    pub unresolved: Vec<Unresolved>,
    /// The tasks that wait for a person after Beadle has done its part.
    pub waits: Vec<String>,
}

/// A part of an aspect that Beadle could not read or resolve.
pub struct Unresolved {
    /// The name of the part. `None` if the whole aspect is unknown.
    pub part: Option<String>,
    /// Describes the problem, and how a person can solve the problem.
    pub reason: String,
    /// True if a retry can solve the problem.
    pub transient: bool,
}

impl AspectPlan {
    /// Creates the plan of an aspect after the planner of the aspect failed. The whole aspect is
    /// then unknown. If the failure must end the whole run, the function returns the failure
    /// instead of a plan.
    pub(crate) fn failed(failure: Failure) -> Result<Self, Failure> {
        if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) {
            return Err(failure);
        }
        let transient = failure.class == Class::Retry;
        let whole = Unresolved { part: None, reason: failure.text, transient };
        Ok(Self { unresolved: vec![whole], ..Self::default() })
    }

    /// Returns whether the plan is empty: Beadle knows the whole aspect, and the aspect matches the
    /// policy.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.unresolved.is_empty() && self.waits.is_empty()
    }

    /// Drops all removals if the whole aspect is unknown.
    pub(crate) fn settle(&mut self) {
        if self.unresolved.iter().any(|unresolved| unresolved.part.is_none()) {
            self.changes.retain(|planned| planned.change.risks().count(Risk::Removes) == 0);
        }
    }

    /// Adds a change to the stage [`Stage::Body`].
    pub fn change(&mut self, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        self.change_at(Stage::Body, what, fields, step);
    }

    /// Adds a change to a stage.
    pub fn change_at(&mut self, stage: Stage, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        let change = Change {
            aspect: String::new(), // the planner sets the aspect
            what: what.into(),
            fields,
            mode: Mode::Observe,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: Box::new(step) as Box<dyn Step>,
        };
        self.changes.push(PlannedChange { change, stage });
    }

    /// Returns a part of the repository that the policy needs. If the part is unknown, the function
    /// records the reason. The whole aspect is then unknown.
    pub(crate) fn read<'a, T>(&mut self, part: &'a Known<T>) -> Option<&'a T> {
        match part {
            Known::Known(_) => {}
            Known::Unknown(unsure) => self.cannot_read(&unsure.why),
            // Beadle reads only the parts that the policy in force needs. If the policy changes
            // during the run, this plan might need a part that Beadle did not read.
            Known::NotAsked => self.cannot_read("Beadle did not read this part of the repository"),
        }
        part.value()
    }

    /// Records that a read failed. The whole aspect is then unknown, and a retry might help.
    pub fn cannot_read(&mut self, reason: impl Into<String>) {
        self.unresolved.push(Unresolved { part: None, reason: reason.into(), transient: true });
    }

    /// Records that a name in the policy does not exist at GitHub. The whole aspect is then unknown
    /// until somebody corrects the policy or the organisation.
    pub fn cannot_resolve(&mut self, reason: impl Into<String>) {
        self.unresolved.push(Unresolved { part: None, reason: reason.into(), transient: false });
    }

    /// Records that Beadle has done its part, and that a person must act now. This wait is not an
    /// error.
    pub(crate) fn wait(&mut self, why: impl Into<String>) {
        self.waits.push(why.into());
    }

    /// Records that the read of one part failed, for example because GitHub requires a licence or a
    /// permission for it. Beadle still plans the other parts. If the failure must end the whole
    /// run, the function returns the failure.
    pub(crate) fn part_failed(&mut self, part: &str, failure: &Failure) -> Result<(), Failure> {
        match failure.class {
            Class::RateLimited { .. } | Class::Fatal => return Err(failure.clone()),
            Class::Retry => self.cannot_read_part(part, failure.text.clone()),
            Class::Rejected | Class::Conflict => self.cannot_resolve_part(part, failure.text.clone()),
        }
        Ok(())
    }

    /// Records that the read of one part failed. Beadle still plans the other parts of the aspect,
    /// including removals.
    pub fn cannot_read_part(&mut self, part: &str, reason: impl Into<String>) {
        let part = Some(part.to_owned());
        self.unresolved.push(Unresolved { part, reason: reason.into(), transient: true });
    }

    /// Records that one part cannot be resolved. Beadle still plans the other parts of the aspect,
    /// including removals.
    pub fn cannot_resolve_part(&mut self, part: &str, reason: impl Into<String>) {
        let part = Some(part.to_owned());
        self.unresolved.push(Unresolved { part, reason: reason.into(), transient: false });
    }
}

/// Creates one field of a change, with its old value and its new value.
pub fn field(name: &str, before: Value, after: Value, asked: Option<&PolicyLocation>, risk: Risk) -> Field {
    Field { name: name.to_owned(), before, after, asked: asked.cloned(), risk }
}

#[cfg(test)]
mod tests {
    use beadle_github::Unsure;

    use super::*;

    #[test]
    fn a_part_that_is_not_known_makes_the_aspect_unknown() {
        let parts: [Known<u8>; 2] = [Known::Unknown(Unsure::for_now("short".to_owned())), Known::NotAsked];
        for part in parts {
            let mut plan = AspectPlan::default();
            assert_eq!(plan.read(&part), None);
            let [unresolved] = plan.unresolved.as_slice() else { panic!("{part:?}") };
            assert!(unresolved.part.is_none() && unresolved.transient, "{part:?}");
        }
        let mut plan = AspectPlan::default();
        assert_eq!(plan.read(&Known::Known(7)), Some(&7));
        assert!(plan.unresolved.is_empty());
    }
}
