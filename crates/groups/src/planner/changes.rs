//! From who comes and goes to changes: adds before removes, in the fewest requests; and what somebody has to approve.

use beadle_engine::{Change, Class, Failure, Field, Plan, Risk, Time};
use serde_json::{Value, json};

use super::compare::Difference;
use super::{Desired, GroupPlanner, MEMBERS, Seen, USERS, What, Write};
use crate::mapping::Role;
use crate::sources::Person;
use crate::targets::Account;

/// What is about a user is no matter of the group's members.
fn of_user(change: Change<Write>) -> Change<Write> {
    Change { aspect: USERS.into(), ..change }
}

impl GroupPlanner {
    /// Adds before removes, in the fewest requests.
    pub(super) async fn changes(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        difference: Difference,
        read: Time,
        plan: &mut Plan<Write>,
    ) -> Result<(), Failure> {
        let mode = desired.mode;
        let asked = &desired.mapping.asked;
        let change = |what: &str, fields: Vec<Field>, after: Vec<usize>, write: What| Change {
            aspect: MEMBERS.into(),
            what: what.into(),
            fields,
            mode,
            after,
            stop: None,
            reaches: 1,
            write: Write { facts: desired.facts.clone(), what: write },
        };
        let first: Vec<usize> = seen.first.into_iter().collect();
        let member = |name: &str, risk: Risk| {
            let (before, after) = match risk {
                Risk::Removes => (json!(true), Value::Null),
                _ => (Value::Null, json!(true)),
            };
            Field { name: name.to_owned(), before, after, asked: asked.clone(), risk }
        };
        let mut made = Vec::new();
        for person in &difference.provision {
            let field = Field {
                name: person.login.clone(),
                before: Value::Null,
                after: json!(person.display),
                asked: asked.clone(),
                risk: Risk::Adds,
            };
            let write = What::Provision(Box::new(person.clone()));
            plan.changes.push(of_user(change("make the user", vec![field], Vec::new(), write)));
            made.push(plan.changes.len() - 1);
        }
        let value = |name: &str, before: &Value, after: &Value, risk: Risk| Field {
            name: name.to_owned(),
            before: before.clone(),
            after: after.clone(),
            asked: asked.clone(),
            risk,
        };
        for (account, values) in &difference.update {
            let fields = values.iter().map(|(path, before, after)| value(path, before, after, Risk::Changes));
            let write = What::Update {
                account: account.id.clone(),
                values: values.iter().map(|(path, _, after)| (*path, after.clone())).collect(),
            };
            let what = format!("user {}", account.label());
            plan.changes.push(of_user(change(&what, fields.collect(), Vec::new(), write)));
        }
        for account in &difference.deactivate {
            let fields = vec![value("active", &json!(true), &json!(false), Risk::Removes)];
            let write = What::Update { account: account.id.clone(), values: vec![("active", json!(false))] };
            let what = format!("user {}", account.label());
            plan.changes.push(of_user(change(&what, fields, Vec::new(), write)));
        }
        let at_once = self.directory.target.changes_at_once().max(1);
        for role in [Role::Member, Role::Maintainer] {
            let come: Vec<_> = difference.come.iter().filter(|(.., wanted)| *wanted == role).collect();
            for part in come.chunks(at_once) {
                let label = |person: &Person, account: &Account| match &account.name {
                    // Whose account it is is not to be seen from what they sign in with.
                    Some(name) if !name.eq_ignore_ascii_case(&person.login) => {
                        format!("{} ({name})", person.login)
                    }
                    _ => person.login.clone(),
                };
                let fields =
                    part.iter().map(|(person, account, _)| member(&label(person, account), Risk::Adds));
                let fields = fields.collect();
                let accounts = part.iter().map(|(_, account, _)| account.id.clone()).collect();
                let write = What::Add { accounts, people: Vec::new(), role };
                let what = if role == Role::Member { "add" } else { "add as maintainers" };
                plan.changes.push(change(what, fields, first.clone(), write));
            }
        }
        for (part, before) in difference.provision.chunks(at_once).zip(made.chunks(at_once)) {
            let fields = part.iter().map(|person| member(&person.login, Risk::Adds)).collect();
            let people = part.iter().map(|person| person.id.clone()).collect();
            let after = first.iter().chain(before).copied().collect();
            plan.changes.push(change(
                "add",
                fields,
                after,
                What::Add { accounts: Vec::new(), people, role: Role::Member },
            ));
        }
        // Who may do more before who may do less.
        for (role, risk) in [(Role::Maintainer, Risk::Exposes), (Role::Member, Risk::Removes)] {
            let others: Vec<_> = difference.roles.iter().filter(|(_, wanted)| *wanted == role).collect();
            for part in others.chunks(at_once) {
                let field = |account: &Account| {
                    let before = account.role.unwrap_or_default().as_str();
                    value(account.label(), &json!(before), &json!(role.as_str()), risk)
                };
                let fields = part.iter().map(|(account, _)| field(account)).collect();
                let accounts = part.iter().map(|(account, _)| account.id.clone()).collect();
                let write = What::Add { accounts, people: Vec::new(), role };
                let mut change = change("change roles", fields, first.clone(), write);
                change.stop = match seen.vanished.as_slice() {
                    _ if role == Role::Maintainer => None,
                    [source, ..] => {
                        Some(format!("{source} was a source of it, and no mapping names it any more"))
                    }
                    [] => (!difference.has_maintainer)
                        .then(|| "nobody would be a maintainer any more, and all members only".into()),
                };
                plan.changes.push(change);
            }
        }
        let (leaving, members) = (difference.go.len(), seen.members.len());
        let listed = desired.listed.iter().map(|(.., listed)| listed).sum();
        let stop = match seen.vanished.as_slice() {
            [first, ..] if leaving > 0 => {
                Some(format!("{first} was a source of it, and no mapping names it any more"))
            }
            _ => self.limits.stops(leaving, members, listed, desired.is_protected),
        };
        let (sure, rest) = match &stop {
            Some(_) => self.confirmed(desired, difference.go).await?,
            None => (difference.go, Vec::new()),
        };
        // Which groups it is made of is settled by those removals only that say so.
        let settles = seen.vanished.is_empty();
        for (accounts, stop, settles) in [(sure, None, settles), (rest, stop, true)] {
            for part in accounts.chunks(at_once) {
                let fields = part.iter().map(|account| member(account.label(), Risk::Removes)).collect();
                let accounts = part.iter().map(|account| account.id.clone()).collect();
                let write = What::Remove { accounts, read, settles };
                let mut change = change("remove", fields, first.clone(), write);
                change.stop.clone_from(&stop);
                plan.changes.push(change);
            }
        }
        Ok(())
    }

    /// Of those who would leave: those of whom the directory, asked for each alone, says that their access should go; as
    /// many as the ceiling allows. And the others.
    async fn confirmed(
        &self,
        desired: &Desired<'_>,
        go: Vec<Account>,
    ) -> Result<(Vec<Account>, Vec<Account>), Failure> {
        let source = self.directory.source(&desired.mapping.source)?;
        let (mut sure, mut rest) = (Vec::new(), Vec::new());
        let mut asked = 0;
        for account in go {
            let person = match account.person.as_ref().or(account.known_as.first()) {
                // Beyond the ceiling nobody is asked about.
                Some(person) if sure.len() < self.limits.leavers && asked < self.limits.leavers * 5 => {
                    asked += 1;
                    match source.person(person).await {
                        Ok(person) => person,
                        Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => {
                            return Err(failure);
                        }
                        // Who cannot be asked about is one of the others, who wait for somebody.
                        Err(_) => None,
                    }
                }
                _ => None,
            };
            match person {
                Some(person) if person.is_leaving => sure.push(account),
                _ => rest.push(account),
            }
        }
        Ok((sure, rest))
    }
}
