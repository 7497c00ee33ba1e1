//! Changes teams and their members, and records the webhooks of these changes.

use serde_json::{Value, json};

use crate::github::events::{Event, Told, differences};
use crate::github::shapes;
use crate::github::world::World;

impl World {
    /// Changes the teams of an organisation with `edit`, and records the webhooks of the change.
    pub(crate) fn edit_teams(&mut self, org: &str, sender: &str, edit: impl FnOnce(&mut Value)) {
        let Some(found) = self.org_mut(org) else { return };
        let before = found["teams"].clone();
        edit(&mut found["teams"]);
        self.complete();
        self.tell_teams(org, &before, sender);
    }

    /// Compares the teams of an organisation with their earlier state, and records the webhooks of
    /// the changes.
    pub(crate) fn tell_teams(&mut self, org: &str, before: &Value, sender: &str) {
        let after = self.org(org).map(|org| org["teams"].clone()).unwrap_or_default();
        let told = of_teams(self, org, before, &after, sender);
        self.outbox.extend(told);
    }

    /// Returns whether a person is a member of an organisation.
    pub(crate) fn is_member(&self, org: &str, login: &str) -> bool {
        let members = self.org(org).map(|org| org["members"].clone()).unwrap_or_default();
        let mut members = members.as_array().into_iter().flatten().filter_map(Value::as_str);
        members.any(|member| member.eq_ignore_ascii_case(login))
    }

    /// Returns whether a person is an owner of an organisation.
    pub(crate) fn is_owner(&self, org: &str, login: &str) -> bool {
        let owners = self.org(org).map(|org| org["owners"].clone()).unwrap_or_default();
        let mut owners = owners.as_array().into_iter().flatten().filter_map(Value::as_str);
        owners.any(|owner| owner.eq_ignore_ascii_case(login))
    }
}

fn of_teams(world: &World, org: &str, before: &Value, after: &Value, sender: &str) -> Vec<Event> {
    let by_id = |teams: &Value| -> Value {
        let teams = teams.as_object().into_iter().flatten();
        teams
            .map(|(_, team)| (team["id"].to_string(), team.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let (before, after) = (by_id(before), by_id(after));
    let mut told = Told { world, org, sender, events: Vec::new() };
    for (_, old, new) in differences(&before, &after) {
        let team = new.or(old).unwrap_or(&Value::Null);
        let shown = json!({ "team": shapes::team(world, org, team, None) });
        match (old, new) {
            (None, _) => told.add("team", Some("created"), &Value::Null, &shown),
            (_, None) => told.add("team", Some("deleted"), &Value::Null, &shown),
            (Some(old), Some(new)) => {
                let mut changes = json!({});
                for key in ["name", "description"] {
                    if old[key] != new[key] {
                        changes[key] = json!({ "from": old[key] });
                    }
                }
                if changes != json!({}) {
                    let mut shown = shown.clone();
                    shown["changes"] = changes;
                    told.add("team", Some("edited"), &Value::Null, &shown);
                }
                members(&mut told, old, new, &shown);
            }
        }
    }
    told.events
}

fn members(told: &mut Told<'_>, old: &Value, new: &Value, shown: &Value) {
    for (login, old, new) in differences(&old["members"], &new["members"]) {
        let action = match (old, new) {
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            // GitHub sends no webhook for a changed role.
            _ => continue,
        };
        let mut shown = shown.clone();
        shown["scope"] = json!("team");
        shown["member"] = shapes::user(told.world, login);
        told.add("membership", Some(action), &Value::Null, &shown);
    }
}
