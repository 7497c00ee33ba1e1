//! The gate for the plans of commands. If no service has accepted the policy, the plan of a command
//! must pass the gate, in the same way as a new generation of a service.

use std::sync::Arc;

use beadle_engine::{Clock, GateLimits, Key, Limits, Mode, Plan, Store, StoreError};
use beadle_repositories::creation::name_in;
use beadle_repositories::{Policy, Shard};

use crate::app::gate::generation_decision::{GateDecision, decide};
use crate::app::gate::generation_holds;
use crate::app::gate::guard_holds_of_approved_plan::let_pass;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::groups::accepted_mappings::{generation_of, to_target};
use crate::app::groups::directories_and_targets::Directories;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::service::last_sweep_generation::modes;
use crate::config::{Config, OrgConfig};

/// Returns the name of a command's hold in the store. The hold of a service has another name,
/// because the plan of a service does not contain drift. Each shard has its own hold.
fn name(file: &OrgConfig, shard: Shard) -> String {
    let part = if shard.of() == 1 { String::new() } else { format!(" {shard}") };
    format!("{} (command{part})", file.name)
}

/// Returns the limits of one shard. A shard does not see the writes of the other shards, so each
/// shard gets a part of the limits. `guard` contains the guard's limits in force.
fn limits(file: &OrgConfig, guard: &Limits, shard: Shard) -> GateLimits {
    let limits = file.gate_limits_with(guard);
    GateLimits {
        removes: shard.part(limits.removes),
        weakens: shard.part(limits.weakens),
        exposes: shard.part(limits.exposes),
        creates: shard.part(limits.creates),
        percent: limits.percent,
        repositories: shard.part(limits.repositories),
    }
}

