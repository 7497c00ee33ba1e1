//! Describes an aspect of the organisation itself. [`crate::aspects::Aspect`] describes a
//! repository aspect.

use async_trait::async_trait;
use beadle_engine::{Failure, Mode, PolicyLocation};
use beadle_github::{Actor, ActorKind, IndexRow, Names, Reader, Resolved};
use tokio::sync::OnceCell;

use crate::aspects::{AppPermission, AspectPlan, Secrets};
use crate::policy::Node;
use crate::policy::shape::Key;
use crate::secret_memory::SecretMemory;

/// One part of an organisation that Beadle reads, compares and writes separately from the other
/// parts. Each aspect is a constant of this type, in its own file.
pub(crate) struct OrganisationAspect {
    /// The name of the aspect in plans and modes.
    pub(crate) name: &'static str,
    /// The section of `settings.yml` that declares this aspect, or a key of the section
    /// `organization`, such as `organization.webhooks`. In `settings.yml`, this section applies to
    /// the organisation and not to repositories.
    pub(crate) section: &'static str,
    /// The description of the section. The list is empty if a repository aspect already describes
    /// the section.
    pub(crate) sections: &'static [Key],
    /// The keys that the aspect adds to the section `organization`.
    pub(crate) keys: &'static [Key],
    /// The permissions of the GitHub App that the section needs.
    pub(crate) permissions: &'static [AppPermission],
    /// The webhook events that report a change of the aspect.
    pub(crate) events: &'static [&'static str],
    /// Compares the desired state with the observed state and plans the changes.
    pub(crate) planner: &'static dyn OrganisationPlanner,
}

impl OrganisationAspect {
    /// Returns the name of the section in `settings.yml` that declares the aspect.
    pub(crate) fn top(&self) -> &'static str {
        self.section.split_once('.').map_or(self.section, |(top, _)| top)
    }

    /// Returns the value that declares the aspect, or `None` if the file does not contain it.
    pub(crate) fn node<'a>(&self, root: &'a Node) -> Option<&'a Node> {
        let node = self.section.split('.').try_fold(root, |node, key| node.get(key))?;
        (!node.is_null()).then_some(node)
    }
}

/// The permission to change the settings, the rulesets and the code security
/// configurations of an organisation.
pub(crate) const ADMINISTRATION: AppPermission =
    AppPermission::write("organization_administration", "administration (organisation)");

/// Finds where the organisation differs from the policy in one aspect.
#[async_trait]
pub(crate) trait OrganisationPlanner: Send + Sync {
    /// Adds a change to `plan` for each difference.
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure>;
}

/// The section of the policy that declares an aspect.
pub(crate) struct Section<'a> {
    pub(crate) node: &'a Node,
    /// True if Beadle removes entries that the section does not list.
    pub(crate) exclusive: bool,
    /// True if the section itself contains the key `exclusive`.
    pub(crate) says_exclusive: bool,
}

impl<'a> Section<'a> {
    /// Creates the section that `node` declares. A list of the section `organization` can be a
    /// block with a key that sets whether the list is exclusive. If the list is not such a block,
    /// the parameter `exclusive` decides whether the list is exclusive.
    pub(crate) fn new(node: &'a Node, exclusive: bool) -> Self {
        let mode = LIST_MODES.into_iter().find_map(|mode| Some((mode, node.get(mode)?)));
        match mode {
            Some((mode, node)) => {
                let exclusive = mode == LIST_MODES[0];
                Self { node, exclusive, says_exclusive: exclusive }
            }
            None => Self { node, exclusive, says_exclusive: false },
        }
    }
}

/// If a list in the section `organization` is a block, the block has one of these keys. The key
/// sets whether the list is exclusive.
const LIST_MODES: [&str; 2] = ["exclusive", "additive"];

/// Describes a list of the section `organization`. Only `settings.yml` can contain such a list, so
/// layers cannot change the list.
macro_rules! organisation_list {
    ($item:expr) => {{
        use $crate::policy::shape::{Shape, key};
        Shape::Either(
            &Shape::List(&$item),
            &Shape::Map(&[
                key("exclusive", Shape::List(&$item), "Exactly these entries."),
                key("additive", Shape::List(&$item), "At least these entries. Others stay."),
            ]),
        )
    }};
}
pub(super) use organisation_list;

/// An aspect, the section that declares this aspect, and the aspect's mode.
pub(crate) type DesiredSection<'a> = (&'static OrganisationAspect, Section<'a>, Mode);

/// Everything that the planner of an organisation's aspect needs.
pub(crate) struct Context<'a> {
    pub(crate) reader: &'a Reader,
    /// The secrets that the policy is allowed to use.
    pub(crate) secrets: &'a Secrets,
    /// Stores digests of the secret values that Beadle wrote.
    pub(crate) secret_memory: &'a SecretMemory,
    /// The stored ids behind the names of the policy.
    pub(crate) names: &'a Names,
    index: OnceCell<Vec<IndexRow>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        reader: &'a Reader,
        secrets: &'a Secrets,
        secret_memory: &'a SecretMemory,
        names: &'a Names,
    ) -> Self {
        Self { reader, secrets, secret_memory, names, index: OnceCell::new() }
    }

    /// Resolves the names in a list of the policy. For each name, the result contains the team or
    /// the account, or the reason why Beadle must not use the name.
    pub(crate) async fn resolve(
        &self,
        kind: ActorKind,
        nodes: &[&Node],
    ) -> Result<Vec<Result<Resolved, String>>, Failure> {
        let wanted: Vec<(Actor, Option<&PolicyLocation>)> = nodes
            .iter()
            .map(|node| {
                let name = node.text().unwrap_or_default().to_owned();
                (Actor { kind, name, id: None, number: None }, Some(&node.asked))
            })
            .collect();
        self.names.resolve(self.reader, &wanted).await
    }

    /// Returns the list of all repositories. The first call reads the list, and later calls use the
    /// same list.
    pub(crate) async fn index(&self) -> Result<&[IndexRow], Failure> {
        self.index.get_or_try_init(|| self.reader.index()).await.map(Vec::as_slice)
    }

    /// Returns the number of repositories that a change of the whole organisation affects.
    async fn count(&self) -> Result<u32, Failure> {
        let open = self.index().await?.iter().filter(|row| !row.archived).count();
        Ok(u32::try_from(open).unwrap_or(u32::MAX))
    }

    /// Sets the number of affected repositories for each guarded change of a plan, starting at the
    /// index `from`. The number is `narrowed`, or the count of all repositories if `narrowed` is
    /// `None`.
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
