//! Plans and writes the topics of a repository. GitHub stores topics in lower case.
//!
//! <https://docs.github.com/rest/repos/repos#replace-all-repository-topics>

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
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
        if !added.is_empty() {
            let fields = added
                .iter()
                .map(|(topic, asked)| field(topic, Value::Null, json!(true), Some(**asked), Risk::Adds));
            let all: BTreeSet<String> = seen.iter().chain(wants.keys()).cloned().collect();
            plan.change("", fields.collect(), Replace(all.into_iter().collect()));
        }
        let gone: Vec<&String> = seen.iter().filter(|topic| !wants.contains_key(*topic)).collect();
        if wanted.exclusive && !gone.is_empty() {
            // The removal of topics is a separate change, so that Beadle adds the new topics even
            // if the guard holds the removal.
            let asked = Some(&wanted.asked);
            let fields =
                gone.iter().map(|topic| field(topic, json!(true), Value::Null, asked, Risk::Removes));
            plan.change("", fields.collect(), Replace(wants.into_keys().collect()));
        }
        Ok(())
    }
}
