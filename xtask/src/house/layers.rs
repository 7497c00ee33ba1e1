//! Checks the direction of dependencies. A package must depend only on packages in lower layers.
//! The tests of a package can depend on any package.

use super::members::Member;

/// Returns a problem for each dependency on a package that is not in a lower layer. Also returns a
/// problem for each package that is in no layer.
pub(super) fn problems(layers: &[Vec<String>], members: &[Member]) -> Vec<String> {
    let layer = |name: &str| layers.iter().position(|layer| layer.iter().any(|package| package == name));
    let mut problems = Vec::new();
    for member in members {
        let name = &member.name;
        let Some(own) = layer(name) else {
            problems.push(format!("package {name} has no layer: add it to `layers`"));
            continue;
        };
        for dependency in &member.dependencies {
            if layer(dependency).is_some_and(|other| other >= own) {
                problems.push(format!(
                    "{name} depends on {dependency}, which is in no lower layer: dependencies must point down"
                ));
            }
        }
    }
    let is_member = |package: &&String| members.iter().any(|member| member.name == **package);
    for package in layers.iter().flatten().filter(|package| !is_member(package)) {
        problems
            .push(format!("`layers` names {package}, which is not a package of the workspace: remove it"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn member(name: &str, dependencies: &[&str]) -> Member {
        let dependencies = dependencies.iter().map(|&name| name.to_owned()).collect();
        let (folder, roots, with_testing) = (PathBuf::new(), Vec::new(), Vec::new());
        Member { name: name.to_owned(), folder, roots, dependencies, with_testing }
    }

    fn layers() -> Vec<Vec<String>> {
        vec![vec!["engine".to_owned()], vec!["github".to_owned(), "okta".to_owned()]]
    }

    #[test]
    fn dependencies_point_down() {
        let members =
            [member("engine", &["serde"]), member("github", &["engine", "serde"]), member("okta", &[])];
        assert_eq!(problems(&layers(), &members), [""; 0]);
    }

    #[test]
    fn a_dependency_upwards_or_beside_is_a_problem() {
        let members =
            [member("engine", &["github"]), member("github", &["engine", "okta"]), member("okta", &[])];
        let found = problems(&layers(), &members);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("engine depends on github"), "{found:?}");
        assert!(found[1].starts_with("github depends on okta"), "{found:?}");
    }

    #[test]
    fn every_package_has_a_layer_and_every_layer_its_packages() {
        let members = [member("engine", &[]), member("github", &[]), member("scim", &[])];
        let found = problems(&layers(), &members);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("package scim has no layer"), "{found:?}");
        assert!(found[1].starts_with("`layers` names okta"), "{found:?}");
    }
}
