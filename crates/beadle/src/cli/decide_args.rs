//! The arguments of the commands that decide about held changes and generations.

use clap::Args;

/// The maximum length of the name of a person, in characters.
const NAME: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// Limit to one change of the named groups, by its digest; repeatable, or separated by commas
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Limit to the changes of a repository, such as `widgets`; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Vec<String>,
    /// Reason for the journal; required in the mode `enforce`, and for a generation
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Name of the person who decides, such as `mona`; the journal also keeps the system user
    #[arg(long = "as", value_name = "NAME", value_parser = person)]
    pub(crate) person: Option<String>,
}

impl DecideArgs {
    /// Returns the reason, if it has at least one word.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty())
    }
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Code of a group, digest of a change, or name of a generation, such as `8f0c1d2e3a4b`;
    /// `holds` shows it
    #[arg(required = true, value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    #[command(flatten)]
    pub(crate) decide: DecideArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// Code of a group, or digest of a change, such as `8f0c1d2e3a4b`; `holds` shows it
    #[arg(required = true, value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    #[command(flatten)]
    pub(crate) decide: DecideArgs,
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
}
