//! An aspect as a value: everything that the rest of Beadle has to know about it. The sections of a
//! policy, the JSON Schema, `beadle doctor` and the tables of the documentation all derive from the
//! aspects.

use std::collections::BTreeMap;

use async_trait::async_trait;
use beadle_engine::{Change, Class, Failure, Field, Mode, PolicyLocation, Risk, Turn};
use beadle_github::{Asks, Below, Known, Method, Named, Reader, Repository, Writer};
use secrecy::SecretString;
use serde_json::Value;

use crate::names::Names;
use crate::policy::shape::Key;
use crate::policy::{Desired, Node};

/// One facet of a repository. Each aspect is a constant of this type, in a file of its own.
pub struct Aspect {
    /// The name in plans, modes and metrics.
    pub name: &'static str,
    /// The sections that the aspect adds to the files of a policy.
    pub(crate) sections: &'static [Key],
    /// The keys that the aspect adds to the section `repository`.
    pub(crate) repository_keys: &'static [Key],
    /// The permissions that the App needs for these sections.
    pub(crate) permissions: &'static [AppPermission],
    /// The webhook events that report a change of the aspect at GitHub.
    pub(crate) events: &'static [&'static str],
    /// Returns the parts of a repository that Beadle must read in bulk if a policy has these
    /// sections. The planner reads everything else itself.
    pub(crate) reads: fn(&Sections<'_>) -> Asks,
    /// The stage of the changes that the planner adds to the body of the run.
    pub(crate) stage: Stage,
    /// True if changes of different things may be written in any order. Otherwise the changes of the
    /// aspect keep their order.
    pub(crate) is_apart: bool,
    /// Compares the desired state with the observed state.
    pub(crate) planner: &'static dyn AspectPlanner,
}

impl Aspect {
    /// Returns the sections of a policy that the aspect carries out, completely or in part.
    pub(crate) fn owned(&self) -> impl Iterator<Item = &'static str> {
        let repository = (!self.repository_keys.is_empty()).then_some("repository");
        self.sections.iter().map(|key| key.name).chain(repository)
    }

    /// Returns whether the aspect carries out a section of the policy, completely or in part.
    pub(crate) fn owns(&self, section: &str) -> bool {
        self.owned().any(|own| own == section)
    }
}

/// Finds the differences of one aspect.
#[async_trait]
pub(crate) trait AspectPlanner: Send + Sync {
    /// Adds the differences to `plan`. The context has a reader and nothing that writes.
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure>;
}

/// A permission of the GitHub App.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppPermission {
    /// The name in the REST API.
    pub name: &'static str,
    /// The name in the settings of the App, with the kind of permission.
    pub title: &'static str,
    /// The least level that is enough.
    pub level: AccessLevel,
}

impl AppPermission {
    pub(crate) const fn read(name: &'static str, title: &'static str) -> Self {
        Self { name, title, level: AccessLevel::Read }
    }

    pub(crate) const fn write(name: &'static str, title: &'static str) -> Self {
        Self { name, title, level: AccessLevel::Write }
    }
}

/// The permission that most aspects need.
pub(crate) const ADMINISTRATION: AppPermission =
    AppPermission::write("administration", "administration (repository)");

/// The level of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// The App may read.
    Read,
    /// The App may read and write.
    Write,
}

impl AccessLevel {
    /// Returns the level as the REST API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The sections of one file of a policy that Beadle carries out in repositories.
pub(crate) struct Sections<'a> {
    root: &'a Node,
    left_out: &'a [&'a str],
}

impl<'a> Sections<'a> {
    /// Creates the sections of `root`, without those whose names are in `left_out`.
    pub(crate) fn new(root: &'a Node, left_out: &'a [&'a str]) -> Self {
        Self { root, left_out }
    }

    /// Returns a section, if the file has it.
    pub(crate) fn get(&self, section: &str) -> Option<&'a Node> {
        self.root.get(section).filter(|_| !self.left_out.contains(&section))
    }

    /// Returns whether the file has a section.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.get(section).is_some()
    }
}

/// Reads nothing in bulk.
pub(crate) fn reads_nothing(_: &Sections<'_>) -> Asks {
    Asks::default()
}

/// Holds everything that an aspect plans with.
pub struct Context<'a> {
    /// Reads everything that was not read in bulk.
    pub reader: &'a Reader,
    /// The desired state.
    pub desired: &'a Desired,
    /// The observed state.
    pub repository: &'a Repository,
    /// The secrets that the policy can name.
    pub secrets: &'a Secrets,
    /// True if the mode lets this run write settings.
    pub settings_are_written: bool,
    /// The remembered ids of the policy's names.
    pub names: &'a Names,
}

/// The secrets that a policy can name, by their names in the configuration.
pub type Secrets = BTreeMap<String, SecretString>;

/// Writes a change.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Writes the change. A second write does no harm.
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure>;
    /// Returns the place of the change in the order of writes.
    fn turn(&self) -> Turn {
        Turn::default()
    }
}

