//! The reconciler of `dispatch` keys. The reconciler starts one workflow run for each delivery.
//!
//! <https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::expressions::{check_work, environment, wrong};
use beadle_engine::journal::{Dispatched, Happened, IntendedDispatch, NotDispatched, ObservedDispatch};
use beadle_engine::{
    Begun, Class, Clock, Detail, Entry, EntryKind, Failure, Intent, Listing, Mode, Reconcile, Report, Run,
    Store, Time,
};
use beadle_github::{NameKind, Names, Reader, Writer};
use minijinja::UndefinedBehavior;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The maximum time until GitHub shows a new run in the list of the workflow's runs.
const LISTED_AFTER: Duration = Duration::from_secs(20);

/// A template must fail if it uses a value that is missing in the payload. The template must not
/// replace the missing value with an empty text.
const UNDEFINED: UndefinedBehavior = UndefinedBehavior::Strict;

/// A rule of the configuration that defines when Beadle dispatches a workflow, and which inputs the
/// workflow gets.
#[derive(Clone, Debug)]
pub struct DispatchRule {
    /// The name of the rule. Keys and the journal contain this name.
    pub name: String,
    /// The condition that the payload must meet. The condition is an expression such as `not
    /// repository.private`. `None` if every payload meets the condition.
    pub when: Option<String>,
    /// The name of the repository that contains the workflow.
    pub repository: String,
    /// The file name of the workflow.
    pub workflow: String,
    /// The branch or tag on which the workflow runs. The value is a template that can use the
    /// payload.
    pub reference: String,
    /// The inputs of the workflow. Each value is a template that can use the payload.
    pub inputs: BTreeMap<String, String>,
    /// The workflow input to which Beadle gives a token. The workflow's `run-name` must contain
    /// this input. If GitHub's answer to a dispatch is lost, Beadle uses this token to find the
    /// run.
    pub token_input: Option<String>,
    /// The mode of the rule. In `observe`, Beadle dispatches nothing.
    pub mode: Mode,
}

impl DispatchRule {
    /// Checks that the templates and the condition are valid.
    pub fn check(&self) -> Result<(), String> {
        // There is no payload yet, so the check evaluates each template without a payload.
        let environment = environment(UndefinedBehavior::Chainable);
        let texts = self.inputs.iter().map(|(input, template)| (format!("inputs.{input}"), template));
        for (key, template) in std::iter::once(("ref".to_owned(), &self.reference)).chain(texts) {
            let template = environment.template_from_str(template).map_err(|error| wrong(&key, &error))?;
            check_work(&key, template.render(()))?;
        }
        if let Some(when) = &self.when {
            let expression = environment.compile_expression(when).map_err(|error| wrong("when", &error))?;
            check_work("when", expression.eval(()))?;
        }
        Ok(())
    }

    /// Returns the ref and the inputs for a payload, or `None` if the condition `when` is false.
    /// This function can run for a long time, because templates can contain loops.
    fn render(&self, body: &[u8], token: &str) -> Result<Option<(String, Value)>, String> {
        let payload: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !self.is_for(&payload)? {
            return Ok(None);
        }
        Ok(Some((self.reference(&payload)?, self.inputs(&payload, token)?)))
    }

    fn is_for(&self, payload: &Value) -> Result<bool, String> {
        let Some(when) = &self.when else { return Ok(true) };
        let environment = environment(UNDEFINED);
        let expression = environment.compile_expression(when).map_err(|error| wrong("when", &error))?;
        Ok(expression
            .eval(minijinja::Value::from(minijinja::value::Serde(payload)))
            .map_err(|error| wrong("when", &error))?
            .is_true())
    }

    fn reference(&self, payload: &Value) -> Result<String, String> {
        let payload = minijinja::Value::from(minijinja::value::Serde(payload));
        environment(UNDEFINED).render_str(&self.reference, payload).map_err(|error| wrong("ref", &error))
    }

    fn inputs(&self, payload: &Value, token: &str) -> Result<Value, String> {
        let environment = environment(UNDEFINED);
        let payload = minijinja::Value::from(minijinja::value::Serde(payload));
        let mut inputs = json!({});
        for (input, template) in &self.inputs {
            let rendered = environment.render_str(template, payload.clone());
            inputs[input] = json!(rendered.map_err(|error| wrong(&format!("inputs.{input}"), &error))?);
        }
        if let Some(input) = &self.token_input {
            inputs[input] = json!(token);
        }
        Ok(inputs)
    }
}

/// Runs the `dispatch` keys of an organisation.
pub struct Dispatch {
    /// Finds earlier runs of the workflows.
    pub reader: Reader,
    /// Dispatches the workflows.
    pub writer: Writer,
    /// The store that contains the journal and the payloads in the inbox.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The rules of the configuration.
    pub rules: Vec<DispatchRule>,
    /// The stored ids of the repositories that contain the workflows.
    pub names: Names,
}

