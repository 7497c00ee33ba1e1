//! Checks the rules about the whole configuration file, except the rules that need a vendor's
//! crate.

mod installations;

use std::collections::BTreeMap;
use std::time::Duration;

use beadle_hooks::github::{EVENTS, REPOSITORY_ACTIONS};
use beadle_secrets::Reference;

use crate::{
    DispatchFile, File, GroupsFile, Invalid, KeyPath, Match, OktaFile, OrgFile, StoreLocation, TargetFile,
    TeamsFile, TracesFile, Users, did_you_mean, nearest,
};

/// The maximum value of `concurrency`. GitHub accepts 100 simultaneous requests for each
/// credential, and other programs might use the same credential.
const MOST_AT_ONCE: usize = 90;
/// The shortest window that a guard may have.
const SHORTEST_WINDOW: Duration = Duration::from_secs(60);
/// The minimum time that Beadle must keep the ids of deliveries. GitHub can deliver an event again
/// within 7 days.
const SHORTEST_IDS: Duration = Duration::from_secs(8 * 24 * 3600);

impl File {
    /// Checks the rules that the types of the file cannot express.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        self.check_names()?;
        for (entry, okta) in self.okta.iter().enumerate() {
            okta.check(&KeyPath::new("okta").entry(entry))?;
        }
        for (entry, target) in self.target.iter().enumerate() {
            target.check(self, &KeyPath::new("target").entry(entry))?;
        }
        for (entry, groups) in self.groups.iter().enumerate() {
            groups.check(self, &KeyPath::new("groups").entry(entry))?;
        }
        let place = self.store.path.parse::<StoreLocation>();
        // A password in the file would not stay secret, because commands and pages print the values
        // of the file, and the file is often in Git.
        let place = place.and_then(|place| match place {
            StoreLocation::Postgres(url) if url.has_password() => {
                Err("the file must not contain a password: set BEADLE_STORE to the address with the password"
                    .into())
            }
            place => Ok(place),
        });
        place.map_err(|why: String| {
            let at = KeyPath::new("store").key("path");
            let what = format!("`{at}`: {why}");
            Invalid::new(at, what)
        })?;
        let has_orgs = !self.org.is_empty() || self.installations.is_some();
        if !has_orgs && self.groups.is_empty() && self.groups_from.is_empty() {
            let what = "the file must have at least one [[org]], one [[groups]], [installations] or the key `groups_from`";
            return Err(Invalid::new(KeyPath::default(), what));
        }
        if let Some(installations) = &self.installations {
            installations.check(self.org.iter().map(|org| org.name.as_str()))?;
        }
        for (entry, org) in self.org.iter().enumerate() {
            org.check(&KeyPath::new("org").entry(entry))?;
        }
        self.check_policies()?;
        self.check_notify()?;
        self.check_sign_in()?;
        self.traces.iter().try_for_each(TracesFile::check)?;
        self.check_retention()?;
        self.check_service()
    }

    /// Checks that each name is unique, because names are parts of keys.
    fn check_names(&self) -> Result<(), Invalid> {
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        let orgs = self.org.iter().enumerate().map(|(entry, org)| ("org", entry, &org.name));
        let oktas = self.okta.iter().enumerate().map(|(entry, okta)| ("okta", entry, &okta.name));
        let targets = self.target.iter().enumerate().map(|(entry, target)| ("target", entry, &target.name));
        for (table, entry, name) in orgs.chain(oktas).chain(targets) {
            let at = KeyPath::new(table).entry(entry).key("name");
            let shown = name.escape_debug();
            // Names also appear in logs and in the names of files.
            if name.trim().is_empty() {
                return Err(Invalid::must(at, &format!("not be empty, found `{shown}`")));
            }
            if name == "." || name == ".." {
                return Err(Invalid::must(at, &format!("not be `.` or `..`, found `{shown}`")));
            }
            if name.contains([':', '/', ' ']) {
                return Err(Invalid::must(at, &format!("not have `:`, `/` or a blank, found `{shown}`")));
            }
            if name.chars().any(char::is_control) {
                return Err(Invalid::must(at, &format!("not have control characters, found `{shown}`")));
            }
            if let Some(other) = names.insert(name.to_lowercase(), table) {
                let rule =
                    format!("differ from all other names, found `{name}`, which an [[{other}]] has too");
                let hint =
                    "the names of [[org]], [[okta]] and [[target]] must differ, also if case is ignored";
                return Err(Invalid::must(at, &rule).hint(Some(hint.into())));
            }
        }
        Ok(())
    }

    /// Checks the policies that are in repositories.
    fn check_policies(&self) -> Result<(), Invalid> {
        for (entry, org) in self.org.iter().enumerate() {
            let table = KeyPath::new("org").entry(entry);
            let names = self.org.iter().map(|org| org.name.as_str());
            if let Some(source) = org.policy.repository() {
                source.check(&table.key("policy"), names.clone())?;
            }
            if org.commit_check {
                let at = table.key("commit_check");
                let Some(source) = org.policy.repository() else {
                    let rule = "be used with a `policy` in a repository, found a folder";
                    return Err(Invalid::must(at, rule));
                };
                let home = source.owner(&org.name);
                if !self.org.iter().any(|other| other.name == home && other.app.is_some()) {
                    let what = format!("`{at}` needs an [[org]] `{home}` with an App");
                    let hint = "GitHub allows only an App to write check runs";
                    return Err(Invalid::new(at, what).hint(Some(hint.into())));
                }
            }
            if let Some(base) = &org.base {
                base.check(&table.key("base"), names)?;
                if org.policy.repository().is_none() {
                    let at = table.key("base");
                    let what = format!("`{at}` needs a policy in a repository, found a folder");
                    let hint = "write `policy` as a table, such as `{ repository = \"admin\" }`";
                    return Err(Invalid::new(at, what).hint(Some(hint.into())));
                }
            }
        }
        Ok(())
    }

    fn check_retention(&self) -> Result<(), Invalid> {
        let table = KeyPath::new("retention");
        if Duration::from(self.retention.ids) < SHORTEST_IDS {
            let hint = "GitHub can deliver an event again for 7 days";
            return Err(Invalid::must(table.key("ids"), "be at least `8d`").hint(Some(hint.into())));
        }
        // Beadle must keep the journal at least as long as the guard's window, because the journal
        // shows what the guard counted.
        let window = self.longest_window();
        if Duration::from(self.retention.journal) < window {
            let seconds = window.as_secs();
            let rule = format!("be at least the longest `guard.window`, which is {seconds} s");
            let hint = format!("set `journal = \"{seconds}s\"` or longer in [retention]");
            return Err(Invalid::must(table.key("journal"), &rule).hint(Some(hint)));
        }
        Ok(())
    }

    fn check_service(&self) -> Result<(), Invalid> {
        if self.worker.concurrency == 0 {
            return Err(Invalid::must(KeyPath::new("worker").key("concurrency"), "be at least 1, found 0"));
        }
        let (table, operator) = (KeyPath::new("server"), self.server.operator);
        if self.server.listen == operator {
            let rule = format!("differ from `server.listen`, found `{operator}` for both");
            return Err(Invalid::must(table.key("operator"), &rule));
        }
        if !operator.ip().is_loopback() && self.server.operator_token.is_none() {
            let what = format!("`server.operator` is `{operator}`, so `server.operator_token` is required");
            let hint = "set `operator_token`, or use an address of the loopback such as `127.0.0.1:8081`";
            return Err(Invalid::new(table.key("operator"), what).hint(Some(hint.into())));
        }
        Ok(())
    }
}

