//! Reads the identity provider's groups. A group of the identity provider can set the members of
//! teams. Only enterprises with managed users have groups of an identity provider. Each read is one
//! call. If the answer has not changed, the call uses nothing of the budget.
//!
//! <https://docs.github.com/enterprise-cloud@latest/rest/teams/external-groups>

use beadle_engine::{Class, Failure};
use beadle_github::Path;
use serde_json::Value;

use super::TeamReader;

/// The maximum number of groups in an answer.
const PAGE: usize = 100;

impl TeamReader {
    /// Returns the name of the identity provider's group that is connected to a team.
    pub(super) async fn connected_with(&self, slug: &str) -> Result<Option<String>, Failure> {
        let path = Path::at("teams").value(slug).then("external-groups");
        let seen = self.github.of_organisation(path).await?;
        let groups = seen["groups"].as_array().ok_or_else(unreadable)?;
        let name = groups.first().map(|group| group["group_name"].as_str().ok_or_else(unreadable));
        Ok(name.transpose()?.map(str::to_owned))
    }

    /// Returns the id of the group with this name.
    pub(super) async fn external_group_named(&self, name: &str) -> Result<u64, Failure> {
        // GitHub returns all groups whose names contain the text.
        let path = Path::at("external-groups").query("display_name", name).query("per_page", PAGE);
        let seen = self.github.of_organisation(path).await?;
        id_of(seen["groups"].as_array().ok_or_else(unreadable)?, name)
    }
}

/// Returns the id of the only group in `groups` with this name. `groups` is GitHub's answer.
fn id_of(groups: &[Value], name: &str) -> Result<u64, Failure> {
    if groups.len() >= PAGE {
        // The answer does not show the total number of groups, so another group with the same name
        // might be on the next page.
        let text = format!(
            "GitHub has {PAGE} or more groups of the identity provider whose names contain `{name}`, so the \
             group is unknown; give it a name that fewer groups contain"
        );
        return Err(Failure::new(Class::Rejected, text));
    }
    let named = groups.iter().filter(|group| group["group_name"] == name);
    let ids: Vec<&Value> = named.map(|group| &group["group_id"]).collect();
    let [id] = ids.as_slice() else {
        let found = ids.len();
        let text = format!("expected one group `{name}` of the identity provider at GitHub, found {found}");
        return Err(Failure::new(Class::Rejected, text));
    };
    id.as_u64().ok_or_else(unreadable)
}

fn unreadable() -> Failure {
    Failure::new(Class::Retry, "GitHub's list of external groups is incomplete")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_complete_list_with_one_group_of_the_name_has_its_id() {
        let group = |id: usize, name: &str| json!({ "group_id": id, "group_name": name });
        let more = |count: usize| (0..count).map(move |id| group(id, &format!("ops-{id}")));
        let with = |names: &[&str], count: usize| -> Vec<Value> {
            names.iter().map(|name| group(7, name)).chain(more(count)).collect()
        };
        assert_eq!(id_of(&with(&["ops"], 98), "ops").unwrap(), 7);
        for (groups, said) in [
            (with(&[], 5), "found 0"),
            (with(&["Ops"], 5), "found 0"),
            (with(&["ops", "ops"], 5), "found 2"),
            (with(&["ops"], 99), "100 or more groups"),
            (with(&[], 100), "100 or more groups"),
        ] {
            let failure = id_of(&groups, "ops").unwrap_err();
            assert!(failure.text.contains(said), "{said}: {}", failure.text);
        }
        let odd = [json!({ "group_id": null, "group_name": "ops" })];
        assert_eq!(id_of(&odd, "ops").unwrap_err().class, Class::Retry);
    }
}
