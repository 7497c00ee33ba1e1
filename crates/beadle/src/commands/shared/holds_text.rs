//! Shows held changes and held generations as text. `beadle holds` prints this text, and so do
//! `beadle approve` and `beadle reject` before they ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::gate::Holder;
use beadle_engine::guard::{HoldGroup, HoldState, is_undo};
use beadle_engine::{FirstHeld, Hold, PolicyLocation, Store, StoreError, Time, VoidApproval, examples};

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::policy::policy_lines::PolicyLines;
use crate::commands::ago;
use crate::config::Config;
use crate::output::escape;
use crate::output::journal_attribution::missing;
use crate::output::journal_run_and_policy::commit;
use crate::output::journal_write::QUOTED;
use crate::output::plans_and_results;
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

/// The maximum number of repositories or groups that the output shows for one group of changes.
const EXAMPLES: usize = 5;
/// The maximum number of codes in one command that approves several groups.
const CODES: usize = 10;

/// Prints held changes and held generations.
pub(in crate::commands) struct HoldsText<'a> {
    store: &'a Arc<dyn Store>,
    lines: PolicyLines,
    now: Time,
    /// True if the text shows the commands for an approval. `beadle approve` and `beadle reject` do
    /// not show these commands in their previews.
    shows_approval: bool,
    printer: &'a Printer,
}

