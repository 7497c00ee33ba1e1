//! Starts to use a new generation of a policy, if the gate lets the generation pass.

use beadle_engine::gate::is_counted;
use beadle_engine::{Class, Failure, Key, Mode, Plan, StoreError, Stored, TaskStatus};
use beadle_repositories::{Affected, Policy, Preview};

use crate::app::gate::generation_decision::{GateDecision, decide};
use crate::app::gate::generation_group_changes::{self, GenerationGroupChanges};
use crate::app::gate::generation_holds;
use crate::app::gate::guard_holds_of_approved_plan::{let_pass, take_back};
use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration, delayed_lines};
use crate::app::gate::planning_backoff::PlanningBackoff;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::affected_key_marks;
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::LastSweep;
use crate::output::plural::counted;
use crate::pull_request::rechecks;

/// The failure text if the caller's organisation is not open yet.
const NOT_OPEN: &str = "the organisation is not open";

/// Several keys, each with its plan.
type Plans = [(Key, Plan<()>)];

/// The result of an attempt to use a new generation.
#[derive(Debug)]
pub(crate) enum Adoption {
    /// The generation is in force.
    InForce {
        /// The name of the generation.
        generation: String,
        /// The number of keys that Beadle marked as due because of the generation. `None` if the
        /// affected keys are not known. A sweep must then find the affected keys.
        affected: Option<usize>,
    },
    /// The gate holds the generation. The last accepted generation stays in force.
    Held {
        /// The name of the held generation.
        generation: String,
        /// The exceeded limits.
        why: String,
    },
    /// Another process plans the generation for the gate. If that process accepts the generation,
    /// this process also starts to use the generation.
    Elsewhere {
        /// The name of the generation.
        generation: String,
    },
    /// Beadle could not plan the whole generation, so the generation waits. The last generation
    /// stays in force.
    Waits(Failure),
}

impl Adoption {
    /// Converts the result to the status of the task that reads the policy.
    pub(crate) fn status(self) -> Result<TaskStatus, Failure> {
        match self {
            Self::InForce { generation, affected: None } => {
                Ok(TaskStatus::Done(format!("generation {generation} in force")))
            }
            Self::InForce { generation, affected: Some(affected) } => {
                let keys = counted(affected, "key", "keys");
                Ok(TaskStatus::Done(format!("generation {generation} in force, {keys} affected")))
            }
            Self::Held { generation, why } => {
                Ok(TaskStatus::Unfinished(format!("generation {generation} held: {why}; see `beadle holds`")))
            }
            Self::Elsewhere { generation } => Ok(TaskStatus::Unfinished(format!(
                "generation {generation} waits for the gate of another process"
            ))),
            Self::Waits(failure) => Err(failure),
        }
    }
}

/// Starts to use a new generation of an organisation's policy, if the gate lets the generation
/// pass. The caller has read the generation completely. If the process ends at any point of this
/// function, the next call continues, because the store contains all necessary facts.
pub(crate) async fn adopt(
    service: &Service,
    organisation: &ServedOrganisation,
    candidate: Policy,
) -> Adoption {
    let _alone = organisation.adopting.lock().await;
    adopt_alone(service, organisation, candidate).await
}

/// Does the work of [`adopt`]. The caller has the lock for adoptions.
async fn adopt_alone(service: &Service, organisation: &ServedOrganisation, candidate: Policy) -> Adoption {
    let generation = candidate.generation.clone();
    let now = service.clock().now();
    let recent = organisation.waits.lock().as_ref().and_then(|wait| wait.failure(&generation, now));
    if let Some(failure) = recent {
        return Adoption::Waits(failure);
    }
    let adopted = Box::pin(try_adopt(service, organisation, candidate)).await;
    go_on(service, organisation);
    let mut waits = organisation.waits.lock();
    match adopted {
        Ok(adoption) => {
            *waits = None;
            adoption
        }
        Err(failure) => {
            let failure = failure.during(format!("the generation {generation} waits for the gate"));
            let now = service.clock().now();
            *waits = Some(PlanningBackoff::after(waits.take(), generation, now, failure.clone()));
            Adoption::Waits(failure)
        }
    }
}

