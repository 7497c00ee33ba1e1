//! Orders the changes of a plan. For each change, the order lists the changes that Beadle must
//! write first. The order also shows which changes Beadle can write at the same time.

use std::collections::HashMap;

use async_trait::async_trait;
use beadle_engine::{Change, Failure, Turn};

use crate::aspects::{ALL, Aspect, PlannedChange, Stage, Step, WriteTarget};

/// A step, together with its place in the order.
struct Timed {
    turn: Turn,
    step: Box<dyn Step>,
}

#[async_trait]
impl Step for Timed {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        self.step.write(to).await
    }

    fn turn(&self) -> Turn {
        self.turn
    }

    fn unshown(&self) -> Option<String> {
        self.step.unshown()
    }
}

fn aspect_of(planned: &PlannedChange) -> Option<&'static Aspect> {
    ALL.iter().copied().find(|aspect| aspect.name == planned.change.aspect)
}

/// Returns the track of a change. A track is a part of a stage. Beadle writes the changes of one
/// track one after the other. Beadle writes different tracks at the same time. Usually, each aspect
/// has one track. If Beadle is allowed to write the things of an aspect in any order, each thing
/// has its own track. In some stages, all changes share one track, because these changes affect the
/// whole repository or need an earlier feature.
fn track_of(planned: &PlannedChange) -> (String, String) {
    match (planned.stage, aspect_of(planned)) {
        (Stage::Access | Stage::Body, Some(aspect)) if aspect.is_apart => {
            (planned.change.aspect.clone(), planned.change.what.clone())
        }
        (Stage::Access | Stage::Body, _) => (planned.change.aspect.clone(), String::new()),
        _ => (String::new(), String::new()),
    }
}

/// Orders changes by their stages. For each change, the function also records the changes that must
/// come first.
pub(crate) fn in_order(mut planned_changes: Vec<PlannedChange>) -> Vec<Change<Box<dyn Step>>> {
    for planned in &mut planned_changes {
        if planned.stage == Stage::Body
            && let Some(aspect) = aspect_of(planned)
        {
            planned.stage = aspect.stage;
        }
    }
    planned_changes.sort_by_key(|planned| planned.stage);
    let stages: Vec<Stage> = planned_changes.iter().map(|planned| planned.stage).collect();
    let mut tracks: HashMap<(String, String), u32> = HashMap::new();
    let mut changes = Vec::with_capacity(planned_changes.len());
    for (at, planned) in planned_changes.into_iter().enumerate() {
        let new = u32::try_from(tracks.len()).unwrap_or(u32::MAX);
        let track = *tracks.entry(track_of(&planned)).or_insert(new);
        let PlannedChange { change, stage } = planned;
        let after = match stage {
            // GitHub accepts no write to an archived repository. Beadle makes the repository
            // visible to more people only after all other changes.
            Stage::Widen | Stage::Close => (0..at).filter(|before| stages[*before] < stage).collect(),
            _ => (0..at).filter(|before| stages[*before] == Stage::Open && stage != Stage::Open).collect(),
        };
        let timed = Timed { turn: Turn { stage: stage as u8, track }, step: change.write };
        changes.push(Change { after, write: Box::new(timed) as Box<dyn Step>, ..change });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aspects::AspectPlan;

    struct Nothing;

    #[async_trait]
    impl Step for Nothing {
        async fn write(&self, _: &WriteTarget) -> Result<(), Failure> {
            Ok(())
        }
    }

    /// Returns the changes in the order in which Beadle writes them. Each element of `planned`
    /// contains an aspect, a thing of this aspect and a stage.
    fn ordered(planned: &[(&str, &str, Stage)]) -> Vec<Change<Box<dyn Step>>> {
        let mut plan = AspectPlan::default();
        for (aspect, what, stage) in planned {
            plan.change_at(*stage, *what, Vec::new(), Nothing);
            if let Some(planned) = plan.changes.last_mut() {
                (*aspect).clone_into(&mut planned.change.aspect);
            }
        }
        in_order(plan.changes)
    }

    fn turns(planned: &[(&str, &str, Stage)]) -> Vec<Turn> {
        ordered(planned).iter().map(|change| change.write.turn()).collect()
    }

    fn body(planned: &[(&str, &str)]) -> Vec<Turn> {
        let planned: Vec<_> = planned.iter().map(|(aspect, what)| (*aspect, *what, Stage::Body)).collect();
        turns(&planned)
    }

    #[test]
    fn whoever_a_restriction_names_has_access_before_it_is_written() {
        let all = ["settings", "topics", "teams", "collaborators", "protection", "rulesets"];
        let turns = body(&all.map(|aspect| (aspect, "")));
        let (first, second) = turns.split_at(4);
        assert!(first.iter().all(|turn| second.iter().all(|later| turn.stage < later.stage)), "{turns:?}");
    }

    #[test]
    fn changes_of_one_aspect_keep_their_order_and_aspects_are_side_by_side() {
        let turns = body(&[("topics", ""), ("settings", ""), ("topics", ""), ("settings", "")]);
        assert_eq!((turns[0], turns[1]), (turns[2], turns[3]));
        assert!(turns[0].stage == turns[1].stage && turns[0].track != turns[1].track, "{turns:?}");
        let turns = body(&[("autolinks", "autolink A-"), ("autolinks", "autolink B-")]);
        assert_eq!(turns[0], turns[1]);
    }

    #[test]
    fn labels_are_side_by_side_and_two_changes_of_one_label_are_not() {
        let turns = body(&[("labels", "label a"), ("labels", "label b"), ("labels", "label a")]);
        assert_eq!(turns[0], turns[2]);
        assert_ne!(turns[0].track, turns[1].track);
        // Two things with the same name in different aspects have different tracks.
        let turns = body(&[("labels", "label a"), ("webhooks", "label a")]);
        assert_ne!(turns[0].track, turns[1].track);
    }

    #[test]
    fn security_features_build_on_each_other_and_are_one_track() {
        let turns = turns(&[("settings", "a", Stage::Security), ("security", "", Stage::Security)]);
        assert_eq!(turns[0], turns[1]);
    }

    #[test]
    fn stages_follow_each_other_and_only_some_depend_on_what_came_before() {
        let all = [
            ("settings", "", Stage::Close),
            ("settings", "", Stage::Widen),
            ("labels", "label a", Stage::Body),
            ("teams", "team a", Stage::Body),
            ("settings", "", Stage::Narrow),
            ("settings", "", Stage::Open),
        ];
        let changes = ordered(&all);
        let stages: Vec<u8> = changes.iter().map(|change| change.write.turn().stage).collect();
        assert!(stages.windows(2).all(|pair| pair[0] < pair[1]), "{stages:?}");
        let after: Vec<Vec<usize>> = changes.iter().map(|change| change.after.clone()).collect();
        let all = |count: usize| (0..count).collect::<Vec<_>>();
        assert_eq!(after, [all(0), all(1), all(1), all(1), all(4), all(5)]);
        assert_eq!(changes[2].aspect, "teams");
    }
}
