//! Filters in Okta's form: one or more comparisons `attribute operator "value"`, joined by `and` or
//! by `or`. An invalid filter is an error.
//!
//! <https://developer.okta.com/docs/api/#filter>

use serde_json::Value;

/// One comparison in a filter.
struct Comparison {
    attribute: String,
    operator: Operator,
    value: Value,
}

#[derive(Clone, Copy)]
enum Operator {
    Eq,
    Sw,
    Gt,
    Ge,
    Lt,
    Le,
    Pr,
}

/// A parsed filter.
pub(super) struct Filter {
    comparisons: Vec<Comparison>,
    /// True if all comparisons must be true. If it is `false`, one true comparison is enough.
    all: bool,
}

impl Filter {
    /// Parses a filter. `attributes` are the attributes that the filter can contain.
    pub(super) fn read(text: &str, attributes: &[&str]) -> Result<Self, String> {
        let wrong = |what: &str| format!("filter: {what}: {text}");
        let mut words = words(text)?.into_iter();
        let mut comparisons = Vec::new();
        let mut joined: Option<bool> = None;
        loop {
            let attribute = words.next().ok_or_else(|| wrong("an attribute is missing"))?;
            if !attributes.contains(&attribute.as_str()) {
                return Err(wrong(&format!("`{attribute}` cannot be asked for")));
            }
            let operator = match words.next().unwrap_or_default().to_lowercase().as_str() {
                "eq" => Operator::Eq,
                "sw" => Operator::Sw,
                "gt" => Operator::Gt,
                "ge" => Operator::Ge,
                "lt" => Operator::Lt,
                "le" => Operator::Le,
                "pr" => Operator::Pr,
                _ => return Err(wrong("an operator is missing")),
            };
            let value = if matches!(operator, Operator::Pr) {
                Value::Null
            } else {
                let word = words.next().ok_or_else(|| wrong("a value is missing"))?;
                serde_json::from_str(&word).map_err(|_| wrong("a value is not right"))?
            };
            comparisons.push(Comparison { attribute, operator, value });
            let all = match words.next().map(|word| word.to_lowercase()).as_deref() {
                None => break,
                Some("and") => true,
                Some("or") => false,
                Some(_) => return Err(wrong("`and` or `or` is missing")),
            };
            if joined.is_some_and(|before| before != all) {
                return Err(wrong("`and` and `or` together are not simulated"));
            }
            joined = Some(all);
        }
        Ok(Self { comparisons, all: joined.unwrap_or(true) })
    }

    /// Returns whether an object matches the filter.
    pub(super) fn holds(&self, object: &Value) -> bool {
        let mut comparisons = self.comparisons.iter();
        let holds = |comparison: &Comparison| comparison.holds(object);
        if self.all { comparisons.all(holds) } else { comparisons.any(holds) }
    }
}

impl Comparison {
    fn holds(&self, object: &Value) -> bool {
        let found = self.attribute.split('.').try_fold(object, |value, part| value.get(part));
        let found = found.unwrap_or(&Value::Null);
        if matches!(self.operator, Operator::Pr) {
            return !found.is_null();
        }
        let (Some(is), Some(wanted)) = (found.as_str(), self.value.as_str()) else {
            return matches!(self.operator, Operator::Eq) && *found == self.value;
        };
        match self.operator {
            Operator::Eq => is == wanted,
            Operator::Sw => is.starts_with(wanted),
            Operator::Gt => is > wanted,
            Operator::Ge => is >= wanted,
            Operator::Lt => is < wanted,
            Operator::Le => is <= wanted,
            Operator::Pr => true,
        }
    }
}

/// Splits a filter into words. A text in quotes is one word, and keeps its quotes.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for letter in text.chars() {
        if letter.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(letter);
        if escaped {
            escaped = false;
        } else if quoted && letter == '\\' {
            escaped = true;
        } else if letter == '"' {
            quoted = !quoted;
        }
    }
    if quoted {
        return Err(format!("filter: a quote is not closed: {text}"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(filter: &str, object: &Value) -> Option<bool> {
        let attributes = ["id", "type", "eventType", "lastMembershipUpdated", "profile.name"];
        Filter::read(filter, &attributes).ok().map(|filter| filter.holds(object))
    }

    #[test]
    fn a_filter_selects_objects_and_an_invalid_filter_is_refused() {
        let group = json!({ "id": "00g1", "type": "OKTA_GROUP", "profile": { "name": "AWS \"Ops\" or more" },
            "lastMembershipUpdated": "2026-01-02T00:00:00.000Z" });
        assert_eq!(holds("id eq \"00g1\"", &group), Some(true));
        assert_eq!(holds("id eq \"00g2\"", &group), Some(false));
        assert_eq!(holds("profile.name eq \"AWS \\\"Ops\\\" or more\"", &group), Some(true));
        assert_eq!(holds("profile.name sw \"AWS\" and type eq \"APP_GROUP\"", &group), Some(false));
        assert_eq!(holds("id eq \"x\" or id eq \"00g1\"", &group), Some(true));
        assert_eq!(holds("lastMembershipUpdated gt \"2026-01-01T00:00:00.000Z\"", &group), Some(true));
        for garbage in
            ["", "garbage", "id", "id eq", "id eq 00g1", "id is \"x\"", "name eq \"x\"", "id eq \"x"]
        {
            assert_eq!(holds(garbage, &group), None, "{garbage}");
        }
        assert_eq!(holds("id eq \"x\" id eq \"y\"", &group), None);
    }
}
