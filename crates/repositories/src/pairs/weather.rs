//! Makes disturbances for the test. Some reads fail or are incomplete. Another person renames,
//! deletes or adds things at GitHub.

use beadle_sim::Fault;
use http::Method;
use serde_json::{Value, json};

use super::dice::{Dice, TEAMS};
use super::state::ORGANISATION;

/// The lists that Beadle reads by GraphQL.
const CONNECTIONS: &[&str] =
    &["labels", "collaborators", "branchProtectionRules", "rulesets", "repositoryTopics"];
/// The paths below a repository that Beadle reads by REST.
const PLACES: &[&str] = &["/autolinks", "/hooks", "/actions/permissions", "/automated-security-fixes"];

/// Returns a random kind of failure for reads.
pub(super) fn fault(dice: &mut Dice) -> Fault {
    if dice.chance(50) {
        Fault { path: "/graphql".into(), shorten: Some(dice.one(CONNECTIONS).into()), ..Fault::default() }
    } else {
        let (path, status) = (dice.one(PLACES).into(), Some(dice.one(&[500, 502, 403])));
        Fault { method: Some("GET".into()), path, status, ..Fault::default() }
    }
}

/// A change that somebody else makes through GitHub's API.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) method: Method,
    pub(super) path: String,
    /// The request body, or `null` for a request without a body.
    pub(super) body: Value,
}

fn act(method: Method, path: String, body: Value) -> Act {
    Act { method, path, body }
}

/// Returns random changes that somebody else makes to an organisation.
pub(super) fn acts(dice: &mut Dice, doc: &Value) -> Vec<Act> {
    let organisation = &doc["orgs"][ORGANISATION];
    let names: Vec<&String> =
        organisation["repos"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let below = |dice: &mut Dice, rest: &str| format!("repos/{ORGANISATION}/{}{rest}", dice.one(&names));
    let team = |dice: &mut Dice| format!("orgs/{ORGANISATION}/teams/{}", dice.one(TEAMS));
    let mut acts = Vec::new();
    for n in 0..=dice.below(2) {
        match dice.below(7) {
            0 | 1 => acts.push(act(Method::PATCH, below(dice, ""), json!({ "name": format!("moved-{n}") }))),
            2 => acts.push(act(Method::PATCH, team(dice), json!({ "name": format!("Another name {n}") }))),
            3 => {
                let path = team(dice);
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                acts.push(act(Method::DELETE, path, Value::Null));
                if dice.chance(50) {
                    // A new team gets the old name of the renamed team.
                    let made = json!({ "name": name });
                    acts.push(act(Method::POST, format!("orgs/{ORGANISATION}/teams"), made));
                }
            }
            4 => {
                let label = json!({ "name": "by hand", "color": "ededed" });
                acts.push(act(Method::POST, below(dice, "/labels"), label));
            }
            5 => {
                let topics = json!({ "names": ["by-hand", "infra"] });
                acts.push(act(Method::PUT, below(dice, "/topics"), topics));
            }
            _ => {
                let admin = json!({ "permission": "admin" });
                acts.push(act(Method::PUT, below(dice, "/collaborators/ann"), admin));
            }
        }
    }
    acts
}
