//! Dispatches a workflow of the organisation for one repository. Each delivery has its own task:
//! Beadle never merges two of them.
//!
//! <https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{
    Begun, Class, Clock, Entry, EntryKind, Failure, Intent, Listing, Mode, Report, Store, Time,
};
use beadle_github::{Reader, Writer};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The time that a new run may take to appear among the runs of its workflow.
const SEEN: Duration = Duration::from_secs(20);

/// The limit of work of one template. A step costs one, and 64 bytes of output cost one.
const FUEL: u64 = 100_000;

/// A rule that dispatches a workflow for a webhook.
#[derive(Clone, Debug)]
pub struct DispatchRule {
    /// The name in keys and in the journal.
    pub name: String,
    /// The condition on the payload: an expression such as `not repository.private`.
    pub when: Option<String>,
    /// The repository of the workflow.
    pub repository: String,
    /// The file of the workflow.
    pub workflow: String,
    /// The branch or tag of the run; a template too.
    pub reference: String,
    /// Inputs, as templates over the payload.
    pub inputs: BTreeMap<String, String>,
    /// The input that gets a token. The `run-name` of the workflow must contain the token, so that
    /// Beadle finds the run again.
    pub token_input: Option<String>,
    /// The mode. In `observe` Beadle dispatches nothing.
    pub mode: Mode,
}

impl DispatchRule {
    /// Checks the templates.
    pub fn check(&self) -> Result<(), String> {
        // There is no payload yet, so the check tries the templates without one.
        let mut environment = environment();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
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

    /// Returns the ref and the inputs for a payload. Returns `None` if the condition `when` is
    /// false. The templates can take some time.
    fn render(&self, body: &[u8], token: &str) -> Result<Option<(String, Value)>, String> {
        let payload: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !self.is_for(&payload)? {
            return Ok(None);
        }
        Ok(Some((self.reference(&payload)?, self.inputs(&payload, token)?)))
    }

    fn is_for(&self, payload: &Value) -> Result<bool, String> {
        let Some(when) = &self.when else { return Ok(true) };
        let environment = environment();
        let expression = environment.compile_expression(when).map_err(|error| wrong("when", &error))?;
        Ok(expression
            .eval(minijinja::Value::from(minijinja::value::Serde(payload)))
            .map_err(|error| wrong("when", &error))?
            .is_true())
    }

    fn reference(&self, payload: &Value) -> Result<String, String> {
        let payload = minijinja::Value::from(minijinja::value::Serde(payload));
        environment().render_str(&self.reference, payload).map_err(|error| wrong("ref", &error))
    }

    fn inputs(&self, payload: &Value, token: &str) -> Result<Value, String> {
        let environment = environment();
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

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    // A name that the payload lacks is an error, and not an empty text.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment
}

fn wrong(key: &str, error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!(
            "{key}: the template must do at most {FUEL} steps of work; use fewer or shorter loops"
        );
    }
    format!("{key}: {error:#}")
}

/// Refuses a template that does too much work even without a payload. Other errors may disappear
/// with a payload.
fn check_work<T>(key: &str, tried: Result<T, minijinja::Error>) -> Result<(), String> {
    match tried {
        Err(error) if error.kind() == ErrorKind::OutOfFuel => Err(wrong(key, &error)),
        _ => Ok(()),
    }
}

/// Reconciles `dispatch` keys.
pub struct Dispatch {
    /// Finds runs.
    pub reader: Reader,
    /// Dispatches workflows.
    pub writer: Writer,
    /// The inbox and the journal.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// The rules.
    pub rules: Vec<DispatchRule>,
}

/// An earlier attempt whose result is unknown.
struct Uncertain {
    intent: u64,
    at: Time,
}

#[async_trait]
impl Reconcile for Dispatch {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let key = &run.lease.key;
        let fatal = |text: String| Failure::new(Class::Fatal, text);
        let (delivery, name) =
            key.id().rsplit_once('/').ok_or_else(|| fatal(format!("`{key}` has no name of a dispatch")))?;
        let Some(rule) = self.rules.iter().find(|rule| rule.name == name) else {
            return Ok(report(format!("the configuration no longer has the dispatch `{name}`")));
        };
        let Some(body) = self.store.body("github", delivery).await? else {
            return Ok(report("the delivery is no longer stored".into()));
        };
        let token = token(key.as_str());
        let rendered = {
            let (rule, token) = (rule.clone(), token.clone());
            // A template can take some time, and must not block a thread of the runtime.
            tokio::task::spawn_blocking(move || rule.render(&body, &token)).await
        };
        let rendered = rendered.map_err(|error| fatal(error.to_string()))?.map_err(fatal)?;
        let Some((reference, inputs)) = rendered else {
            return Ok(report("the condition `when` is false".into()));
        };
        let what = json!({
            "workflow": rule.workflow, "repository": rule.repository, "ref": reference, "inputs": inputs,
        });
        if rule.mode == Mode::Observe {
            self.journal(run, None, json!({ "would_dispatch": what })).await?;
            return Ok(report("the mode is `observe`".into()));
        }
        let again = match self.before(run).await? {
            Before::Never => None,
            Before::Done => return Ok(report("the workflow is dispatched already".into())),
            Before::Uncertain(uncertain) => {
                if let Some(found) = self.find(rule, &token, &uncertain).await? {
                    let detail = json!({ "dispatched": true, "run": found, "why": "found by its run name" });
                    self.journal(run, Some(uncertain.intent), detail).await?;
                    return Ok(report(String::new()));
                }
                Some(if rule.token_input.is_some() {
                    "the answer was lost and no run carries its token: sent again"
                } else {
                    "the answer was lost and the workflow's run-name carries no token: sent again"
                })
            }
        };
        self.send(run, rule, (&reference, &inputs), what, again).await
    }
}

