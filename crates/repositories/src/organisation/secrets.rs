//! Plans and writes the organisation's secrets for Actions, Dependabot and Codespaces. The
//! configuration contains the secret's value. The policy contains only the name that the secret has
//! in the configuration. Beadle stores a keyed digest of each value that it wrote, as it does for
//! the secrets of repositories (`aspects/secrets.rs`). If a secret is missing in the policy, Beadle
//! keeps it, unless the list is `exclusive`.
//!
//! One call reads up to 100 secrets of a list. For each secret with the visibility `selected`,
//! Beadle reads the repositories in one more call. Beadle makes these calls only if the policy has
//! the list. If the answer to a call has not changed, the call does not count toward the hourly
//! limit.
//!
//! One request sets the value, the visibility and the repositories of a secret. So a change of one
//! of these values also writes the other two values. Beadle takes these two values from the policy.
//! If a value is missing in the policy, Beadle takes this value from GitHub.
//!
//! <https://docs.github.com/rest/actions/secrets>, <https://docs.github.com/rest/dependabot/secrets>,
//! <https://docs.github.com/rest/codespaces/organization-secrets>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Below, Method, Path};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::aspect::{Context, OrganisationAspect, OrganisationPlanner, Section, organisation_list};
use super::selected::{SELECTED, Selected, add_reach, compare_reach};
use crate::aspects::{AppPermission, AspectPlan, Step, WriteTarget, field};
use crate::policy::shape::{Shape, key, required};
use crate::policy::{Node, forms};
use crate::sealing::sealed_body;
use crate::secret_memory::{SecretMemory, SecretName, fingerprint};

/// The aspect for an organisation's Actions secrets.
pub(super) const OF_ACTIONS: OrganisationAspect = OrganisationAspect {
    name: "organization_secrets",
    section: "organization.secrets",
    sections: &[],
    keys: &[key(
        "secrets",
        organisation_list!(ENTRY),
        "Secrets of Actions. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write("organization_secrets", "secrets (organisation)")],
    events: &[],
    planner: &Secrets { product: "actions" },
};

/// The aspect for an organisation's Dependabot secrets.
pub(super) const OF_DEPENDABOT: OrganisationAspect = OrganisationAspect {
    name: "organization_dependabot_secrets",
    section: "organization.dependabot_secrets",
    sections: &[],
    keys: &[key(
        "dependabot_secrets",
        organisation_list!(ENTRY),
        "Secrets of Dependabot. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write(
        "organization_dependabot_secrets",
        "Dependabot secrets (organisation)",
    )],
    events: &[],
    planner: &Secrets { product: "dependabot" },
};

/// The aspect for an organisation's Codespaces secrets.
pub(super) const OF_CODESPACES: OrganisationAspect = OrganisationAspect {
    name: "organization_codespaces_secrets",
    section: "organization.codespaces_secrets",
    sections: &[],
    keys: &[key(
        "codespaces_secrets",
        organisation_list!(ENTRY),
        "Secrets of Codespaces. Beadle keeps others, unless the list is `exclusive`.",
    )],
    permissions: &[AppPermission::write(
        "organization_codespaces_secrets",
        "Codespaces secrets (organisation)",
    )],
    events: &[],
    planner: &Secrets { product: "codespaces" },
};

const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::SECRET), "The name. GitHub ignores the case of letters.")),
    required(key(
        "secret",
        Shape::Text,
        "The name of a secret in the configuration (`[org.secrets]`), never the secret itself.",
    )),
    required(key(
        "visibility",
        Shape::OneOf(&["all", "private", "selected"]),
        "The repositories that can use the secret. `private` means private and internal ones.",
    )),
    key(
        "selected_repositories",
        Shape::List(&Shape::Form(&forms::REPOSITORY)),
        "With `selected`: the names of these repositories.",
    ),
]);

/// The name of the list. GitHub's answers and the paths of the API both use this name.
const LIST: &str = "secrets";

struct Secrets {
    product: &'static str,
}

/// Encrypts a value with GitHub's present key, sets the secret, and stores a digest of the value.
struct Put {
    product: &'static str,
    name: SecretName,
    value: SecretString,
    visibility: String,
    selected: Selected,
    memory: SecretMemory,
}

struct Delete {
    product: &'static str,
    name: SecretName,
    memory: SecretMemory,
}

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let list = Path::at(self.product).then(LIST);
        let key = to.reader.of_organisation(list.then("public-key")).await?;
        let mut body = sealed_body(&key, &self.value)?;
        add_reach(&mut body, &self.visibility, &self.selected);
        let path = Below::at(self.product).then(LIST).own(&self.name.name);
        to.send(Method::PUT, path, Some(body)).await?;
        let remembered = self.memory.remember(&self.name, &self.value).await;
        remembered.map_err(|error| Failure::from(error).after_a_part())
    }

    fn unshown(&self) -> Option<String> {
        Some(fingerprint(&self.value))
    }
}