/// If the commit has changed, reads the policy of an organisation from the policy's repository.
/// Starts to use a new generation, if the gate lets the generation pass. Returns `None` if there is
/// nothing new.
pub(crate) async fn reload(
    service: &Service,
    organisation: &ServedOrganisation,
) -> anyhow::Result<Option<Adoption>> {
    // Beadle takes the lock before it reads the policy. In the other order, another caller could
    // start to use a newer generation between the two steps. This call would then replace the newer
    // generation with the older one.
    let _alone = organisation.adopting.lock().await;
    // Without the policy in force, Beadle cannot know whether the held generation is still wanted.
    if organisation.open().is_none() {
        return Err(Failure::new(Class::Retry, NOT_OPEN).into());
    }
    let found = match organisation.look_at_repository(&service.app).await {
        Ok(found) => found,
        Err(error) => {
            go_on(service, organisation);
            return Err(error);
        }
    };
    // Before the first generation has passed the gate, the current policy is the generation that
    // waits for the gate.
    let first = || organisation.open().filter(|_| organisation.is_first());
    let candidate = found.or_else(|| first().map(|org| (*org.policy.current()).clone()));
    *organisation.candidate.lock() = candidate.as_ref().map(|candidate| candidate.generation.clone());
    if let Some(candidate) = candidate {
        return Ok(Some(adopt_alone(service, organisation, candidate).await));
    }
    withdraw(service, organisation).await?;
    Ok(None)
}

/// Begins to work on the keys of an organisation, if a policy was accepted. The work uses the
/// policy in force.
pub(crate) fn go_on(service: &Service, organisation: &ServedOrganisation) {
    if let Some(org) = organisation.open().filter(|_| !organisation.is_first()) {
        service.begin(organisation, &org);
    }
}

async fn try_adopt(
    service: &Service,
    organisation: &ServedOrganisation,
    candidate: Policy,
) -> Result<Adoption, Failure> {
    let Some(org) = organisation.open() else {
        return Err(Failure::new(Class::Retry, NOT_OPEN));
    };
    let before = org.policy.current();
    let current = (org.as_ref(), before.as_ref());
    let planner = org.planner(Some(&service.store));
    if organisation.file.mode == Mode::Observe {
        // If the affected keys are unknown, a sweep finds them.
        let affected = Box::pin(planner.affected(&before, &candidate, &|_, _| {})).await.ok();
        let mapped = GenerationGroupChanges::default();
        let planned = (affected.as_ref(), &mapped);
        return enact(service, organisation, current, candidate, planned, None, None).await;
    }
    let accepted = AcceptedPolicy::stored(service.store.as_ref(), &organisation.file).await?;
    if let Some(adoption) = follow(service, organisation, &org, &candidate).await? {
        return Ok(adoption);
    }
    let store = service.store.as_ref();
    let name = organisation.file.name.as_str();
    let held = HeldGeneration::find(store, name, &candidate.generation).await?;
    let limits = organisation.file.gate_limits_with(&org.limits.current());
    if let Some(held) = held.filter(|held| held.waits(&limits)) {
        return Ok(Adoption::Held { generation: candidate.generation, why: held.why });
    }
    // The plan can read every repository, so only one process makes the plan. If two processes made
    // the plan, the changes of an approved generation could also pass the guard twice.
    if !service.is_chosen() {
        return Ok(Adoption::Elsewhere { generation: candidate.generation });
    }
    // If no generation was accepted yet, the gate counts every change of the first generation.
    let compared = (!organisation.is_first()).then_some(before.as_ref());
    let affected = match compared {
        Some(before) => Some(Box::pin(planner.affected(before, &candidate, &|_, _| {})).await?),
        None => None,
    };
    let preview = Box::pin(planner.preview_of(compared, &candidate, affected.as_ref(), &|_, _| {})).await?;
    let mapped = Box::pin(generation_group_changes::preview(service, organisation, &candidate)).await?;
    complete(&preview, &mapped)?;
    let all: Vec<(Key, Plan<()>)> = preview.plans.iter().chain(&mapped.plans).cloned().collect();
    let total = preview.total + mapped.total;
    // The plan takes minutes in a large organisation, so another process might now have the lease.
    if !service.is_chosen() {
        return Ok(Adoption::Elsewhere { generation: candidate.generation });
    }
    if let Some(adoption) = follow(service, organisation, &org, &candidate).await? {
        return Ok(adoption);
    }
    let now = service.clock().now();
    let planned = HeldGeneration {
        drift: preview.drift as u64 + mapped.drift,
        delayed: delayed_lines(&preview.delayed, is_counted),
        ..HeldGeneration::of_policy((name, &candidate), &all, total, now)
    };
    let approval = match decide(store, name, planned, (&limits, ""), now).await? {
        GateDecision::Held(held) => {
            let (generation, digest, why) = (candidate.generation, &held.digest, &held.why);
            tracing::warn!(organisation = name, generation, digest, why, "generation of the policy held");
            return Ok(Adoption::Held { generation, why: held.why });
        }
        GateDecision::Passes(approval) => approval,
    };
    let approved = approval.as_ref().map(|approval| (approval, preview.approvable.as_slice()));
    let planned = (affected.as_ref(), &mapped);
    enact(service, organisation, current, candidate, planned, approved, Some(&accepted)).await
}

