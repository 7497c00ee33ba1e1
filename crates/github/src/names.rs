//! Resolves the names of a policy: logins, slugs of teams and Apps, and custom properties. Beadle
//! resolves each name to an immutable id before it compares the name with anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use beadle_engine::{Class, Failure, Time};
use beadle_transport::Path;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::assemble::unless_limited;
use crate::documents::repositories::NamedRepository;
use crate::documents::{APPS, Nodes, TypedNode};
use crate::graphql::run;
use crate::read::Reader;
use crate::repository::{Actor, ActorKind};
use crate::shape::{optional, shape};
use crate::unsure::Unsure;

/// The number of repository names in one query.
const AT_ONCE: usize = 50;
/// The number of simultaneous queries for names of repositories.
const QUERIES: usize = 8;

/// A team, an account or an App that Beadle found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The node id of the name's owner.
    pub node_id: String,
    /// The immutable id of the name's owner.
    pub id: u64,
    /// The name as GitHub spells it.
    pub name: String,
    /// The time at which Beadle asked GitHub about the name. The name can belong to another team,
    /// account or App later.
    pub asked: Time,
}

/// A repository that GitHub found by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The immutable id of the repository.
    pub id: u64,
    /// The present name. If the repository was renamed, this name differs from the requested name.
    pub name: String,
}

/// The names of teams and custom properties in the selectors of a policy's layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectedBy {
    /// The slugs of the teams.
    pub teams: Vec<String>,
    /// The names of the custom properties.
    pub properties: Vec<String>,
}

impl SelectedBy {
    fn is_empty(&self) -> bool {
        self.teams.is_empty() && self.properties.is_empty()
    }
}

/// The names that do not exist, although a layer uses them to select repositories. Each name is in
/// lower case, and comes with the reason why it is missing. If a condition of a layer uses a
/// missing name, Beadle does not know whether this condition matches. But if another condition of
/// the layer does not match, the layer does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    teams: BTreeMap<String, Unsure>,
    properties: BTreeMap<String, Unsure>,
}

impl Missing {
    /// Returns why the slug is missing, or `None` if a team has this slug.
    pub fn team(&self, slug: &str) -> Option<&Unsure> {
        self.teams.get(&slug.to_lowercase())
    }

    /// Returns why the custom property is missing, or `None` if the property exists.
    pub fn property(&self, name: &str) -> Option<&Unsure> {
        self.properties.get(&name.to_lowercase())
    }
}

/// Returns the missing names in the layers' selectors. A name that Beadle cannot resolve counts as
/// missing too. If a budget is used up, the whole call fails, and Beadle repeats the run later.
pub(crate) async fn missing(api: &Api, selected_by: &SelectedBy) -> Result<Arc<Missing>, Failure> {
    let mut missing = Missing::default();
    if selected_by.is_empty() {
        return Ok(Arc::new(missing));
    }
    let actor = |slug: &String| Actor { kind: ActorKind::Team, name: slug.clone(), id: None, number: None };
    let teams: Vec<Actor> = selected_by.teams.iter().map(actor).collect();
    let (teams, properties) = futures::join!(resolve(api, &teams), async {
        if selected_by.properties.is_empty() { Ok(Vec::new()) } else { defined(api).await }
    });
    for (at, slug) in selected_by.teams.iter().enumerate() {
        let why = match &teams {
            Ok(teams) => teams.get(at).and_then(|team| team.as_ref().err().cloned()).map(Unsure::for_people),
            Err(failure) => Some(unless_limited(failure)?),
        };
        missing.teams.extend(why.map(|why| (slug.to_lowercase(), why)));
    }
    for name in &selected_by.properties {
        let why = match &properties {
            Ok(defined) if defined.iter().any(|known| known.eq_ignore_ascii_case(name)) => None,
            Ok(_) => {
                let why = format!("{} defines no custom property `{name}`", api.organisation());
                Some(Unsure::for_people(why))
            }
            Err(failure) => Some(unless_limited(failure)?),
        };
        missing.properties.extend(why.map(|why| (name.to_lowercase(), why)));
    }
    Ok(Arc::new(missing))
}

