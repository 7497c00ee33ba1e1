//! Checks the configuration file with the crates of the vendors.

use beadle_config::{
    AttributesFile, File, Invalid, KeyPath, NotifyEmailFile, OktaFile, OrgFile, ScimFile,
    TargetFile as TargetConfig, TeamsFile, did_you_mean,
};
use beadle_groups::mapping::RESERVED;
use beadle_okta::Status;
use beadle_repositories::policy::check_waived_key;
use beadle_repositories::policy::forms::{Form, LOGIN, REPOSITORY, URL, WORKFLOW};
use beadle_scim::Dialect;

use super::conversions::{InvalidAttribute, checked_attributes, rules};
use super::email_address::address;
use crate::notify::template::{FIELDS, Templates};

/// Checks those rules of the configuration file that need a vendor's crate or a Cargo feature.
pub(super) fn check(file: &File) -> Result<(), Invalid> {
    if file.traces.is_some() && cfg!(not(feature = "otel")) {
        let what = "`traces` needs a Beadle built with `--features otel`";
        return Err(Invalid::new(KeyPath::new("traces"), what));
    }
    for (entry, okta) in file.okta.iter().enumerate() {
        check_okta(okta, &KeyPath::new("okta").entry(entry))?;
    }
    for (entry, target) in file.target.iter().enumerate() {
        // If a policy declares teams, these teams are a source. This source has the same name as
        // the target.
        let is_source = target.github.as_ref().is_some_and(|teams| teams.teams_from_policy);
        if is_source && RESERVED.contains(&target.name.as_str()) {
            let at = KeyPath::new("target").entry(entry).key("name");
            let rule = format!("not be `{}`, which is reserved for Beadle", target.name);
            return Err(Invalid::must(at, &rule).hint(Some("choose another name".into())));
        }
        if let Some(teams) = target.github.as_ref().filter(|teams| teams.members_from_policy) {
            check_members(file, target, teams, &KeyPath::new("target").entry(entry))?;
        }
        if let Some(scim) = &target.scim {
            let table = KeyPath::new("target").entry(entry);
            check_scim(scim, &table.key("scim"))?;
            check_attributes(&target.attributes, scim, &table.key("attributes"))?;
        }
    }
    for (entry, channel) in file.notify.iter().enumerate() {
        Templates::of(channel).check().map_err(|(key, why)| {
            let table = KeyPath::new("notify").entry(entry);
            let what = format!("`{table}` has an invalid template: {why}");
            Invalid::new(table.key(key), what).hint(Some(format!("a template can name {FIELDS}")))
        })?;
        if let Some(issues) = &channel.github {
            let at = KeyPath::new("notify").entry(entry).key("github").key("repository");
            check_form(&REPOSITORY, at, &issues.repository)?;
        }
        if let Some(email) = &channel.email {
            check_addresses(email, &KeyPath::new("notify").entry(entry).key("email"))?;
        }
    }
    for (entry, org) in file.org.iter().enumerate() {
        check_org(org, &KeyPath::new("org").entry(entry))?;
    }
    if let Some(installations) = &file.installations {
        let table = KeyPath::new("installations");
        check_form(&URL, table.key("api"), &installations.api)?;
        if let Some(source) = installations.policy.repository() {
            check_form(&REPOSITORY, table.key("policy").key("repository"), &source.repository)?;
        }
    }
    Ok(())
}

/// Checks the keys about the members of an organisation. `table` is the path of the target.
fn check_members(
    file: &File,
    target: &TargetConfig,
    teams: &TeamsFile,
    table: &KeyPath,
) -> Result<(), Invalid> {
    // If a policy declares members, these members are a source with this name.
    let source = target.members_source();
    let names = file.okta.iter().map(|okta| &okta.name).chain(file.target.iter().map(|other| &other.name));
    if let Some(other) = names.chain(file.org.iter().map(|org| &org.name)).find(|name| source == **name) {
        let rule = format!("not make `{source}` the name of two sources, found another `{other}`");
        let hint = "choose another name".to_owned();
        return Err(Invalid::must(table.key("name"), &rule).hint(Some(hint)));
    }
    for (entry, login) in teams.required_owners.iter().enumerate() {
        check_form(&LOGIN, table.key("github").key("required_owners").entry(entry), login)?;
    }
    Ok(())
}

fn check_addresses(email: &NotifyEmailFile, table: &KeyPath) -> Result<(), Invalid> {
    let recipients = email.to.iter().enumerate().map(|(entry, to)| (table.key("to").entry(entry), to));
    for (at, text) in [(table.key("from"), &email.from)].into_iter().chain(recipients) {
        if address(text).is_none() {
            let rule = format!("be an address of e-mail, found `{}`", text.escape_debug());
            let hint = "write it as `name@example.com`, without a display name";
            return Err(Invalid::must(at, &rule).hint(Some(hint.into())));
        }
    }
    Ok(())
}

