//! Describes which names and texts GitHub accepts. Beadle reports two kinds of values before it
//! writes anything: values that GitHub refuses, and values that cannot be part of a path.
//!
//! <https://docs.github.com/rest>, and for branches <https://git-scm.com/docs/git-check-ref-format>

use beadle_github::segment;

/// The rules that a kind of text must follow.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The name of this kind of text in error messages.
    pub what: &'static str,
    check: fn(&str) -> Result<(), Misfit>,
}

/// The reason why a text does not follow the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The rule that the text does not follow. In an error message, this rule comes after the word
    /// `must`. An example is `have at most 50 characters`.
    pub must: String,
    /// A hint for the author, with a valid text.
    pub hint: Option<String>,
}

impl Form {
    /// Checks whether a text follows the rules.
    pub fn check(&self, text: &str) -> Result<(), Misfit> {
        (self.check)(text)
    }
}

impl Misfit {
    fn new(must: impl Into<String>) -> Self {
        Self { must: must.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A name that can contain any character, such as the name of a ruleset or of a status check.
pub const NAME: Form = Form { what: "a name", check: plain };
/// A topic of a repository.
pub const TOPIC: Form = Form { what: "a topic", check: topic };
/// The name of a label.
pub const LABEL: Form = Form { what: "a label's name", check: label };
/// The description of a label.
pub const LABEL_DESCRIPTION: Form = Form { what: "a description", check: |text| at_most(text, 100) };
/// The description of a repository.
pub const DESCRIPTION: Form = Form { what: "a description", check: |text| at_most(text, 350) };
/// The description of an organisation.
pub const ORGANIZATION_DESCRIPTION: Form = Form { what: "a description", check: |text| at_most(text, 160) };
/// The name of a variable of an organisation.
pub const ORGANIZATION_VARIABLE: Form = Form { what: "a variable's name", check: variable };
/// The homepage of a repository.
pub const HOMEPAGE: Form = Form { what: "an address", check: |text| at_most(text, 255) };
/// The prefix of an autolink.
pub const AUTOLINK_PREFIX: Form = Form { what: "a prefix", check: autolink_prefix };
/// A public key for SSH.
pub const PUBLIC_KEY: Form = Form { what: "a public key", check: public_key };
/// The slug of a team or of an App.
pub const SLUG: Form = Form { what: "a slug", check: slug };
/// The login of a person or an organisation.
pub const LOGIN: Form = Form { what: "a login", check: login };
/// The name of a repository, without its owner.
pub const REPOSITORY: Form = Form { what: "a repository's name", check: repository };
/// The name that a repository had before a rename, without its owner.
pub const FORMER_NAME: Form = Form { what: "a former repository name", check: repository };
/// A template repository: `owner/name`, or only the name.
pub const TEMPLATE: Form = Form { what: "a template repository", check: template };
/// A repository to fork: `owner/name`.
pub const FORKED: Form = Form { what: "a repository to fork", check: forked };
/// The name of a branch, or a pattern of branch names.
pub const BRANCHES: Form = Form { what: "a branch or a pattern", check: branches };
/// The name of a branch.
pub const BRANCH: Form = Form { what: "a branch", check: branch };
/// A ref or a pattern of refs. The conditions of a ruleset contain such values.
pub const REFS: Form = Form { what: "a ref or a pattern", check: refs };
/// The name of a custom property.
pub const PROPERTY: Form = Form { what: "a property's name", check: property };
/// The name of a deployment environment.
pub const ENVIRONMENT: Form =
    Form { what: "an environment's name", check: |text| plain(text).and(at_most(text, 255)) };
/// The name of a variable of Actions.
pub const VARIABLE: Form = Form { what: "a variable's name", check: variable };
/// The name of a secret of Actions, Dependabot or Codespaces.
pub const SECRET: Form = Form { what: "a secret's name", check: variable };
/// A pattern of the branches or tags that can deploy to an environment.
pub const DEPLOYABLE: Form = Form { what: "a pattern of branches or tags", check: branches };
/// The file name of a workflow, or the workflow's id.
pub const WORKFLOW: Form = Form { what: "a workflow's file", check: workflow };
/// A claim in the subject of an OpenID Connect token.
pub const CLAIM: Form = Form { what: "a claim", check: claim };
/// The path of a file in a repository.
pub const FILE: Form = Form { what: "the path of a file", check: file };
/// A day, such as `2027-01-31`, with or without a time.
pub const DATE: Form = Form { what: "a date", check: date };
/// An address on the web.
pub const URL: Form = Form { what: "an address", check: url };

/// Checks the rules for every name. A name must not be empty, `.` or `..`. A name must not contain
/// control characters.
fn plain(text: &str) -> Result<(), Misfit> {
    if text.trim().is_empty() {
        return Err(Misfit::new("not be empty"));
    }
    if text == "." || text == ".." {
        return Err(Misfit::new("not be `.` or `..`"));
    }
    if text.chars().any(char::is_control) {
        return Err(Misfit::new("not have control characters"));
    }
    Ok(())
}

/// Checks the name of a label. The name is part of the label's path in the API.
fn label(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    at_most(text, 50)?;
    segment(text).map_err(|_| Misfit::new("not contain a path segment such as `..` or `%2e%2e`"))
}

fn at_most(text: &str, most: usize) -> Result<(), Misfit> {
    let count = text.trim_end().chars().count();
    if count > most {
        return Err(Misfit::new(format!("have at most {most} characters ({count} now)")));
    }
    Ok(())
}

/// Replaces each sequence of invalid characters with one hyphen.
fn hyphened(text: &str, fits: fn(char) -> bool) -> String {
    let words: Vec<&str> = text.split(|c: char| !fits(c)).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

fn only(text: &str, must: &str, fits: fn(char) -> bool) -> Result<(), Misfit> {
    plain(text)?;
    if text.chars().all(fits) {
        return Ok(());
    }
    let right = hyphened(text, fits);
    let misfit = Misfit::new(must);
    Err(if right.is_empty() { misfit } else { misfit.hint(format!("write it as `{right}`")) })
}

/// Checks a topic. Capital letters are valid, because Beadle converts topics to lower case.
fn topic(text: &str) -> Result<(), Misfit> {
    only(text, "have only letters, digits and hyphens", |c| c.is_ascii_alphanumeric() || c == '-')?;
    if text.starts_with('-') {
        return Err(Misfit::new("begin with a letter or a digit"));
    }
    at_most(text, 50)
}

fn slug(text: &str) -> Result<(), Misfit> {
    let must = "be a slug: only letters, digits, hyphens and underscores";
    only(text, must, |c| c.is_alphanumeric() || c == '-' || c == '_')
}

fn login(text: &str) -> Result<(), Misfit> {
    // The login of an App ends with `[bot]`.
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    if let Some(name) = name.strip_prefix('@') {
        return Err(Misfit::new("be a login without `@`").hint(format!("write it as `{name}`")));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    plain(name)?;
    if name.chars().all(fits) {
        return Ok(());
    }
    Err(Misfit::new("be a login: only letters, digits, hyphens and underscores"))
}

fn repository(text: &str) -> Result<(), Misfit> {
    if let Some((_, name)) = text.rsplit_once('/') {
        let misfit = Misfit::new("be the name of a repository without `/`");
        return Err(misfit.hint(format!("write it as `{name}`")));
    }
    let must = "have only letters, digits, hyphens, underscores and dots";
    only(text, must, |c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))?;
    // GitHub removes `.git` from a name. The repository's name would then differ from the name in
    // the policy. GitHub refuses a name that ends with `.wiki`, because the wiki of a repository
    // has this ending.
    let lower = text.to_ascii_lowercase();
    if let Some(reserved) = [".git", ".wiki"].into_iter().find(|reserved| lower.ends_with(reserved)) {
        return Err(Misfit::new(format!("not end with `{reserved}`, which GitHub reserves")));
    }
    at_most(text, 100)
}

fn template(text: &str) -> Result<(), Misfit> {
    let Some((owner, name)) = text.split_once('/') else { return repository(text) };
    login(owner)?;
    repository(name)
}

fn forked(text: &str) -> Result<(), Misfit> {
    if !text.contains('/') {
        return Err(Misfit::new("be a repository with its owner").hint(format!("write it as `OWNER/{text}`")));
    }
    template(text)
}

fn property(text: &str) -> Result<(), Misfit> {
    let must = "have only letters, digits and `-`, `_`, `$`, `#`";
    only(text, must, |c| c.is_ascii_alphanumeric() || ['-', '_', '$', '#'].contains(&c))?;
    at_most(text, 75)
}

/// Checks the name of a variable or a secret. GitHub ignores the case of such a name.
///
/// <https://docs.github.com/actions/reference/workflows-and-actions/variables#naming-conventions-for-configuration-variables>
fn variable(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Misfit::new("have only letters, digits and underscores"));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Misfit::new("not begin with a digit"));
    }
    let prefix = text.get(..7).unwrap_or_default();
    if prefix.eq_ignore_ascii_case("GITHUB_") {
        return Err(Misfit::new("not begin with `GITHUB_`, which GitHub reserves"));
    }
    Ok(())
}

/// Checks the path of a file in a repository. The path must contain only characters that are safe
/// in three places: in a path, in a git expression and in Markdown.
fn file(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    at_most(text, 250)?;
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@/".contains(c)) {
        return Err(Misfit::new("have only letters, digits and `._-+@/`"));
    }
    if text.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return Err(Misfit::new("be a path below the root of the repository").hint("write it as `docs/FILE`"));
    }
    if text.split('/').any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err(Misfit::new("not contain `.git`"));
    }
    Ok(())
}

