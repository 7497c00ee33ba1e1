//! Imports random organisations. The plan of an imported policy must be empty. An import must not
//! write anything to GitHub.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use beadle_sim::Sim;

use super::dice::Dice;
use super::state::{ORGANISATION, state};
use super::{Stage, folder, number, simulated};
use crate::{Policy, Shard, import_policy};

/// The number of organisations in a test run if `PAIRS` is not set.
const USUAL: u64 = 60;

fn load(files: BTreeMap<String, String>) -> Result<Policy, String> {
    Policy::from_sources(files, "admin", Path::new("policy")).map_err(|error| error.to_string())
}

/// Imports one random organisation, and plans this organisation with the imported policy.
async fn one(seed: u64, sim: &Arc<Sim>, folder: &Path) -> Result<(), String> {
    sim.begin_with(state(&mut Dice::new(seed)).doc);
    let nothing = BTreeMap::from([("settings.yml".to_owned(), "repository: {}\n".to_owned())]);
    let reading = Stage::open(sim, &folder.join(format!("{seed}-reading.db")), load(nothing)?)?;
    let (planner, _) = reading.parts()?;
    let import = import_policy(planner.reader(), "admin", &[], &|_, _| {}).await;
    let import = import.map_err(|failure| failure.text)?;
    let shown: Vec<String> = import.files.iter().map(|(file, text)| format!("--- {file}\n{text}")).collect();
    let shown = format!("{}\n{:#?}\n{:#}", shown.concat(), import.notes, sim.state()["orgs"][ORGANISATION]);
    let policy = load(import.files).map_err(|why| format!("{why}\n\n{shown}"))?;
    let planning = Stage::open(sim, &folder.join(format!("{seed}-planning.db")), policy)?;
    let (planner, _) = planning.parts()?;
    let whole = planner.organisation(ORGANISATION, &[], Shard::default(), &|_, _| {}).await;
    let whole = whole.map_err(|failure| failure.text)?;
    for (_, plan) in &whole.plans {
        if let Some(change) = plan.changes.first() {
            let what = (&change.aspect, &change.what, &change.fields);
            return Err(format!("{} has a change: {what:?}\n\n{shown}", plan.subject));
        }
        if let Some(unknown) = plan.unknowns.first() {
            return Err(format!("{} is unknown: {unknown:?}\n\n{shown}", plan.subject));
        }
    }
    match sim.calls().iter().find(|call| call["writes"] == true) {
        Some(call) => Err(format!("the import wrote: {call:#}")),
        None => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_plan_of_an_imported_policy_is_empty() {
    let (sim, folder) = (simulated().await, folder());
    let (from, count) = (number("PAIRS_FROM", 0), number("PAIRS", USUAL));
    for seed in from..from + count {
        if let Err(why) = one(seed, &sim, folder.path()).await {
            panic!("seed {seed}: {why}\n\nAgain: PAIRS_FROM={seed} PAIRS=1");
        }
    }
}