enum Before {
    Never,
    Done,
    Uncertain(Uncertain),
}

impl Dispatch {
    /// Finds the result of earlier attempts in the journal.
    async fn before(&self, run: &Run) -> Result<Before, Failure> {
        let key = Some(run.lease.key.to_string());
        let entries = self.store.entries(Listing { after: 0, since: None, key, limit: 1000 }).await?;
        let outcome = |intent: &Entry| {
            let results = entries.iter().filter(|entry| entry.intent == Some(intent.seq));
            results.map(|result| result.detail["dispatched"].clone()).next_back().unwrap_or(Value::Null)
        };
        let mut before = Before::Never;
        for intent in entries.iter().filter(|entry| entry.kind == EntryKind::Intent) {
            match outcome(intent) {
                Value::Bool(true) => return Ok(Before::Done),
                Value::Bool(false) => {}
                // Keeps the first of several attempts, because any of them may have started the
                // run.
                _ if matches!(before, Before::Uncertain(_)) => {}
                _ => before = Before::Uncertain(Uncertain { intent: intent.seq, at: intent.at }),
            }
        }
        Ok(before)
    }

    /// Finds the run of an earlier attempt by the token in its name.
    async fn find(
        &self,
        rule: &DispatchRule,
        token: &str,
        tried: &Uncertain,
    ) -> Result<Option<u64>, Failure> {
        if rule.token_input.is_none() {
            return Ok(None);
        }
        // GitHub shows a new run with a delay.
        self.clock.sleep(SEEN).await;
        // The clocks of Beadle and GitHub can differ.
        let since = tried.at - Duration::from_secs(60);
        let runs = self.reader.dispatched(&rule.repository, &rule.workflow, since).await?;
        let carries = |run: &&Value| run["display_title"].as_str().is_some_and(|title| title.contains(token));
        Ok(runs.iter().find(carries).and_then(|run| run["id"].as_u64()))
    }

