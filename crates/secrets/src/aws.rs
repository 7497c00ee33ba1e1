//! Reads secrets from AWS Secrets Manager and from the Parameter Store.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>,
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use futures::future::{join, join_all};
use secrecy::SecretString;
use serde_json::Value;

use crate::secret_store::FetchedSecret;
use crate::{Reference, SecretStore};

/// During a rotation, two stages of a secret are valid: the current stage and the previous stage.
const STAGES: [&str; 2] = ["AWSCURRENT", "AWSPREVIOUS"];

impl SecretStore {
    /// Sets the AWS configuration for reading secrets, and returns the store.
    #[must_use]
    pub fn asking(mut self, aws: SdkConfig) -> Self {
        self.aws = tokio::sync::OnceCell::new_with(Some(aws));
        self
    }

    /// Returns the AWS configuration. The first call reads the configuration from the environment.
    async fn aws(&self) -> &SdkConfig {
        let load = || async {
            // The time limits are short, because a process cannot start while it waits for a
            // secret.
            let patience = aws_config::timeout::TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_secs(3))
                .operation_timeout(Duration::from_secs(10))
                .build();
            aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience).load().await
        };
        self.aws.get_or_init(load).await
    }

    /// Reads the values of all references in parallel. If several references need different texts
    /// of one secret, Beadle reads the secret only once.
    pub(crate) async fn ask(&self, references: &[Reference]) -> HashMap<Reference, FetchedSecret> {
        let ids: BTreeSet<&str> = references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Manager { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let names: BTreeSet<&str> = references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Parameter(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let signs = references.iter().any(|reference| matches!(reference, Reference::Kms(_)));
        if ids.is_empty() && names.is_empty() && !signs {
            return HashMap::new();
        }
        let aws = self.aws().await;
        let manager = aws_sdk_secretsmanager::Client::new(aws);
        let store = aws_sdk_ssm::Client::new(aws);
        let (secrets, parameters) = join(
            join_all(ids.iter().map(|id| secret(&manager, id))),
            join_all(names.iter().map(|name| parameter(&store, name))),
        )
        .await;
        let secrets: HashMap<&str, Result<Vec<String>, String>> = ids.into_iter().zip(secrets).collect();
        let parameters: HashMap<&str, FetchedSecret> = names.into_iter().zip(parameters).collect();
        let given = references.iter().filter_map(|reference| {
            let given = match reference {
                Reference::Manager { id, json_key } => {
                    let values = secrets.get(id.as_str())?.clone();
                    values.and_then(|values| texts(&values, json_key.as_deref()))
                }
                Reference::Parameter(name) => parameters.get(name.as_str())?.clone(),
                _ => return None,
            };
            Some((reference.clone(), given))
        });
        given.collect()
    }
}

/// Returns the text of a secret in each stage. The current stage comes first.
async fn secret(client: &aws_sdk_secretsmanager::Client, id: &str) -> Result<Vec<String>, String> {
    let [current, previous] =
        STAGES.map(|stage| client.get_secret_value().secret_id(id).version_stage(stage));
    let (current, previous) = join(current.send(), previous.send()).await;
    let text = |value: &aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput| {
        let binary = || String::from_utf8(value.secret_binary()?.as_ref().to_vec()).ok();
        value.secret_string().map(str::to_owned).or_else(binary)
    };
    let current = current.map_err(|error| {
        let refused = error.as_service_error().filter(|error| error.is_resource_not_found_exception());
        // A template can create a secret that has no value yet.
        match refused.and_then(|error| error.meta().message()) {
            Some(message) if message.contains("staging label") => {
                "the secret has no value yet: set one".to_owned()
            }
            _ => told(&error),
        }
    })?;
    let current = text(&current).ok_or("the value is not text")?;
    // A secret that was never rotated has no previous stage. The current value is then enough.
    let previous = previous.ok().as_ref().and_then(text);
    Ok([Some(current), previous].into_iter().flatten().collect())
}

async fn parameter(client: &aws_sdk_ssm::Client, name: &str) -> FetchedSecret {
    let answer = client.get_parameter().name(name).with_decryption(true).send().await;
    let answer = answer.map_err(|error| told(&error))?;
    let value =
        answer.parameter().and_then(|parameter| parameter.value()).ok_or("the parameter has no value")?;
    Ok(vec![SecretString::from(value)])
}

/// Returns the text that a reference needs from each stage. If the previous stage does not contain
/// the text, the function returns only the current text.
fn texts(stages: &[String], json_key: Option<&str>) -> FetchedSecret {
    let text = |stage: &String| match json_key {
        None => Ok(SecretString::from(stage.as_str())),
        Some(key) => match serde_json::from_str::<Value>(stage) {
            Ok(Value::Object(object)) => match object.get(key) {
                Some(Value::String(text)) => Ok(SecretString::from(text.as_str())),
                Some(_) => Err(format!("`{key}` of the JSON object is not a string")),
                None => {
                    let keys: Vec<&str> = object.keys().map(String::as_str).collect();
                    Err(format!("the JSON object has no `{key}`, only: {}", keys.join(", ")))
                }
            },
            // The message contains neither the value nor the parser's error, because both could
            // reveal the secret.
            _ => Err(format!("the value is not a JSON object, so it has no `{key}`")),
        },
    };
    let (current, previous) = stages.split_first().ok_or("the value is not text")?;
    let mut values = vec![text(current)?];
    values.extend(previous.iter().filter_map(|stage| text(stage).ok()));
    Ok(values)
}

/// Returns the messages of an error and of all its causes. The error of the SDK itself has only the
/// message `service error`.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_of_a_json_object_has_a_value_in_both_stages() {
        let stages = [r#"{"a":"new","n":1}"#.to_owned(), r#"{"a":"old"}"#.to_owned()];
        let values = texts(&stages, Some("a")).unwrap();
        assert_eq!(values.iter().map(SecretString::expose_secret).collect::<Vec<_>>(), ["new", "old"]);
        assert!(texts(&stages, Some("b")).unwrap_err().contains("only: a, n"));
        assert!(texts(&stages, Some("n")).unwrap_err().contains("not a string"));
        let plain = ["s3cr3t".to_owned(), "{".to_owned()];
        assert_eq!(texts(&plain, None).unwrap().len(), 2);
        let wrong = texts(&plain, Some("a")).unwrap_err();
        assert!(!wrong.contains("s3cr3t"), "{wrong}");
    }
}
