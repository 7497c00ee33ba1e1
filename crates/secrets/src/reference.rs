//! References to secrets. A reference describes the place of a secret. The configuration contains
//! the reference instead of the secret's value.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::SecretError;

/// Where Beadle reads the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// An environment variable.
    Env(String),
    /// A file. A line break at the end of the file does not belong to the value.
    File(PathBuf),
    /// A secret in AWS Secrets Manager.
    Manager {
        /// The name or ARN of the secret.
        id: String,
        /// The key of the value, if the secret is a JSON object.
        json_key: Option<String>,
    },
    /// A parameter in the Parameter Store of AWS Systems Manager.
    Parameter(String),
    /// A private key in AWS KMS. KMS signs with the key, and nobody can read the key itself.
    Kms(String),
}

impl FromStr for Reference {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        if rest.is_empty() {
            return Err(SecretError::NotAReference);
        }
        match kind {
            "env" => Ok(Self::Env(rest.to_owned())),
            "file" => Ok(Self::File(rest.into())),
            // A name or an ARN cannot contain `#`, so the text after `#` is a key.
            "aws-secretsmanager" => match rest.split_once('#') {
                Some((id, key)) if !id.is_empty() && !key.is_empty() => {
                    Ok(Self::Manager { id: id.to_owned(), json_key: Some(key.to_owned()) })
                }
                Some(_) => Err(SecretError::NotAReference),
                None => Ok(Self::Manager { id: rest.to_owned(), json_key: None }),
            },
            "aws-ssm" => Ok(Self::Parameter(rest.to_owned())),
            "aws-kms" => Ok(Self::Kms(rest.to_owned())),
            _ => Err(SecretError::NotAReference),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Manager { id, json_key: Some(key) } => write!(f, "aws-secretsmanager:{id}#{key}"),
            Self::Manager { id, json_key: None } => write!(f, "aws-secretsmanager:{id}"),
            Self::Parameter(name) => write!(f, "aws-ssm:{name}"),
            Self::Kms(key) => write!(f, "aws-kms:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_place_of_a_reference_is_not_echoed() {
        let error = "ghp_something".parse::<Reference>().unwrap_err();
        assert!(!error.to_string().contains("ghp_"), "{error}");
    }

    #[test]
    fn a_reference_is_printed_as_it_is_written() {
        let arn = "aws-secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:beadle-AbCdEf#key";
        for text in
            ["env:A", "file:a/b", arn, "aws-secretsmanager:beadle/github", "aws-ssm:/a/b", "aws-kms:alias/b"]
        {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for wrong in ["", "env:", "aws-secretsmanager:#key", "aws-secretsmanager:a#", "vault:a"] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
