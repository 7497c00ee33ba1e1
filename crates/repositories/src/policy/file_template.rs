//! The templates of files. A template can name facts about its repository.

use beadle_engine::expressions::{environment, wrong};
use minijinja::UndefinedBehavior;
use minijinja::value::Serde;
use serde::Serialize;
use serde_json::json;

/// The facts that a template can name as `repository`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TemplateFacts<'a> {
    pub(crate) name: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) visibility: &'a str,
    pub(crate) default_branch: &'a str,
}

/// The facts of no real repository, for the check of a policy.
const SAMPLE: TemplateFacts<'_> =
    TemplateFacts { name: "name", owner: "owner", visibility: "private", default_branch: "main" };

/// Returns the content that a template has for a repository.
pub(crate) fn render(template: &str, repository: TemplateFacts<'_>) -> Result<String, String> {
    let facts = minijinja::Value::from(Serde(json!({ "repository": repository })));
    let rendered = environment(UndefinedBehavior::Strict).render_str(template, facts);
    let mut content = rendered.map_err(|error| wrong("template", &error))?;
    // The engine drops the last line break of a template, and most files must end with one.
    if template.ends_with('\n') {
        content.push('\n');
    }
    Ok(content)
}

/// Returns an error if a template is invalid, or if it names a fact that does not exist.
pub(super) fn check(template: &str) -> Result<(), String> {
    render(template, SAMPLE).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_its_repository_and_keeps_its_last_line_break() {
        let rendered = |template: &str| render(template, SAMPLE).unwrap();
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
        assert_eq!(check("{{ repository.visibility }}"), Ok(()));
    }
}
