//! The attributes of users in the mappings of a configuration. These attributes belong to the core
//! schema, to the enterprise extension (RFC 7643, 4.1 and 4.3), or to a server's own schemas.

use serde_json::{Map, Value, json};

/// The id of the enterprise extension's schema.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The attributes that have their own names in the configuration. The table has the name and the
/// place of each attribute.
const NAMED: [(&str, Known); 19] = [
    ("title", Known::Core("title")),
    ("nick_name", Known::Core("nickName")),
    ("profile_url", Known::Core("profileUrl")),
    ("user_type", Known::Core("userType")),
    ("preferred_language", Known::Core("preferredLanguage")),
    ("locale", Known::Core("locale")),
    ("timezone", Known::Core("timezone")),
    ("phone", Known::Entry(PHONES, "value")),
    ("street_address", Known::Entry(ADDRESSES, "streetAddress")),
    ("locality", Known::Entry(ADDRESSES, "locality")),
    ("region", Known::Entry(ADDRESSES, "region")),
    ("postal_code", Known::Entry(ADDRESSES, "postalCode")),
    ("country", Known::Entry(ADDRESSES, "country")),
    ("employee_number", Known::Enterprise("employeeNumber")),
    ("cost_center", Known::Enterprise("costCenter")),
    ("organization", Known::Enterprise("organization")),
    ("division", Known::Enterprise("division")),
    ("department", Known::Enterprise("department")),
    ("manager", Known::Enterprise("manager.value")),
];

const PHONES: &str = "phoneNumbers";
const ADDRESSES: &str = "addresses";

/// The attributes that Beadle writes itself, or that only the server sets.
const MANAGED: [&str; 11] = [
    "schemas",
    "id",
    "meta",
    "userName",
    "externalId",
    "active",
    "displayName",
    "emails",
    "groups",
    "name.givenName",
    "name.familyName",
];

/// The attributes with several values. Of these attributes, a mapping can set only the parts that
/// are in [`NAMED`].
const LISTS: [&str; 8] =
    [PHONES, ADDRESSES, "ims", "photos", "entitlements", "roles", "x509Certificates", "emails"];

/// The attributes of IAM Identity Center that are not in [`NAMED`].
///
/// <https://docs.aws.amazon.com/singlesignon/latest/developerguide/limitations.html>
const AWS: [&str; 4] = ["name.formatted", "name.middleName", "name.honorificPrefix", "name.honorificSuffix"];

/// The place of an attribute that has its own name in the configuration.
#[derive(Clone, Copy)]
enum Known {
    /// An attribute of the core schema.
    Core(&'static str),
    /// An attribute of the enterprise extension.
    Enterprise(&'static str),
    /// A value in the work entry of a list. For example, the work address is such an entry.
    Entry(&'static str, &'static str),
}

/// The place of an attribute in a user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The value is below these names in the user. If the attribute belongs to an extension, the
    /// first name is the schema.
    Names(Vec<String>),
    /// The value has this name in the work entry of a list. For example, the work address is such
    /// an entry.
    Entry(&'static str, &'static str),
}

/// An attribute of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    name: String,
    place: Place,
}

/// Splits a path at its dots. A dot inside the schema does not split the path.
fn names(path: &str) -> Vec<String> {
    let (schema, attribute) = match path.rsplit_once(':') {
        Some((schema, attribute)) => (Some(schema.to_owned()), attribute),
        None => (None, path),
    };
    schema.into_iter().chain(attribute.split('.').map(str::to_owned)).collect()
}

impl Attribute {
    /// Returns the attribute that has this name in the configuration.
    pub fn named(name: &str) -> Option<Self> {
        let (_, known) = NAMED.iter().find(|(own, _)| *own == name)?;
        let place = match *known {
            Known::Core(path) => Place::Names(names(path)),
            Known::Enterprise(path) => Place::Names(names(&format!("{ENTERPRISE}:{path}"))),
            Known::Entry(list, value) => Place::Entry(list, value),
        };
        Some(Self { name: name.to_owned(), place })
    }