/// A dispatch without an answer. Beadle does not know whether GitHub received the dispatch.
struct Uncertain {
    intent: u64,
    /// The time at which Beadle tried the dispatch for the first time.
    at: Time,
    /// After this time, GitHub's list certainly contains the runs of all tries.
    listed: Time,
}

#[async_trait]
impl Reconcile for Dispatch {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let fatal = |text: String| Failure::new(Class::Fatal, text);
        let (delivery, name) = key
            .id()
            .rsplit_once('/')
            .ok_or_else(|| fatal(format!("the key `{key}` must name a delivery and a dispatch rule")))?;
        let Some(rule) = self.rules.iter().find(|rule| rule.name == name) else {
            return Ok(report(format!("the configuration no longer has a dispatch `{name}`")));
        };
        let Some(body) = self.store.body("github", delivery).await? else {
            return Ok(report("the delivery is no longer stored".into()));
        };
        let token = token(key.as_str());
        let rendered = {
            let (rule, token) = (rule.clone(), token.clone());
            // The evaluation of a template can take a long time, and all runs share the threads of
            // the runtime. So Beadle evaluates the template on a separate thread.
            tokio::task::spawn_blocking(move || rule.render(&body, &token)).await
        };
        let rendered = rendered.map_err(|error| fatal(error.to_string()))?.map_err(fatal)?;
        let Some((reference, inputs)) = rendered else {
            return Ok(report("the condition `when` is false".into()));
        };
        let intended = IntendedDispatch {
            workflow: rule.workflow.clone(),
            repository: rule.repository.clone(),
            reference,
            inputs,
            again: None,
        };
        if rule.mode == Mode::Observe {
            let detail = Detail::ObservedDispatch(ObservedDispatch { would_dispatch: intended });
            self.journal(run, None, detail).await?;
            return Ok(report("nothing dispatched: the mode is `observe`".into()));
        }
        let again = match self.before(run).await? {
            Before::Never => None,
            Before::Done => return Ok(report("Beadle already dispatched the workflow".into())),
            Before::Uncertain(uncertain) => {
                if rule.token_input.is_some() && self.clock.now() < uncertain.listed {
                    return Err(not_listed_yet(&uncertain));
                }
                if let Some(found) = self.find(run, rule, &token, &uncertain).await? {
                    let why = Some("found by its run name".to_owned());
                    let result = Dispatched { dispatched: Happened::Yes, run: Some(found), why };
                    self.journal(run, Some(uncertain.intent), Detail::Dispatched(result)).await?;
                    return Ok(report(String::new()));
                }
                Some(if rule.token_input.is_some() {
                    "the answer was lost, and no run has the token of the dispatch: sent again"
                } else {
                    "the answer was lost, and the workflow's run-name has no token: sent again"
                })
            }
        };
        self.send(run, IntendedDispatch { again: again.map(str::to_owned), ..intended }).await
    }
}

enum Before {
    Never,
    Done,
    Uncertain(Uncertain),
}

impl Dispatch {
    /// Reads the journal, and returns the result of earlier tries.
    async fn before(&self, run: &Run) -> Result<Before, Failure> {
        let key = Some(run.lease.key.to_string());
        let entries = self.store.entries(Listing { after: 0, since: None, key, limit: 1000 }).await?;
        let mut uncertain: Option<Uncertain> = None;
        for intent in entries.iter().filter(|entry| entry.kind == EntryKind::Intent) {
            let result = entries.iter().rfind(|entry| entry.intent == Some(intent.seq));
            let dispatched = match result.map(|result| &result.detail) {
                Some(Detail::Dispatched(result)) => result.dispatched,
                Some(Detail::NotDispatched(result)) => result.dispatched,
                // If the journal has no result for the intent, the earlier process ended before it
                // recorded GitHub's answer.
                _ => Happened::Unknown,
            };
            match dispatched {
                Happened::Yes => return Ok(Before::Done),
                Happened::No => continue,
                Happened::Unknown => {}
            }
            // If GitHub received the request, GitHub received it between the intent and the result.
            let listed = result.map_or(intent.at, |result| result.at) + LISTED_AFTER;
            match &mut uncertain {
                // The workflow run might belong to any of the tries. Beadle therefore waits until
                // GitHub must have listed the run of the latest try.
                Some(first) => first.listed = first.listed.max(listed),
                None => uncertain = Some(Uncertain { intent: intent.seq, at: intent.at, listed }),
            }
        }
        Ok(uncertain.map_or(Before::Never, Before::Uncertain))
    }

