//! Plans and writes the secrets of a repository. A repository has secrets for Actions, Dependabot
//! and Codespaces, and each environment has its own secrets. The configuration contains the values
//! of the secrets. The policy contains only the name that a secret has in the configuration.
//!
//! GitHub shows each secret's name and the time of its most recent change, but never its value.
//! Beadle therefore stores a keyed digest of each value that it wrote (`secret_memory.rs`). Beadle
//! writes a secret if at least one of these is true: the secret is missing, the configured value
//! has changed, Beadle has never written the secret, or somebody else has written the secret after
//! Beadle wrote it. If a secret is missing in the policy, Beadle keeps it, unless the list is
//! `exclusive`.
//!
//! If the policy has the section, Beadle reads the secrets of each product. One call reads up to 30
//! secrets. If the answer to a call has not changed, the call does not count toward the hourly
//! limit. A write needs two more calls: one call for GitHub's public key, and one call for the time
//! at which GitHub stored the secret.
//!
//! <https://docs.github.com/rest/actions/secrets>, <https://docs.github.com/rest/dependabot/secrets>,
//! <https://docs.github.com/rest/codespaces/repository-secrets>

use async_trait::async_trait;
use beadle_engine::{Failure, PolicyLocation, Risk};
use beadle_github::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field, reads_nothing,
};
use super::place::Place;
use crate::identity::{kind, pair_entries};
use crate::policy::shape::{Key, Shape, key, required};
use crate::policy::shapes::listed;
use crate::policy::{Node, forms};
use crate::sealing::sealed_body;
use crate::secret_memory::{SecretMemory, SecretName, fingerprint};

/// The sections of a policy that list secrets.
pub(crate) const SECTIONS: &[&str] = &["secrets", "dependabot_secrets", "codespaces_secrets"];

/// The aspect for Actions secrets.
pub(crate) const OF_ACTIONS: Aspect = Aspect {
    name: "secrets",
    sections: &[section(
        "secrets",
        "Secrets of Actions. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write("secrets", "secrets (repository)")],
    planner: &Secrets { section: "secrets", product: "actions" },
    ..ASPECT
};

/// The aspect for Dependabot secrets.
pub(crate) const OF_DEPENDABOT: Aspect = Aspect {
    name: "dependabot_secrets",
    sections: &[section(
        "dependabot_secrets",
        "Secrets of Dependabot. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write("dependabot_secrets", "Dependabot secrets (repository)")],
    planner: &Secrets { section: "dependabot_secrets", product: "dependabot" },
    ..ASPECT
};

/// The aspect for Codespaces secrets.
pub(crate) const OF_CODESPACES: Aspect = Aspect {
    name: "codespaces_secrets",
    sections: &[section(
        "codespaces_secrets",
        "Secrets of Codespaces. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write("codespaces_secrets", "Codespaces secrets (repository)")],
    planner: &Secrets { section: "codespaces_secrets", product: "codespaces" },
    ..ASPECT
};

/// The common part of the aspects for secrets.
const ASPECT: Aspect = Aspect {
    name: "",
    sections: &[],
    repository_keys: &[],
    permissions: &[],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: true,
    planner: &Secrets { section: "", product: "" },
};

const fn section(name: &'static str, doc: &'static str) -> Key {
    key(name, SHAPE, doc)
}

/// The shape of a secret in a policy.
pub(crate) const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::SECRET), "The name. Upper and lower case do not matter.")),
    required(key(
        "secret",
        Shape::Text,
        "The name of a secret in the configuration (`[org.secrets]`), never the secret itself.",
    )),
]);
const SHAPE: Shape = listed!(ENTRY);

/// The name of the list. GitHub's answers and the paths of the API both use this name.
const LIST: &str = "secrets";

struct Secrets {
    section: &'static str,
    product: &'static str,
}

/// Encrypts a value with GitHub's present key, sets the secret, and stores a digest of the value.
struct Put {
    place: Place,
    name: SecretName,
    value: SecretString,
    memory: SecretMemory,
}

struct Delete {
    place: Place,
    name: SecretName,
    memory: SecretMemory,
}

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let (named, list) = (to.named()?, self.place.below(LIST));
        let key = named.read(list.clone().then("public-key")).await?;
        let body = sealed_body(&key, &self.value)?;
        let own = list.own(&self.name.name);
        named.send(Method::PUT, own.clone(), Some(body)).await?;
        // If GitHub does not show the time of the write, Beadle uses its own clock.
        let shown = named.read(own).await.unwrap_or_default();
        let updated_at = shown["updated_at"].as_str();
        let remembered = self.memory.remember_at(&self.name, &self.value, updated_at).await;
        remembered.map_err(|error| Failure::from(error).after_a_part())
    }

    fn unshown(&self) -> Option<String> {
        Some(fingerprint(&self.value))
    }
}

