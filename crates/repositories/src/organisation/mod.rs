//! What a policy says of the organisation itself: its rulesets, and its code security configurations. One file each.

mod configurations;
mod rulesets;

use async_trait::async_trait;
use beadle_engine::{Failure, Mode, Plan, Unknown};
use beadle_github::{IndexRow, Reader};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::aspects::{AspectPlan, Step};
use crate::policy::Node;

/// Every aspect of an organisation.
pub(crate) const ALL: &[&dyn Aspect] = &[&rulesets::Rulesets, &configurations::Configurations];

/// One facet of an organisation.
#[async_trait]
pub(crate) trait Aspect: Send + Sync {
    /// Its name in plans and modes.
    fn name(&self) -> &'static str;
    /// Its section of `settings.yml`.
    fn section(&self) -> &'static str;
    /// Adds the differences to `plan`.
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure>;
}

/// What is asked for.
pub(crate) struct Section<'a> {
    pub(crate) node: &'a Node,
    /// What is not listed has to go.
    pub(crate) exclusive: bool,
}

/// An aspect, what is asked of it, and how far it may go.
pub(crate) type DesiredSection<'a> = (&'static dyn Aspect, Section<'a>, Mode);

/// What an aspect plans with.
pub(crate) struct Context<'a> {
    pub(crate) reader: &'a Reader,
    index: OnceCell<Vec<IndexRow>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(reader: &'a Reader) -> Self {
        Self { reader, index: OnceCell::new() }
    }

    /// Every repository, read once.
    pub(crate) async fn index(&self) -> Result<&[IndexRow], Failure> {
        self.index.get_or_try_init(|| self.reader.index()).await.map(Vec::as_slice)
    }

    /// The number of repositories that something of the whole organisation reaches.
    async fn count(&self) -> Result<u32, Failure> {
        let open = self.index().await?.iter().filter(|row| !row.archived).count();
        Ok(u32::try_from(open).unwrap_or(u32::MAX))
    }

    /// Sets what the guarded changes of a plan reach, from this one on: `narrowed`, or the whole
    /// organisation.
    async fn reach(&self, plan: &mut AspectPlan, from: usize, narrowed: Option<u32>) -> Result<(), Failure> {
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

/// How many repositories the conditions of a ruleset name one by one. `None`: they have to be
/// counted as all of the organisation's, as a pattern or a property may reach each of them.
fn named(conditions: &Value) -> Option<u32> {
    let is_plain = |name: &Value| name.as_str().is_some_and(|name| !name.contains(['*', '?', '[', '{', '~']));
    let ids = conditions["repository_id"]["repository_ids"].as_array();
    let names = conditions["repository_name"]["include"].as_array();
    let listed = ids.or(names.filter(|names| names.iter().all(is_plain)))?;
    u32::try_from(listed.len()).ok()
}

/// Plans the organisation.
pub(crate) async fn plan(
    context: &Context<'_>,
    sections: &[DesiredSection<'_>],
) -> Result<Plan<Box<dyn Step>>, Failure> {
    let mut plan = Plan::new(context.reader.organisation().to_owned());
    for (aspect, section, mode) in sections {
        let mut found = AspectPlan::default();
        if let Err(failure) = aspect.plan(context, section, &mut found).await {
            found = AspectPlan::failed(failure)?;
        }
        found.settle();
        for mut planned in found.changes {
            aspect.name().clone_into(&mut planned.change.aspect);
            planned.change.mode = *mode;
            plan.changes.push(planned.change);
        }
        plan.unknowns.extend(found.unresolved.into_iter().map(|unresolved| Unknown {
            aspect: aspect.name().to_owned(),
            part: unresolved.part,
            why: unresolved.reason,
            transient: unresolved.transient,
        }));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ruleset_reaches_everything_unless_it_names_its_repositories() {
        assert_eq!(named(&json!({ "repository_id": { "repository_ids": [1, 2] } })), Some(2));
        assert_eq!(named(&json!({ "repository_name": { "include": ["shop"], "exclude": [] } })), Some(1));
        for all in ["~ALL", "pay*", "sho?"] {
            assert_eq!(named(&json!({ "repository_name": { "include": ["shop", all] } })), None);
        }
        assert_eq!(named(&json!({ "repository_property": { "include": [{ "name": "tier" }] } })), None);
        assert_eq!(named(&Value::Null), None);
    }
}
