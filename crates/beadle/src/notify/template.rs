//! The templates of a channel: the title and the body of each topic. The templates replace Beadle's
//! own texts.

use std::fmt::Write as _;

use beadle_config::NotifyFile;
use beadle_engine::Time;
use beadle_engine::expressions::{environment, wrong};
use beadle_engine::notify::{Found, Item, Problem, ProblemKind, State, Topic, collect};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde_json::json;

use super::text::{Text, advice, cut};
use crate::output::escape;

/// The values that a template can use.
pub(crate) const FIELDS: &str = "`kind`, `instance`, `aspect`, `state`, `count`, `new`, `since`, `title`, \
                                 `advice`, `problems` and `more`";
/// The maximum size of a title in bytes.
const TITLE: usize = 250;
/// The maximum size of a body in bytes, and its maximum number of lines. A topic of this size fits
/// into a card of Teams.
const BODY: usize = 6_000;
const LINES: usize = 50;

/// The place where a text is shown. The place decides how Beadle encodes the values in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Plain text. The channel encodes the whole text later.
    Plain,
    /// Markdown that GitHub renders. The text of the template is Markdown, and its values are code.
    Markdown,
}

/// The templates of a channel. Without a template, a topic has Beadle's own text.
pub(crate) struct Templates<'a> {
    title: Option<&'a str>,
    body: Option<&'a str>,
    /// The place of the body. A title is plain text in each channel.
    place: Place,
}

impl<'a> Templates<'a> {
    /// Returns the templates of a channel.
    pub(crate) fn of(channel: &'a NotifyFile) -> Self {
        let place = if channel.github.is_some() { Place::Markdown } else { Place::Plain };
        Self { title: channel.title.as_deref(), body: channel.body.as_deref(), place }
    }

    /// Renders the templates for a sample topic of each kind, once with and once without problems.
    /// If a template is invalid, returns the key and the error of this template.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        for item in ProblemKind::ALL.into_iter().flat_map(samples) {
            if let Some(title) = self.title {
                let rendered = render("title", title, Place::Plain, &item).map_err(|why| ("title", why))?;
                if rendered.trim().is_empty() {
                    let kind = item.topic.kind;
                    return Err(("title", format!("the title must not be empty, and is empty for `{kind}`")));
                }
            }
            if let Some(body) = self.body {
                render("body", body, self.place, &item).map_err(|why| ("body", why))?;
            }
        }
        Ok(())
    }

    /// Returns the texts of a topic. If a template fails, the result contains Beadle's own text and
    /// the reason for the failure.
    pub(super) fn text(&self, item: &Item) -> Text {
        let mut text = Text::own(item);
        if let Some(title) = self.title {
            match render("title", title, Place::Plain, item) {
                Ok(title) if title.trim().is_empty() => {}
                // A line break in the text of the template would end the title.
                Ok(title) => text.title = cut(title.trim().replace(['\r', '\n'], " ").as_str(), TITLE),
                Err(why) => text.failures.push(failure(&why)),
            }
        }
        if let Some(body) = self.body {
            match render("body", body, self.place, item) {
                Ok(body) => text.body = Some(short(&body)),
                Err(why) => text.failures.push(failure(&why)),
            }
        }
        text
    }
}

fn failure(why: &str) -> String {
    format!("A template of the channel failed: {}", escape::escaped(why))
}

/// Returns a topic with one problem, and the same topic without problems.
fn samples(kind: ProblemKind) -> Vec<Item> {
    let problem = Problem {
        topic: Topic::new(kind, "acme").of_aspect("teams"),
        id: "1".into(),
        subject: "acme/shop".into(),
        what: "removes team engineering".into(),
        why: "guard limit reached".into(),
        code: "5d0c1e2f3a4b".into(),
    };
    let item = |(topic, found)| Item { topic, state: State::Opened, since: Time(0), new: 1, found };
    let opened: Vec<Item> = collect([problem]).into_iter().map(item).collect();
    let recovered = |item: &Item| {
        let mut item = item.clone();
        (item.state, item.new, item.found) = (State::Recovered, 0, Found::default());
        item
    };
    let ended: Vec<Item> = opened.iter().map(recovered).collect();
    opened.into_iter().chain(ended).collect()
}