/// The destination of a step's writes.
pub struct WriteTarget {
    /// The repository by its present name. `None` for the organisation.
    pub(crate) named: Option<Named>,
    /// Writes by node ids, and below the organisation.
    pub(crate) writer: Writer,
    /// Finds objects that the same run created.
    pub(crate) reader: Reader,
}

impl WriteTarget {
    /// Returns the repository.
    pub fn named(&self) -> Result<&Named, Failure> {
        self.named.as_ref().ok_or_else(|| {
            Failure::new(
                Class::Fatal,
                "the change needs a repository, and its plan is the plan of an organisation",
            )
        })
    }

    /// Writes at `path` below the repository, or the organisation.
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

    /// Returns the id of the code security configuration with this name.
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

/// The stages of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Unarchives the repository. GitHub accepts no other write before.
    Open,
    /// Lets fewer people see the repository.
    Narrow,
    /// Changes settings and access. GitHub accepts a restriction only with people who have access,
    /// and some rules only with a setting.
    Access,
    /// Changes everything else.
    Body,
    /// Lets more people see the repository. It comes late, so that the protection is in place
    /// before.
    Widen,
    /// Changes security features.
    Security,
    /// Renames the repository.
    Rename,
    /// Archives the repository. GitHub accepts no other write after.
    Close,
}

/// A change with its stage.
pub struct PlannedChange {
    /// The change.
    pub change: Change<Box<dyn Step>>,
    /// The stage.
    pub stage: Stage,
}

/// The findings of an aspect.
#[derive(Default)]
pub struct AspectPlan {
    /// The changes.
    pub changes: Vec<PlannedChange>,
    /// The parts that could not be read or resolved.
    pub unresolved: Vec<Unresolved>,
}

/// A part that could not be read or resolved.
pub struct Unresolved {
    /// The part of the aspect; `None` for the whole aspect.
    pub part: Option<String>,
    /// The problem, and how to solve it.
    pub reason: String,
    /// True if a retry can end the problem.
    pub transient: bool,
}

impl AspectPlan {
    /// Creates the plan of an aspect that failed: the aspect as a whole is unknown. Returns a failure
    /// that ends the whole run.
    pub(crate) fn failed(failure: Failure) -> Result<Self, Failure> {
        if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) {
            return Err(failure);
        }
        let transient = failure.class == Class::Retry;
        let whole = Unresolved { part: None, reason: failure.text, transient };
        Ok(Self { changes: Vec::new(), unresolved: vec![whole] })
    }

    /// Drops the removals if the aspect as a whole is unresolved.
    pub(crate) fn settle(&mut self) {
        if self.unresolved.iter().any(|unresolved| unresolved.part.is_none()) {
            self.changes.retain(|planned| planned.change.risks().count(Risk::Removes) == 0);
        }
    }

    /// Adds a change in the body of the run.
    pub fn change(&mut self, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        self.change_at(Stage::Body, what, fields, step);
    }

    /// Adds a change.
    pub fn change_at(&mut self, stage: Stage, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        let change = Change {
            aspect: String::new(), // the planner sets it
            what: what.into(),
            fields,
            mode: Mode::Observe,
            after: Vec::new(),
            stop: None,
            reaches: 1,
            write: Box::new(step) as Box<dyn Step>,
        };
        self.changes.push(PlannedChange { change, stage });
    }

    /// Returns a part of the repository that the policy asks for. If the part is not known, notes
    /// the reason, and the aspect as a whole is unknown.
    pub(crate) fn read<'a, T>(&mut self, part: &'a Known<T>) -> Option<&'a T> {
        match part {
            Known::Known(_) => {}
            Known::Unknown(unsure) => self.cannot_read(&unsure.why),
            // Another plan of the same moment can change what is asked for, if the policy changes.
            Known::NotAsked => self.cannot_read("Beadle did not read this part of the repository"),
        }
        part.value()
    }

    /// Notes that a read failed. The aspect as a whole is unknown, and a retry may help.
    pub fn cannot_read(&mut self, reason: impl Into<String>) {
        self.unresolved.push(Unresolved { part: None, reason: reason.into(), transient: true });
    }

    /// Notes that a name stands for nothing. The aspect as a whole is unknown until somebody fixes the
    /// policy or the organisation.
    pub fn cannot_resolve(&mut self, reason: impl Into<String>) {
        self.unresolved.push(Unresolved { part: None, reason: reason.into(), transient: false });
    }

    /// Notes that the read of one part failed. The rest of the aspect goes on, with its removals.
    pub fn cannot_read_part(&mut self, part: &str, reason: impl Into<String>) {
        let part = Some(part.to_owned());
        self.unresolved.push(Unresolved { part, reason: reason.into(), transient: true });
    }

    /// Notes that one part cannot be resolved. The rest of the aspect goes on, with its removals.
    pub fn cannot_resolve_part(&mut self, part: &str, reason: impl Into<String>) {
        let part = Some(part.to_owned());
        self.unresolved.push(Unresolved { part, reason: reason.into(), transient: false });
    }
}

/// Creates a field of a change.
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
