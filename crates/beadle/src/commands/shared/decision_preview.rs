//! The preview of a decision about held changes and generations. On a terminal, `beadle approve` and
//! `beadle reject` show the preview and ask for confirmation.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::guard::{HoldGroup, Ruling, is_undo};
use beadle_engine::{Clock, Store};

use crate::app::gate::held_generation::HeldGeneration;
use crate::app::operations::held_change_decisions::NamedChange;
use crate::commands::shared::confirmation::Ask;
use crate::commands::shared::hold_decision::UNDO_AGAIN;
use crate::commands::shared::holds_text::HoldsText;
use crate::commands::{FINE, PENDING};
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::Printer;

/// The held changes and generations that the operator wants to approve or reject.
pub(in crate::commands) struct DecisionPreview<'a> {
    pub(in crate::commands) ruling: Ruling,
    /// All groups of held changes.
    pub(in crate::commands) groups: &'a [HoldGroup],
    /// The changes of the decision.
    pub(in crate::commands) changes: &'a [NamedChange<'a>],
    /// The generations of the decision, each with the name of its note.
    pub(in crate::commands) generations: &'a [&'a (String, HeldGeneration)],
}

impl DecisionPreview<'_> {
    /// Shows the decision and asks the operator for confirmation. Returns whether the command must
    /// go on. `ask` is `None` if Beadle cannot ask. The command then goes on without a question.
    pub(in crate::commands) async fn is_confirmed(
        &self,
        (store, config): (&Arc<dyn Store>, &Config),
        ask: Option<Ask<'_>>,
        printer: &Printer,
    ) -> anyhow::Result<bool> {
        let (Some(ask), Some(question)) = (ask, self.question()) else { return Ok(true) };
        let mut text = HoldsText::of_preview(store, config, (Clock::system().now(), printer));
        for (note, held) in self.generations {
            text.generation(note, held);
        }
        for part in self.parts() {
            text.group(&part).await?;
        }
        for effect in self.effects() {
            printer.note(effect);
        }
        let is_confirmed = ask(&question)?;
        if !is_confirmed {
            printer.note(match self.ruling {
                Ruling::Approve => "nothing was approved",
                Ruling::Reject => "nothing was rejected",
            });
        }
        Ok(is_confirmed)
    }

    /// Returns the question. Returns `None` if there is nothing to confirm. The rejection of a
    /// single change needs no confirmation, because Beadle writes nothing, and the operator can
    /// still approve the change.
    fn question(&self) -> Option<String> {
        let changes = self.changes.len();
        // The service and a command can hold the same generation.
        let generations: BTreeSet<(&str, &str)> = self
            .generations
            .iter()
            .map(|(_, held)| (held.organisation.as_str(), held.digest.as_str()))
            .collect();
        let verb = match self.ruling {
            Ruling::Approve => "Approve",
            Ruling::Reject if changes < 2 => return None,
            Ruling::Reject => "Reject",
        };
        let counts = [(changes, "change", "changes"), (generations.len(), "generation", "generations")];
        let counts = counts.into_iter().filter(|(count, ..)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, one, many)| counted(count, one, many)).collect();
        (!counts.is_empty()).then(|| format!("{verb} {}?", counts.join(" and ")))
    }

    /// Returns the groups, with only the changes of the decision. A group keeps its code, because
    /// `beadle holds` shows the group with this code.
    fn parts(&self) -> Vec<HoldGroup> {
        let digests: BTreeSet<&str> = self.changes.iter().map(|one| one.hold.digest.as_str()).collect();
        let part = |group: &HoldGroup| {
            let mut part = group.clone();
            part.holds.retain(|hold| digests.contains(hold.digest.as_str()));
            (!part.holds.is_empty()).then_some(part)
        };
        self.groups.iter().filter_map(part).collect()
    }

    /// Returns sentences about the effect of the decision.
    fn effects(&self) -> Vec<&'static str> {
        if self.ruling == Ruling::Reject {
            return vec![
                "Beadle holds rejected changes until somebody approves them, or until they are no longer needed",
            ];
        }
        let has = |of_undo: bool| self.changes.iter().any(|one| is_undo(&one.hold.generation) == of_undo);
        let effects = [
            (
                has(false),
                "Beadle writes approved changes in its next run, even above the limits of the guard",
            ),
            (has(true), UNDO_AGAIN),
            (
                !self.generations.is_empty(),
                "an approved generation comes into force if its plan is still the same",
            ),
        ];
        effects.into_iter().filter_map(|(is_so, effect)| is_so.then_some(effect)).collect()
    }
}

/// Returns the exit code after the operator declined the decision. `code` is the exit code of the
/// earlier part of the command.
pub(in crate::commands) fn declined(code: u8) -> u8 {
    if code == FINE { PENDING } else { code }
}

#[cfg(test)]
mod tests;