    /// Returns the names of the attributes that need no path.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }

    /// Returns the attribute with this path, such as `name.middleName` or `urn:acme:User:shift`.
    /// The error explains the valid paths.
    pub fn with_path(path: &str) -> Result<Self, String> {
        let names = names(path);
        let is_name = |name: &String| {
            let rest_is_valid = name.chars().all(|c| c.is_ascii_alphanumeric() || "$_-".contains(c));
            rest_is_valid && name.starts_with(|c: char| c.is_ascii_alphabetic())
        };
        let is_extension = path.contains(':');
        let is_schema = |schema: &String| {
            let is_plain = |c: char| c.is_ascii_graphic() && !"\"'[]\\".contains(c);
            schema.starts_with("urn:") && schema.chars().all(is_plain)
        };
        let own = &names[usize::from(is_extension)..];
        let valid = (!is_extension || names.first().is_some_and(is_schema)) && own.iter().all(is_name);
        if !valid || own.is_empty() || own.len() > 2 {
            return Err("be an attribute such as `name.middleName` or `urn:acme:User:shift`".into());
        }
        if !is_extension {
            if MANAGED.contains(&path) || path == "name" || path == "password" {
                return Err(
                    "not be an attribute that Beadle writes itself or that only the server sets".into()
                );
            }
            if own.first().is_some_and(|first| LISTS.contains(&first.as_str())) {
                return Err("be an attribute with one value; for the work entry of `phoneNumbers` and \
                            `addresses`, use the keys such as `phone` and `locality`"
                    .into());
            }
        }
        let place = Place::Names(names);
        let same = Self::all_names().filter_map(Self::named).find(|known| known.place == place);
        if let Some(known) = same {
            return Err(format!("be an attribute without a key of its own: use the key `{}`", known.name));
        }
        Ok(Self { name: path.to_owned(), place })
    }

    /// Returns the name of the attribute in the configuration. The name is the attribute's key or
    /// its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the attribute has its own key. The value of an attribute with its own key is
    /// a string.
    pub fn is_text(&self) -> bool {
        Self::all_names().any(|name| name == self.name)
    }

    /// Returns whether IAM Identity Center has the attribute.
    pub fn is_known_to_aws(&self) -> bool {
        self.is_text() || AWS.contains(&self.name.as_str())
    }

    /// Returns the attribute's value from the attributes of a user, or null.
    pub(crate) fn of(&self, user: &Map<String, Value>) -> Value {
        let value = match &self.place {
            Place::Names(names) => {
                let mut names = names.iter();
                let first = names.next().and_then(|name| user.get(name));
                first.and_then(|first| names.try_fold(first, |value, name| value.get(name)))
            }
            Place::Entry(list, name) => {
                let entries = user.get(*list).and_then(Value::as_array);
                entries.and_then(|entries| entries.get(work(entries)?)?.get(*name))
            }
        };
        value.cloned().unwrap_or_default()
    }

    /// Returns the path of the attribute in a PATCH.
    fn path(names: &[String]) -> String {
        match names {
            [schema, rest @ ..] if schema.starts_with("urn:") => format!("{schema}:{}", rest.join(".")),
            _ => names.join("."),
        }
    }
}

