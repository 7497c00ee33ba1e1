//! Keeps the values of secrets. Each time Beadle needs a value from the environment or a file, it
//! reads the value again. Beadle reads all values from AWS once, in parallel.

use parking_lot::RwLock;
use std::collections::HashMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{Reference, SecretError};

/// What AWS returned for a reference: the current value and, if there is one, the previous value.
/// The error, if AWS returned no usable value.
pub(crate) type FetchedSecret = Result<Vec<SecretString>, String>;

/// Reads secrets, and keeps the values that come from AWS.
pub struct SecretStore {
    /// The folder where relative paths begin.
    base: PathBuf,
    given: RwLock<HashMap<Reference, FetchedSecret>>,
    #[cfg(feature = "aws")]
    pub(crate) aws: tokio::sync::OnceCell<aws_config::SdkConfig>,
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretStore").field("base", &self.base).finish_non_exhaustive()
    }
}

impl SecretStore {
    /// Creates a store for a configuration file in this folder. The function does not use the
    /// network.
    pub fn new(base: PathBuf) -> Self {
        Self {
            base,
            given: RwLock::default(),
            #[cfg(feature = "aws")]
            aws: tokio::sync::OnceCell::new(),
        }
    }

    /// Reads values from AWS in parallel: all values that are missing or are still placeholders. If
    /// a value cannot be read, the store returns the error when Beadle needs the value.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "with AWS' SDK it asks AWS"))]
    pub async fn fetch(&self, references: &[Reference]) {
        // This function reads neither environment variables nor files. A file can be on a file
        // system that does not respond.
        let missing = |reference: &&Reference| {
            !matches!(reference, Reference::Env(_) | Reference::File(_)) && self.valid(reference).is_err()
        };
        let wanted: Vec<Reference> = references.iter().filter(missing).cloned().collect();
        #[cfg(feature = "aws")]
        let asked = self.ask(&wanted).await;
        #[cfg(feature = "aws")]
        self.given.write().extend(asked);
        #[cfg(not(feature = "aws"))]
        drop(wanted);
    }

    /// Reads all values from AWS again. Returns whether any value has changed. If AWS returns an
    /// error for a reference, the old value stays.
    #[cfg(feature = "aws")]
    pub async fn fetch_again(&self, references: &[Reference]) -> bool {
        let asked = self.ask(references).await;
        let mut given = self.given.write();
        let mut changed = false;
        for (reference, now) in asked {
            let before = given.get(&reference);
            if let (Err(_), Some(Ok(_))) = (&now, before) {
                continue;
            }
            let texts = |given: Option<&FetchedSecret>| {
                let values = given.and_then(|given| given.as_ref().ok());
                values.map(|values| {
                    values.iter().map(|value| value.expose_secret().to_owned()).collect::<Vec<_>>()
                })
            };
            changed |= texts(before) != texts(Some(&now));
            given.insert(reference, now);
        }
        changed
    }

    /// Returns the current value of a secret.
    pub fn current(&self, reference: &Reference) -> Result<SecretString, SecretError> {
        let first = self.valid(reference)?.into_iter().next();
        first.ok_or_else(|| SecretError::NotRead(reference.to_string()))
    }

    /// Returns all values of a secret that are valid now, with the current value first. AWS Secrets
    /// Manager also returns the previous value. So Beadle accepts webhooks without interruption
    /// while somebody replaces the webhook secret.
    pub fn valid(&self, reference: &Reference) -> Result<Vec<SecretString>, SecretError> {
        match reference {
            #[expect(clippy::disallowed_methods, reason = "this is where the environment's secrets are read")]
            Reference::Env(name) => {
                let value = std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?;
                Ok(vec![usable(reference, &value)?])
            }
            Reference::File(path) => {
                let path = self.base.join(path);
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|why| SecretError::Unreadable { path: path.clone(), why })?;
                Ok(vec![usable(reference, &text)?])
            }
            Reference::Kms(_) => Err(SecretError::OnlySigns(reference.to_string())),
            Reference::Manager { .. } | Reference::Parameter(_) => self.given(reference),
        }
    }

    fn given(&self, reference: &Reference) -> Result<Vec<SecretString>, SecretError> {
        if cfg!(not(feature = "aws")) {
            return Err(SecretError::NeedsAws(reference.to_string()));
        }
        let given = self.given.read();
        let values = match given.get(reference) {
            None => return Err(SecretError::NotRead(reference.to_string())),
            Some(Err(why)) => {
                return Err(SecretError::NotGiven { reference: reference.to_string(), why: why.clone() });
            }
            Some(Ok(values)) => values,
        };
        let (current, before) = values.split_first().unzip();
        let current = current.ok_or_else(|| SecretError::NotRead(reference.to_string()))?;
        let mut valid = vec![usable(reference, current.expose_secret())?];
        // If the previous value is a placeholder or equals the current value, the result does not
        // contain the previous value.
        for value in before.unwrap_or_default() {
            if let Ok(value) = usable(reference, value.expose_secret())
                && value.expose_secret() != valid[0].expose_secret()
            {
                valid.push(value);
            }
        }
        Ok(valid)
    }
}

/// Returns a value without the line break at its end. An empty value or a placeholder is an error.
fn usable(reference: &Reference, value: &str) -> Result<SecretString, SecretError> {
    let value = value.trim_end_matches(['\r', '\n']);
    let bare = value.trim();
    if bare.is_empty() {
        return Err(SecretError::Empty(reference.to_string()));
    }
    if bare.starts_with('<') && bare.ends_with('>') {
        return Err(SecretError::Placeholder(reference.to_string()));
    }
    Ok(SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(secret_store: &SecretStore, reference: &str) -> Result<SecretString, SecretError> {
        secret_store.current(&reference.parse().unwrap())
    }

    #[test]
    fn the_line_end_of_a_file_is_not_part_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let secret_store = SecretStore::new(folder.path().to_owned());
        std::fs::write(folder.path().join("s"), "value with spaces \r\n").unwrap();
        assert_eq!(read(&secret_store, "file:s").unwrap().expose_secret(), "value with spaces ");
        std::fs::write(folder.path().join("s"), "\n").unwrap();
        assert!(matches!(read(&secret_store, "file:s"), Err(SecretError::Empty(_))));
        std::fs::write(folder.path().join("s"), "<MUST BE PROVIDED>\n").unwrap();
        assert!(matches!(read(&secret_store, "file:s"), Err(SecretError::Placeholder(_))));
    }

    #[test]
    fn a_value_of_aws_must_be_fetched_before_its_use() {
        let secret_store = SecretStore::new(PathBuf::new());
        let unread = read(&secret_store, "aws-secretsmanager:beadle").unwrap_err().to_string();
        assert!(
            unread.contains(if cfg!(feature = "aws") { "not read" } else { "--features aws" }),
            "{unread}"
        );
        let key = read(&secret_store, "aws-kms:alias/beadle").unwrap_err().to_string();
        assert!(key.contains("private key"), "{key}");
    }
}
