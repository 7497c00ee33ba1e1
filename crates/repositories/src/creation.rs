//! Creates the repositories that a policy declares with `force_create` in repos/.
//!
//! A repository that does not exist has no id. The key of such a repository therefore contains the
//! name: `repository:acme:name/shop`. A run of the key with the name only creates the repository,
//! and marks a second key as due. This second key contains the id, and its run applies the whole
//! policy. Every new repository is private at first. A run makes the repository visible to more
//! people only after it has applied the rest of the policy. The only exception is a fork of a
//! public repository: GitHub always creates such a fork as public.
//!
//! The plan needs one or two GraphQL queries. The write needs one query before the call that
//! creates the repository (two for a private fork), the call itself, and one query after it. If the
//! repository already exists, no call is necessary.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Class, Clock, Failure, Key, Lane, Mark, Reconcile, Report, Run, Store, trace};
use beadle_github::{Method, Reader, Visibility};
use serde_json::{Map, Value, json};

use crate::aspects::{Step, WriteTarget};
use crate::policy::Creation;

/// The name that plans and modes use for the creation of repositories.
pub(crate) const ASPECT: &str = "creation";
/// The beginning of the id in the key of a repository that does not exist yet.
const BY_NAME: &str = "name/";

/// Returns the key of a repository that does not exist yet.
pub fn creation_key(instance: &str, name: &str) -> Key {
    Key::new("repository", instance, format!("{BY_NAME}{}", name.to_lowercase()))
}

/// Returns the name in the key of a repository that does not exist yet. Returns `None` for every
/// other key.
pub fn name_in(key: &Key) -> Option<&str> {
    key.id().strip_prefix(BY_NAME).filter(|_| key.kind() == "repository")
}

/// The source from which GitHub creates a repository.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// From a template. GitHub copies the files of the template. The values are the owner and the
    /// name of the template.
    Template(&'a str, &'a str),
    /// As a fork of an existing repository. The values are the owner and the name of the existing
    /// repository.
    Fork(&'a str, &'a str),
    /// Without a source. The new repository is empty, or has a first commit.
    Nothing,
}

/// Creates a repository.
pub(crate) struct Create(pub(crate) Creation);

impl Create {
    fn source<'a>(&'a self, organisation: &'a str) -> Source<'a> {
        let Creation { template, fork, .. } = &self.0;
        if let Some((owner, name)) = fork.as_ref().and_then(|fork| fork.split_once('/')) {
            return Source::Fork(owner, name);
        }
        let Some(template) = template else { return Source::Nothing };
        let (owner, name) = template.split_once('/').unwrap_or((organisation, template.as_str()));
        Source::Template(owner, name)
    }

    /// Returns the body of the call that creates the repository.
    fn body(&self, organisation: &str) -> Value {
        let Creation { name, include_all_branches: all, .. } = &self.0;
        match self.source(organisation) {
            Source::Fork(..) => {
                return json!({ "organization": organisation, "name": name, "default_branch_only": !all });
            }
            Source::Template(..) => {
                return json!({
                    "owner": organisation, "name": name, "private": true, "include_all_branches": all,
                });
            }
            Source::Nothing => {}
        }
        let Creation { auto_init, gitignore_template, license_template, .. } = &self.0;
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(name));
        body.insert("private".to_owned(), json!(true));
        body.insert("auto_init".to_owned(), json!(auto_init));
        for (key, value) in
            [("gitignore_template", gitignore_template), ("license_template", license_template)]
        {
            if let Some(value) = value {
                body.insert(key.to_owned(), json!(value));
            }
        }
        Value::Object(body)
    }
}