#[async_trait]
impl Step for Delete {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let path = Below::at(self.product).then(LIST).own(&self.name.name);
        to.send(Method::DELETE, path, None).await?;
        let forgotten = self.memory.forget(&self.name).await;
        forgotten.map_err(|error| Failure::from(error).after_a_part())
    }
}

/// A secret that the policy declares.
struct Want<'a> {
    node: &'a Node,
    name: &'a str,
    source: &'a Node,
    visibility: &'a str,
}

impl<'a> Want<'a> {
    fn read(node: &'a Node) -> Option<Self> {
        Some(Self {
            node,
            name: node.get("name")?.text()?,
            source: node.get("secret")?,
            visibility: node.get("visibility")?.text()?,
        })
    }
}

/// Returns whether GitHub's row has this name.
fn is_called(row: &Value, name: &str) -> bool {
    row["name"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(name))
}

#[async_trait]
impl OrganisationPlanner for Secrets {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let path = Path::at(self.product).then(LIST).query("per_page", 100);
        let seen = context.reader.rows_of_organisation(path, LIST, &["name", "visibility"]).await?;
        let items = section.node.items();
        let wants: Vec<Want<'_>> = items.iter().filter_map(Want::read).collect();
        for want in &wants {
            let found = seen.iter().find(|row| is_called(row, want.name));
            self.compare(context, want, found, plan).await?;
        }
        if !section.says_exclusive {
            return Ok(());
        }
        let is_listed = |row: &Value| {
            items.iter().filter_map(|item| item.get("name")?.text()).any(|name| is_called(row, name))
        };
        for row in &seen {
            let Some(name) = row["name"].as_str().filter(|_| !is_listed(row)) else { continue };
            let (before, asked) = (json!("a secret value"), Some(&section.node.asked));
            let fields = vec![field("value", before, Value::Null, asked, Risk::Removes)];
            let memory = context.secret_memory.clone();
            let delete = Delete { product: self.product, name: self.remembered(name), memory };
            plan.change(format!("secret {name}"), fields, delete);
        }
        Ok(())
    }
}

impl Secrets {
    /// Returns the name of the secret in the store. Beadle uses this name for digests.
    fn remembered(&self, name: &str) -> SecretName {
        SecretName {
            owner: "organisation".to_owned(),
            place: self.product.to_owned(),
            name: name.to_ascii_uppercase(),
        }
    }

    /// Plans the change of one secret. `found` is the row of the secret at GitHub.
    async fn compare(
        &self,
        context: &Context<'_>,
        want: &Want<'_>,
        found: Option<&Value>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let name = self.remembered(want.name);
        let (what, asked) = (format!("secret {}", name.name), &want.source.asked);
        let Some(value) = want.source.text().and_then(|source| context.secrets.get(source)) else {
            let why = format!("the configuration declares no secret with the name that {asked} specifies");
            plan.cannot_resolve_part(&what, why);
            return Ok(());
        };
        let names = want.node.get("selected_repositories").filter(|_| want.visibility == SELECTED);
        let mut selected = match names {
            Some(names) => match Selected::wanted(context, names, &what, plan).await? {
                Some(selected) => selected,
                None => return Ok(()),
            },
            None => Selected::default(),
        };
        let after = json!("the value of the configuration");
        let mut fields = Vec::new();
        if let Some(row) = found {
            let compared = context.secret_memory.compare(&name, value).await?;
            if let Some(before) = compared.before(row["updated_at"].as_str()) {
                fields.push(field("value", json!(before), after, Some(asked), Risk::Changes));
            }
            let path = || Path::at(self.product).then(LIST).value(&name.name);
            let wanted = (want.node, want.visibility, &selected);
            fields.extend(compare_reach(context, wanted, row, path()).await?);
            if fields.is_empty() {
                return Ok(());
            }
            // The policy does not set the repositories, so the write must keep them.
            if names.is_none() && want.visibility == SELECTED && row["visibility"] == SELECTED {
                selected = Selected::seen(context, path().then("repositories")).await?;
            }
        } else {
            let whole = Some(&want.node.asked);
            fields.push(field("value", Value::Null, after, Some(asked), Risk::Adds));
            fields.push(field("visibility", Value::Null, json!(want.visibility), whole, Risk::Adds));
            if want.visibility == SELECTED {
                fields.push(field("selected_repositories", Value::Null, selected.names(), whole, Risk::Adds));
            }
        }
        let put = Put {
            product: self.product,
            name,
            value: value.clone(),
            visibility: want.visibility.to_owned(),
            selected,
            memory: context.secret_memory.clone(),
        };
        plan.change(what, fields, put);
        Ok(())
    }
}
