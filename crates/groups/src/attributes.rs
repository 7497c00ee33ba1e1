//! The mapped attributes of accounts. An expression computes the value of each attribute from the
//! person's profile at the directory.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use beadle_engine::expressions::{environment, wrong};
use beadle_scim::Attribute;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Expression, UndefinedBehavior};
use serde_json::{Value, json};

use crate::sources::Person;

/// The environment that evaluates the expressions. A name without a value is not an error, because
/// Okta leaves out attributes without a value.
static ENVIRONMENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Chainable));

/// An attribute, and the expression for its value.
#[derive(Debug)]
struct Mapped {
    attribute: Attribute,
    expression: Expression<'static, 'static>,
}

/// The mapped attributes of one target.
#[derive(Clone, Debug, Default)]
pub struct Attributes(Arc<Vec<Mapped>>);

impl Attributes {
    /// Compiles the expressions. If an expression is invalid, the error contains the attribute and
    /// the reason.
    pub fn new(all: Vec<(Attribute, String)>) -> Result<Self, (Attribute, String)> {
        let mut mapped = Vec::with_capacity(all.len());
        for (attribute, text) in all {
            match ENVIRONMENT.compile_expression_owned(text) {
                Ok(expression) => mapped.push(Mapped { attribute, expression }),
                Err(error) => {
                    let why = wrong(attribute.name(), &error);
                    return Err((attribute, why));
                }
            }
        }
        Ok(Self(Arc::new(mapped)))
    }

    /// Returns the names of the directory's attributes that the expressions use.
    pub fn uses(&self) -> BTreeSet<String> {
        self.0.iter().flat_map(|mapped| mapped.expression.undeclared_variables(false)).collect()
    }

    /// Returns the mapped attributes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Attribute> {
        self.0.iter().map(|mapped| &mapped.attribute)
    }

    /// Returns the value that each attribute of the person's account must have. The value null
    /// means that the account must not have the attribute. An error gives the reason why the value
    /// is unknown.
    pub(crate) fn wanted(&self, person: &Person) -> Vec<(Attribute, Result<Value, String>)> {
        let profile = minijinja::Value::from(Serde(&person.profile));
        // Every profile has a login. If the login is missing, the directory did not show the
        // profile. Without this check, each attribute would then seem to have no value.
        let is_shown = person.login != person.id;
        let value = |mapped: &Mapped| {
            if is_shown {
                mapped.value(profile.clone())
            } else {
                let name = mapped.attribute.name();
                Err(format!("{name}: the directory does not show the profile of {}", person.id))
            }
        };
        self.0.iter().map(|mapped| (mapped.attribute.clone(), value(mapped))).collect()
    }

    /// Returns the known values of [`Self::wanted`].
    pub(crate) fn known(&self, person: &Person) -> Vec<(Attribute, Value)> {
        let wanted = self.wanted(person).into_iter();
        wanted.filter_map(|(attribute, value)| Some((attribute, value.ok()?))).collect()
    }
}

impl Mapped {
    fn value(&self, profile: minijinja::Value) -> Result<Value, String> {
        let name = self.attribute.name();
        let value = self.expression.eval(profile).map_err(|error| wrong(name, &error))?;
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => Ok(Value::Null),
            ValueKind::String | ValueKind::Number | ValueKind::Bool if self.attribute.is_text() => {
                let text = value.to_string();
                Ok(if text.is_empty() { Value::Null } else { json!(text) })
            }
            ValueKind::String if value.as_str() == Some("") => Ok(Value::Null),
            ValueKind::String | ValueKind::Number | ValueKind::Bool => {
                serde_json::to_value(&value).map_err(|error| format!("{name}: {error}"))
            }
            other => Err(format!("{name}: the value must be a text, a number or a boolean, found a {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(profile: Value) -> Person {
        let Value::Object(profile) = profile else { panic!("a profile is an object") };
        Person {
            id: "00u1".into(),
            login: "ada@acme.example".into(),
            email: None,
            given: "Ada".into(),
            family: "Lovelace".into(),
            display: "Ada".into(),
            is_leaving: false,
            status: "ACTIVE".into(),
            may_be_made: true,
            profile,
            account: None,
            role: None,
        }
    }

    fn value(attribute: &str, expression: &str, profile: &Value) -> Result<Value, String> {
        let attribute = Attribute::named(attribute).or_else(|| Attribute::with_path(attribute).ok()).unwrap();
        let attributes = Attributes::new(vec![(attribute, expression.into())]).unwrap();
        attributes.wanted(&person(profile.clone())).pop().unwrap().1
    }

    #[test]
    fn a_value_is_a_name_of_the_profile_or_an_expression() {
        let profile = json!({
            "title": "Countess", "city": "London", "countryCode": "GB", "employeeNumber": 7, "empty": "",
            "unset": null, "lead": true, "tags": ["a"],
        });
        for (attribute, expression, wanted) in [
            ("title", "title", json!("Countess")),
            ("locality", "city ~ ', ' ~ countryCode", json!("London, GB")),
            ("title", "title | upper", json!("COUNTESS")),
            ("title", "nickName or 'none'", json!("none")),
            ("employee_number", "employeeNumber", json!("7")),
            ("urn:acme:User:number", "employeeNumber", json!(7)),
            ("urn:acme:User:lead", "lead", json!(true)),
            ("title", "missing", Value::Null),
            ("title", "unset", Value::Null),
            ("title", "empty", Value::Null),
            ("urn:acme:User:empty", "empty", Value::Null),
        ] {
            assert_eq!(value(attribute, expression, &profile), Ok(wanted), "{attribute} = {expression}");
        }
        assert!(value("title", "tags", &profile).unwrap_err().contains("title: the value must be"));
    }

    #[test]
    fn without_a_profile_the_values_are_unknown() {
        let title = Attribute::named("title").unwrap();
        let attributes = Attributes::new(vec![(title, "title".into())]).unwrap();
        let hidden = Person { login: "00u1".into(), ..person(json!({})) };
        assert!(attributes.wanted(&hidden).iter().all(|(_, value)| value.is_err()));
        assert!(attributes.known(&hidden).is_empty());
        assert_eq!(attributes.known(&person(json!({}))).len(), 1, "this person has no title");
    }

    #[test]
    fn the_used_names_are_those_of_the_profile() {
        let attribute = |name: &str, text: &str| (Attribute::named(name).unwrap(), text.to_owned());
        let attributes = Attributes::new(vec![
            attribute("title", "title"),
            attribute("locality", "city ~ ', ' ~ (countryCode | upper)"),
        ]);
        let uses = attributes.unwrap().uses();
        assert_eq!(uses, BTreeSet::from(["title", "city", "countryCode"].map(str::to_owned)));
    }

    #[test]
    fn an_invalid_expression_is_refused_with_its_attribute() {
        let title = Attribute::named("title").unwrap();
        let (attribute, why) = Attributes::new(vec![(title, "title ~".into())]).unwrap_err();
        assert_eq!(attribute.name(), "title");
        assert!(why.starts_with("title: "), "{why}");
    }
}
