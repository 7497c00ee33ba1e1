//! Changes the members of an organisation, and records the webhooks of these changes.

use serde_json::{Value, json};

use crate::github::events::Told;
use crate::github::shapes;
use crate::github::world::World;

/// The parts of an organisation that show who is in it.
const PARTS: [&str; 3] = ["members", "owners", "invitations"];

/// Returns the logins in a list of logins or of invitations.
fn logins(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    rows.filter_map(|row| row.as_str().or_else(|| row["login"].as_str())).collect()
}

impl World {
    /// Returns the members, the owners and the invitations of an organisation.
    pub(crate) fn membership(&self, org: &str) -> Value {
        let mut found = json!({});
        for part in PARTS {
            found[part] = self.org(org).map(|org| org[part].clone()).unwrap_or_default();
        }
        found
    }

    /// Changes the members, the owners and the invitations of an organisation with `edit`, and
    /// records the webhooks of the change.
    pub(crate) fn edit_membership(&mut self, org: &str, sender: &str, edit: impl FnOnce(&mut Value)) {
        let before = self.membership(org);
        let Some(found) = self.org_mut(org) else { return };
        edit(found);
        self.complete();
        self.tell_membership(org, &before, sender);
    }

    /// Compares the members of an organisation with the earlier members. Records the webhooks of
    /// the differences. GitHub sends no webhook for a changed role.
    pub(crate) fn tell_membership(&mut self, org: &str, before: &Value, sender: &str) {
        let after = self.membership(org);
        let mut told = Told { world: self, org, sender, events: Vec::new() };
        let (old, new) = (logins(&before["members"]), logins(&after["members"]));
        let joined = new.iter().filter(|login| !old.contains(login)).map(|login| ("member_added", *login));
        let left = old.iter().filter(|login| !new.contains(login)).map(|login| ("member_removed", *login));
        let changes: Vec<(&str, &str)> = joined.chain(left).collect();
        for (action, login) in changes {
            let role = if told.world.is_owner(org, login) { "admin" } else { "member" };
            let shown = json!({ "membership": shapes::membership(told.world, org, login, role, "active") });
            told.add("organization", Some(action), &Value::Null, &shown);
        }
        let known = logins(&before["invitations"]);
        let invitations = after["invitations"].as_array().into_iter().flatten();
        for invitation in invitations {
            let login = invitation["login"].as_str().unwrap_or_default();
            if known.contains(&login) {
                continue;
            }
            let shown = json!({
                "invitation": shapes::organisation_invitation(told.world, invitation),
                "user": shapes::user(told.world, login),
            });
            told.add("organization", Some("member_invited"), &Value::Null, &shown);
        }
        let events = told.events;
        self.outbox.extend(events);
    }
}
