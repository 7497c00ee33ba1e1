//! Turns joiners and leavers into changes. Additions come before removals, and the changes need as
//! few requests as possible.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Change, Field, Mode, Plan, Risk, Time};
use serde_json::{Value, json};

use super::compare::Difference;
use super::leavers::SomeLeavers;
use super::mapped::attribute_changes;
use super::membership::Words;
use super::{Desired, GroupPlanner, MEMBERS, Seen, USERS, What, Write};
use crate::mapping::Role;
use crate::sources::Person;
use crate::targets::TargetAccount;

/// Assigns a change to the aspect of users.
fn of_user(change: Change<Write>) -> Change<Write> {
    Change { aspect: USERS.into(), ..change }
}

impl GroupPlanner {
    /// Plans the changes of a group's members: additions before removals, with as few requests as
    /// possible.
    pub(super) fn changes(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        difference: &Difference,
        parts: &[SomeLeavers],
        read: Time,
        plan: &mut Plan<Write>,
    ) {
        let mode = desired.mode;
        let asked = &desired.mapping.asked;
        let change = |what: &str, fields: Vec<Field>, after: Vec<usize>, write: What| Change {
            aspect: MEMBERS.into(),
            what: what.into(),
            fields,
            mode,
            after,
            stop: None,
            undone: false,
            reaches: 1,
            write: Write { facts: desired.facts.clone(), what: write },
        };
        let words = Words::of(self.membership(seen).is_some());
        let first: Vec<usize> = seen.first.into_iter().collect();
        let wanted = Arc::new(difference.wanted());
        // In every mode except `enforce`, Beadle removes no member.
        let leave = parts.iter().filter(|part| part.stop.is_none() && mode == Mode::Enforce);
        let out: BTreeSet<String> =
            leave.flat_map(|part| &part.leavers).map(|account| account.id.clone()).collect();
        let out = Arc::new(out);
        let member = |name: &str, risk: Risk| {
            let (before, after) = match risk {
                Risk::Removes => (json!(true), Value::Null),
                _ => (Value::Null, json!(true)),
            };
            Field { name: name.to_owned(), before, after, asked: asked.clone(), risk }
        };
        for person in &difference.provision {
            let field = Field {
                name: person.login.clone(),
                before: Value::Null,
                after: json!(person.display),
                asked: asked.clone(),
                risk: Risk::Adds,
            };
            let source = desired.home(&person.id).to_owned();
            let write = What::Provision { person: Box::new(person.clone()), source };
            plan.changes.push(of_user(change("make the user", vec![field], Vec::new(), write)));
        }
        let value = |name: &str, before: &Value, after: &Value, risk: Risk| Field {
            name: name.to_owned(),
            before: before.clone(),
            after: after.clone(),
            asked: asked.clone(),
            risk,
        };
        for (whose, values) in &difference.update {
            let fields = values.iter().map(|(path, before, after)| value(path, before, after, Risk::Changes));
            let write = What::Update {
                whose: whose.clone(),
                values: values.iter().map(|(path, _, after)| (*path, after.clone())).collect(),
            };
            let what = format!("user {}", whose.login);
            plan.changes.push(of_user(change(&what, fields.collect(), Vec::new(), write)));
        }
        plan.changes.extend(attribute_changes(desired, difference));
        for (whose, stop) in
            parts.iter().flat_map(|part| part.deactivate.iter().map(move |one| (one, &part.stop)))
        {
            let fields = vec![value("active", &json!(true), &json!(false), Risk::Removes)];
            let write = What::Update { whose: whose.clone(), values: vec![("active", json!(false))] };
            let what = format!("user {}", whose.login);
            let mut change = of_user(change(&what, fields, Vec::new(), write));
            change.stop.clone_from(stop);
            plan.changes.push(change);
        }
        let at_once = self.directory.target.changes_at_once().max(1);
        for role in [Role::Member, Role::Maintainer] {
            // Sorts all joiners by name, whether they have an account or not. After Beadle has
            // shown this change, the run of another group can create an account for a joiner. The
            // shown change must then stay the same.
            let mut joiners: Vec<(String, Joiner<'_>)> = difference
                .joiners
                .iter()
                .filter(|(.., wanted)| *wanted == role)
                .map(|(person, account, _)| (label(person, account), Joiner::Existing(account)))
                .collect();
            let made = difference.provision.iter().filter(|person| desired.role(&person.id) == role);
            joiners.extend(made.map(|person| (person.login.clone(), Joiner::Created(person))));
            joiners.sort_by(|(one, _), (other, _)| one.cmp(other));
            for part in joiners.chunks(at_once) {
                let fields = part.iter().map(|(label, _)| member(label, words.risk_of(role))).collect();
                let (mut accounts, mut people) = (Vec::new(), Vec::new());
                for (_, joiner) in part {
                    match joiner {
                        Joiner::Existing(account) => accounts.push(account.id.clone()),
                        Joiner::Created(person) => people.push((person.id.clone(), person.login.clone())),
                    }
                }
                let what = if role == Role::Member { words.add } else { words.add_above };
                let write = What::Add { accounts, people, role, wanted: wanted.clone(), out: out.clone() };
                plan.changes.push(change(what, fields, first.clone(), write));
            }
        }
        // Beadle grants higher roles before it lowers roles.
        for (role, risk) in [(Role::Maintainer, Risk::Exposes), (Role::Member, Risk::Removes)] {
            let others: Vec<_> = difference.roles.iter().filter(|(_, wanted)| *wanted == role).collect();
            for part in others.chunks(at_once) {
                let field = |account: &TargetAccount| {
                    let before = words.role(account.role.unwrap_or_default());
                    value(account.label(), &json!(before), &json!(words.role(role)), risk)
                };
                let fields = part.iter().map(|(account, _)| field(account)).collect();
                let accounts = part.iter().map(|(account, _)| account.id.clone()).collect();
                let (people, wanted, out) = (Vec::new(), wanted.clone(), out.clone());
                let write = What::Add { accounts, people, role, wanted, out };
                let mut change = change("change roles", fields, first.clone(), write);
                let no_maintainer =
                    || (!difference.has_maintainer).then(|| "the group would have no maintainer".into());
                change.stop = match role {
                    Role::Maintainer => None,
                    Role::Member => {
                        let usual = seen.why_vanished().or_else(no_maintainer);
                        let usual = usual.or_else(|| desired.why_emptied(seen));
                        usual.or_else(|| difference.stop_of_roles.clone())
                    }
                };
                plan.changes.push(change);
            }
        }
        for part in parts {
            for accounts in part.leavers.chunks(at_once) {
                let fields = accounts.iter().map(|account| member(account.label(), Risk::Removes)).collect();
                let ids: Vec<String> = accounts.iter().map(|account| account.id.clone()).collect();
                let watched = part.watched.iter().filter(|whose| ids.contains(&whose.account));
                let confirmed = part.confirmed.iter().filter(|id| ids.contains(id));
                let write = What::Remove {
                    read,
                    members: seen.members.len(),
                    confirmed: confirmed.cloned().collect(),
                    watched: watched.cloned().collect(),
                    // If a source group is gone or empty, Beadle forgets this source group only
                    // after an approved removal.
                    settles: desired.keeps_its_sources(seen) || part.stop.is_some(),
                    accounts: ids,
                    wanted: wanted.clone(),
                    out: out.clone(),
                };
                let mut change = change(words.remove, fields, first.clone(), write);
                change.stop.clone_from(&part.stop);
                plan.changes.push(change);
            }
        }
    }
}

/// A person who joins the group.
enum Joiner<'a> {
    /// The person already has this account.
    Existing(&'a TargetAccount),
    /// An earlier change of the same plan creates the account.
    Created(&'a Person),
}

/// Returns the text that the plan shows for a joiner: the sign-in name. If the name of the account
/// is different, the text also has that name.
fn label(person: &Person, account: &TargetAccount) -> String {
    match &account.name {
        Some(name) if !name.eq_ignore_ascii_case(&person.login) => format!("{} ({name})", person.login),
        _ => person.login.clone(),
    }
}