/// Returns an error if a number is greater than `most`.
fn at_most(at: KeyPath, most: u64, found: u64) -> Result<(), Invalid> {
    if found <= most { Ok(()) } else { Err(Invalid::must(at, &format!("be at most {most}, found {found}"))) }
}

/// Returns an error if a number is zero.
fn at_least_one(at: KeyPath, found: Option<usize>) -> Result<(), Invalid> {
    if found == Some(0) { Err(Invalid::must(at, "be at least 1, found 0")) } else { Ok(()) }
}

/// Returns an error unless exactly one of the two keys is set. `who` names the table in the error.
fn exactly_one(table: &KeyPath, who: &str, keys: [(&str, bool); 2], lacks: &str) -> Result<(), Invalid> {
    let [(one, has_one), (other, has_other)] = keys;
    match (has_one, has_other) {
        (false, false) => {
            let what = format!("{who} has no {lacks}: set `{one}` or `{other}`");
            Err(Invalid::new(table.clone(), what))
        }
        (true, true) => {
            let what = format!("{who} has both `{one}` and `{other}`: set only one of them");
            Err(Invalid::new(table.key(other), what))
        }
        _ => Ok(()),
    }
}

/// Returns an error if a text is not a reference to a secret. The error does not show the text,
/// because the text might be the secret itself.
fn check_reference(at: KeyPath, reference: &str) -> Result<(), Invalid> {
    reference.parse::<Reference>().map(drop).map_err(|error| {
        let what = format!("`{at}`: {error}");
        Invalid::new(at, what)
    })
}

