//! The title of a change. The title does not contain the name of the repository. So a change has
//! the same title in every repository.

use serde_json::Value;

use crate::plan::{Change, Field, Risk};

/// The maximum length of a value in a title, in bytes.
const WORD: usize = 40;

/// Returns the subject of a change, and the values of the change that have this risk. An example is
/// `team core: permission → pull`. If a whole part, such as a team, appears or disappears, the
/// title contains only the name of the part.
pub fn change_title<W>(change: &Change<W>, risk: Risk) -> String {
    let fields = || change.fields.iter().filter(move |field| field.risk == risk);
    let is_whole = fields().any(|field| field.before.is_null() || field.after.is_null());
    if is_whole && !change.what.is_empty() {
        return change.what.clone();
    }
    let values = fields().map(value).collect::<Vec<_>>().join(", ");
    if change.what.is_empty() { values } else { format!("{}: {values}", change.what) }
}

/// Returns the name of a value, and the new value if it is one plain word.
fn value(field: &Field) -> String {
    let is_plain = |text: &str| {
        text.len() <= WORD && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    match &field.after {
        _ if field.before.is_null() => field.name.clone(),
        Value::String(text) if is_plain(text) => format!("{} → {text}", field.name),
        Value::Bool(on) => format!("{} → {on}", field.name),
        Value::Number(number) => format!("{} → {number}", field.name),
        _ => field.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::change;

    #[test]
    fn a_title_says_whether_a_team_goes_or_only_loses_a_permission() {
        for (aspect, part, before, after, title) in [
            ("teams", "team core", json!("admin"), json!("pull"), "team core: x → pull"),
            ("teams", "team core", json!("admin"), Value::Null, "team core"),
            ("settings", "", json!(true), json!(false), "x → false"),
            ("settings", "", json!("a"), json!("two words"), "x"),
            ("settings", "", Value::Null, json!(true), "x"),
        ] {
            let mut change = change(aspect, part, &[Risk::Removes]);
            change.fields[0] = Field { before, after, ..change.fields[0].clone() };
            assert_eq!(change_title(&change, Risk::Removes), title);
        }
    }
}
