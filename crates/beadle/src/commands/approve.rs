//! `beadle approve`: approves held changes and held generations of a policy.

use beadle_engine::guard::{Decision, group_holds};
use beadle_engine::{Clock, Store};

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::generation_approval::{ambiguity, approve, is_named};
use crate::app::store;
use crate::cli::{ApproveArgs, DecideArgs};
use crate::commands::shared::confirmation::{Ask, can_ask, is_confirmed};
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::decision_preview::{DecisionPreview, declined};
use crate::commands::shared::hold_decision::{decide_changes, name_changes};
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &ApproveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let ask =
        |question: &str| -> anyhow::Result<bool> { Ok(args.decide.yes || is_confirmed(question, printer)?) };
    let ask: Ask<'_> = &ask;
    decide(config, args, can_ask().then_some(ask), printer).await
}

/// Approves the changes and generations with these codes. `ask` is `None` if Beadle cannot ask.
async fn decide(
    config: &Config,
    args: &ApproveArgs,
    ask: Option<Ask<'_>>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let DecidedBy { name: by, reason } = decided_by(config, &args.decide.decider, printer).await?;
    let all = HeldGeneration::all(store.as_ref()).await?;
    let groups = group_holds(store.holds().await?);
    let mut code = FINE;
    let mut generations: Vec<&(String, HeldGeneration)> = Vec::new();
    let mut names: Vec<&String> = Vec::new();
    for name in &args.codes {
        let held: Vec<_> = all.iter().filter(|(_, held)| is_named(held, name)).collect();
        if held.is_empty() {
            names.push(name);
        } else if let Some(why) = refusal(name, &held, &args.decide, reason.as_deref()) {
            printer.error(&why);
            code = FAILED;
        } else {
            let is_new = |one: &&(String, HeldGeneration)| generations.iter().all(|other| other.0 != one.0);
            let held: Vec<_> = held.into_iter().filter(is_new).collect();
            generations.extend(held);
        }
    }
    let decision = Decision::approve(&by, reason.as_deref());
    let (changes, named) = name_changes((&groups, &names), &args.decide, &decision, printer);
    code = code.max(named);
    let preview = DecisionPreview {
        ruling: decision.ruling,
        groups: &groups,
        changes: &changes,
        generations: &generations,
    };
    if !preview.is_confirmed((&store, config), ask, printer).await? {
        return Ok(declined(code));
    }
    // The operator might have taken a long time to answer, so the command reads the clock now.
    let now = Clock::system().now();
    // If the operator gives no reason, `refusal` rejects every generation. In that case, the list
    // of generations is empty.
    if let Some(reason) = reason {
        let approval = GenerationApproval { by, reason, at: now };
        code = code.max(approve_generations(store.as_ref(), &generations, &approval, printer).await);
    }
    let decided = decide_changes(store.as_ref(), &changes, &decision, (now, printer)).await?;
    Ok(code.max(decided))
}

/// Returns the reason why the command cannot approve the generations with this name, or `None` if
/// it can approve them.
fn refusal(
    name: &str,
    held: &[&(String, HeldGeneration)],
    args: &DecideArgs,
    reason: Option<&str>,
) -> Option<String> {
    if let Some(ambiguous) = ambiguity(held) {
        return Some(format!("{name}: {ambiguous}"));
    }
    if !args.only.is_empty() || !args.repo.is_empty() {
        return Some(format!(
            "{name}: a generation is approved as a whole\nhint: run the command without `--only` and `--repo`"
        ));
    }
    if reason.is_none() {
        return Some(format!(
            "{name}: approving a generation needs a reason\nhint: `beadle approve {name} --reason \"TEXT\"`"
        ));
    }
    None
}

