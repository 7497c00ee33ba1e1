//! Makes the text of a file from a template. A template can use facts about the file's repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::expressions::{environment, wrong};
use minijinja::UndefinedBehavior;
use minijinja::value::{Object, Serde};
use serde::Serialize;
use serde_json::{Value, json};

/// The facts that a template can use as `repository`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TemplateFacts<'a> {
    pub(crate) name: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) visibility: &'a str,
    pub(crate) default_branch: &'a str,
    /// The topics. `None` if Beadle did not read the topics. In this case, a template that uses the
    /// topics fails. An empty list would lead to wrong content: the content for a repository
    /// without topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topics: Option<&'a [String]>,
    /// The custom properties. `None` if Beadle did not read the custom properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) properties: Option<&'a BTreeMap<String, Value>>,
}

/// Invented facts for the validation of a policy. The policy does not show which custom properties
/// exist, so these facts have a value for every property.
#[derive(Debug)]
enum Sample {
    Facts,
    Repository,
    Properties,
}

impl Object for Sample {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let fact = match (&**self, key.as_str()?) {
            (Self::Facts, "repository") => minijinja::Value::from_object(Self::Repository),
            (Self::Repository, "visibility") => "private".into(),
            (Self::Repository, name @ ("name" | "owner" | "default_branch")) => name.into(),
            (Self::Repository, "topics") => std::iter::once("topic").collect(),
            (Self::Repository, "properties") => minijinja::Value::from_object(Self::Properties),
            (Self::Properties, _) => "value".into(),
            _ => return None,
        };
        Some(fact)
    }
}

/// Returns the content of a template for a repository.
pub(crate) fn render(template: &str, repository: TemplateFacts<'_>) -> Result<String, String> {
    rendered(template, minijinja::Value::from(Serde(json!({ "repository": repository }))))
}

fn rendered(template: &str, facts: minijinja::Value) -> Result<String, String> {
    let rendered = environment(UndefinedBehavior::Strict).render_str(template, facts);
    let mut content = rendered.map_err(|error| wrong("template", &error))?;
    // The template engine removes the line break at the end of a template, but most files must end
    // with a line break.
    if template.ends_with('\n') {
        content.push('\n');
    }
    Ok(content)
}

/// Returns an error if a template is invalid, or if it uses a fact that does not exist.
pub(super) fn check(template: &str) -> Result<(), String> {
    rendered(template, minijinja::Value::from_object(Sample::Facts)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: TemplateFacts<'_> = TemplateFacts {
        name: "name",
        owner: "owner",
        visibility: "private",
        default_branch: "main",
        topics: None,
        properties: None,
    };

    #[test]
    fn a_template_names_its_repository_and_keeps_its_last_line_break() {
        let rendered = |template: &str| render(template, FACTS).unwrap();
        assert_eq!(rendered("{{ repository.owner }}/{{ repository.name }}\n"), "owner/name\n");
        assert_eq!(rendered("on {{ repository.default_branch }}"), "on main");
        let expression = "{% raw %}${{ github.ref }}{% endraw %}\n";
        assert_eq!(rendered(expression), "${{ github.ref }}\n");
    }

    #[test]
    fn a_template_with_an_error_is_refused() {
        for template in [
            "{{ repository.nme }}",
            "{{ repo.name }}",
            "{{ repository.name",
            "{% for x in range(9999) %}{% for y in range(9999) %}.{% endfor %}{% endfor %}",
        ] {
            assert!(check(template).is_err(), "{template}");
        }
        for template in [
            "{{ repository.visibility }}",
            "{{ repository.properties.tier }}",
            "{% if repository.properties.tier is defined %}x{% endif %}",
            "{% for topic in repository.topics %}{{ topic }} {% endfor %}",
            "{% if 'web' in repository.topics %}x{% endif %}",
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn a_template_names_topics_and_properties() {
        let topics = ["api".to_owned(), "web".to_owned()];
        let properties = BTreeMap::from([
            ("tier".to_owned(), json!("gold")),
            ("languages".to_owned(), json!(["go", "rust"])),
        ]);
        let facts = TemplateFacts { topics: Some(&topics), properties: Some(&properties), ..FACTS };
        let rendered = |template: &str| render(template, facts);
        assert_eq!(rendered("{{ repository.topics | join(' ') }}"), Ok("api web".to_owned()));
        let languages =
            "{{ repository.properties.tier }}: {{ repository.properties.languages | join(', ') }}";
        assert_eq!(rendered(languages), Ok("gold: go, rust".to_owned()));
        let default = "{{ repository.properties.owner | default('nobody') }}";
        assert_eq!(rendered(default), Ok("nobody".to_owned()));
        assert!(
            rendered("{{ repository.properties.owner }}").is_err(),
            "the repository has no such property"
        );
    }

    #[test]
    fn facts_that_beadle_did_not_read_are_not_empty() {
        for template in [
            "{% if 'web' in repository['top' ~ 'ics'] %}x{% endif %}",
            "{% for topic in repository['top' ~ 'ics'] %}{{ topic }}{% endfor %}",
            "{{ repository['prop' ~ 'erties'].tier | default('none') }}",
        ] {
            assert!(render(template, FACTS).is_err(), "{template}");
        }
        let none = TemplateFacts { topics: Some(&[]), ..FACTS };
        assert_eq!(
            render("{% for topic in repository.topics %}{{ topic }}{% endfor %}", none),
            Ok(String::new())
        );
    }
}