#[derive(Deserialize)]
struct Definition {
    property_name: String,
}

/// Returns the names of the custom properties that the organisation defines.
///
/// <https://docs.github.com/rest/orgs/custom-properties#get-all-custom-properties-for-an-organization>
async fn defined(api: &Api) -> Result<Vec<String>, Failure> {
    let path = Path::at("orgs").value(api.organisation()).then("properties/schema");
    let definitions: Vec<Definition> = api.list(&path).await?;
    Ok(definitions.into_iter().map(|definition| definition.property_name).collect())
}

/// Returns the repository of a GraphQL node, if the repository belongs to the organisation.
fn called_of(found: &Value, organisation: &str) -> Option<Called> {
    let NamedRepository { database_id: id, name, owner } = shape(found)?;
    owner.login.eq_ignore_ascii_case(organisation).then_some(Called { id, name })
}

impl Reader {
    /// Resolves the names of actors to ids. If an actor does not exist, the result has an error for
    /// this actor.
    pub async fn resolve(&self, actors: &[Actor]) -> Result<Vec<Result<Resolved, String>>, Failure> {
        resolve(self.api(), actors).await
    }

    /// Returns one repository of the organisation for each name. The repository has this name now,
    /// or had this name before a rename.
    pub async fn repositories_called(&self, names: &[String]) -> Result<Vec<Option<Called>>, Failure> {
        let chunks: Vec<&[String]> = names.chunks(AT_ONCE).collect();
        let mut called = Vec::with_capacity(names.len());
        // A policy can have thousands of files that belong to no repository. So Beadle sends
        // several queries at the same time, because one query after the other would take long.
        for queries in chunks.chunks(QUERIES) {
            for found in join_all(queries.iter().map(|names| self.some_called(names))).await {
                called.extend(found?);
            }
        }
        Ok(called)
    }

    /// Asks for the repositories with these names in one query.
    async fn some_called(&self, names: &[String]) -> Result<Vec<Option<Called>>, Failure> {
        const DOING: &str = "resolving the names of repositories";
        let (mut parts, mut declared) = (String::new(), String::from("$org: String!"));
        let mut variables = Map::from_iter([("org".to_owned(), json!(self.organisation()))]);
        for (at, name) in names.iter().enumerate() {
            let _ = write!(
                parts,
                "r{at}: repository(owner: $org, name: $n{at}) {{ databaseId name owner {{ login }} }} "
            );
            let _ = write!(declared, ", $n{at}: String!");
            variables.insert(format!("n{at}"), json!(name));
        }
        let document = format!("query ({declared}) {{ {parts}}}");
        let answer = run(self.api(), DOING, &document, variables.into(), false).await?;
        let of = |at: usize| {
            let place = format!("r{at}");
            match answer.error_at(&[json!(place)]) {
                Some(error) if !error.is_not_found() => Err(error.failure(DOING)),
                _ => Ok(called_of(&answer.data[&place], self.organisation())),
            }
        };
        (0..names.len()).map(of).collect()
    }

    /// Returns for each node id whether it belongs to a GitHub App.
    pub async fn are_apps(&self, nodes: &[String]) -> Result<Vec<bool>, Failure> {
        const DOING: &str = "looking for GitHub Apps";
        let answer = run(self.api(), DOING, APPS, json!({ "ids": nodes }), false).await?;
        let found = shape(&answer.data).map(|Nodes { nodes }| nodes);
        let Some(found) = found.filter(|found| found.len() == nodes.len()) else {
            let text = format!("{DOING}: the answer does not have every node that was asked for");
            return Err(Failure::new(Class::Retry, text));
        };
        let is_app = |(at, node): (usize, &Value)| match answer.error_at(&[json!("nodes"), json!(at)]) {
            Some(error) if !error.is_not_found() => Err(error.failure(DOING)),
            _ => Ok(shape(node).is_some_and(|node: TypedNode| node.typename == "App")),
        };
        found.iter().enumerate().map(is_app).collect()
    }