fn autolink_prefix(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+=:/#".contains(c)) {
        return Err(Misfit::new("have only letters, digits and `.-_+=:/#`"));
    }
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(Misfit::new("not end in a digit").hint(format!("write it as `{text}-`")));
    }
    Ok(())
}

/// The kinds of public keys that GitHub accepts.
const KEY_KINDS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn public_key(text: &str) -> Result<(), Misfit> {
    if text.contains("PRIVATE KEY") {
        return Err(Misfit::new("be the public key, never the private key"));
    }
    plain(text.trim_end())?;
    let mut words = text.split_whitespace();
    let is_known = words.next().is_some_and(|kind| KEY_KINDS.contains(&kind));
    let is_data = |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if is_known && words.next().is_some_and(is_data) {
        return Ok(());
    }
    Err(Misfit::new("be a public key in the form of OpenSSH").hint("write it as `ssh-ed25519 AAAA...`"))
}

fn branches(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    if let Some(name) = text.strip_prefix("refs/heads/") {
        let misfit = Misfit::new("be a branch name without `refs/heads/`");
        return Err(misfit.hint(format!("write it as `{name}`")));
    }
    let odd = text.chars().find(|c| [' ', '~', '^', ':', '\\'].contains(c));
    if let Some(odd) = odd {
        return Err(Misfit::new(format!("be a branch name without `{odd}`")));
    }
    let parts = ["..", "//", "@{"].into_iter().find(|part| text.contains(part));
    if let Some(part) = parts {
        return Err(Misfit::new(format!("be a branch name without `{part}`")));
    }
    if text.starts_with('/') || text.ends_with('/') || text.ends_with('.') {
        return Err(Misfit::new("be a branch name that does not begin with `/` or end with `/` or `.`"));
    }
    Ok(())
}

