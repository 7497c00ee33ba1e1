//! Labels. GitHub compares their names without case.
//!
//! <https://docs.github.com/rest/issues/labels>

use async_trait::async_trait;
use beadle_engine::{Asked, Failure, Risk};
use beadle_github::{Label, Method, Path, segment};
use serde_json::{Map, Value, json};

use super::{Aspect, Context, Sheet, Step, Target, field};
use crate::policy::{Node, Pattern};

/// The repository's labels.
pub struct Labels;

enum Write {
    Create(Value),
    Update { name: String, body: Value },
    Delete { name: String },
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &Target) -> Result<(), Failure> {
        let named = to.named()?;
        match self {
            Self::Create(body) => named.send(Method::POST, "labels", Some(body.clone())).await,
            Self::Update { name, body } => {
                named.send(Method::PATCH, Path::at("labels").value(name), Some(body.clone())).await
            }
            Self::Delete { name } => {
                named.send(Method::DELETE, Path::at("labels").value(name), None).await
            }
        }
    }
}

struct Want<'a> {
    name: &'a str,
    color: Option<String>,
    description: Option<&'a str>,
    /// What it was called before.
    oldname: Option<&'a str>,
    asked: &'a Asked,
}

impl<'a> Want<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        let text = |key: &str| node.get(key).and_then(Node::text);
        Some(Self {
            name: text("name")?,
            color: text("color").map(|color| color.trim_start_matches('#').to_lowercase()),
            description: text("description").map(str::trim_end),
            oldname: text("oldname"),
            asked: &node.asked,
        })
    }
}

#[async_trait]
impl Aspect for Labels {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn owns(&self, section: &str) -> bool {
        section == "labels"
    }

    async fn plan(&self, context: &Context<'_>, sheet: &mut Sheet) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("labels") else { return Ok(()) };
        let seen = match &context.repository.labels {
            Some(Ok(seen)) => seen,
            Some(Err(why)) => {
                sheet.unreadable(why.clone());
                return Ok(());
            }
            None => return Ok(()),
        };
        let wants: Vec<Want<'_>> = section.items().iter().filter_map(Want::read).collect();
        let find = |name: &str| seen.iter().find(|label| label.name.eq_ignore_ascii_case(name));
        for want in &wants {
            match find(want.name).or_else(|| find(want.oldname?)) {
                Some(found) => match segment(&found.name) {
                    Ok(()) => change(want, found, sheet),
                    Err(why) => {
                        sheet.part_unresolved(want.name, format!("the label cannot be changed through the API: {why}"));
                    }
                },
                None => create(want, sheet),
            }
        }
        if !section.exclusive {
            return Ok(());
        }
        let exclude = section.node.get("exclude").map(Node::items).unwrap_or_default();
        let kept: Vec<Pattern> = exclude
            .iter()
            .filter_map(|item| Pattern::regex(item.get("name").unwrap_or(item).text()?).ok())
            .collect();
        for label in seen {
            let is = |name: Option<&str>| name.is_some_and(|name| name.eq_ignore_ascii_case(&label.name));
            let listed = wants.iter().any(|want| is(Some(want.name)) || is(want.oldname));
            if !listed && !kept.iter().any(|pattern| pattern.is_match(&label.name)) {
                if let Err(why) = segment(&label.name) {
                    // Its address would be the one of something else.
                    sheet.part_unresolved(&label.name, format!("the label cannot be deleted through the API: {why}"));
                    continue;
                }
                let asked = Some(&section.node.asked);
                let fields = vec![field("color", json!(label.color), Value::Null, asked, Risk::Removes)];
                sheet.change(
                    format!("label {}", label.name),
                    fields,
                    Write::Delete { name: label.name.clone() },
                );
            }
        }
        Ok(())
    }
}

fn create(want: &Want<'_>, sheet: &mut Sheet) {
    let mut body = json!({ "name": want.name });
    if let Some(color) = &want.color {
        body["color"] = json!(color);
    }
    if let Some(description) = want.description {
        body["description"] = json!(description);
    }
    let fields = vec![field("color", Value::Null, body["color"].clone(), Some(want.asked), Risk::Adds)];
    sheet.change(format!("label {}", want.name), fields, Write::Create(body));
}

fn change(want: &Want<'_>, found: &Label, sheet: &mut Sheet) {
    let (mut fields, mut body) = (Vec::new(), Map::new());
    let mut differs = |name: &str, key: &str, before: Value, after: Value| {
        if before != after {
            fields.push(field(name, before, after.clone(), Some(want.asked), Risk::Changes));
            body.insert(key.to_owned(), after);
        }
    };
    differs("name", "new_name", json!(found.name), json!(want.name));
    if let Some(color) = &want.color {
        differs("color", "color", json!(found.color.to_lowercase()), json!(color));
    }
    if let Some(description) = want.description {
        let before = found.description.clone().unwrap_or_default();
        differs("description", "description", json!(before), json!(description));
    }
    if !fields.is_empty() {
        let write = Write::Update { name: found.name.clone(), body: Value::Object(body) };
        sheet.change(format!("label {}", found.name), fields, write);
    }
}
