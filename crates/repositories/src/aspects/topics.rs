//! Topics. GitHub keeps them in lower case.
//!
//! <https://docs.github.com/rest/repos/repos#replace-all-repository-topics>

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use serde_json::{Value, json};

use super::{Aspect, AspectPlan, Context, Stage, Step, WriteTarget, field};

/// The repository's topics.
pub struct Topics;

struct Replace(Vec<String>);

#[async_trait]
impl Step for Replace {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.replace_topics(&self.0).await
    }
}

#[async_trait]
impl Aspect for Topics {
    fn name(&self) -> &'static str {
        "topics"
    }

    fn owns(&self, section: &str) -> bool {
        section == "repository"
    }

    fn stage(&self) -> Stage {
        Stage::Access
    }

    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(wanted) = &context.desired.topics else { return Ok(()) };
        let Some(seen) = plan.read(&context.repository.topics) else { return Ok(()) };
        let seen: BTreeSet<String> = seen.iter().cloned().collect();
        let asked = Some(&wanted.asked);
        let wants: BTreeSet<String> = wanted.items.iter().map(|topic| topic.to_lowercase()).collect();
        let added: Vec<_> = wants.difference(&seen).collect();
        if !added.is_empty() {
            let fields = added.iter().map(|topic| field(topic, Value::Null, json!(true), asked, Risk::Adds));
            plan.change("", fields.collect(), Replace(seen.union(&wants).cloned().collect()));
        }
        let gone: Vec<_> = seen.difference(&wants).collect();
        if wanted.exclusive && !gone.is_empty() {
            // Apart, so that what the guard may hold keeps nothing else waiting.
            let fields =
                gone.iter().map(|topic| field(topic, json!(true), Value::Null, asked, Risk::Removes));
            plan.change("", fields.collect(), Replace(wants.into_iter().collect()));
        }
        Ok(())
    }
}