fn branch(text: &str) -> Result<(), Misfit> {
    branches(text)?;
    if text.contains(['*', '?', '[']) {
        return Err(Misfit::new("be one branch, not a pattern"));
    }
    Ok(())
}

/// Checks a ref in the conditions of a ruleset. GitHub refuses `main` with the message "Invalid
/// target patterns: 'main'".
fn refs(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    if text.starts_with("refs/") || text == "~ALL" || text == "~DEFAULT_BRANCH" {
        return Ok(());
    }
    let misfit = Misfit::new("begin with `refs/heads/` or `refs/tags/`, or be `~DEFAULT_BRANCH` or `~ALL`");
    Err(if text.starts_with('~') { misfit } else { misfit.hint(format!("write it as `refs/heads/{text}`")) })
}

fn workflow(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    match text.rsplit_once('/') {
        Some((_, file)) => Err(Misfit::new("be the name of a file in .github/workflows, without the folder")
            .hint(format!("write it as `{file}`"))),
        None => Ok(()),
    }
}

fn claim(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    if text.contains(is_other) {
        let misfit = Misfit::new("have only letters, digits and underscores");
        return Err(misfit.hint(format!("write it as `{}`", text.replace(is_other, "_"))));
    }
    Ok(())
}

fn date(text: &str) -> Result<(), Misfit> {
    // If a day does not exist, such as 31 February, the date is not valid.
    let is_day = text.get(..10).is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok());
    let has_hyphens = text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let is_date = is_day && has_hyphens && (text.len() == 10 || text.get(10..11) == Some("T"));
    if is_date && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Misfit::new("be a date").hint("write it as `2027-01-31`"))
}