/// Checks the references to all valid values of one secret.
fn check_valid_secrets(at: &KeyPath, references: &[String]) -> Result<(), Invalid> {
    if references.len() > 2 {
        let rule = format!("have at most 2 secrets, found {}", references.len());
        let hint = "two are valid while one replaces the other: remove the oldest one";
        return Err(Invalid::must(at.clone(), &rule).hint(Some(hint.into())));
    }
    for (entry, reference) in references.iter().enumerate() {
        check_reference(at.entry(entry), reference)?;
    }
    Ok(())
}

fn check_window(guard: &KeyPath, window: Duration) -> Result<(), Invalid> {
    if window < SHORTEST_WINDOW {
        Err(Invalid::must(guard.key("window"), "be at least `60s`"))
    } else {
        Ok(())
    }
}

/// Returns an error if no table of this kind has the name. The hint contains the most similar name.
fn check_known<'a>(
    at: KeyPath,
    kind: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Invalid> {
    if names.clone().any(|known| known == name) {
        return Ok(());
    }
    let what = format!("`{at}`: there is no {kind} `{}`", name.escape_debug());
    Err(Invalid::new(at, what).hint(did_you_mean(name, names)))
}

impl OrgFile {
    fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        let who = format!("organisation `{}`", self.name);
        let keys = [("app", self.app.is_some()), ("token", self.token.is_some())];
        exactly_one(table, &who, keys, "credentials")?;
        check_valid_secrets(&table.key("webhook_secrets"), &self.webhook_secrets)?;
        if let Some(token) = &self.token {
            check_reference(table.key("token"), token)?;
        }
        if let Some(app) = &self.app {
            check_reference(table.key("app").key("key"), &app.key)?;
        }
        for (name, reference) in &self.secrets {
            check_reference(table.key("secrets").key(name), reference)?;
        }
        if self.approve_by_review.is_some() && self.policy.repository().is_none() {
            let rule = "be used with a `policy` in a repository, found a folder";
            return Err(Invalid::must(table.key("approve_by_review"), rule));
        }
        if let Some(by_comment) = &self.approve_by_comment {
            let at = table.key("approve_by_comment");
            if self.policy.repository().is_none() {
                let rule = "be used with a `policy` in a repository, found a folder";
                return Err(Invalid::must(at, rule));
            }
            for (key, value) in [("repository", &by_comment.repository), ("team", &by_comment.team)] {
                if value.is_empty() || value.contains('/') {
                    return Err(Invalid::must(at.key(key), "be a name without `/`"));
                }
            }
        }
        let (budget, guard) = (table.key("budget"), table.key("guard"));
        at_most(budget.key("reserve"), 90, self.budget.reserve)?;
        if self.budget.concurrency == 0 || self.budget.concurrency > MOST_AT_ONCE {
            let rule = format!("be from 1 to {MOST_AT_ONCE}, found {}", self.budget.concurrency);
            return Err(Invalid::must(budget.key("concurrency"), &rule));
        }
        check_window(&guard, self.limits().window)?;
        at_most(guard.key("percent"), 100, self.guard.percent.unwrap_or_default().into())?;
        at_most(table.key("gate").key("percent"), 100, self.gate.percent.unwrap_or_default().into())?;
        self.schedule().check(table)?;
        for (entry, rule) in self.dispatch.iter().enumerate() {
            let at = table.key("dispatch").entry(entry);
            rule.check(&at)?;
            if self.dispatch[..entry].iter().any(|other| other.name == rule.name) {
                let found = format!("differ from the names of all other rules, found `{}` twice", rule.name);
                return Err(Invalid::must(at.key("name"), &found));
            }
        }
        Ok(())
    }
}

