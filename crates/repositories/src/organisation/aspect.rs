//! An aspect of the organisation itself as a value, like [`crate::aspects::Aspect`].

use async_trait::async_trait;
use beadle_engine::{Failure, Mode};
use beadle_github::{IndexRow, Reader};
use tokio::sync::OnceCell;

use crate::aspects::{AppPermission, AspectPlan};
use crate::policy::Node;
use crate::policy::shape::Key;

/// One facet of an organisation. Each aspect is a constant of this type, in a file of its own.
pub(crate) struct OrganisationAspect {
    /// The name in plans and modes.
    pub(crate) name: &'static str,
    /// The section of `settings.yml` that the aspect carries out. That section of `settings.yml`
    /// belongs to no repository.
    pub(crate) section: &'static str,
    /// The description of the section, unless an aspect of repositories has it.
    pub(crate) sections: &'static [Key],
    /// The permissions that the App needs for the section.
    pub(crate) permissions: &'static [AppPermission],
    /// The webhook events that report a change of the aspect at GitHub.
    pub(crate) events: &'static [&'static str],
    /// Compares the desired state with the observed state.
    pub(crate) planner: &'static dyn OrganisationPlanner,
}

/// The permission to change rulesets and code security configurations.
pub(crate) const ADMINISTRATION: AppPermission =
    AppPermission::write("organization_administration", "administration (organisation)");

/// Finds the differences of one aspect of an organisation.
#[async_trait]
pub(crate) trait OrganisationPlanner: Send + Sync {
    /// Adds the differences to `plan`.
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure>;
}

/// The desired values of an aspect.
pub(crate) struct Section<'a> {
    pub(crate) node: &'a Node,
    /// True if Beadle removes entries that are not listed.
    pub(crate) exclusive: bool,
}

/// An aspect, its desired values, and the mode in which it runs.
pub(crate) type DesiredSection<'a> = (&'static OrganisationAspect, Section<'a>, Mode);

/// Holds everything that an aspect of an organisation plans with.
pub(crate) struct Context<'a> {
    pub(crate) reader: &'a Reader,
    index: OnceCell<Vec<IndexRow>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(reader: &'a Reader) -> Self {
        Self { reader, index: OnceCell::new() }
    }

    /// Returns every repository. Reads the list once.
    pub(crate) async fn index(&self) -> Result<&[IndexRow], Failure> {
        self.index.get_or_try_init(|| self.reader.index()).await.map(Vec::as_slice)
    }

    /// Returns the number of repositories that a change of the whole organisation reaches.
    async fn count(&self) -> Result<u32, Failure> {
        let open = self.index().await?.iter().filter(|row| !row.archived).count();
        Ok(u32::try_from(open).unwrap_or(u32::MAX))
    }

    /// Sets how many repositories the guarded changes of a plan reach, from the change `from` on:
    /// `narrowed`, or the whole organisation.
    pub(crate) async fn reach(
        &self,
        plan: &mut AspectPlan,
        from: usize,
        narrowed: Option<u32>,
    ) -> Result<(), Failure> {
        for planned in plan.changes.iter_mut().skip(from) {
            if planned.change.risks().is_guarded() {
                let reaches = match narrowed {
                    Some(reaches) => reaches,
                    None => self.count().await?,
                };
                planned.change.reaches = reaches.max(1);
            }
        }
        Ok(())
    }
}
