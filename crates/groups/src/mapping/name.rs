//! Makes the name of a group at the target.

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MappingError;

/// The case of the letters in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Case {
    /// All lower case.
    Lower,
    /// All upper case.
    Upper,
}

/// A regular expression and its replacement. In the replacement, `$1` means the text of the first
/// capture group.
pub type Replacement = (Regex, String);

/// Parses pairs of a regular expression and its replacement.
pub fn replacements(pairs: &[(String, String)]) -> Result<Vec<Replacement>, MappingError> {
    let read = |(from, with): &(String, String)| match Regex::new(from) {
        Ok(regex) => Ok((regex, with.clone())),
        Err(error) => Err(MappingError::Replace { text: from.clone(), why: error.to_string() }),
    };
    pairs.iter().map(read).collect()
}

fn text<S: Serializer>(list: &[Replacement], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(list.iter().map(|(from, with)| (from.as_str(), with)))
}

fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Replacement>, D::Error> {
    let pairs = Vec::<(String, String)>::deserialize(from)?;
    replacements(&pairs).map_err(serde::de::Error::custom)
}

/// The steps that make the name at the target from the name of the source group. The steps run in
/// the order of the fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Naming {
    /// The prefix to remove, if the name has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// The suffix to remove, if the name has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_suffix: Option<String>,
    /// The replacements to make.
    #[serde(serialize_with = "text", deserialize_with = "read", skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Replacement>,
    /// The case of the letters. Without a value, the letters do not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
    /// The prefix to add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

impl Naming {
    /// Returns the name at the target for a source group with this name.
    pub fn of(&self, name: &str) -> String {
        let strip = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let name = name.strip_prefix(&strip(&self.strip_prefix)).unwrap_or(name);
        let name = name.strip_suffix(&strip(&self.strip_suffix)).unwrap_or(name);
        let mut name = name.to_owned();
        for (from, with) in &self.replace {
            name = from.replace_all(&name, with.as_str()).into_owned();
        }
        match self.case {
            Some(Case::Lower) => name = name.to_lowercase(),
            Some(Case::Upper) => name = name.to_uppercase(),
            None => {}
        }
        format!("{}{name}", self.prefix.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_another() {
        let naming = Naming {
            strip_prefix: Some("AWS_".into()),
            case: Some(Case::Lower),
            prefix: Some("sso-".into()),
            replace: replacements(&[("[ _]+".into(), "-".into())]).unwrap(),
            ..Naming::default()
        };
        assert_eq!(naming.of("AWS_Data Base_Admins"), "sso-data-base-admins");
        assert_eq!(naming.of("Ops"), "sso-ops", "what is not there is not taken off");
        assert_eq!(Naming::default().of("AWS_Ops"), "AWS_Ops");
    }
}