/// Returns an error if Beadle could not plan a part of the generation.
fn complete(preview: &Preview, mapped: &GenerationGroupChanges) -> Result<(), Failure> {
    let incomplete: Vec<&String> = preview.incomplete.iter().chain(&mapped.incomplete).collect();
    let Some(first) = incomplete.first() else { return Ok(()) };
    let more = match incomplete.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Err(Failure::new(Class::Retry, format!("{first}{more}")))
}

/// Starts to use a generation that passed the gate, and marks the affected keys as due. `before` is
/// the policy that the gate compared with the generation. `approved` is the approval together with
/// the approved changes of repositories. `mapped` contains the approved changes of groups.
/// `accepted` is the generation that was accepted before the plan. In mode `observe`, `accepted` is
/// `None`.
async fn enact(
    service: &Service,
    organisation: &ServedOrganisation,
    (org, before): (&GithubOrganisation, &Policy),
    candidate: Policy,
    (affected, mapped): (Option<&Affected>, &GenerationGroupChanges),
    approved: Option<(&GenerationApproval, &Plans)>,
    accepted: Option<&Stored<AcceptedPolicy>>,
) -> Result<Adoption, Failure> {
    // When a sweep starts, the policy and the record of the last sweep must belong to the same
    // generation.
    let _alone = organisation.generation_change.lock().await;
    let (store, file) = (service.store.as_ref(), &organisation.file);
    let (before, generation) = (before.generation.clone(), candidate.generation.clone());
    if org.policy.current().generation != before {
        let text = "another process put another generation in force in the meantime";
        return Err(Failure::new(Class::Retry, text));
    }
    let now = service.clock().now();
    let prepared = match accepted {
        None => None,
        Some(accepted) => Some((AcceptedPolicy::prepare(store, file, &candidate).await?, accepted)),
    };
    // The store might answer so late that the lease has ended. Another process might then have
    // started to use the same approved generation. The changes of the generation must not pass the
    // guard twice.
    if let Some((_, accepted)) = &prepared {
        let is_same = AcceptedPolicy::stored(store, file).await?.text() == accepted.text();
        if !is_same || !service.is_chosen() {
            return Ok(Adoption::Elsewhere { generation });
        }
    }
    // A run with the previous generation deletes the approval of each change that the run does not
    // plan. So Beadle stores the approvals as late as possible.
    if let Some((approval, plans)) = approved {
        let_pass(store, plans, &generation, approval, now).await?;
        // The plan of a group contains the generation of all mappings in force.
        let_pass(store, &mapped.approvable, &mapped.generation, approval, now).await?;
    }
    fail::fail_point!("before-generation-acceptance", |_| std::process::abort());
    if let Some((prepared, accepted)) = &prepared {
        if !prepared.accept_after(store, file, accepted).await? {
            if let Some((_, plans)) = approved {
                take_back(store, plans).await?;
                take_back(store, &mapped.approvable).await?;
            }
            return Ok(Adoption::Elsewhere { generation });
        }
        fail::fail_point!("after-generation-acceptance", |_| std::process::abort());
    }
    // Before this call, runs use the previous generation and its texts. So Beadle deletes unused
    // texts only after the call.
    put_in_force(service, organisation, org, candidate).await;
    if let Some((prepared, _)) = prepared {
        prepared.tidy(store, file).await;
    }
    mapped.mark(store, now).await?;
    // A sweep starts if the record of the last sweep contains another generation. So a sweep starts
    // if the list of repositories is incomplete, or if the process ends before it stores the new
    // record.
    let affected = affected.filter(|affected| affected.short.is_none());
    let mut count = None;
    if let Some(affected) = affected {
        let keys = affected_key_marks::store(store, affected, &generation, now).await?;
        tracing::info!(organisation = file.name, generation, keys, "keys affected by the policy due");
        count = Some(keys);
        LastSweep::follow(store, file, &before, &generation).await?;
        service.bell.notify_one();
    }
    fail::fail_point!("after-generation-marks", |_| std::process::abort());
    // The generation is in force. If one of the next two steps fails, the task that reads the
    // policy repeats it.
    if let Err(error) = generation_holds::end(store, &file.name, &generation, now).await {
        tracing::warn!(organisation = file.name, generation, %error, "hold of the policy in force not ended, retrying");
    }
    follow_with_checks(service, organisation).await;
    service.bell.notify_one();
    Ok(Adoption::InForce { generation, affected: count })
}