/// Checks the plan of a command for the whole organisation or for one shard. Returns the hold if
/// the plan needs an approval. If the plan is approved, its changes pass the guard. `guard`
/// contains the guard's limits in force.
pub(crate) async fn held_plan(
    (file, guard): (&OrgConfig, &Limits),
    policy: &Policy,
    (plans, shard): (&[(Key, Plan<()>)], Shard),
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> anyhow::Result<Option<HeldGeneration>> {
    if file.mode == Mode::Observe {
        return Ok(None);
    }
    let store = store.as_ref();
    let accepted = AcceptedPolicy::of(store, file).await?;
    let is_accepted =
        accepted.as_ref().is_some_and(|accepted| accepted.is(policy) && accepted.modes == modes(file));
    let note = name(file, shard);
    let now = clock.now();
    if is_accepted {
        generation_holds::end(store, &note, &policy.generation, now).await?;
        return Ok(None);
    }
    // The gate's limit depends on the number of existing repositories. A repository that does not
    // exist yet must not raise the limit.
    let exists = |key: &Key| key.kind() == "repository" && name_in(key).is_none();
    let total = plans.iter().filter(|(key, _)| exists(key)).count() as u64;
    let planned = HeldGeneration::of_policy((file.name.as_str(), policy), plans, total, now);
    match decide(store, &note, planned, (&limits(file, guard, shard), ""), now).await? {
        GateDecision::Held(held) => return Ok(Some(*held)),
        GateDecision::Passes(None) => {}
        GateDecision::Passes(Some(approval)) => {
            let_pass(store, plans, &policy.generation, &approval, now).await?;
        }
    }
    generation_holds::end(store, &note, &policy.generation, now).await?;
    Ok(None)
}

/// Returns the held generation if the gate of a service holds the mappings that a command would use
/// for a target. A command always uses the mappings in the files.
pub(crate) async fn held_mappings(
    config: &Config,
    directories: &Directories,
    target: &str,
    store: &dyn Store,
) -> Result<Option<HeldGeneration>, StoreError> {
    let own = generation_of(&to_target(&config.mappings, target));
    let used = directories.in_force.policies_to(target).into_iter().chain([(target.to_owned(), own)]);
    for (name, generation) in used {
        let held = HeldGeneration::find(store, &name, &generation).await?;
        let held = held.filter(|held| held.approved.is_none());
        if held.is_some() {
            return Ok(held);
        }
    }
    Ok(None)
}

/// Records that a command applied a policy. After that, the plans of this policy need no gate. If a
/// service has accepted a generation, records nothing, because from then on only services accept
/// generations.
pub(crate) async fn accept(
    file: &OrgConfig,
    policy: &Policy,
    store: &Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = store.as_ref();
    let accepted = AcceptedPolicy::of(store, file).await?;
    if file.mode != Mode::Observe && accepted.is_none_or(|accepted| accepted.by_command) {
        AcceptedPolicy::remember(store, file, policy, true).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::Risk;
    use beadle_engine::gate::is_of_command;
    use beadle_engine::testing::change;

    use super::*;
    use crate::app::gate::held_generation::GenerationApproval;
    use crate::app::store;

    fn organisation() -> OrgConfig {
        toml::from_str("name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n")
            .unwrap()
    }

    fn policy(text: &str) -> Policy {
        let files = [("settings.yml".to_owned(), text.to_owned())].into();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap()
    }

    /// Returns plans that remove a team from `count` of 100 repositories.
    fn plans(count: u64) -> Vec<(Key, Plan<()>)> {
        let removal = change("teams", "team a", &[Risk::Removes]);
        let plan = |n: u64| {
            let changes = if n < count { vec![removal.clone()] } else { Vec::new() };
            (Key::new("repository", "acme", n), Plan { changes, ..Plan::new(format!("acme/r{n}")) })
        };
        (0..100).map(plan).collect()
    }

    #[tokio::test]
    async fn a_policy_that_a_command_applied_needs_no_gate_until_it_changes() {
        let (_folder, store) = store::temporary().unwrap();
        let (file, clock) = (organisation(), Clock::system());
        let all = plans(100);
        let one = Shard::default();
        for text in ["repository: { has_wiki: false }", "repository: { has_wiki: true }"] {
            let policy = policy(text);
            let guard = file.limits();
            let held = || held_plan((&file, &guard), &policy, (all.as_slice(), one), &store, &clock);
            let hold = held().await.unwrap().unwrap();
            assert!(held().await.unwrap().is_some(), "it is not approved");
            let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: clock.now() };
            hold.approve(store.as_ref(), &name(&file, one), approval).await.unwrap();
            assert!(held().await.unwrap().is_none());
            accept(&file, &policy, &store).await.unwrap();
            assert!(held().await.unwrap().is_none(), "it was applied: {text}");
        }
        let used = policy("repository: { has_wiki: false }");
        AcceptedPolicy::remember(store.as_ref(), &file, &used, false).await.unwrap();
        accept(&file, &policy("repository: { has_wiki: true }"), &store).await.unwrap();
        let accepted = AcceptedPolicy::of(store.as_ref(), &file).await.unwrap().unwrap();
        assert_eq!(accepted.generation, used.generation, "a service uses the store");
    }

    #[tokio::test]
    async fn raised_limits_of_the_guard_that_are_not_in_force_let_no_plan_pass() {
        let (_folder, store) = store::temporary().unwrap();
        let raised: OrgConfig = toml::from_str(
            "name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n\
             guard = { removes = 100 }\ngate = { repositories = 100 }\n",
        )
        .unwrap();
        let (policy, plans, clock) = (policy("repository: { has_wiki: false }"), plans(60), Clock::system());
        for (guard, is_held) in [(raised.limits(), false), (organisation().limits(), true)] {
            let shard = Shard::default();
            let held = held_plan((&raised, &guard), &policy, (plans.as_slice(), shard), &store, &clock);
            assert_eq!(held.await.unwrap().is_some(), is_held);
        }
    }

    #[test]
    fn the_shards_share_the_limits_and_have_holds_of_their_own() {
        let file = organisation();
        let all = file.gate_limits();
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|shard| shard.parse::<Shard>().unwrap()).to_vec();
        let guard = file.limits();
        let sum = |of: fn(&GateLimits) -> u32| {
            shards.iter().map(|one| of(&limits(&file, &guard, *one))).sum::<u32>()
        };
        assert_eq!(sum(|limits| limits.removes), all.removes);
        assert_eq!(sum(|limits| limits.creates), all.creates);
        let names: Vec<String> = shards.iter().map(|shard| name(&file, *shard)).collect();
        assert_eq!(names, ["acme (command 1/3)", "acme (command 2/3)", "acme (command 3/3)"]);
        assert_eq!(name(&file, Shard::default()), "acme (command)");
        assert!(is_of_command(&name(&file, Shard::default())) && !is_of_command(&file.name));
    }
}
