//! `beadle plan`: compares the repositories and groups with the policy, and shows the differences
//! as planned changes.

use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::{Clock, Lane, Planner as _, Store};
use beadle_groups::sweep::named;
use beadle_groups::{Write as GroupWrite, sweep_hint};
use beadle_repositories::{RepositoryPlanner, Shard, Step};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::connections::budget_share::SpawnedShare;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::groups::target::GroupTarget;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::service::record::other_configurations;
use crate::app::store;
use crate::cli::{Format, PlanArgs, Selection};
use crate::commands::plan_base;
use crate::commands::shared::tally::code;
use crate::config::Config;
use crate::output::plans_and_results::{self, PlanScope, WholePlan};
use crate::output::policy_quotes;
use crate::output::printer::Printer;
use crate::output::progress::Progress;
use crate::tasks::other_modes;

/// The maximum number of groups that Beadle plans at the same time.
const AT_ONCE: usize = 8;

pub(crate) async fn run(config: &Arc<Config>, args: &PlanArgs, printer: &Printer) -> anyhow::Result<u8> {
    // `beadle plan` must not create a store. So it uses a store only if the store exists.
    let store = store::open_if_there(config).await?;
    let selection = &args.selection;
    // Without a store, a shard cannot see how much of the budget the other shards have spent. So
    // each shard gets an equal part.
    let parts = if store.is_none() { selection.shard.of() } else { 1 };
    let app = App::new(config, ClientOptions { store: store.clone(), parts, ..ClientOptions::PATIENT });
    if let Some(base) = &args.base {
        return Box::pin(plan_base::run(&app, base, args, store.as_ref(), printer)).await;
    }
    if let Some(store) = &store {
        for other in other_configurations(store.as_ref(), config, app.clock.now()).await? {
            printer.note(other);
        }
    }
    let mut plans = Vec::new();
    // The quoted lines of the organisations' policies. The organisations come first in `plans`.
    let mut quotes = Vec::new();
    let mut held = Vec::new();
    if selection.repositories() {
        for file in config.orgs(selection.org.as_deref())? {
            let org = app.organisation(file).await?;
            let shared = app.share_budget(&org).await;
            let planner = org.planner(store.as_ref()).only_looking();
            let planned = plan(&org, &planner, selection, printer).await;
            SpawnedShare::end_all(shared).await;
            let shown = planned?.0;
            quotes.push(policy_quotes::text(&shown.plans, &org.policy.current().sources));
            plans.push(shown);
            if let Some(store) = &store {
                if let Some(other) = other_modes(store.as_ref(), file).await? {
                    printer.note(other);
                }
                held.append(&mut HeldGeneration::notices(store.as_ref(), &file.name).await?);
            }
        }
    }
    if selection.groups() {
        let directories = app.directories_with_policies().await?;
        let shared = app.share_team_budgets().await;
        let planned = async {
            let mut planned = Vec::new();
            for target in directories.wanted(selection.target.as_deref())? {
                let (store, lane) = (store.as_ref(), Lane::Manual);
                planned.push(plan_groups(target, selection, store, &app.clock, lane, printer).await?.0);
            }
            anyhow::Ok(planned)
        };
        let planned = planned.await;
        SpawnedShare::end_all(shared).await;
        plans.extend(planned?);
    }
    if args.format != Format::Text {
        for notice in &held {
            printer.note(notice);
        }
    }
    match args.format {
        Format::Json => {
            let to_json = if selection.is_by_name() { plans_and_results::json } else { json_among };
            printer.json(&serde_json::to_string_pretty(&to_json(&plans, selection.shard))?);
        }
        Format::Text => {
            for notice in &held {
                printer.line(notice);
            }
            for (at, plan) in plans.iter().enumerate() {
                printer.lines(plans_and_results::text(printer, plan));
                printer.lines(quotes.get(at).map_or("", String::as_str));
            }
        }
        Format::Markdown => {
            for plan in &plans {
                printer.lines(plans_and_results::markdown(plan).trim_end());
            }
        }
    }
    let misnamed = selection.is_by_name() && plans.iter().any(|plan| !plan.unmatched.is_empty());
    // Beadle counts a plan with an unknown part like a plan with a change, because the unknown part
    // might need a change.
    let left = plans.iter().filter(|plan| plan.is_pending()).count();
    Ok(code(usize::from(misnamed), left))
}

/// A plan of a repository, with the steps that write it.
pub(crate) type Writable = beadle_engine::Plan<Box<dyn Step>>;
/// A plan of a group, with the requests that write it.
pub(crate) type WritableGroup = beadle_engine::Plan<GroupWrite>;

