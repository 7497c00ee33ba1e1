//! Plans the creation of repositories.

use beadle_engine::{Change, Failure, Plan, Risk, Unknown};
use beadle_github::Visibility;
use serde_json::{Value, json};

use super::RepositoryPlanner;
use crate::aspects::{Step, field};
use crate::creation::{ASPECT, Create};
use crate::policy::{Creation, Policy};

/// The reason why Beadle does not create a repository.
enum Obstacle {
    /// The repository of the file already exists.
    Exists(String),
    /// A person must make a decision. The text describes this decision.
    Undecided(String),
}

fn unknown(why: String) -> Unknown {
    Unknown { aspect: ASPECT.to_owned(), part: None, why, transient: false }
}

impl RepositoryPlanner {
    /// Plans the creation of the repository with this name. The plan has no change if a repository
    /// already has the name or had it before, or if the file belongs to another repository.
    pub(super) async fn creation(&self, policy: &Policy, name: &str) -> Result<Plan<Box<dyn Step>>, Failure> {
        let organisation = self.reader.organisation();
        let Some(creation) = policy.creation(name) else {
            let mut plan = Plan::new(format!("{organisation}/{name}"));
            plan.skipped = Some("the policy does not create the repository".to_owned());
            return Ok(plan);
        };
        let mut plan = Plan::new(format!("{organisation}/{}", creation.name));
        match self.obstacle(policy, &creation).await? {
            Some(Obstacle::Exists(why)) => plan.skipped = Some(why),
            Some(Obstacle::Undecided(why)) => plan.unknowns.push(unknown(why)),
            None => {
                let forked = match &creation.fork {
                    Some(fork) => self.forked(fork, &creation).await?,
                    None => Ok(Visibility::Private),
                };
                match forked {
                    Ok(visibility) => plan.changes.push(self.change(creation, visibility)),
                    Err(why) => plan.unknowns.push(unknown(why)),
                }
            }
        }
        Ok(plan)
    }

    /// Returns the visibility of a fork after its creation. A fork of a public repository is
    /// public, and nobody can change the visibility of a fork. So the policy must declare such a
    /// fork as public. Otherwise, the result is an error.
    async fn forked(&self, fork: &str, creation: &Creation) -> Result<Result<Visibility, String>, Failure> {
        let (owner, name) = fork.split_once('/').unwrap_or((self.reader.organisation(), fork));
        let asked = &creation.asked;
        Ok(match self.reader.visibility_of(owner, name).await? {
            None => Err(format!(
                "{fork} does not exist or the App cannot see it, so Beadle cannot fork it ({asked})"
            )),
            Some(Visibility::Public) if !creation.is_public => Err(format!(
                "a fork of the public repository {fork} is public, and the policy does not declare `visibility: \
                 public`; use `template` for a private repository ({asked})"
            )),
            Some(Visibility::Public) => Ok(Visibility::Public),
            Some(_) => Ok(Visibility::Private),
        })
    }

    async fn obstacle(&self, policy: &Policy, creation: &Creation) -> Result<Option<Obstacle>, Failure> {
        if let Some(why) = &creation.doubt {
            return Ok(Some(Obstacle::Undecided(why.clone())));
        }
        let (organisation, name) = (self.reader.organisation(), creation.name.as_str());
        let layer = policy.file_of(name);
        let others = layer.into_iter().flat_map(|layer| [layer.given_name(), layer.old_name()]).flatten();
        let others: Vec<&str> = others.filter(|other| !other.eq_ignore_ascii_case(name)).collect();
        for wanted in [name].into_iter().chain(others) {
            let Some(found) = self.reader.occupant(wanted).await? else { continue };
            let full = format!("{}/{}", found.owner, found.name);
            let is_here = found.owner.eq_ignore_ascii_case(organisation);
            return Ok(Some(if is_here && found.name.eq_ignore_ascii_case(wanted) {
                Obstacle::Exists(format!("{full} exists"))
            } else {
                Obstacle::Undecided(format!(
                    "`{wanted}` is a former name of {full} (repository {}); Beadle creates no repository with this \
                     name, because addresses with the name would no longer lead to {full}; rename the file ({})",
                    found.id, creation.asked
                ))
            }));
        }
        let Some(layer) = layer else { return Ok(None) };
        let owner = self.overrides.owner_of(layer).await?;
        Ok(owner.map(|owner| {
            Obstacle::Undecided(format!(
                "{} belongs to repository {owner}, which was deleted, transferred or hidden from the App; Beadle \
                 creates no second one; to go on, create {organisation}/{name} and run `beadle rebind \
                 {organisation}/{name}`",
                layer.file
            ))
        }))
    }

    fn change(&self, creation: Creation, visibility: Visibility) -> Change<Box<dyn Step>> {
        let mut after = json!({ "name": creation.name, "visibility": visibility.as_str() });
        for (key, source) in [("template", &creation.template), ("fork", &creation.fork)] {
            if let Some(source) = source {
                after[key] = json!(source);
            }
        }
        let asked = Some(&creation.asked);
        let risk = if visibility == Visibility::Public { Risk::Exposes } else { Risk::Adds };
        let fields = vec![field("repository", Value::Null, after, asked, risk)];
        Change {
            aspect: ASPECT.to_owned(),
            what: String::new(),
            fields,
            mode: self.modes.of(ASPECT),
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: Box::new(Create(creation)),
        }
    }
}