    /// Returns the names of the custom properties that the organisation defines.
    pub async fn defined_properties(&self) -> Result<Vec<String>, Failure> {
        defined(self.api()).await
    }
}

/// The part of an answer that contains a team of an organisation.
#[derive(Deserialize)]
struct TeamPlace {
    team: FoundNode,
}

/// The identity of a team or an account in an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundNode {
    id: String,
    database_id: u64,
    #[serde(default, deserialize_with = "optional")]
    slug: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    login: Option<String>,
}

/// Returns the team or the account of an actor. `place` is the part of the answer about this actor.
/// Returns `None` if the actor does not exist, or if GitHub shows no identity.
fn found_in(place: &Value, actor: &Actor, asked: Time) -> Option<Resolved> {
    let FoundNode { id: node_id, database_id: id, slug, login } = match actor.kind {
        ActorKind::Team => shape::<TeamPlace>(place)?.team,
        _ => shape(place)?,
    };
    let name = if actor.kind == ActorKind::Team { slug } else { login };
    Some(Resolved { node_id, id, name: name.unwrap_or_else(|| actor.name.clone()), asked })
}

/// Returns whether the answer shows that the name has an owner. The answer can show an owner
/// without the owner's identity. A name with an unknown owner is not free, because a removal would
/// affect this owner.
fn is_shown(place: &Value, actor: &Actor) -> bool {
    let found = if actor.kind == ActorKind::Team { &place["team"] } else { place };
    !found.is_null()
}

/// Resolves the names of actors to ids. If an actor does not exist, the result has an error for
/// this actor.
pub(crate) async fn resolve(api: &Api, actors: &[Actor]) -> Result<Vec<Result<Resolved, String>>, Failure> {
    const DOING: &str = "resolving names";
    let asked = api.clock().now();
    let mut found: Vec<Option<Result<Resolved, String>>> = vec![None; actors.len()];
    let mut parts = String::new();
    let mut variables = Map::from_iter([("org".to_owned(), json!(api.organisation()))]);
    let mut declared = String::from("$org: String!");
    for (at, actor) in actors.iter().enumerate() {
        let part = match actor.kind {
            ActorKind::App => continue,
            ActorKind::Team => {
                format!("a{at}: organization(login: $org) {{ team(slug: $n{at}) {{ id databaseId slug }} }} ")
            }
            ActorKind::User => format!("a{at}: user(login: $n{at}) {{ id databaseId login }} "),
        };
        parts += &part;
        let _ = write!(declared, ", $n{at}: String!");
        variables.insert(format!("n{at}"), json!(actor.name));
    }
    if !parts.is_empty() {
        let unused = if parts.contains("$org") { "" } else { "organization(login: $org) { id } " };
        let document = format!("query ({declared}) {{ {parts}{unused}}}");
        let answer = run(api, DOING, &document, variables.into(), false).await?;
        for (at, actor) in actors.iter().enumerate().filter(|(_, actor)| actor.kind != ActorKind::App) {
            let place = format!("a{at}");
            let error = answer.error_at(&[json!(place)]);
            found[at] = Some(match (found_in(&answer.data[&place], actor, asked), error) {
                (Some(resolved), _) => Ok(resolved),
                (None, Some(error)) if !error.is_not_found() => return Err(error.failure(DOING)),
                (None, None) if is_shown(&answer.data[&place], actor) => {
                    let text = format!("{DOING}: the answer about `{}` is incomplete", actor.name);
                    return Err(Failure::new(Class::Retry, text));
                }
                (None, _) => Err(no_such(actor, api.organisation())),
            });
        }
    }
    for (at, actor) in actors.iter().enumerate().filter(|(_, actor)| actor.kind == ActorKind::App) {
        found[at] = Some(app(api, actor).await?);
    }
    let named = found.into_iter().zip(actors);
    Ok(named.map(|(found, actor)| found.unwrap_or_else(|| Err(no_such(actor, api.organisation())))).collect())
}

/// A GitHub App, as the REST API returns it.
#[derive(Deserialize)]
struct AppRow {
    id: u64,
    node_id: String,
    #[serde(default, deserialize_with = "optional")]
    slug: Option<String>,
}

