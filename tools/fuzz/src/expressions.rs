//! Fuzzes expressions and templates. Dispatches, attributes, rules and files contain expressions
//! and templates.

use std::collections::BTreeMap;

use beadle_engine::Mode;
use beadle_engine::expressions::{environment, wrong};
use beadle_groups::Attributes;
use beadle_repositories::DispatchRule;
use beadle_scim::Attribute;
use minijinja::UndefinedBehavior;
use minijinja::value::Serde;
use serde_json::{Value, json};

/// The maximum length of a result, in bytes. The work limit of an evaluation allows 6.4 MB of
/// output.
const LONGEST: usize = 8 << 20;

/// Separates the template from the values, which are JSON.
const VALUES: &str = "\n---\n";

fn usual() -> Value {
    json!({ "repository": { "name": "shop", "private": true, "topics": ["a", "b"], "id": 7 },
            "action": "created", "sender": { "login": "mona" }, "title": "Countess" })
}

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (template, values) = text.split_once(VALUES).unwrap_or((&*text, ""));
    let values = serde_json::from_str(values).unwrap_or_else(|_| usual());
    for undefined in [UndefinedBehavior::Strict, UndefinedBehavior::Chainable] {
        let environment = environment(undefined);
        let values = || minijinja::Value::from(Serde(&values));
        let rendered = || {
            let rendered = environment.render_str(template, values());
            rendered.unwrap_or_else(|error| wrong("template", &error))
        };
        let shown = rendered();
        assert!(shown.len() <= LONGEST, "{} bytes", shown.len());
        assert_eq!(shown, rendered(), "the same template has two results");
        if let Ok(expression) = environment.compile_expression(template) {
            let judged = || {
                let value = expression.eval(values());
                value.map(|value| value.is_true()).map_err(|error| wrong("when", &error))
            };
            assert_eq!(judged(), judged(), "the same expression has two results");
        }
    }
    let rule = DispatchRule {
        name: "police".into(),
        when: Some(template.to_owned()),
        repository: "tools".into(),
        workflow: "police.yml".into(),
        reference: template.to_owned(),
        inputs: BTreeMap::from([("name".to_owned(), template.to_owned())]),
        token_input: None,
        mode: Mode::Observe,
    };
    let _ = rule.check();
    if let Some(title) = Attribute::named("title")
        && let Ok(attributes) = Attributes::new(vec![(title, template.to_owned())])
    {
        let _ = attributes.uses();
    }
}
