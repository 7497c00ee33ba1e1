//! The aspects of a repository: one file each. An aspect says how desired and observed differ, and how a change is
//! written. Adding one is its file and a line in [`ALL`].

pub mod collaborators;
pub mod protection;
pub mod settings;
pub mod teams;
pub mod topics;

use async_trait::async_trait;
use beadle_engine::{Asked, Change, Failure, Field, Mode, Risk};
use beadle_github::{Named, Reader, Repository, Writer};
use serde_json::Value;

use crate::policy::Desired;

/// Every aspect, in the order in which they are planned.
pub const ALL: &[&dyn Aspect] = &[
    &settings::Settings,
    &topics::Topics,
    &teams::Teams,
    &collaborators::Collaborators,
    &protection::Protection,
];

/// One facet of a repository.
#[async_trait]
pub trait Aspect: Send + Sync {
    /// Its name in plans, modes and metrics.
    fn name(&self) -> &'static str;
    /// Whether a section of the policy is (also) its own.
    fn owns(&self, section: &str) -> bool;
    /// Writes on the sheet what differs. It is given a reader and nothing that writes.
    async fn plan(&self, context: &Context<'_>, sheet: &mut Sheet) -> Result<(), Failure>;
}

/// What an aspect plans with.
pub struct Context<'a> {
    /// For what was not read beforehand.
    pub reader: &'a Reader,
    /// What is asked for.
    pub desired: &'a Desired,
    /// What is there.
    pub repository: &'a Repository,
}

/// How a change is written.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Writes it. Writing it twice does no harm.
    async fn write(&self, to: &Target) -> Result<(), Failure>;
}

/// What a step writes to.
pub struct Target {
    /// The repository by its present name.
    pub named: Named,
    /// What is addressed by node ids.
    pub writer: Writer,
}

/// When in a run a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Unarchiving: nothing else can be written before.
    Open,
    /// Fewer can see it.
    Narrow,
    /// Everything else.
    Body,
    /// More can see it: last, so that it is protected before.
    Widen,
    /// Security features.
    Security,
    /// Another name.
    Rename,
    /// Archiving: nothing else can be written after.
    Close,
}

/// A change, and when it is written.
pub struct Draft {
    /// The change.
    pub change: Change<Box<dyn Step>>,
    /// When.
    pub stage: Stage,
}

/// What an aspect found out.
#[derive(Default)]
pub struct Sheet {
    /// What differs.
    pub drafts: Vec<Draft>,
    /// What could not be read or resolved.
    pub doubts: Vec<Doubt>,
}

/// Something that could not be read or resolved.
pub struct Doubt {
    /// The part of the aspect that it is about; `None` for the whole.
    pub part: Option<String>,
    /// What, and what to do.
    pub why: String,
    /// Whether it may pass by itself.
    pub transient: bool,
}

impl Sheet {
    /// Adds a change in the body of the run.
    pub fn change(&mut self, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        self.change_at(Stage::Body, what, fields, step);
    }

    /// Adds a change.
    pub fn change_at(&mut self, stage: Stage, what: impl Into<String>, fields: Vec<Field>, step: impl Step) {
        let change = Change {
            aspect: String::new(), // the planner knows whose sheet this is
            what: what.into(),
            fields,
            mode: Mode::Observe,
            after: Vec::new(),
            write: Box::new(step) as Box<dyn Step>,
        };
        self.drafts.push(Draft { change, stage });
    }

    /// Something could not be read now.
    pub fn unreadable(&mut self, why: impl Into<String>) {
        self.doubts.push(Doubt { part: None, why: why.into(), transient: true });
    }

    /// Something does not exist; somebody has to mend the policy or the organisation.
    pub fn unresolved(&mut self, why: impl Into<String>) {
        self.doubts.push(Doubt { part: None, why: why.into(), transient: false });
    }

    /// One part could not be read now; the rest of the aspect goes on, removals too.
    pub fn part_unreadable(&mut self, part: &str, why: impl Into<String>) {
        self.doubts.push(Doubt { part: Some(part.to_owned()), why: why.into(), transient: true });
    }

    /// The same of something that does not exist.
    pub fn part_unresolved(&mut self, part: &str, why: impl Into<String>) {
        self.doubts.push(Doubt { part: Some(part.to_owned()), why: why.into(), transient: false });
    }
}

/// A field of a change.
pub fn field(name: &str, before: Value, after: Value, asked: Option<&Asked>, risk: Risk) -> Field {
    Field { name: name.to_owned(), before, after, asked: asked.cloned(), risk }
}
