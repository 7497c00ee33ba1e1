//! Reads the configuration again while the service runs. Most keys can change without a restart.

use std::path::PathBuf;

use beadle_config::StoreLocation;

use super::Config;

/// The keys that the service reads only when its process starts. The service cannot replace open
/// listeners, its store, or the running export of traces. The name of a table means all keys of
/// this table.
const RESTART: &[&str] = &["server.listen", "server.operator", "store", "traces", "worker.lease"];

/// Returns whether a new value of this key needs a restart of the service.
pub(crate) fn needs_restart(key: &str) -> bool {
    RESTART
        .iter()
        .any(|fixed| key.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The locations of the configuration file and the store of a process.
pub(crate) struct ConfigPlace {
    /// The path of the configuration file.
    pub(crate) file: PathBuf,
    /// The location of the store, if a command-line option sets it.
    pub(crate) store: Option<StoreLocation>,
}

impl ConfigPlace {
    /// Reads the configuration, and the secrets that are stored at AWS.
    pub(crate) async fn read(&self) -> anyhow::Result<Config> {
        let config = Config::load(&self.file)?.stored_at(self.store.clone());
        config.fetch_secrets().await;
        Ok(config)
    }
}

impl Config {
    /// Some keys need a restart. For these keys, keeps the values from the configuration that the
    /// service uses now. Returns all changed keys, and the changed keys that need a restart.
    pub(crate) fn follow(&mut self, in_use: &Self) -> (Vec<String>, Vec<String>) {
        let keys: std::collections::BTreeSet<&String> =
            in_use.values.keys().chain(self.values.keys()).collect();
        let is_other = |key: &&String| in_use.values.get(*key) != self.values.get(*key);
        let changed: Vec<String> = keys.into_iter().filter(is_other).cloned().collect();
        let fixed: Vec<String> = changed.iter().filter(|key| needs_restart(key)).cloned().collect();
        for key in &fixed {
            match in_use.values.get(key) {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
        }
        self.place.clone_from(&in_use.place);
        self.file.server.listen = in_use.file.server.listen;
        self.file.server.operator = in_use.file.server.operator;
        (changed, fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str, org: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        let text = format!("{lines}\n[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n{org}\n");
        std::fs::write(&path, text).unwrap();
        Config::load(&path).unwrap()
    }

    #[test]
    fn only_a_few_keys_need_a_restart() {
        for key in [
            "server.listen",
            "server.operator",
            "store.path",
            "store.max_mib",
            "traces.ratio",
            "worker.lease",
        ] {
            assert!(needs_restart(key), "{key}");
        }
        for key in ["server.operator_token", "server.in_flight_mib", "worker.concurrency", "org.store.mode"] {
            assert!(!needs_restart(key), "{key}");
        }
    }

    #[test]
    fn a_value_that_needs_a_restart_stays_as_it_is_in_use() {
        let in_use = config("[store]\npath = \"a.db\"", "mode = \"observe\"");
        let mut new = config("[store]\npath = \"b.db\"\nmax_mib = 9", "mode = \"enforce\"");
        let (changed, fixed) = new.follow(&in_use);
        assert_eq!(changed, ["org.acme.mode", "store.max_mib", "store.path"]);
        assert_eq!(fixed, ["store.max_mib", "store.path"]);
        assert_eq!(new.place, in_use.place);
        assert_eq!(
            (new.values.get("store.path"), new.values.get("store.max_mib")),
            (Some(&"\"a.db\"".to_owned()), None)
        );
        assert_eq!(new.values["org.acme.mode"], "\"enforce\"");
        let mut same = config("[store]\npath = \"a.db\"", "mode = \"observe\"");
        assert_eq!(same.follow(&in_use), (Vec::new(), Vec::new()));
    }
}