/// Plans one organisation. Returns the plan for printing, and the plans for writing.
pub(crate) async fn plan(
    org: &GithubOrganisation,
    planner: &RepositoryPlanner,
    selection: &Selection,
    printer: &Printer,
) -> anyhow::Result<(WholePlan, Vec<Writable>)> {
    let name = &org.file.name;
    let progress = Progress::new(&format!("reading {name}"), printer);
    let planned = planner
        .organisation(name, &selection.repo, selection.shard, &|done, total| progress.at(done, total))
        .await;
    progress.end();
    let planned = planned?;
    let shown = WholePlan {
        of: name.clone(),
        scope: PlanScope::Repositories(org.file.mode),
        plans: planned.plans.iter().map(|(key, plan)| (key.clone(), plan.describe())).collect(),
        short: planned.short,
        unmatched: planned.unmatched,
        links: org.links(),
    };
    Ok((shown, planned.plans.into_iter().map(|(_, plan)| plan).collect()))
}

/// Plans the groups of one target. All reads use the lane `lane`. Returns the plan for printing,
/// and the plans for writing.
pub(crate) async fn plan_groups(
    target: &GroupTarget,
    selection: &Selection,
    store: Option<&Arc<dyn Store>>,
    clock: &Clock,
    lane: Lane,
    printer: &Printer,
) -> anyhow::Result<(WholePlan, Vec<WritableGroup>)> {
    let name = &target.file.name;
    let what = || format!("reading {name}");
    target.agree(store).await?;
    let progress = Progress::new(&what(), printer);
    let planned = async {
        target.directory.target.look().await?;
        if let Err(failure) = target.directory.look_at_pushes().await {
            printer.note(format!(
                "groups that Okta pushes itself are unknown ({}); the scope okta.apps.read is required",
                failure.text
            ));
        }
        // `beadle sweep` reads all groups of the directory once, and uses these groups for all
        // plans. Other commands read each group separately.
        let hint = sweep_hint(clock.now());
        let mut found = Vec::new();
        for source in target.directory.sources.keys() {
            found.extend(named(source, &target.directory, store).await?);
        }
        let wanted = |name: &String| found.iter().any(|one| one.is_called(name));
        let unmatched: Vec<String> = selection
            .group
            .iter()
            .filter(|name| !wanted(name))
            .map(|name| format!("no mapping to {} has a group `{name}`", target.file.name))
            .collect();
        let all = selection.group.is_empty();
        found.retain(|one| all || selection.group.iter().any(|name| one.is_called(name)));
        // If a union has groups of several directories, each directory returns the key of the
        // union. In the sorted list, equal keys are next to each other.
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found.dedup_by(|one, other| one.key == other.key);
        let planner = target.planner(store, clock);
        let total = found.len() as u64;
        let mut done = 0;
        let plans = found.iter().map(|one| {
            let (planner, hint) = (planner.clone(), hint.as_str());
            async move {
                let plan = planner.plan(&one.key, Some(hint), lane).await?;
                Ok::<_, anyhow::Error>((one.key.clone(), plan))
            }
        });
        let plans = futures::stream::iter(plans).buffered(AT_ONCE).inspect_ok(|_| {
            done += 1;
            progress.at(done, total);
        });
        let mut plans: Vec<_> = plans.try_collect().await?;
        plans.sort_by(|(_, one), (_, other)| one.subject.cmp(&other.subject));
        Ok::<_, anyhow::Error>((plans, unmatched))
    };
    let planned = planned.await;
    progress.end();
    let (plans, unmatched) = planned.with_context(what)?;
    let shown = WholePlan {
        of: name.clone(),
        scope: PlanScope::Groups,
        plans: plans.iter().map(|(key, plan)| (key.clone(), plan.describe())).collect(),
        short: None,
        unmatched,
        links: None,
    };
    Ok((shown, plans.into_iter().map(|(_, plan)| plan).collect()))
}

/// Returns plans as JSON. In the plan of a whole organisation or of a whole shard, `among` is the
/// number of repositories that Beadle can write. `beadle plan-total` needs this number.
fn json_among(plans: &[WholePlan], shard: Shard) -> Value {
    let mut shown = plans_and_results::json(plans, shard);
    let of_organisations = plans.iter().filter(|plan| plan.scope != PlanScope::Groups);
    for (at, plan) in of_organisations.enumerate() {
        shown["organisations"][at]["among"] = json!(plan.among());
    }
    shown
}
