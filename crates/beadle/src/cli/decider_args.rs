//! The options of the commands that decide something for people: the name of the person, and the
//! reason.

use clap::Args;

/// The maximum length of the name of a person, in characters.
const NAME: usize = 100;

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DeciderArgs {
    /// Reason for the journal, such as `release`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Name of the person who decides, such as `mona`; the journal also keeps the system user
    #[arg(long = "as", value_name = "NAME", value_parser = person)]
    pub(crate) person: Option<String>,
}

impl DeciderArgs {
    /// Returns the reason, if it has at least one word.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty())
    }
}

/// Parses the name of a person.
fn person(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(format!("the name must have 1 to {NAME} characters, in one line"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    /// The commands that decide something for people.
    const DECIDING: [&[&str]; 10] = [
        &["approve", "8f0c1d2e3a4b"],
        &["reject", "8f0c1d2e3a4b"],
        &["undo", "1234"],
        &["waive", "acme/widgets", "--keys", "labels", "--until", "2d"],
        &["waivers", "--end", "8f0c1d2e"],
        &["pause", "--org", "acme", "--for", "2h"],
        &["resume", "--org", "acme"],
        &["rebind", "acme/widgets"],
        &["sweep", "--approve", "8f0c1d2e3a4b"],
        &["queue", "--retry", "acme/widgets"],
    ];

    #[test]
    fn every_command_that_decides_takes_a_person_and_a_reason() {
        for deciding in DECIDING {
            let parsed = |further: &[&str]| {
                let words = ["beadle"].iter().chain(deciding).chain(further).copied();
                command().try_get_matches_from(words.collect::<Vec<&str>>())
            };
            let matches = parsed(&["--as", "mona", "--reason", "release"]).unwrap();
            let (_, own) = matches.subcommand().unwrap();
            let value = |id: &str| own.get_one::<String>(id).map(String::as_str);
            assert_eq!((value("person"), value("reason")), (Some("mona"), Some("release")), "{deciding:?}");
            assert!(parsed(&["--as", " ", "--reason", "release"]).is_err(), "{deciding:?}");
            // Every waiver needs a reason. A decision about a held change needs a reason only in
            // the mode `enforce`.
            assert_eq!(parsed(&[]).is_err(), deciding[0] == "waive", "{deciding:?}");
        }
        // A list of waivers, a list of keys, a sweep without approvals and the plan of an undo decide
        // nothing.
        for shown in [
            vec!["beadle", "waivers"],
            vec!["beadle", "queue"],
            vec!["beadle", "sweep"],
            vec!["beadle", "undo", "1234", "--json"],
        ] {
            assert!(command().try_get_matches_from(&shown).is_ok(), "{shown:?}");
            for further in [["--as", "mona"], ["--reason", "release"]] {
                let words = shown.iter().copied().chain(further);
                assert!(command().try_get_matches_from(words).is_err(), "{shown:?} {further:?}");
            }
        }
    }

    #[test]
    fn a_person_has_a_short_name_in_one_line() {
        for (text, name) in [
            ("mona", Some("mona")),
            (" Mona Lisa ", Some("Mona Lisa")),
            ("", None),
            (" ", None),
            ("mona\nroot", None),
            ("\u{1b}[5m", None),
        ] {
            assert_eq!(person(text).ok().as_deref(), name, "{text:?}");
        }
        assert!(person(&"x".repeat(NAME)).is_ok() && person(&"x".repeat(NAME + 1)).is_err());
    }

    #[test]
    fn a_reason_has_at_least_one_word() {
        let reason = |text: &str| {
            let args = DeciderArgs { reason: Some(text.to_owned()), person: None };
            args.reason().map(str::to_owned)
        };
        assert_eq!((reason(" release "), reason("  ")), (Some("release".to_owned()), None));
        assert_eq!(DeciderArgs::default().reason(), None);
    }
}
