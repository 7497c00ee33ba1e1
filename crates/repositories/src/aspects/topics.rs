//! Plans and writes the topics of a repository. GitHub stores topics in lower case.
//!
//! <https://docs.github.com/rest/repos/repos#replace-all-repository-topics>

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use beadle_engine::{Failure, Field, PolicyLocation, Risk};
use beadle_github::Asks;
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Sections, Stage, Step, WriteTarget, field,
};
use crate::policy::forms;
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::listed;

/// The aspect for a repository's topics.
pub(crate) const TOPICS: Aspect = Aspect {
    name: "topics",
    sections: &[],
    repository_keys: &[key("topics", SHAPE, "The topics of the repository.")],
    permissions: &[ADMINISTRATION],
    events: &["repository"],
    reads,
    stage: Stage::Access,
    is_apart: false,
    planner: &Topics,
};

const NAME: Shape = Shape::Form(&forms::TOPIC);
const SHAPE: Shape = listed!(NAME);

fn reads(sections: &Sections<'_>) -> Asks {
    let topics = sections.get("repository").and_then(|repository| repository.get("topics"));
    Asks { topics: topics.is_some(), ..Asks::default() }
}

/// The maximum number of topics of a repository.
///
/// <https://docs.github.com/rest/repos/repos#replace-all-repository-topics>
const MOST: usize = 20;

struct Topics;

struct Replace(Vec<String>);

#[async_trait]
impl Step for Replace {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.replace_topics(&self.0).await
    }
}

#[async_trait]
impl AspectPlanner for Topics {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.topics else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.topics) else { return Ok(()) };
        let seen: BTreeSet<String> = seen.iter().cloned().collect();
        let wants: BTreeMap<String, &PolicyLocation> =
            wanted.items.iter().map(|topic| (topic.name.to_lowercase(), &topic.asked)).collect();
        let added: Vec<_> = wants.iter().filter(|(topic, _)| !seen.contains(*topic)).collect();
        let all: BTreeSet<String> = seen.iter().chain(wants.keys()).cloned().collect();
        let count = all.len();
        let mut fields: Vec<Field> = added
            .iter()
            .map(|(topic, asked)| field(topic, Value::Null, json!(true), Some(**asked), Risk::Adds))
            .collect();
        if !fields.is_empty() && count <= MOST {
            let fields = std::mem::take(&mut fields);
            plan.change("", fields, Replace(all.into_iter().collect()));
        }
        let gone: Vec<&String> = seen.iter().filter(|topic| !wants.contains_key(*topic)).collect();
        if wanted.exclusive && !gone.is_empty() {
            // The removal of topics is usually a separate change, so that Beadle adds the new topics
            // even if the guard holds the removal. But if GitHub would refuse the sum of both, the new
            // topics wait for the removal of other topics.
            let asked = Some(&wanted.asked);
            fields.extend(
                gone.iter().map(|topic| field(topic, json!(true), Value::Null, asked, Risk::Removes)),
            );
            plan.change("", fields, Replace(wants.into_keys().collect()));
        } else if !fields.is_empty() {
            let why = format!(
                "with the topics of the policy, the repository would have {count} topics, and GitHub allows {MOST} ({})",
                wanted.asked
            );
            plan.cannot_resolve_part("topics", why);
        }
        Ok(())
    }
}