/// Approves the generations that the operator confirmed. Each generation comes with the name of its
/// note. Returns the exit code. If the gate planned a generation again while the operator read the
/// preview, the approval of this generation fails. The function still approves the other
/// generations.
async fn approve_generations(
    store: &dyn Store,
    generations: &[&(String, HeldGeneration)],
    approval: &GenerationApproval,
    printer: &Printer,
) -> u8 {
    let mut code = FINE;
    for (note, held) in generations {
        let (generation, organisation) = (&held.generation, &held.organisation);
        match approve(store, (note.as_str(), held.clone()), approval.clone()).await {
            Ok(Some(by)) => {
                printer.line(format!("{generation}: already approved for {organisation} by {by}"));
            }
            Ok(None) => printer.line(format!(
                "{generation}: approved for {organisation}; the service puts it in force if its plan is still the same"
            )),
            Err(why) => {
                printer.error(&format!("{generation}: {why:#}"));
                code = FAILED;
            }
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use beadle_engine::{Limits, Time, testing};

    use super::*;
    use crate::cli::DeciderArgs;
    use crate::commands::PENDING;

    #[tokio::test]
    async fn a_generation_with_a_new_plan_is_not_approved_and_stops_no_other_approval() {
        let (_folder, store) = store::temporary().unwrap();
        let mut all = Vec::new();
        for name in ["acme", "labs"] {
            let held = HeldGeneration::new((name, "g1"), &[], 1, Time(0));
            HeldGeneration::note(name).put(store.as_ref(), &held).await.unwrap();
            all.push((name.to_owned(), held));
        }
        // The gate plans the first generation again after the operator saw it.
        let again = HeldGeneration { digest: "another plan".into(), ..all[0].1.clone() };
        HeldGeneration::note("acme").put(store.as_ref(), &again).await.unwrap();
        let seen: Vec<&(String, HeldGeneration)> = all.iter().collect();
        let approval = GenerationApproval { by: "mona".into(), reason: "closed".into(), at: Time(1) };
        let code = approve_generations(store.as_ref(), &seen, &approval, &Printer::plain()).await;
        assert_eq!(code, FAILED);
        for (name, is_approved) in [("acme", false), ("labs", true)] {
            let held = HeldGeneration::note(name).get(store.as_ref()).await.unwrap().unwrap();
            assert_eq!(held.approved.is_some(), is_approved, "{name}");
        }
    }

    #[tokio::test]
    async fn a_declined_preview_approves_nothing_and_the_question_counts_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("beadle.toml");
        std::fs::write(&file, "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n").unwrap();
        let place = folder.path().join("beadle.db").to_str().unwrap().parse().unwrap();
        let config = Config::load(&file).unwrap().stored_at(Some(place));
        let store = store::open(&config).await.unwrap();
        let limits = Limits { removes: 0, ..Limits::default() };
        store.reserve(None, &limits, vec![testing::hold(1), testing::hold(2)], Time(0)).await.unwrap();
        let held = HeldGeneration::new(("acme", "g1"), &[], 1, Time(0));
        HeldGeneration::note("acme").put(store.as_ref(), &held).await.unwrap();
        let code = group_holds(store.holds().await.unwrap())[0].code.clone();
        let decider = DeciderArgs { reason: Some("closed".into()), person: Some("mona".into()) };
        let decide_args = DecideArgs { only: Vec::new(), repo: Vec::new(), yes: false, decider };
        let args = ApproveArgs { codes: vec![code, "g1".into()], decide: decide_args };
        let printer = Printer::plain();
        for (answer, ended) in [(false, PENDING), (true, FINE)] {
            let asked = Mutex::new(Vec::new());
            let ask = |question: &str| -> anyhow::Result<bool> {
                asked.lock().unwrap().push(question.to_owned());
                Ok(answer)
            };
            assert_eq!(decide(&config, &args, Some(&ask), &printer).await.unwrap(), ended);
            assert_eq!(*asked.lock().unwrap(), ["Approve 2 changes and 1 generation?"]);
            let holds = store.holds().await.unwrap();
            assert!(holds.iter().all(|hold| hold.approved_by.is_some() == answer), "{holds:?}");
            let generation = HeldGeneration::note("acme").get(store.as_ref()).await.unwrap().unwrap();
            assert_eq!(generation.approved.is_some(), answer);
        }
    }
}