/// Looks up an App by its slug.
///
/// <https://docs.github.com/rest/apps/apps#get-an-app>
async fn app(api: &Api, actor: &Actor) -> Result<Result<Resolved, String>, Failure> {
    let asked = api.clock().now();
    let app: Value = match api.get(&Path::at("apps").value(&actor.name)).await {
        Ok(answer) => answer.json().map_err(Failure::from)?,
        Err(error) if error.status() == Some(404) || error.is_unaddressable() => Value::Null,
        Err(error) => return Err(error.into()),
    };
    let found = shape(&app).map(|AppRow { id, node_id, slug }| {
        let name = slug.unwrap_or_else(|| actor.name.clone());
        Resolved { node_id, id, name, asked }
    });
    Ok(found.ok_or_else(|| no_such(actor, api.organisation())))
}

fn no_such(actor: &Actor, organisation: &str) -> String {
    match actor.kind {
        ActorKind::Team => format!("there is no team `{}` in {organisation}", actor.name),
        ActorKind::User => format!("there is no user `{}`", actor.name),
        ActorKind::App => format!("there is no GitHub App `{}`", actor.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_of_another_organisation_does_not_count() {
        let of = |login: Value| json!({ "databaseId": 1, "name": "shop", "owner": { "login": login } });
        let shop = Called { id: 1, name: "shop".to_owned() };
        assert_eq!(called_of(&of(json!("Acme")), "acme"), Some(shop));
        for found in
            [of(json!("other")), of(Value::Null), json!({ "databaseId": 1, "name": "shop" }), Value::Null]
        {
            assert_eq!(called_of(&found, "acme"), None, "{found}");
        }
    }

    #[test]
    fn an_actor_without_an_id_is_not_found() {
        let actor = |kind| Actor { kind, name: "Asked".to_owned(), id: None, number: None };
        let found = |kind, place: &Value| found_in(place, &actor(kind), Time(0));
        let name = |found: Option<Resolved>| found.map(|found| (found.id, found.node_id, found.name));
        let is = |name: &str| Some((7, "N_7".to_owned(), name.to_owned()));
        let user = json!({ "id": "N_7", "databaseId": 7, "login": "mona" });
        assert_eq!(name(found(ActorKind::User, &user)), is("mona"));
        let team = json!({ "team": { "id": "N_7", "databaseId": 7, "slug": "platform" } });
        assert_eq!(name(found(ActorKind::Team, &team)), is("platform"));
        let nameless = json!({ "id": "N_7", "databaseId": 7, "login": null });
        assert_eq!(name(found(ActorKind::User, &nameless)), is("Asked"));
        for place in [
            json!({ "id": "N_7" }),
            json!({ "id": null, "databaseId": 7 }),
            json!({ "id": 7, "databaseId": "7" }),
        ] {
            assert_eq!(found(ActorKind::User, &place), None, "{place}");
            assert_eq!(found(ActorKind::Team, &json!({ "team": place })), None, "{place}");
            assert!(is_shown(&place, &actor(ActorKind::User)), "{place}");
            assert!(is_shown(&json!({ "team": place }), &actor(ActorKind::Team)), "{place}");
        }
        for place in [Value::Null, json!({ "team": null }), json!([])] {
            assert_eq!(found(ActorKind::Team, &place), None, "{place}");
            assert!(!is_shown(&place, &actor(ActorKind::Team)), "{place}: nobody has the name");
        }
        assert!(!is_shown(&Value::Null, &actor(ActorKind::User)));
    }

    #[test]
    fn a_failed_lookup_of_a_name_is_retried_unless_github_refused_it() {
        let of = |class| unless_limited(&Failure::new(class, "reading: 502"));
        assert_eq!(of(Class::Retry).unwrap(), Unsure::for_now("reading: 502".to_owned()));
        assert_eq!(of(Class::Rejected).unwrap(), Unsure::for_people("reading: 502".to_owned()));
        of(Class::RateLimited { until: Time(1), spares_events: true }).unwrap_err();
    }
}