#[async_trait]
impl Step for Create {
    /// Creates the repository if its name is still free. If GitHub's answer is lost, the next plan
    /// finds the new repository by its name. GitHub also refuses a second repository with the same
    /// name.
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let name = &self.0.name;
        if let Some(found) = to.reader.occupant(name).await? {
            let text = format!(
                "the name `{name}` leads to {}/{} (repository {}) now; nothing was created",
                found.owner, found.name, found.id
            );
            return Err(Failure::new(Class::Conflict, text));
        }
        fail::fail_point!("before-creation", |_| std::process::abort());
        let organisation = to.reader.organisation();
        if let Source::Fork(owner, parent) = self.source(organisation)
            && !self.0.is_public
            && to.reader.visibility_of(owner, parent).await? == Some(Visibility::Public)
        {
            let text =
                format!("{owner}/{parent} is public now, so its fork would be public; nothing was created");
            return Err(Failure::new(Class::Conflict, text));
        }
        let body = self.body(organisation);
        match self.source(organisation) {
            Source::Template(owner, name) => to.writer.generate((owner, name), body).await?,
            Source::Fork(owner, name) => to.writer.fork((owner, name), body).await?,
            Source::Nothing => to.writer.to_organisation(Method::POST, "repos", Some(body)).await?,
        }
        fail::fail_point!("after-creation", |_| std::process::abort());
        Ok(())
    }
}

/// Reconciles repositories. After a run whose key contains a name, this reconciler marks a second
/// key as due: the key that contains the repository's id.
pub struct WithCreations<R> {
    /// The reconciler of all keys.
    pub inner: R,
    /// Finds the new repository by its name.
    pub reader: Reader,
    /// The store in which the reconciler marks the key as due.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
}

#[async_trait]
impl<R: Reconcile> Reconcile for WithCreations<R> {
    /// The process might end before it marks the key with the id as due. In this case, the key with
    /// the name is still due. The next run of this key finds the repository, and marks the key with
    /// the id as due.
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let report = self.inner.reconcile(run).await;
        let key = &run.lease.key;
        let Some(name) = name_in(key) else { return report };
        let report = report?;
        let reader = self.reader.in_lane(run.lane);
        let found = reader.occupant(name).await?;
        let is_it = |owner: &str, now: &str| {
            owner.eq_ignore_ascii_case(reader.organisation()) && now.eq_ignore_ascii_case(name)
        };
        if let Some(found) = found.filter(|found| is_it(&found.owner, &found.name)) {
            let key = Key::new("repository", key.instance(), found.id);
            let mark =
                Mark { hint: Some(found.node_id), trace: trace::current(), ..Mark::new(key, Lane::Event) };
            self.store.mark(vec![mark], self.clock.now()).await?;
        }
        Ok(report)
    }

    fn parks_unresolved(&self, instance: &str) -> bool {
        self.inner.parks_unresolved(instance)
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        self.inner.record_failure(key, failure).await
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::PolicyLocation;

    use super::*;

    #[test]
    fn only_the_key_of_a_repository_has_a_name() {
        let key = creation_key("acme", "New.Shop");
        assert_eq!(key.as_str(), "repository:acme:name/new.shop");
        assert_eq!(name_in(&key), Some("new.shop"));
        assert_eq!(name_in(&Key::new("repository", "acme", 7)), None);
        assert_eq!(name_in(&Key::new("check", "acme", "name/x")), None);
    }

    #[test]
    fn every_repository_that_is_not_a_fork_is_private_at_first() {
        let asked = PolicyLocation { file: "repos/new.yml".into(), line: 1 };
        let creation = Creation {
            name: "new".to_owned(),
            template: None,
            fork: None,
            include_all_branches: true,
            auto_init: true,
            gitignore_template: Some("Rust".to_owned()),
            license_template: None,
            asked,
            is_public: true,
            doubt: None,
        };
        let body = Create(creation.clone()).body("acme");
        assert_eq!(
            body,
            json!({ "name": "new", "private": true, "auto_init": true, "gitignore_template": "Rust" })
        );
        let body = Create(Creation { template: Some("base".to_owned()), ..creation.clone() }).body("acme");
        assert_eq!(
            body,
            json!({ "owner": "acme", "name": "new", "private": true, "include_all_branches": true })
        );
        let body = Create(Creation { fork: Some("up/base".to_owned()), ..creation }).body("acme");
        assert_eq!(body, json!({ "organization": "acme", "name": "new", "default_branch_only": false }));
    }
}
