//! Plans the creation of repositories.

use beadle_engine::{Change, Failure, Plan, Risk, Unknown};
use serde_json::{Value, json};

use super::RepositoryPlanner;
use crate::aspects::{Step, field};
use crate::creation::{ASPECT, Create};
use crate::policy::{Creation, Policy};

/// Why Beadle does not create a repository.
enum Obstacle {
    /// The repository of the file exists.
    Exists(String),
    /// Somebody must decide.
    Undecided(String),
}

impl RepositoryPlanner {
    /// Plans the creation of the repository with this name. The plan has no change if the name is
    /// taken, or if the file belongs to another repository.
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
            Some(Obstacle::Undecided(why)) => {
                let aspect = ASPECT.to_owned();
                plan.unknowns.push(Unknown { aspect, part: None, why, transient: false });
            }
            None => plan.changes.push(self.change(creation)),
        }
        Ok(plan)
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

    fn change(&self, creation: Creation) -> Change<Box<dyn Step>> {
        let mut after = json!({ "name": creation.name, "visibility": "private" });
        if let Some(template) = &creation.template {
            after["template"] = json!(template);
        }
        let asked = Some(&creation.asked);
        let fields = vec![field("repository", Value::Null, after, asked, Risk::Adds)];
        Change {
            aspect: ASPECT.to_owned(),
            what: String::new(),
            fields,
            mode: self.modes.of(ASPECT),
            after: Vec::new(),
            stop: None,
            reaches: 1,
            write: Box::new(Create(creation)),
        }
    }
}