/// Replaces the policy in this process, and records the new policy. The caller has the lock of the
/// generation.
async fn put_in_force(
    service: &Service,
    organisation: &ServedOrganisation,
    org: &GithubOrganisation,
    policy: Policy,
) {
    org.policy.replace(policy);
    organisation.set_accepted();
    organisation.announce_policy(org);
    organisation.record_policy(&service.app, org).await;
    if let Err(error) = service.follow_mappings(organisation).await {
        // The task that reads the policy repeats this step.
        tracing::warn!(organisation = organisation.file.name, %error, "mappings of the policy not in force");
    }
}

/// If another process has accepted a generation, starts to use this generation without the gate.
/// The other process might have written a part of the changes, so a plan would differ from the
/// approved one. Returns `None` if no process has accepted the generation. The other process might
/// have ended before it marked the affected keys. A sweep then finds these keys.
async fn follow(
    service: &Service,
    organisation: &ServedOrganisation,
    org: &GithubOrganisation,
    candidate: &Policy,
) -> Result<Option<Adoption>, Failure> {
    let store = service.store.as_ref();
    if !organisation.is_accepted(store, candidate).await? {
        return Ok(None);
    }
    let _alone = organisation.generation_change.lock().await;
    if organisation.is_first() || org.policy.current().generation != candidate.generation {
        organisation.note_follow(org);
        put_in_force(service, organisation, org, candidate.clone()).await;
    }
    Ok(Some(Adoption::InForce { generation: candidate.generation.clone(), affected: None }))
}

/// Checks the open pull requests again if their results are not based on the policy in force. If
/// this check fails, the next call repeats it.
pub(crate) async fn follow_with_checks(service: &Service, organisation: &ServedOrganisation) {
    match try_follow_with_checks(service, organisation).await {
        Ok(true) => service.bell.notify_one(),
        Ok(false) => {}
        Err(error) => {
            let organisation = &organisation.file.name;
            tracing::warn!(organisation, %error, "pull requests not checked for the policy in force, retrying");
        }
    }
}

/// Returns whether this call marked pull requests as due.
async fn try_follow_with_checks(
    service: &Service,
    organisation: &ServedOrganisation,
) -> Result<bool, StoreError> {
    let (store, file) = (service.store.as_ref(), &organisation.file);
    let is_in_git = file.policy.repository().is_some();
    let Some(org) = organisation.open().filter(|_| is_in_git && !organisation.is_first()) else {
        return Ok(false);
    };
    let policy = org.policy.current();
    // Another process might have accepted a newer generation. This process does not use the newer
    // generation yet.
    if file.mode != Mode::Observe && !organisation.is_accepted(store, &policy).await? {
        return Ok(false);
    }
    rechecks::follow(store, &file.name, &policy.generation, service.clock().now()).await
}

/// Marks the affected keys as due again after this process started to use the accepted generation
/// of another process. The other process had marked the same keys as due, but this process might
/// have run these keys with its earlier policy.
pub(crate) async fn mark_again(service: &Service, organisation: &ServedOrganisation) -> Result<(), Failure> {
    let followed = organisation.followed.lock().clone();
    let (Some(before), Some(org)) = (followed, organisation.open()) else { return Ok(()) };
    let current = org.policy.current();
    let planner = org.planner(Some(&service.store));
    let affected = Box::pin(planner.affected(&before, &current, &|_, _| {})).await?;
    if let Some(short) = &affected.short {
        return Err(Failure::new(Class::Retry, short));
    }
    affected_key_marks::store(service.store.as_ref(), &affected, &current.generation, service.clock().now())
        .await?;
    service.bell.notify_one();
    let mut followed = organisation.followed.lock();
    if followed.as_ref().is_some_and(|followed| followed.generation == before.generation) {
        *followed = None;
    }
    Ok(())
}

/// Ends the hold of an unwanted generation. The files contain the policy in force again, so nobody
/// wants the held generation any more. Returns whether a generation was held.
pub(crate) async fn withdraw(
    service: &Service,
    organisation: &ServedOrganisation,
) -> Result<bool, StoreError> {
    go_on(service, organisation);
    // The hold belongs to the process that makes the plans for the gate. That process might have
    // read newer files.
    let Some(org) = organisation.open().filter(|_| service.is_chosen()) else { return Ok(false) };
    let (name, in_force) = (&organisation.file.name, org.policy.current().generation.clone());
    let now = service.clock().now();
    let ended = generation_holds::end(service.store.as_ref(), name, &in_force, now).await?;
    // If the ended hold was about the policy in force, no generation is withdrawn.
    let Some(held) = ended.filter(|held| held.generation != in_force) else { return Ok(false) };
    tracing::info!(
        organisation = name,
        generation = held.generation,
        "held generation of the policy withdrawn"
    );
    Ok(true)
}