/// Returns the position of the list entry that Beadle writes. Beadle writes the entry for work. If
/// the list has no entry for work, Beadle writes the primary entry that has no type. Beadle does
/// not write a primary entry of another type, such as the phone number at home.
fn work(entries: &[Value]) -> Option<usize> {
    let is_work =
        |entry: &Value| entry["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
    let at = entries.iter().position(is_work);
    at.or_else(|| entries.iter().position(|entry| entry["primary"] == true && entry["type"].is_null()))
}

/// Sets a value of the work entry. Removes the entry if it has no values after that.
fn set_entry(entries: &mut Vec<Value>, name: &str, value: &Value) {
    let at = match work(entries) {
        Some(at) => at,
        None if value.is_null() => return,
        None => {
            entries.push(json!({ "type": "work", "primary": entries.is_empty() }));
            entries.len() - 1
        }
    };
    let Some(entry) = entries.get_mut(at).and_then(Value::as_object_mut) else { return };
    if value.is_null() {
        entry.remove(name);
    } else {
        entry.insert(name.to_owned(), value.clone());
    }
    // The entry can contain a text with the whole address. This text contains the old parts.
    entry.remove("formatted");
    entry.remove("display");
    if entry.keys().all(|key| key == "type" || key == "primary") {
        entries.remove(at);
    }
}

/// Adds attributes to the body of a new user.
pub(crate) fn fill(body: &mut Value, attributes: &[(Attribute, Value)]) {
    let mut lists: Map<String, Value> = Map::new();
    for (attribute, value) in attributes.iter().filter(|(_, value)| !value.is_null()) {
        match &attribute.place {
            Place::Names(names) => {
                if let Some(schema) = names.first().filter(|name| name.starts_with("urn:"))
                    && let Some(schemas) = body["schemas"].as_array_mut()
                    && !schemas.iter().any(|known| known == schema.as_str())
                {
                    schemas.push(json!(schema));
                }
                let mut place = &mut *body;
                for name in names {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    place = &mut place[name.as_str()];
                }
                *place = value.clone();
            }
            Place::Entry(list, name) => {
                if let Some(entries) = lists.entry(*list).or_insert_with(|| json!([])).as_array_mut() {
                    set_entry(entries, name, value);
                }
            }
        }
    }
    for (list, entries) in lists {
        body[list] = entries;
    }
}

/// Returns the operations of a PATCH request that sets these attributes of a user. All other
/// entries of a list, and all other values of an entry, keep the values that `user` has.
pub(crate) fn operations(user: &Map<String, Value>, attributes: &[(Attribute, Value)]) -> Vec<Value> {
    let mut operations = Vec::new();
    let mut lists: Map<String, Value> = Map::new();
    let mut set = |path: &str, value: &Value| {
        operations.push(if value.is_null() {
            json!({ "op": "remove", "path": path })
        } else {
            json!({ "op": "replace", "path": path, "value": value })
        });
    };
    for (attribute, value) in attributes {
        match &attribute.place {
            Place::Names(names) => set(&Attribute::path(names), value),
            Place::Entry(list, name) => {
                let own = || user.get(*list).filter(|own| own.is_array()).cloned();
                let entries = lists.entry(*list).or_insert_with(|| own().unwrap_or_else(|| json!([])));
                if let Some(entries) = entries.as_array_mut() {
                    set_entry(entries, name, value);
                }
            }
        }
    }
    for (list, entries) in lists {
        let is_empty = entries.as_array().is_some_and(Vec::is_empty);
        set(&list, &if is_empty { Value::Null } else { entries });
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(shown: &Value) -> Map<String, Value> {
        shown.as_object().unwrap().clone()
    }

    fn named(name: &str) -> Attribute {
        Attribute::named(name).unwrap()
    }

    #[test]
    fn an_attribute_is_read_from_its_schema_or_its_work_entry() {
        let ada = user(&json!({
            "title": "Countess",
            ENTERPRISE: { "department": "Engines", "manager": { "value": "7" } },
            "phoneNumbers": [{ "type": "home", "value": "1" }, { "type": "Work", "value": "2" }],
            "addresses": [{ "primary": true, "locality": "London" }],
        }));
        for (name, value) in [
            ("title", json!("Countess")),
            ("department", json!("Engines")),
            ("manager", json!("7")),
            ("phone", json!("2")),
            ("locality", json!("London")),
            ("country", Value::Null),
            ("cost_center", Value::Null),
        ] {
            assert_eq!(named(name).of(&ada), value, "{name}");
        }
    }

    #[test]
    fn a_patch_keeps_the_other_entries_and_removes_attributes_without_a_value() {
        let ada = user(&json!({
            "phoneNumbers": [{ "type": "home", "value": "1" }],
            "addresses": [{ "type": "work", "locality": "London", "country": "GB" }],
        }));
        let values = [
            (named("department"), json!("Engines")),
            (named("title"), Value::Null),
            (named("phone"), json!("2")),
            (named("locality"), Value::Null),
        ];
        assert_eq!(
            operations(&ada, &values),
            [
                json!({ "op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Engines" }),
                json!({ "op": "remove", "path": "title" }),
                json!({ "op": "replace", "path": "addresses", "value": [{ "type": "work", "country": "GB" }] }),
                json!({ "op": "replace", "path": "phoneNumbers", "value": [
                    { "type": "home", "value": "1" }, { "type": "work", "primary": false, "value": "2" },
                ] }),
            ]
        );
        let last = user(&json!({ "phoneNumbers": [{ "type": "work", "primary": true, "value": "2" }] }));
        let removed = operations(&last, &[(named("phone"), Value::Null)]);
        assert_eq!(removed, [json!({ "op": "remove", "path": "phoneNumbers" })]);
    }

    #[test]
    fn the_primary_entry_of_another_type_is_left_alone() {
        let home = json!({ "type": "home", "primary": true, "value": "1" });
        let ada = user(&json!({ "phoneNumbers": [home] }));
        assert_eq!(named("phone").of(&ada), Value::Null);
        assert_eq!(
            operations(&ada, &[(named("phone"), json!("2"))]),
            [json!({ "op": "replace", "path": "phoneNumbers", "value": [
                home, { "type": "work", "primary": false, "value": "2" },
            ] })]
        );
        let removed = operations(&ada, &[(named("phone"), Value::Null)]);
        assert_eq!(removed, [json!({ "op": "replace", "path": "phoneNumbers", "value": [home] })]);
    }

    #[test]
    fn a_new_user_names_the_schema_of_an_extension_and_has_no_empty_values() {
        let mut body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "name": {} });
        let values = [
            (named("manager"), json!("7")),
            (named("title"), Value::Null),
            (named("country"), json!("GB")),
            (Attribute::with_path("name.middleName").unwrap(), json!("King")),
        ];
        fill(&mut body, &values);
        assert_eq!(body["schemas"][1], ENTERPRISE);
        assert_eq!(body[ENTERPRISE], json!({ "manager": { "value": "7" } }));
        assert_eq!(body["addresses"], json!([{ "type": "work", "primary": true, "country": "GB" }]));
        assert_eq!(body["name"], json!({ "middleName": "King" }));
        assert!(body.get("title").is_none());
    }

    #[test]
    fn a_path_is_an_attribute_that_nothing_else_writes() {
        for path in ["urn:acme:2.0:User:shift", "urn:acme:User:desk.floor", "name.middleName", "badge"] {
            let known = Attribute::with_path(path).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert_eq!((known.name(), known.is_text()), (path, false));
        }
        let department = format!("{ENTERPRISE}:department");
        for path in [
            "",
            "userName",
            "name",
            "name.givenName",
            "emails",
            "phoneNumbers",
            "addresses.locality",
            "title",
            "a.b.c",
            "acme:User:shift",
            "urn:acme:User:",
            "urn:acme\":User:shift",
            &department,
        ] {
            assert!(Attribute::with_path(path).is_err(), "{path}");
        }
        assert!(Attribute::with_path("name.middleName").unwrap().is_known_to_aws());
        assert!(!Attribute::with_path("urn:acme:User:shift").unwrap().is_known_to_aws());
        assert!(named("department").is_known_to_aws());
    }
}