impl DispatchFile {
    fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        if self.name.is_empty() || self.name.contains('/') {
            let rule = format!("not be empty and not have `/`, found `{}`", self.name.escape_debug());
            return Err(Invalid::must(table.key("name"), &rule));
        }
        let (event, action) = self.on.split_once('.').unwrap_or((&self.on, ""));
        // GitHub can add events, so an unknown event is allowed. But if an unknown event is similar
        // to a known event, it is probably a typing mistake, and the function returns an error.
        for (word, known) in [(event, EVENTS), (action, REPOSITORY_ACTIONS)] {
            let is_checked = !word.is_empty() && (word == event || event == "repository");
            // `nearest` does not find a word such as `repos`, which is only the beginning of a
            // name.
            let begun = || known.iter().copied().find(|other| other.starts_with(word));
            if is_checked
                && !known.contains(&word)
                && let Some(near) = nearest(word, known.iter().copied()).or_else(begun)
            {
                let at = table.key("on");
                let what = format!("`{at}`: unknown event or action `{word}`, found `{}`", self.on);
                return Err(Invalid::new(at, what).hint(Some(format!("did you mean `{near}`?"))));
            }
        }
        Ok(())
    }
}

impl OktaFile {
    fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        let who = format!("directory `{}`", self.name);
        let keys = [("app", self.app.is_some()), ("token", self.token.is_some())];
        exactly_one(table, &who, keys, "credentials")?;
        check_valid_secrets(&table.key("hook_secrets"), &self.hook_secrets)?;
        if let Some(key) = &self.hook_key {
            let at = table.key("hook_key").key("secrets");
            if key.secrets.is_empty() {
                let hint = "without a secret, Beadle would refuse every event";
                return Err(Invalid::must(at, "not be empty").hint(Some(hint.into())));
            }
            check_valid_secrets(&at, &key.secrets)?;
        }
        self.schedule().check(table)?;
        at_most(table.key("reserve"), 90, self.reserve)?;
        if let Some(token) = &self.token {
            check_reference(table.key("token"), token)?;
        }
        if let Some(app) = &self.app {
            check_reference(table.key("app").key("key"), &app.key)?;
        }
        Ok(())
    }
}

impl TargetFile {
    fn check(&self, file: &File, table: &KeyPath) -> Result<(), Invalid> {
        let who = format!("target `{}`", self.name);
        let keys = [("scim", self.scim.is_some()), ("github", self.github.is_some())];
        exactly_one(table, &who, keys, "connection")?;
        if let Some(scim) = &self.scim {
            let at = table.key("scim");
            at_least_one(at.key("page"), scim.page)?;
            at_least_one(at.key("changes"), scim.changes)?;
            check_reference(at.key("token"), &scim.token)?;
        }
        if let Some(teams) = &self.github {
            let at = table.key("github");
            teams.check(file, &at)?;
            if let Some(other) = file.teams_of(&teams.org).find(|other| other.name != self.name) {
                let rule = format!(
                    "differ from the organisations of all other targets, found `{}`, which target `{}` has too",
                    teams.org, other.name
                );
                return Err(Invalid::must(at.key("org"), &rule));
            }
            if self.attributes.named().next().is_some() || !self.attributes.custom.is_empty() {
                let at = table.key("attributes");
                let what = format!("`{at}` is only for SCIM: an account of GitHub belongs to its person");
                return Err(Invalid::new(at, what).hint(Some("remove `attributes` from the target".into())));
            }
            if self.budget.is_some() {
                let at = table.key("budget");
                let what =
                    format!("`{at}` is only for SCIM: teams use the budget of [[org]] `{}`", teams.org);
                return Err(Invalid::new(at, what).hint(Some("remove `budget` from the target".into())));
            }
        }
        let percent = self.group_guard.percent.unwrap_or_default();
        let at = table.key("group_guard").key("percent");
        at_most(at, 100, u64::try_from(percent).unwrap_or(u64::MAX))?;
        let guard = table.key("guard");
        check_window(&guard, self.limits().window)?;
        let of_repositories =
            [("percent", self.guard.percent.is_some()), ("repositories", self.guard.repositories.is_some())];
        if let Some((key, _)) = of_repositories.into_iter().find(|(_, is_set)| *is_set) {
            let at = guard.key(key);
            let what = format!("`{at}` is not allowed for a target: it limits changes of repositories");
            let hint = "for groups, set `group_guard.percent` and `group_guard.count`";
            return Err(Invalid::new(at, what).hint(Some(hint.into())));
        }
        Ok(())
    }
}