/// Renders a template. `name` is the key of the template. An error contains this key and the line
/// in the template.
fn render(name: &str, template: &str, place: Place, item: &Item) -> Result<String, String> {
    let rendered = engine(place).render_named_str(name, template, values(item));
    rendered.map_err(|error| wrong(&format!("`{name}`"), &error))
}

/// Returns the environment for the templates of a place. The place's encoder encodes each value. If
/// a template uses an unknown value, the template is invalid.
fn engine(place: Place) -> Environment<'static> {
    let mut engine = environment(UndefinedBehavior::Strict);
    // A line that contains only a block, such as the beginning of a loop, does not become an empty
    // line.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        engine.set_syntax(syntax);
    }
    engine.set_formatter(move |out, _, value| {
        let text = escape::escaped(value);
        let text = if place == Place::Markdown { code(&text) } else { text };
        out.write_str(&text).map_err(minijinja::Error::from)
    });
    engine
}

fn values(item: &Item) -> Value {
    let problems: Vec<_> = item
        .lines()
        .iter()
        .map(|line| {
            json!({
                "what": line.what,
                "why": line.why,
                "code": line.code,
                "count": line.count,
                "names": line.examples,
            })
        })
        .collect();
    Value::from(Serde(json!({
        "kind": item.topic.kind,
        "instance": item.topic.instance,
        "aspect": item.topic.aspect,
        "state": item.state,
        "count": item.count(),
        "new": item.new,
        "since": item.since.to_string(),
        "title": Text::own(item).title,
        "advice": if item.state == State::Recovered { "" } else { advice(item.topic.kind) },
        "problems": problems,
        "more": item.found.more,
    })))
}

/// Returns a value as code in GitHub's Markdown. GitHub interprets nothing in code. The text before
/// and after the value comes from the template, so a fence of backticks would not be safe. So this
/// function encodes each character that could have a meaning.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut code = String::from("<code>");
    for c in text.chars() {
        if c.is_alphanumeric() || c == ' ' {
            code.push(c);
        } else {
            let _ = write!(code, "&#{};", u32::from(c)); // writing to a string cannot fail
        }
    }
    code.push_str("</code>");
    code
}