impl<'a> HoldsText<'a> {
    /// Creates the text of a list. The list shows the commands for an approval.
    pub(in crate::commands) fn of_list(
        store: &'a Arc<dyn Store>,
        config: &Config,
        (now, printer): (Time, &'a Printer),
    ) -> Self {
        Self { store, lines: PolicyLines::new(store, config), now, shows_approval: true, printer }
    }

    /// Creates the text of a preview. The preview does not show the commands for an approval.
    pub(in crate::commands) fn of_preview(
        store: &'a Arc<dyn Store>,
        config: &Config,
        (now, printer): (Time, &'a Printer),
    ) -> Self {
        Self { shows_approval: false, ..Self::of_list(store, config, (now, printer)) }
    }

    /// Prints a group: a summary of several changes, or the only change.
    pub(in crate::commands) async fn group(&mut self, group: &HoldGroup) -> Result<(), StoreError> {
        if group.holds.len() == 1 {
            self.changes(group);
        } else {
            self.summary(group);
        }
        if let Some(commands) = commands(group, self.shows_approval) {
            self.printer.line(format!("  {commands}"));
        }
        self.origin(group).await?;
        let void = VoidApproval::of(self.store.as_ref(), &group.holds).await?;
        if let Some(void) = void.into_iter().flatten().next() {
            self.printer.line(format!("  {}", escape::one_line(&void.to_string())));
        }
        Ok(())
    }

    /// Prints each change of a group, and the command that approves the group.
    pub(in crate::commands) async fn each_change(&mut self, group: &HoldGroup) -> Result<(), StoreError> {
        self.changes(group);
        if let Some(approval) = approval(group).filter(|_| self.shows_approval) {
            self.printer.line(format!("  {approval}"));
        }
        self.origin(group).await
    }

    /// Prints a held generation: the exceeded limits, the sums, and the changes sorted into groups.
    /// `note` is the name of the note about the hold.
    pub(in crate::commands) fn generation(&self, note: &str, held: &HeldGeneration) {
        let Self { printer, now, .. } = *self;
        let holder = Holder::of(note);
        let HeldGeneration { organisation, generation, digest, .. } = held;
        let head = printer.paint(Tone::Heading, format!("generation {generation}  {organisation}"));
        let state = match &held.approved {
            Some(GenerationApproval { by, reason, .. }) => {
                format!("approved by {by} ({reason}), not in force yet")
            }
            None => held.why.clone(),
        };
        printer.line(format!("{head}  held by {holder} for {}: {state}", ago(held.since, now)));
        if let Some(of) = &held.commit {
            printer.line(format!("  {}", commit(of)));
        }
        printer.line(format!("  {}; plan {digest}", held.summary()));
        for group in &held.groups {
            let sources = group.sources().map(|lines| format!("  [{lines}]")).unwrap_or_default();
            printer.line(format!("  {}{sources}", group.line()));
        }
        if held.more_groups > 0 {
            printer.line(format!("  and {} more", held.more_groups));
        }
        for line in &held.delayed {
            printer.line(format!("  {line}"));
        }
        if held.drift > 0 {
            let values = counted(held.drift, "value", "values");
            printer.line(format!(
                "  not counted: drift that exists already: {values}; the policy in force asks for these changes too, \
                 so this policy does not cause them: see `beadle plan`"
            ));
        }
        if held.approved.is_none() && self.shows_approval {
            // The code of the plan approves only the changes that the operator sees here.
            printer.line(format!("  to approve it: `beadle approve {digest} --reason \"TEXT\"`"));
        }
    }

    /// Prints each change of a group, without the cause.
    fn changes(&self, group: &HoldGroup) {
        let printer = self.printer;
        for Hold { digest, subject, why, since, change, .. } in &group.holds {
            let head = printer.paint(Tone::Heading, format!("{digest}  {subject}"));
            let state = state(&group.state, why);
            printer.line(format!("{head}  held for {}: {state}", ago(*since, self.now)));
            for line in plans_and_results::change_lines(printer, change) {
                printer.line(line);
            }
        }
    }

    /// Prints a group of several changes, without the cause.
    fn summary(&self, group: &HoldGroup) {
        let printer = self.printer;
        let head = printer.paint(Tone::Heading, format!("{}  {}", group.code, title(group)));
        printer.line(format!("{head}{}", printer.paint(Tone::Faint, source(group))));
        let state = state(&group.state, group.why());
        printer.line(format!("  held for {}: {state}", ago(group.since(), self.now)));
        printer.line(format!("  {}", subjects(group)));
    }

    /// Prints the lines of the policy that ask for the changes. Also prints the policy that was in
    /// force when the guard held the first of these changes.
    async fn origin(&mut self, group: &HoldGroup) -> Result<(), StoreError> {
        let Some(hold) = group.holds.first() else { return Ok(()) };
        let quoted = quoted_lines(group);
        // All changes of a group have the same policy.
        let quotes = self.lines.quotes((&hold.key, &hold.generation), &hold.change).await?;
        for (at, text) in quotes.iter().filter(|(at, _)| quoted.contains(at)) {
            self.printer.line(quote(at, text));
        }
        if let Some(absence) = absence(hold) {
            self.printer.line(format!("  {}", escape::one_line(&absence)));
        }
        if let Some(FirstHeld { at, policy }) = FirstHeld::of(self.store.as_ref(), hold).await? {
            let policy = commit(&policy.from);
            self.printer
                .line(format!("  first held at {at}, when the policy was {}", escape::one_line(&policy)));
        }
        Ok(())
    }
}

/// Returns the command that approves all groups that wait for a decision. Returns `None` if only one
/// group waits, because the group has its own command, or if the command would be too long.
pub(in crate::commands) fn approval_of_all(groups: &[HoldGroup]) -> Option<String> {
    let open: Vec<&HoldGroup> = groups.iter().filter(|group| group.state == HoldState::Open).collect();
    if !(2..=CODES).contains(&open.len()) {
        return None;
    }
    let changes: usize = open.iter().map(|group| group.holds.len()).sum();
    let codes: Vec<&str> = open.iter().map(|group| group.code.as_str()).collect();
    let codes = codes.join(" ");
    Some(format!("to approve all {changes} changes: `beadle approve {codes} --reason \"TEXT\"`"))
}

/// Returns the command that approves a group, or its only change. Returns `None` if somebody has
/// already decided about the group.
fn approval(group: &HoldGroup) -> Option<String> {
    let what = if group.holds.len() == 1 { "it" } else { "this group" };
    (group.state == HoldState::Open)
        .then(|| format!("to approve {what}: `beadle approve {} --reason \"TEXT\"`", group.code))
}

/// Returns the command that approves a group, and the command that shows each of its changes. A
/// preview leaves out the command that approves the group. If the group has only one change, the
/// output already shows this change, so the result does not contain the command that shows each
/// change.
fn commands(group: &HoldGroup, shows_approval: bool) -> Option<String> {
    let code = &group.code;
    let is_single = group.holds.len() == 1;
    if !shows_approval {
        return (!is_single).then(|| format!("to see each change of the group: `beadle holds {code}`"));
    }
    let approval = approval(group)?;
    Some(if is_single { approval } else { format!("{approval}; to see each change: `beadle holds {code}`") })
}

/// If a held change removes an entry of a list, returns a text about the list that does not have the
/// entry.
fn absence(hold: &Hold) -> Option<String> {
    // No policy asks for the changes of an undo.
    if is_undo(&hold.generation) { None } else { missing(&hold.change, &hold.change.fields) }
}

/// Returns the lines of the policy that the output quotes for a group. For several changes, returns
/// only the line that all changes have in common. For a single change, returns all of its lines, or
/// none if there are more than `QUOTED`. The journal has the same limit.
fn quoted_lines(group: &HoldGroup) -> BTreeSet<&PolicyLocation> {
    if group.holds.len() > 1 {
        return group.asked.iter().collect();
    }
    let fields = group.holds.iter().flat_map(|hold| &hold.change.fields);
    let asked: BTreeSet<&PolicyLocation> = fields.filter_map(|field| field.asked.as_ref()).collect();
    if asked.len() > QUOTED { BTreeSet::new() } else { asked }
}

/// Returns the text of the output about a line of the policy: its place and its text.
fn quote(at: &PolicyLocation, text: &str) -> String {
    format!("  asked by {} `{text}`", escape::one_line(&at.to_string()))
}

/// Returns the title of a group of changes, such as `removes teams: team engineering in 170
/// repositories`.
fn title(group: &HoldGroup) -> String {
    let HoldGroup { risk, aspect, title, holds, .. } = group;
    let (one, many) = match holds.first().map(|hold| hold.key.kind()) {
        Some("repository") => ("repository", "repositories"),
        Some("organisation") => ("organisation", "organisations"),
        _ => ("group", "groups"),
    };
    let subjects = counted(group.subjects().len() as u64, one, many);
    let reaches = match group.reaches() {
        reaches if reaches > holds.len() as u64 => format!(", reaches {reaches} repositories"),
        _ => String::new(),
    };
    format!("{risk} {aspect}: {title} in {subjects}{reaches}")
}

/// Returns the line of the policy, together with the generation of the latest plan, such as `
/// [settings.yml:2, planned with policy 3c9f0a1b2d4e]`. This generation is often not the first one
/// that asked for the change.
fn source(group: &HoldGroup) -> String {
    let HoldGroup { generation, asked, .. } = group;
    let generation =
        if is_undo(generation) { generation.clone() } else { format!("planned with policy {generation}") };
    match asked {
        Some(asked) => format!("  [{asked}, {generation}]"),
        None => format!("  [{generation}]"),
    }
}

/// Returns the names of the first repositories or groups, and the number of the remaining ones.
fn subjects(group: &HoldGroup) -> String {
    examples(&group.subjects(), EXAMPLES)
}

/// Returns the decision about held changes, or the reason why they are held.
pub(in crate::commands) fn state(state: &HoldState, why: &str) -> String {
    let because = |reason: Option<&str>| reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    match state {
        HoldState::Open => why.to_owned(),
        HoldState::Approved { by, reason } => {
            format!("approved by {by}{}, not written yet", because(reason.as_deref()))
        }
        HoldState::Rejected { by, reason } => format!("rejected by {by}{}", because(reason.as_deref())),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::group_holds;
    use beadle_engine::{Field, Key, testing};

    use super::*;

    fn group(count: u64, kind: &str) -> HoldGroup {
        let hold = |n: u64| {
            let mut change = testing::hold(n).change;
            change.fields[0].asked = Some(PolicyLocation { file: "settings.yml".into(), line: 2 });
            Hold {
                key: Key::new(kind, "acme", n),
                subject: format!("acme/r{n:03}"),
                generation: "g1".into(),
                change,
                ..testing::hold(n)
            }
        };
        group_holds((0..count).map(hold).collect()).remove(0)
    }

    #[test]
    fn a_group_says_what_it_changes_where_and_which_line_asks() {
        let group = group(170, "repository");
        assert_eq!(title(&group), "removes teams: team engineering in 170 repositories");
        assert_eq!(source(&group), "  [settings.yml:2, planned with policy g1]");
        assert_eq!(subjects(&group), "acme/r000, acme/r001, acme/r002, acme/r003, acme/r004 and 165 more");
    }

    #[test]
    fn several_changes_quote_only_their_common_line_and_a_single_change_few_lines() {
        let at = |line: u32| PolicyLocation { file: "settings.yml".into(), line };
        let with = |count: u64, lines: u32| {
            let mut group = group(count, "repository");
            for hold in &mut group.holds {
                let field = hold.change.fields[0].clone();
                let fields = (2..2 + lines).map(|line| Field { asked: Some(at(line)), ..field.clone() });
                hold.change.fields = fields.collect();
            }
            quoted_lines(&group).into_iter().map(|at| at.line).collect::<Vec<u32>>()
        };
        assert_eq!(with(2, 3), [2]);
        assert_eq!(with(1, 3), [2, 3, 4]);
        assert!(with(1, 4).is_empty());
    }

    #[test]
    fn a_held_removal_names_the_list_that_does_not_have_the_entry() {
        let mut hold = group(1, "repository").holds.remove(0);
        assert_eq!(absence(&hold), None, "the change has no such value");
        hold.change.fields[0].name = "permission".into();
        assert_eq!(absence(&hold).as_deref(), Some("the list `teams` does not have engineering"));
        hold.generation = "undo of 7".into();
        assert_eq!(absence(&hold), None);
    }

    #[test]
    fn a_line_of_the_policy_has_its_text() {
        let at = PolicyLocation { file: "a\nb.yml".into(), line: 2 };
        assert_eq!(quote(&at, "teams: []"), "  asked by a\\nb.yml:2 `teams: []`");
    }

    #[test]
    fn a_group_names_its_kind_and_what_it_reaches() {
        let of_directory = group(2, "target-group");
        assert_eq!(title(&of_directory), "removes teams: team engineering in 2 groups");
        assert_eq!(subjects(&of_directory), "acme/r000, acme/r001");
        let mut wide = group(1, "organisation");
        wide.holds[0].change.reaches = 60;
        wide.asked = None;
        assert_eq!(
            title(&wide),
            "removes teams: team engineering in 1 organisation, reaches 60 repositories"
        );
        assert_eq!(source(&wide), "  [planned with policy g1]");
        wide.generation = "undo of 7".into();
        assert_eq!(source(&wide), "  [undo of 7]");
    }

    #[test]
    fn a_preview_does_not_show_the_command_that_approves() {
        let mut group = group(2, "repository");
        group.code = "c0de".into();
        let list = "to approve this group: `beadle approve c0de --reason \"TEXT\"`; to see each change: `beadle holds c0de`";
        assert_eq!(commands(&group, true).as_deref(), Some(list));
        let preview = Some("to see each change of the group: `beadle holds c0de`");
        assert_eq!(commands(&group, false).as_deref(), preview);
        group.state = HoldState::Rejected { by: "mona".into(), reason: None };
        assert_eq!(commands(&group, true), None);
        assert_eq!(commands(&group, false).as_deref(), preview);
    }

    #[test]
    fn a_single_change_has_its_own_command() {
        let mut single = group(1, "repository");
        let command = "to approve it: `beadle approve d0 --reason \"TEXT\"`";
        assert_eq!(commands(&single, true).as_deref(), Some(command));
        assert_eq!(commands(&single, false), None);
        single.state = HoldState::Approved { by: "mona".into(), reason: None };
        assert_eq!(commands(&single, true), None);
    }

    #[test]
    fn one_command_approves_all_groups_that_wait() {
        let of = |codes: usize| {
            let with_code = |n: usize| HoldGroup { code: format!("c{n}"), ..group(3, "repository") };
            let mut groups: Vec<HoldGroup> = (0..codes).map(with_code).collect();
            let state = HoldState::Rejected { by: "mona".into(), reason: None };
            groups.push(HoldGroup { state, ..group(1, "repository") });
            approval_of_all(&groups)
        };
        let command = "to approve all 6 changes: `beadle approve c0 c1 --reason \"TEXT\"`";
        assert_eq!(of(2).as_deref(), Some(command), "a rejected group does not wait");
        assert_eq!([0, 1, CODES, CODES + 1].map(|codes| of(codes).is_some()), [false, false, true, false]);
    }

    #[test]
    fn the_state_names_the_operator_and_the_reason() {
        let by = || "mona".to_owned();
        for (of, text) in [
            (HoldState::Open, "the limit"),
            (HoldState::Approved { by: by(), reason: None }, "approved by mona, not written yet"),
            (
                HoldState::Approved { by: by(), reason: Some("closed".into()) },
                "approved by mona (closed), not written yet",
            ),
            (
                HoldState::Rejected { by: by(), reason: Some("it stays".into()) },
                "rejected by mona (it stays)",
            ),
        ] {
            assert_eq!(state(&of, "the limit"), text);
        }
    }
}