    async fn send(
        &self,
        run: &Run,
        rule: &DispatchRule,
        (reference, inputs): (&str, &Value),
        what: Value,
        again: Option<&str>,
    ) -> Result<Report, Failure> {
        let mut entry = self.entry(run, EntryKind::Intent, None, what);
        if let Some(again) = again {
            entry.detail["again"] = json!(again);
        }
        let now = self.clock.now();
        let intent = Intent { entry, spends: None };
        let intent = match self.store.begin(Some(&run.lease), &run.lease.key, intent, now).await? {
            Begun::Yes(number) => number,
            Begun::Paused { scope, until } => {
                let text = format!("{scope} is paused until {until}; Beadle dispatched nothing");
                return Err(Failure::new(Class::Conflict, text));
            }
            Begun::LeaseLost | Begun::Lapsed => {
                let text = "another worker took the key over; Beadle dispatched nothing";
                return Err(Failure::new(Class::Conflict, text));
            }
        };
        fail::fail_point!("between-intent-and-dispatch", |_| std::process::abort());
        let sent = self.writer.dispatch(&rule.repository, &rule.workflow, reference, inputs).await;
        fail::fail_point!("between-dispatch-and-result", |_| std::process::abort());
        let detail = match &sent {
            Ok(id) => json!({ "dispatched": true, "run": id }),
            // Without an answer the result is unknown.
            Err(failure) if failure.class == Class::Retry => {
                json!({ "dispatched": "unknown", "why": failure.text })
            }
            Err(failure) => json!({ "dispatched": false, "why": failure.text }),
        };
        self.journal(run, Some(intent), detail).await?;
        sent?;
        tracing::info!(key = %run.lease.key, workflow = rule.workflow, "dispatched");
        Ok(report(String::new()))
    }

    fn entry(&self, run: &Run, kind: EntryKind, intent: Option<u64>, detail: Value) -> Entry {
        let key = run.lease.key.to_string();
        Entry { seq: 0, at: self.clock.now(), kind, subject: key.clone(), key, intent, detail }
    }

    async fn journal(&self, run: &Run, intent: Option<u64>, detail: Value) -> Result<(), Failure> {
        let kind = if intent.is_some() { EntryKind::Result } else { EntryKind::Dispatch };
        let entry = self.entry(run, kind, intent, detail);
        self.store.journal(None, vec![entry], self.clock.now()).await?;
        Ok(())
    }
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
mod tests {
    use super::*;

    fn rule(when: Option<&str>, input: &str) -> DispatchRule {
        DispatchRule {
            name: "police".into(),
            when: when.map(str::to_owned),
            repository: "cop".into(),
            workflow: "police.yml".into(),
            reference: "master".into(),
            inputs: [("repo-to-police".to_owned(), input.to_owned())].into(),
            token_input: None,
            mode: Mode::Enforce,
        }
    }

    #[test]
    fn inputs_are_templates_and_a_missing_name_is_an_error() {
        let payload = json!({ "repository": { "name": "widgets", "private": true } });
        let inputs = rule(None, "{{ repository.name }}").inputs(&payload, "").unwrap();
        assert_eq!(inputs, json!({ "repo-to-police": "widgets" }));
        assert!(rule(None, "{{ repository.nmae }}").inputs(&payload, "").is_err());
        assert!(rule(Some("repository.private"), "x").is_for(&payload).unwrap());
        assert!(!rule(Some("repository.name == 'gadgets'"), "x").is_for(&payload).unwrap());
        assert!(rule(Some("repository."), "x").check().is_err());
        assert!(rule(None, "{{ repository").check().is_err());
    }

    #[test]
    fn a_template_does_a_bounded_amount_of_work() {
        for endless in [
            "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
            "{% set ns = namespace(text='xxxxxxxx') %}{% for a in range(60) %}{% set ns.text = ns.text ~ ns.text %}{% endfor %}",
            "{{ 'x' * 1000000000 }}",
        ] {
            let said = rule(None, endless).check().unwrap_err();
            assert!(said.contains("inputs.repo-to-police") && said.contains("steps of work"), "{said}");
            assert!(rule(None, endless).inputs(&json!({}), "").unwrap_err().contains("steps of work"));
        }
        let said = rule(Some("range(100000)|list|length + ('x' * 100000000)|length > 0"), "x").check();
        assert!(said.unwrap_err().contains("steps of work"));
        let topics =
            "{% for topic in repository.topics %}{{ topic }} {% endfor %}{{ repository.name|upper }}";
        rule(Some("repository.private and repository.name"), topics).check().unwrap();
    }
}