    /// Returns the present name of the repository that contains the workflow. The repository can have
    /// been renamed. If another repository has the name now, the function fails, because this repository
    /// must not get the inputs of the workflow.
    async fn present_name(&self, run: &Run, repository: &str) -> Result<String, Failure> {
        let reader = self.reader.in_lane(run.lane);
        let name = format!("{}/{repository}", reader.organisation());
        let found = reader.repositories_called(&[repository.to_owned()]).await?;
        let Some(found) = found.into_iter().next().flatten() else {
            let text = format!("there is no repository `{name}`, or the App has no access to it");
            return Err(Failure::new(Class::Rejected, text));
        };
        match self.names.another_owner(NameKind::Repository, &name, found.id, None).await? {
            Some(why) => Err(Failure::new(Class::Rejected, why)),
            None => Ok(found.name),
        }
    }

    /// Finds the workflow run that an earlier try started. The name of the workflow run contains
    /// the token.
    async fn find(
        &self,
        run: &Run,
        rule: &DispatchRule,
        token: &str,
        tried: &Uncertain,
    ) -> Result<Option<u64>, Failure> {
        if rule.token_input.is_none() {
            return Ok(None);
        }
        // The clocks of Beadle and GitHub can differ by a small amount.
        let since = tried.at - Duration::from_secs(60);
        let reader = self.reader.in_lane(run.lane);
        let runs = reader.dispatched(&rule.repository, &rule.workflow, since).await?;
        let carries = |run: &&Value| run["display_title"].as_str().is_some_and(|title| title.contains(token));
        Ok(runs.iter().find(carries).and_then(|run| run["id"].as_u64()))
    }

    async fn send(&self, run: &Run, intended: IntendedDispatch) -> Result<Report, Failure> {
        let entry = self.entry(run, EntryKind::Intent, None, Detail::Dispatch(intended.clone()));
        let now = self.clock.now();
        let intent = Intent { entry, spends: None };
        let intent = match self.store.begin(Some(&run.lease), &run.lease.key, intent, now).await? {
            Begun::Yes(number) => number,
            Begun::Paused { scope, until } => {
                let text = format!("{scope} is paused until {until}, nothing was dispatched");
                return Err(Failure::new(Class::Conflict, text));
            }
            Begun::LeaseLost | Begun::Lapsed => {
                let text = "another worker has this key, nothing was dispatched";
                return Err(Failure::new(Class::Conflict, text));
            }
        };
        fail::fail_point!("between-intent-and-dispatch", |_| std::process::abort());
        let IntendedDispatch { workflow, repository, reference, inputs, .. } = &intended;
        let writer = self.writer.in_lane(run.lane);
        let named = self.present_name(run, repository).await;
        let is_named = named.is_ok();
        let sent = match named {
            Ok(name) => writer.dispatch(&name, workflow, reference, inputs).await,
            Err(failure) => Err(failure),
        };
        fail::fail_point!("between-dispatch-and-result", |_| std::process::abort());
        let detail = match &sent {
            Ok(id) => Detail::Dispatched(Dispatched { dispatched: Happened::Yes, run: *id, why: None }),
            Err(failure) => {
                // If GitHub's answer is lost, Beadle does not know whether GitHub started the
                // workflow.
                let dispatched =
                    if !is_named || failure.changed_nothing() { Happened::No } else { Happened::Unknown };
                Detail::NotDispatched(NotDispatched { dispatched, why: failure.text.clone() })
            }
        };
        self.journal(run, Some(intent), detail).await?;
        sent?;
        tracing::info!(key = %run.lease.key, workflow, "workflow dispatched");
        Ok(report(String::new()))
    }

    fn entry(&self, run: &Run, kind: EntryKind, intent: Option<u64>, detail: Detail) -> Entry {
        let key = run.lease.key.to_string();
        Entry {
            seq: 0,
            at: self.clock.now(),
            kind,
            subject: key.clone(),
            key,
            intent,
            trace: beadle_engine::trace::current_id(),
            detail,
        }
    }

    async fn journal(&self, run: &Run, intent: Option<u64>, detail: Detail) -> Result<(), Failure> {
        let kind = if intent.is_some() { EntryKind::Result } else { EntryKind::Dispatch };
        let entry = self.entry(run, kind, intent, detail);
        self.store.journal(None, vec![entry], self.clock.now()).await?;
        Ok(())
    }
}

/// Returns a failure after which the queue runs the key again. The retry time is late enough that
/// GitHub must have listed the workflow run by then. So no worker has to wait until GitHub lists
/// the run.
fn not_listed_yet(uncertain: &Uncertain) -> Failure {
    let class = Class::RateLimited { until: uncertain.listed, spares_events: false };
    Failure::new(class, "the answer to a dispatch was lost, and GitHub may not list its run yet")
}

fn token(key: &str) -> String {
    Sha256::digest(key).iter().take(6).fold(String::from("beadle-"), |text, byte| format!("{text}{byte:02x}"))
}

fn report(skipped: String) -> Report {
    Report {
        subject: String::new(),
        steps: Vec::new(),
        unknowns: Vec::new(),
        skipped: (!skipped.is_empty()).then_some(skipped),
        failure: None,
    }
}

#[cfg(test)]
mod tests;