impl TeamsFile {
    fn check(&self, file: &File, table: &KeyPath) -> Result<(), Invalid> {
        let names = file.org.iter().map(|org| org.name.as_str());
        check_known(table.key("org"), "[[org]]", &self.org, names)?;
        let org = file.org.iter().find(|org| org.name == self.org);
        if org.is_some_and(|org| org.app.is_none()) {
            let rule = format!("name an [[org]] with an App, found `{}`, which has a token", self.org);
            let hint = "the owner of a token becomes a maintainer of every team that the token creates";
            return Err(Invalid::must(table.key("org"), &rule).hint(Some(hint.into())));
        }
        self.check_members(table)?;
        if self.found_by.is_empty() && !self.teams_from_policy && !self.members_from_policy {
            let rule = "have at least one of \"saml\", \"mail\" and \"file\"";
            return Err(Invalid::must(table.key("match"), rule));
        }
        match (self.found_by.contains(&Match::File), &self.users_from) {
            (true, None) => {
                let at = table.key("match");
                let what = format!("`{at}` has \"file\", so `users_from` is required");
                Err(Invalid::new(at, what))
            }
            (false, Some(_)) => {
                let at = table.key("users_from");
                let what = format!("`{at}` has no effect: `match` does not have \"file\"");
                Err(Invalid::new(at, what))
            }
            _ => Ok(()),
        }
    }
}

impl GroupsFile {
    /// Checks a mapping. `table` is the path of the mapping in the main file or in a file that
    /// `groups_from` names.
    pub fn check(&self, file: &File, table: &KeyPath) -> Result<(), Invalid> {
        let sources = file.okta.iter().map(|okta| okta.name.as_str());
        check_known(table.key("source"), "[[okta]]", self.source.get_ref(), sources)?;
        let targets = file.target.iter().map(|target| target.name.as_str());
        check_known(table.key("target"), "[[target]]", &self.target, targets)?;
        let is_no_name = |name: &String| name.trim().is_empty() || name.chars().any(char::is_control);
        if self.into.as_ref().is_some_and(is_no_name) {
            let rule = "be the name of a group: not empty, and without control characters";
            return Err(Invalid::must(table.key("into"), rule));
        }
        let target = file.target.iter().find(|target| target.name == self.target);
        if target.is_some_and(|target| target.github.is_some()) {
            if self.users == Users::Provision {
                let rule = "not be `provision` for teams of GitHub: people create their accounts themselves";
                let hint = "invite the people to the organisation";
                return Err(Invalid::must(table.key("users"), rule).hint(Some(hint.into())));
            }
            return Ok(());
        }
        let of_teams = [
            ("role", self.role.is_some()),
            ("parent", self.parent.is_some()),
            ("description", self.description.is_some()),
        ];
        match of_teams.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => {
                let at = table.key(key);
                let what =
                    format!("`{at}` is only for teams of GitHub: a group of a SCIM server has no `{key}`");
                Err(Invalid::new(at, what))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