/// Checks that a value has the form that GitHub accepts.
fn check_form(form: &Form, at: KeyPath, value: &str) -> Result<(), Invalid> {
    form.check(value).map_err(|misfit| {
        let rule = format!("{}, found `{}`", misfit.must, value.escape_debug());
        Invalid::must(at, &rule).hint(misfit.hint)
    })
}

fn check_org(org: &OrgFile, table: &KeyPath) -> Result<(), Invalid> {
    check_form(&LOGIN, table.key("name"), &org.name)?;
    check_form(&URL, table.key("api"), &org.api)?;
    check_form(&REPOSITORY, table.key("policy_repository"), &org.policy_repository)?;
    if let Some(source) = org.policy.repository() {
        check_form(&REPOSITORY, table.key("policy").key("repository"), &source.repository)?;
    }
    if let Some(base) = &org.base {
        check_form(&REPOSITORY, table.key("base").key("repository"), &base.repository)?;
    }
    for (entry, path) in org.waivers.never_waive.iter().enumerate() {
        let at = table.key("waivers").key("never_waive").entry(entry);
        check_waived_key(path).map_err(|must| Invalid::must(at, &must))?;
    }
    let known = beadle_repositories::aspect_names();
    for aspect in org.modes.keys() {
        if !known.clone().any(|name| name == aspect) {
            let what = format!("[org.modes] has no aspect `{}`", aspect.escape_debug());
            let hint = did_you_mean(aspect, known.clone());
            return Err(Invalid::new(table.key("modes").key(aspect), what).hint(hint));
        }
    }
    for (entry, rule) in rules(org).iter().enumerate() {
        let at = table.key("dispatch").entry(entry);
        check_form(&REPOSITORY, at.key("repository"), &rule.repository)?;
        check_form(&WORKFLOW, at.key("workflow"), &rule.workflow)?;
        rule.check().map_err(|why| {
            let what = format!("dispatch `{}`: {why}", rule.name);
            Invalid::new(at, what)
        })?;
    }
    Ok(())
}

fn check_okta(okta: &OktaFile, table: &KeyPath) -> Result<(), Invalid> {
    if RESERVED.contains(&okta.name.as_str()) {
        let rule = format!("not be `{}`, which is reserved for Beadle", okta.name);
        return Err(Invalid::must(table.key("name"), &rule).hint(Some("choose another name".into())));
    }
    for (key, list) in [("leaving", &okta.leaving), ("provisioned", &okta.provisioned)] {
        for (entry, status) in list.iter().enumerate() {
            if !Status::names().any(|known| known == status) {
                let at = table.key(key).entry(entry);
                let what = format!("`{at}`: Okta has no status `{}`", status.escape_debug());
                return Err(Invalid::new(at, what).hint(did_you_mean(status, Status::names())));
            }
        }
    }
    Ok(())
}

fn check_attributes(file: &AttributesFile, scim: &ScimFile, table: &KeyPath) -> Result<(), Invalid> {
    let attributes = match checked_attributes(file) {
        Ok((attributes, _)) => attributes,
        Err(InvalidAttribute { is_custom, key, rule }) => {
            let table = if is_custom { table.key("custom") } else { table.clone() };
            return Err(Invalid::must(table.key(&key), &rule));
        }
    };
    let is_aws = Dialect::named(&scim.dialect) == Some(Dialect::AWS);
    if let Some(unknown) = attributes.iter().find(|attribute| is_aws && !attribute.is_known_to_aws()) {
        let at = table.key("custom").key(unknown.name());
        let what = format!("`{at}`: IAM Identity Center does not have this attribute");
        let hint = "remove the attribute, or use one of the keys such as `title` and `department`";
        return Err(Invalid::new(at, what).hint(Some(hint.into())));
    }
    Ok(())
}

fn check_scim(scim: &ScimFile, table: &KeyPath) -> Result<(), Invalid> {
    if Dialect::named(&scim.dialect).is_none() {
        let names = Dialect::NAMES.join("` or `");
        let rule = format!("be `{names}`, found `{}`", scim.dialect.escape_debug());
        let hint = did_you_mean(&scim.dialect, Dialect::NAMES);
        return Err(Invalid::must(table.key("dialect"), &rule).hint(hint));
    }
    if scim.identity_store.is_some() && cfg!(not(feature = "aws")) {
        let at = table.key("identity_store");
        let what = format!("`{at}` needs a Beadle built with `--features aws`");
        return Err(Invalid::new(at, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_config::Source;

    use super::*;

    #[test]
    fn traces_need_the_feature() {
        let text = "[traces]\n[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n";
        let file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        let refused = check(&file).err().map(|invalid| invalid.to_string());
        let expected = "`traces` needs a Beadle built with `--features otel`";
        assert_eq!(refused.as_deref(), cfg!(not(feature = "otel")).then_some(expected));
    }
}