#[async_trait]
impl Step for Delete {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let path = self.place.below(LIST).own(&self.name.name);
        to.named()?.send(Method::DELETE, path, None).await?;
        let forgotten = self.memory.forget(&self.name).await;
        forgotten.map_err(|error| Failure::from(error).after_a_part())
    }
}

/// Reads the names of the secrets in a place.
pub(crate) async fn read(context: &Context<'_>, place: &Place) -> Result<Vec<Value>, Failure> {
    context.reader.rows_below(context.repository, place.path(LIST), LIST, &["name"]).await
}

/// Plans the changes of the secrets in one place. `seen` contains the secrets at GitHub. If the
/// list is exclusive, `exclusive` is the line where the policy declares the list.
pub(crate) async fn compare(
    context: &Context<'_>,
    (place, wanted, exclusive): (&Place, &[Node], Option<&PolicyLocation>),
    seen: &[Value],
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let memory = context.secret_memory;
    let name_of = |name: &str| SecretName {
        owner: context.repository.id.to_string(),
        place: place.remembered(),
        name: name.to_ascii_uppercase(),
    };
    let matched = pair_entries(kind(LIST), wanted, seen);
    for (at, want) in wanted.iter().enumerate() {
        let (Some(name), Some(source)) = (want.get("name").and_then(Node::text), want.get("secret")) else {
            continue;
        };
        let (name, asked) = (name_of(name), &source.asked);
        let what = place.what("secret", &name.name);
        let Some(value) = source.text().and_then(|source| context.secrets.get(source)) else {
            let why = format!("the configuration declares no secret with the name that {asked} specifies");
            plan.cannot_resolve_part(&what, why);
            continue;
        };
        let (before, risk) = match matched.observed_of(at).and_then(|found| seen.get(found)) {
            None => (Value::Null, Risk::Adds),
            Some(row) => {
                let compared = memory.compare(&name, value).await?;
                let Some(before) = compared.before(row["updated_at"].as_str()) else { continue };
                (json!(before), Risk::Changes)
            }
        };
        let fields = vec![field("value", before, json!("the value of the configuration"), Some(asked), risk)];
        let put = Put { place: place.clone(), name, value: value.clone(), memory: memory.clone() };
        plan.change(what, fields, put);
    }
    let Some(asked) = exclusive else { return Ok(()) };
    for row in matched.only_observed.iter().filter_map(|found| seen.get(*found)) {
        let Some(name) = row["name"].as_str() else { continue };
        let fields = vec![field("value", json!("a secret value"), Value::Null, Some(asked), Risk::Removes)];
        let delete = Delete { place: place.clone(), name: name_of(name), memory: memory.clone() };
        plan.change(place.what("secret", name), fields, delete);
    }
    Ok(())
}

#[async_trait]
impl AspectPlanner for Secrets {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get(self.section) else { return Ok(()) };
        let place = Place::Product(self.product);
        let seen = read(context, &place).await?;
        let exclusive = section.exclusive.then_some(&section.node.asked);
        compare(context, (&place, section.items(), exclusive), &seen, plan).await
    }
}