/// Returns the body, or its beginning if the body is too long.
fn short(body: &str) -> String {
    let body = body.trim_end();
    let lines: Vec<&str> = body.lines().take(LINES).collect();
    let left = body.lines().count() - lines.len();
    let mut text = cut(&lines.join("\n"), BODY);
    if left > 0 {
        text.push_str("\n…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::hostile;
    use super::*;

    const BODY_TEMPLATE: &str = "**{{ state }}** since {{ since }}\n{% for problem in problems %}\n\
                                 - {{ problem.what }} at {{ problem.names|join(\", \") }}\n{% endfor %}\n\
                                 {{ advice }}";

    fn templates<'a>(title: Option<&'a str>, body: Option<&'a str>, place: Place) -> Templates<'a> {
        Templates { title, body, place }
    }

    #[test]
    fn a_template_replaces_the_title_and_the_body() {
        let item = &hostile().items[0];
        let title = Some("[{{ kind }}] {{ title }} ({{ new }} of {{ count }})");
        let text = templates(title, Some(BODY_TEMPLATE), Place::Plain).text(item);
        assert_eq!(text.title, "[held] acme: 7 changes of teams held (7 of 7)");
        let body = text.body.unwrap();
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines.len(), 3, "{body}");
        assert_eq!(lines[0], "**opened** since 1970-01-01T00:00:00Z");
        assert!(lines[1].starts_with("- removes team <@U123> `x`\\n# new at acme/<!channel>*"), "{body}");
        assert!(lines[2].starts_with("List the changes with"), "{body}");
        let own = templates(None, None, Place::Plain).text(item);
        assert!(own.body.is_none() && own.title == "acme: 7 changes of teams held");
    }

    #[test]
    fn a_value_is_code_in_markdown_whatever_is_next_to_it() {
        let item = &hostile().items[0];
        let body = "{% for p in problems %}{{ p.what }}{{ p.what }}`{{ p.names[0] }}`{% endfor %}";
        let text = templates(None, Some(body), Place::Markdown).text(item).body.unwrap();
        let own = text.replace("<code>", "").replace("</code>", "");
        for meaning in ['<', '>', '@', '#', '[', ']', '(', '*', '_', '|', ':', '/', '.'] {
            let outside = own.replace("&#", "");
            assert!(!outside.contains(meaning), "{meaning}: {text}");
        }
        assert_eq!(own.matches('`').count(), 2, "those of the template: {text}");
        assert_eq!((text.matches("<code>").count(), text.matches("</code>").count()), (3, 3));
        let captured = "{% set all %}{{ instance }}{% endset %}{{ all }}{{ '<b>'|safe }}";
        let text = templates(None, Some(captured), Place::Markdown).text(item).body.unwrap();
        assert!(!text.contains("<b>"), "{text}");
    }

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        let mut item = hostile().items.remove(0);
        item.found.lines[0].what = "a\r\nb\u{2028}c\u{202e}".into();
        for place in [Place::Plain, Place::Markdown] {
            let body = "{% for p in problems %}{{ p.what }}{% endfor %}";
            let text = templates(Some("{{ problems[0].what }}"), Some(body), place).text(&item);
            assert_eq!(text.body.unwrap().lines().count(), 1, "{place:?}");
            assert!(!text.title.chars().any(char::is_control));
        }
    }

    #[test]
    fn an_invalid_template_is_found_without_a_message() {
        let check = |title, body| templates(title, body, Place::Plain).check();
        assert_eq!(check(Some("{{ title }}"), Some(BODY_TEMPLATE)), Ok(()));
        for (title, body, key, said) in [
            (Some("{{ titel }}"), None, "title", "undefined value"),
            (Some("{{ title"), None, "title", "(in title:1)"),
            (Some(" "), None, "title", "must not be empty"),
            (Some("{% if aspect == 'x' %}x{% endif %}"), None, "title", "is empty for `held`"),
            (None, Some("one\n{{ problem.what }}"), "body", "(in body:2)"),
            (None, Some("{{ problems[0].what }}"), "body", "undefined value"),
            (
                None,
                Some("{% for x in range(9999) %}{% for y in range(9999) %}.{% endfor %}{% endfor %}"),
                "body",
                "steps of work",
            ),
        ] {
            let (found, why) = check(title, body).unwrap_err();
            assert_eq!(found, key, "{why}");
            assert!(why.contains(said), "{title:?} {body:?}: {why}");
        }
    }

    #[test]
    fn a_template_that_fails_leaves_beadles_own_text() {
        let item = &hostile().items[0];
        let text = templates(Some("{{ nothing }}"), Some("{{ nothing }}"), Place::Plain).text(item);
        assert_eq!(text.title, "acme: 7 changes of teams held");
        assert!(text.body.is_none());
        assert_eq!(text.failures.len(), 2, "{:?}", text.failures);
        assert!(text.below().last().unwrap().contains("template of the channel failed"));
    }

    #[test]
    fn a_long_body_has_its_beginning() {
        let body = "{% for x in range(900) %}\nline {{ x }}\n{% endfor %}";
        let text = templates(None, Some(body), Place::Plain).text(&hostile().items[0]).body.unwrap();
        assert_eq!(text.lines().count(), LINES + 1, "{text}");
        assert!(short(&"ä".repeat(9000)).len() <= BODY + '…'.len_utf8());
    }
}
