//! The result of a reload of the configuration. `beadle reload` and the pages show the result.

use serde::Deserialize;

use crate::output::plural::counted;

/// The changes of a reload. The service sends these changes as its answer.
#[derive(Debug, Deserialize)]
pub(crate) struct ReloadResult {
    /// The keys with a new value.
    pub(crate) changed: Vec<String>,
    /// The changed keys that need a restart of the service.
    pub(crate) needs_restart: Vec<String>,
}

impl ReloadResult {
    /// Returns the lines about a reload.
    pub(crate) fn lines(&self) -> Vec<String> {
        let names =
            |keys: &[&String]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let (fixed, used): (Vec<&String>, Vec<&String>) =
            self.changed.iter().partition(|key| self.needs_restart.contains(key));
        let mut lines = vec![match used.len() {
            0 => "configuration and secrets read again, no value changed".to_owned(),
            count => format!(
                "configuration and secrets read again, {} changed: {}",
                counted(count as u64, "value", "values"),
                names(&used)
            ),
        }];
        if !fixed.is_empty() {
            lines.push(format!("restart the service to use the new values of {}", names(&fixed)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_changed_and_what_needs_a_restart() {
        let shown = |changed: &[&str], needs_restart: &[&str]| {
            let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<String>>();
            ReloadResult { changed: owned(changed), needs_restart: owned(needs_restart) }.lines().join("\n")
        };
        assert_eq!(shown(&[], &[]), "configuration and secrets read again, no value changed");
        assert_eq!(
            shown(&["org.acme.mode", "server.listen"], &["server.listen"]),
            "configuration and secrets read again, 1 value changed: `org.acme.mode`\n\
             restart the service to use the new values of `server.listen`"
        );
    }
}