fn url(text: &str) -> Result<(), Misfit> {
    plain(text)?;
    if !text.starts_with("https://") && !text.starts_with("http://") {
        let misfit = Misfit::new("begin with `https://`");
        let is_host = text.contains('.') && !text.contains("://");
        return Err(if is_host { misfit.hint(format!("write it as `https://{text}`")) } else { misfit });
    }
    if text.contains(char::is_whitespace) {
        return Err(Misfit::new("be an address without spaces"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_takes_is_taken() {
        for (form, text) in [
            (TOPIC, "c-plus-plus"),
            (TOPIC, "Rust"),
            (LABEL, "area/ui: späte Änderung"),
            (LABEL_DESCRIPTION, ""),
            (DESCRIPTION, "What it is. Two sentences, and ünïcode\n"),
            (AUTOLINK_PREFIX, "APO-"),
            (SLUG, "Core_team-2"),
            (LOGIN, "octo-cat_acme"),
            (LOGIN, "dependabot[bot]"),
            (REPOSITORY, ".github"),
            (REPOSITORY, "shop.github"),
            (REPOSITORY, "git"),
            (BRANCHES, "release/*"),
            (BRANCHES, "default"),
            (BRANCHES, "feature/[0-9]*"),
            (BRANCH, "main"),
            (REFS, "refs/heads/release/*"),
            (REFS, "refs/tags/v*"),
            (REFS, "~DEFAULT_BRANCH"),
            (REFS, "~ALL"),
            (PROPERTY, "cost-centre_2"),
            (ENVIRONMENT, "prod/eu"),
            (VARIABLE, "_Region_2"),
            (SECRET, "github"),
            (DEPLOYABLE, "release/*"),
            (WORKFLOW, "police.yml"),
            (CLAIM, "job_workflow_ref"),
            (FILE, ".github/workflows/ci.yml"),
            (DATE, "2027-01-31"),
            (DATE, "2027-01-31T00:00:00Z"),
            (PUBLIC_KEY, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA+/= ci@example.com\n"),
            (URL, "https://tickets.example.com/APO-<num>"),
            (NAME, "ci / build (ubuntu-latest)"),
        ] {
            assert_eq!(form.check(text), Ok(()), "{form:?}: {text}");
        }
    }

    #[test]
    fn what_github_refuses_is_refused_with_the_right_form() {
        for (form, text, must, hint) in [
            (TOPIC, "c++", "only letters", Some("write it as `c`")),
            (TOPIC, "a b", "only letters", Some("write it as `a-b`")),
            (LABEL, &*"x".repeat(51), "at most 50 characters", None),
            (LABEL_DESCRIPTION, &*"x".repeat(101), "at most 100 characters", None),
            (DESCRIPTION, &*"x".repeat(351), "at most 350 characters", None),
            (AUTOLINK_PREFIX, "APO1", "not end in a digit", Some("write it as `APO1-`")),
            (AUTOLINK_PREFIX, "A B", "only letters", None),
            (SLUG, "Core Team", "be a slug", Some("write it as `core-team`")),
            (LOGIN, "@mona", "without `@`", Some("write it as `mona`")),
            (LOGIN, "mona/..", "be a login", None),
            (REPOSITORY, "acme/shop", "without `/`", Some("write it as `shop`")),
            (REPOSITORY, "shop.git", "not end with `.git`", None),
            (REPOSITORY, ".GIT", "not end with `.git`", None),
            (TEMPLATE, "acme/shop.wiki", "not end with `.wiki`", None),
            (BRANCHES, "refs/heads/main", "without `refs/heads/`", Some("write it as `main`")),
            (BRANCHES, "a..b", "`..`", None),
            (BRANCH, "release/*", "not a pattern", None),
            (REFS, "main", "begin with `refs/heads/`", Some("write it as `refs/heads/main`")),
            (REFS, "~all", "begin with `refs/heads/`", None),
            (PROPERTY, "cost centre", "only letters", Some("write it as `cost-centre`")),
            (VARIABLE, "MY-NAME", "only letters", None),
            (VARIABLE, "2ND", "not begin with a digit", None),
            (SECRET, "github_token", "GITHUB_", None),
            (WORKFLOW, ".github/workflows/ci.yml", "without the folder", Some("write it as `ci.yml`")),
            (CLAIM, "job-workflow", "only letters", Some("write it as `job_workflow`")),
            (FILE, "/LICENSE", "below the root", Some("write it as `docs/FILE`")),
            (FILE, "a/../b", "below the root", Some("write it as `docs/FILE`")),
            (FILE, "a/.GIT/config", "not contain `.git`", None),
            (FILE, "a b:c", "only letters", None),
            (DATE, "31.1.2027", "be a date", Some("write it as `2027-01-31`")),
            (DATE, "2027-13-31", "be a date", Some("write it as `2027-01-31`")),
            (DATE, "2027-02-29", "be a date", Some("write it as `2027-01-31`")),
            (DATE, "2027-1-31", "be a date", Some("write it as `2027-01-31`")),
            (PUBLIC_KEY, "AAAAC3Nza", "in the form of OpenSSH", Some("write it as `ssh-ed25519 AAAA...`")),
            (PUBLIC_KEY, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3B", "never the private key", None),
            (URL, "api.github.com", "begin with `https://`", Some("write it as `https://api.github.com`")),
        ] {
            let misfit = form.check(text).unwrap_err();
            assert!(misfit.must.contains(must), "{form:?}: {text}: {misfit:?}");
            assert_eq!(misfit.hint.as_deref(), hint, "{form:?}: {text}");
        }
    }

    #[test]
    fn no_name_can_change_which_resource_a_request_names() {
        let names = [
            NAME,
            TOPIC,
            LABEL,
            AUTOLINK_PREFIX,
            SLUG,
            LOGIN,
            REPOSITORY,
            BRANCHES,
            BRANCH,
            REFS,
            PROPERTY,
            ENVIRONMENT,
            VARIABLE,
            SECRET,
            DEPLOYABLE,
            WORKFLOW,
            CLAIM,
            DATE,
            PUBLIC_KEY,
            URL,
        ];
        for form in names {
            for text in ["", " ", ".", "..", "a\u{0}b", "a\nb", "\u{7f}", "\u{1b}[2J"] {
                assert!(form.check(text).is_err(), "{form:?}: {text:?}");
            }
        }
    }

    #[test]
    fn a_label_that_no_address_can_name_is_refused() {
        for text in ["%2e%2e", "a/..", "../b", "\u{ff0e}\u{ff0e}", "a\u{2215}.."] {
            assert!(LABEL.check(text).is_err(), "{text:?}");
        }
        for text in ["area/net", "v1..v2", "100%", "Ärger", "..."] {
            assert_eq!(LABEL.check(text), Ok(()), "{text:?}");
        }
    }
}
