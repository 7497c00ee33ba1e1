//! `beadle plan`.

use std::sync::Arc;

use beadle_engine::{Clock, Store};
use beadle_repositories::Step;

use crate::cli::{Format, PlanArgs, Selection};
use crate::commands::{FAILED, FINE, PENDING};
use crate::config::Config;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::render::{self, OrgPlan};
use crate::sharing::Shared;
use crate::wiring::{self, Opening, Org};

pub(crate) async fn run(config: &Config, args: &PlanArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    // A plan makes no file: it remembers where there is something to remember in.
    let store = config.database().exists().then(|| wiring::store(config)).transpose()?;
    // Without a store the shards cannot tell each other what they spend.
    let parts = if store.is_none() { args.selection.shard.of() } else { 1 };
    let mut plans = Vec::new();
    for file in config.orgs(args.selection.org.as_deref())? {
        let org = Org::open(config, file, &clock, Opening { store: store.as_ref(), patient: true, parts })?;
        let shared = Shared::where_stored(&org, store.as_ref()).await;
        let planned = plan(&org, &args.selection, store.as_ref(), printer).await;
        Shared::end_all(shared).await;
        plans.push(planned?.0);
    }
    match args.format {
        Format::Json => {
            printer.line(serde_json::to_string_pretty(&render::json(&plans, args.selection.shard))?);
        }
        Format::Text => plans.iter().for_each(|plan| printer.line(render::text(printer, plan))),
        Format::Markdown => plans.iter().for_each(|plan| printer.line(render::markdown(plan).trim_end())),
    }
    let misnamed = !args.selection.repo.is_empty() && plans.iter().any(|plan| !plan.unmatched.is_empty());
    Ok(if misnamed {
        FAILED
    } else if plans.iter().any(OrgPlan::is_pending) {
        PENDING
    } else {
        FINE
    })
}

/// A plan as it can be written.
pub(crate) type Writable = beadle_engine::Plan<Box<dyn Step>>;

/// Plans one organisation: for printing, and for writing.
pub(crate) async fn plan(
    org: &Org<'_>,
    selection: &Selection,
    store: Option<&Arc<dyn Store>>,
    printer: &Printer,
) -> anyhow::Result<(OrgPlan, Vec<Writable>)> {
    let name = &org.file.name;
    let progress = Progress::new(&format!("reading {name}"), printer);
    let planned = org
        .planner(store)
        .organisation(name, &selection.repo, selection.shard, &|done, total| progress.at(done, total))
        .await;
    progress.end();
    let planned = planned?;
    let shown = OrgPlan {
        org: name.clone(),
        mode: org.file.mode,
        plans: planned.plans.iter().map(|(key, plan)| (key.clone(), plan.describe())).collect(),
        short: planned.short,
        unmatched: planned.unmatched,
    };
    Ok((shown, planned.plans.into_iter().map(|(_, plan)| plan).collect()))
}
