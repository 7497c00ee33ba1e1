//! Plans the organisation itself. Two files can declare the organisation: the policy's
//! `settings.yml`, and the `settings.yml` of the policy's base.

use beadle_engine::{Failure, Plan};

use super::RepositoryPlanner;
use crate::aspects::Step;
use crate::organisation::{self, DesiredSection, OrganisationAspect, Section};
use crate::policy::{Kind, LayerKind, Node, Policy, merge};
use crate::undo::{ORGANISATION, split};

/// The declaration of one organisation aspect, merged from all files.
pub(super) struct Declared {
    pub(super) aspect: &'static OrganisationAspect,
    /// The value that declares the aspect.
    pub(super) node: Node,
    /// True if Beadle removes entries that the value does not list.
    pub(super) exclusive: bool,
    /// True if every file that declares the aspect contains the key `exclusive` itself.
    pub(super) says_exclusive: bool,
}

/// Returns the declarations of a policy about the organisation itself.
pub(super) fn declared(policy: &Policy) -> Vec<Declared> {
    let mut found = Vec::new();
    for aspect in organisation::ALL.iter().copied() {
        let section = aspect.top();
        if policy.disabled.iter().any(|other| other == section) {
            continue;
        }
        let mut all: Option<Declared> = None;
        // The final file has the highest rank.
        for layer in policy.layers.iter().filter(|layer| matches!(layer.kind, LayerKind::Organisation)) {
            let Some(node) = aspect.node(&layer.root) else { continue };
            let additive = layer.additive.iter().any(|name| name == section);
            let exclusive = layer.list_modes.get(section).map_or(!additive, |word| word.exclusive);
            let Section { node, exclusive, says_exclusive } = Section::new(node, exclusive);
            all = Some(match all {
                None => Declared { aspect, node: node.clone(), exclusive, says_exclusive },
                // If at least one of the files keeps unlisted entries, Beadle removes no entry.
                Some(below) => Declared {
                    aspect,
                    node: joined(aspect, &below.node, node),
                    exclusive: below.exclusive && exclusive,
                    says_exclusive: below.says_exclusive && says_exclusive,
                },
            });
        }
        found.extend(all);
    }
    found
}

/// Merges the values of two files. If both files set a value, the result contains the value of
/// `over`. A list in the result contains the entries of both files.
fn joined(aspect: &OrganisationAspect, under: &Node, over: &Node) -> Node {
    // The name of the list determines which keys identify the entries.
    let name = aspect.section.rsplit('.').next().unwrap_or(aspect.section);
    let key = Node { kind: Kind::Text(name.to_owned()), ..over.clone() };
    let block = |node: &Node| Node { kind: Kind::Map(vec![(key.clone(), node.clone())]), ..node.clone() };
    merge(&block(under), &block(over)).get(name).unwrap_or(over).clone()
}

impl RepositoryPlanner {
    /// Returns whether the policy declares anything about the organisation itself.
    pub(super) fn declares_organisation(policy: &Policy) -> bool {
        !declared(policy).is_empty()
    }

    /// Plans the aspects of the organisation itself.
    pub(super) async fn of_organisation(&self, policy: &Policy) -> Result<Plan<Box<dyn Step>>, Failure> {
        let context =
            organisation::Context::new(&self.reader, &self.secrets, &self.secret_memory, &self.names);
        let all = declared(policy);
        let sections: Vec<DesiredSection<'_>> = all
            .iter()
            .map(|one| {
                let Declared { aspect, node, exclusive, says_exclusive } = one;
                let section = Section { node, exclusive: *exclusive, says_exclusive: *says_exclusive };
                (*aspect, section, self.modes.of(aspect.name))
            })
            .collect();
        let mut plan = organisation::plan(&context, &sections).await?;
        if let Some(memory) = &self.undone
            && let Some(undone) = memory.of(ORGANISATION, &[]).await?
        {
            split(&undone, &mut plan, Plan::new(""));
            memory.observe((ORGANISATION, &[]), &mut plan, self.reader.clock().now()).await?;
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use beadle_github::Commit;
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::{BASE, PolicyOrigin};

    fn policy(own: &str, base: &str) -> Policy {
        let origin = |id: &str| PolicyOrigin {
            repository: "acme/admin".into(),
            path: String::new(),
            commit: Commit {
                id: id.repeat(40),
                author: String::new(),
                logins: Vec::new(),
                subject: String::new(),
            },
        };
        let files =
            [("settings.yml".to_owned(), own.to_owned()), (format!("{BASE}settings.yml"), base.to_owned())];
        Policy::on_base(files.into(), "admin", origin("1"), Some(origin("2"))).unwrap()
    }

    /// Returns the merged declared values of a policy and its base. The key is the name of the
    /// aspect.
    fn values(own: &str, base: &str) -> Vec<(&'static str, Value, bool)> {
        let policy = policy(own, base);
        declared(&policy).into_iter().map(|one| (one.aspect.name, one.node.json(), one.exclusive)).collect()
    }

    #[test]
    fn the_organisation_is_declared_by_its_own_settings_and_by_those_of_the_base() {
        let repository = "repository: { has_wiki: false }\n";
        let own = "organization: { company: Acme }\n";
        let company = [("organization", json!({ "company": "Acme" }), true)];
        assert_eq!(values(own, repository), company, "the base says nothing about the organisation");
        assert_eq!(values(repository, own), company, "only the base declares the organisation");
        let both = values(own, "organization: { company: Shared, default_repository_permission: none }\n");
        let joined = json!({ "company": "Acme", "default_repository_permission": "none" });
        assert_eq!(both, [("organization", joined, true)]);
    }

    #[test]
    fn a_list_has_the_entries_of_both_files_and_is_exclusive_only_if_both_are() {
        let list = |names: &[&str]| {
            let entry = |name: &&str| format!("{{ name: {name}, value: x, visibility: all }}");
            names.iter().map(entry).collect::<Vec<_>>().join(", ")
        };
        let plain = |names: &[&str]| format!("organization: {{ variables: [{}] }}\n", list(names));
        let additive =
            |names: &[&str]| format!("organization: {{ variables: {{ additive: [{}] }} }}\n", list(names));
        for (own, base, exclusive) in [
            (plain(&["A", "C"]), plain(&["A", "B"]), true),
            (additive(&["A", "C"]), plain(&["A", "B"]), false),
            (plain(&["A", "C"]), additive(&["A", "B"]), false),
        ] {
            let found = values(&own, &base);
            let (_, value, is_exclusive) =
                found.iter().find(|(name, ..)| *name == "organization_variables").unwrap();
            let names: Vec<&str> =
                value.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
            assert_eq!((names, *is_exclusive), (vec!["A", "B", "C"], exclusive), "{own}{base}");
        }
    }

    #[test]
    fn secrets_of_others_are_removed_only_if_both_files_contain_the_word() {
        let secrets = |mode: &str| {
            let list = "[{ name: A, secret: a, visibility: all }]";
            let list = if mode.is_empty() { list.to_owned() } else { format!("{{ {mode}: {list} }}") };
            format!("organization: {{ secrets: {list} }}\n")
        };
        for (own, base, expected) in [
            ("exclusive", "exclusive", true),
            ("exclusive", "", false),
            ("", "exclusive", false),
            ("additive", "exclusive", false),
        ] {
            let policy = policy(&secrets(own), &secrets(base));
            let all = declared(&policy);
            let found = all.iter().find(|one| one.aspect.name == "organization_secrets").unwrap();
            assert_eq!(found.says_exclusive, expected, "{own} {base}");
        }
    }
}
