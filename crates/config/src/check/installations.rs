//! Checks `[installations]`.

use super::{check_reference, check_valid_secrets};
use crate::installations::is_login;
use crate::{InstallationsFile, Invalid, KeyPath, PolicySource};

impl InstallationsFile {
    /// Checks the values of the table. `organisations` are the names of all `[[org]]`.
    pub(super) fn check<'a>(
        &self,
        organisations: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Invalid> {
        let table = KeyPath::new("installations");
        let app = table.key("app");
        check_reference(app.key("key"), &self.app.key)?;
        if self.app.installation.is_some() {
            let at = app.key("installation");
            let what =
                format!("`{at}` must not be set, because the App has one installation in each organisation");
            return Err(Invalid::new(at, what));
        }
        check_valid_secrets(&table.key("webhook_secrets"), &self.webhook_secrets)?;
        let at = table.key("organisations");
        if self.organisations.is_empty() {
            let hint = "write `organisations = [\"acme-*\"]`: anybody can install a public App";
            return Err(Invalid::must(at, "not be empty").hint(Some(hint.into())));
        }
        for (entry, pattern) in self.organisations.iter().enumerate() {
            let letters = pattern.replace('*', "");
            if pattern.is_empty() || !(letters.is_empty() || is_login(&letters)) {
                let rule = format!(
                    "be a login, in which `*` stands for any characters, found `{}`",
                    pattern.escape_debug()
                );
                return Err(Invalid::must(at.entry(entry), &rule));
            }
        }
        if let PolicySource::Repository(source) = &self.policy {
            let policy = table.key("policy");
            source.check(&policy, organisations)?;
            if source.organisation.is_none() {
                let at = policy.key("organisation");
                let what = format!(
                    "`{at}` is missing: it names the [[org]] that has the policy of all installations"
                );
                return Err(Invalid::new(policy, what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{File, Source};

    fn parsed(lines: &str) -> Result<File, String> {
        let text = format!(
            "[installations]\n{lines}\n[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\n"
        );
        File::parse(&Source::new(Path::new("beadle.toml"), text)).map_err(|error| error.to_string())
    }

    const APP: &str = "app = { id = 7, key = \"env:K\" }";

    #[test]
    fn the_policy_is_a_folder_or_in_a_repository_of_an_organisation_of_the_file() {
        for policy in ["\"base\"", "{ organisation = \"acme\", repository = \"rules\" }"] {
            let lines = format!("{APP}\norganisations = [\"acme-*\", \"*\", \"labs\"]\npolicy = {policy}");
            let from = parsed(&lines).unwrap().installations.unwrap();
            assert!(from.allows("acme-labs") && from.api == "https://api.github.com");
        }
    }

    #[test]
    fn the_section_alone_is_a_configuration() {
        let text = format!("[installations]\n{APP}\norganisations = [\"*\"]\npolicy = \"base\"\n");
        assert!(File::parse(&Source::new(Path::new("beadle.toml"), text)).is_ok());
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line() {
        let app = "organisations = [\"acme-*\"]\npolicy = \"base\"";
        for (lines, said) in [
            (format!("{APP}\npolicy = \"base\""), "`installations.organisations` is missing"),
            (
                format!("{APP}\norganisations = []\npolicy = \"base\""),
                ":3: `installations.organisations` must not be empty",
            ),
            (format!("{APP}\norganisations = [\"a/b\"]\npolicy = \"base\""), "must be a login"),
            (format!("{APP}\norganisations = [\"\"]\npolicy = \"base\""), "must be a login"),
            (format!("{app}\napp = {{ id = 7, key = \"hunter2\" }}"), ":4: `installations.app.key`"),
            (
                format!("{app}\napp = {{ id = 7, key = \"env:K\", installation = 1 }}"),
                "`installations.app.installation` must not be set",
            ),
            (
                format!("{APP}\norganisations = [\"*\"]\npolicy = {{ repository = \"rules\" }}"),
                ":4: `installations.policy.organisation` is missing",
            ),
            (
                format!(
                    "{APP}\norganisations = [\"*\"]\npolicy = {{ organisation = \"acm\", repository = \"rules\" }}"
                ),
                "there is no [[org]] `acm`\nhint: did you mean `acme`?",
            ),
            (format!("{APP}\n{app}\nmode = \"enforce\""), "unknown key `installations.mode`"),
        ] {
            let error = parsed(&lines).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{lines}: {error}");
        }
    }
}
