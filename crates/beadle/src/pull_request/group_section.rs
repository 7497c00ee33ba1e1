//! Renders the group changes of a policy as Markdown. The text shows the sums, and for each group
//! the people who join or leave.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use beadle_engine::{Change, Key, Plan, Risk, Risks};

use super::findings::{Previewed, parts};
use crate::app::policy::group_changes_between_versions::ChangedGroups;
use crate::output::markdown::{Page, Piece};

/// The maximum length of the section, in bytes. The text also needs room for the changes of
/// repositories.
const MOST: usize = 15_000;
/// The maximum number of unknown parts.
const UNKNOWNS: usize = 25;
/// The number of people that one line shows.
const FIRST: usize = 5;

/// The readers of the text.
#[derive(Clone, Copy)]
pub(super) struct Readers {
    /// True if everybody can read the text. In that case, the text contains no names of groups.
    pub(super) is_public: bool,
    /// True if the pull request comes from a fork. The author of a fork is not allowed to know the
    /// members of the mapped groups. So the text contains no names of people.
    pub(super) is_from_fork: bool,
}

/// The changes of one group.
#[derive(Default)]
struct GroupChanges<'a> {
    subject: &'a str,
    risks: Risks,
    joins: Vec<&'a str>,
    leaves: Vec<&'a str>,
    /// The changes that are not changes of members, such as `rename`. Each change has its name or
    /// value.
    others: Vec<(&'a str, &'a str)>,
    /// The reasons why changes need an approval.
    stops: Vec<&'a str>,
}

impl<'a> GroupChanges<'a> {
    fn add(&mut self, plan: &'a Plan<()>) {
        self.subject = &plan.subject;
        self.risks.merge(&plan.risks());
        for change in &plan.changes {
            self.add_change(change);
            if let Some(stop) = change.stop.as_deref().filter(|stop| !self.stops.contains(stop)) {
                self.stops.push(stop);
            }
        }
    }

    fn add_change(&mut self, change: &'a Change<()>) {
        for field in &change.fields {
            match (change.aspect.as_str(), field.before.is_null(), field.after.is_null()) {
                ("members", true, false) => self.joins.push(&field.name),
                ("members", false, true) => self.leaves.push(&field.name),
                _ => self.others.push((change.what.as_str(), field.name.as_str())),
            }
        }
    }

    fn line(&self, readers: Readers) -> Page {
        let mut line = vec![Piece::value(self.subject), Piece::own("—")];
        let people = |names: &[&'a str], verb: Piece| -> Vec<Piece> {
            let count = names.len();
            if count == 0 {
                return Vec::new();
            }
            if readers.is_from_fork {
                let count = Piece::counted(count as u64, "member", "members");
                return vec![Piece::joined(&[verb, count], " ")];
            }
            let (first, further) = names.split_at(count.min(FIRST));
            let count = Piece::counted(count as u64, "member:", "members:");
            let mut text = vec![verb, count, Piece::values(first)];
            if !further.is_empty() {
                text.extend([Piece::own("and"), Piece::number(further.len() as u64), Piece::own("more")]);
            }
            vec![Piece::joined(&text, " ")]
        };
        let mut texts = people(&self.leaves, Piece::own("removes").bold());
        texts.extend(people(&self.joins, Piece::own("adds")));
        if !self.others.is_empty() {
            let names: Vec<Piece> = self
                .others
                .iter()
                .take(FIRST)
                .map(|(what, name)| {
                    let mut shown = vec![Piece::value(what)];
                    if !readers.is_from_fork {
                        shown.push(Piece::value(name));
                    }
                    Piece::joined(&shown, " ")
                })
                .collect();
            let count = Piece::counted(self.others.len() as u64, "other change:", "other changes:");
            texts.push(Piece::joined(&[count, Piece::joined(&names, ", ")], " "));
        }
        line.push(Piece::joined(&texts, "; "));
        let mut page = Page::default();
        page.item(&line);
        for stop in &self.stops {
            page.item(&[Piece::own("held until an approval:").bold(), Piece::value(stop)]);
        }
        page
    }
}

/// Adds the section to the page, if the policy can change groups. Returns the number of groups that
/// are left out because the text is too long.
pub(super) fn add(page: &mut Page, preview: &Previewed, readers: Readers) -> u64 {
    if preview.groups.is_empty() {
        return 0;
    }
    page.heading(3, &[Piece::own("Groups")]);
    let (risks, touched) = preview.group_risks();
    let sums: Vec<Piece> =
        parts(&risks).into_iter().map(|(count, noun)| Piece::counted(count.into(), noun, noun)).collect();
    if sums.is_empty() {
        page.paragraph(&[Piece::own("This policy changes no group.")]);
    } else {
        let groups = Piece::counted(touched, "group", "groups");
        page.paragraph(&[Piece::joined(&sums, ", ").bold(), Piece::own("in"), groups]);
    }
    for changed in &preview.groups {
        if let Some(why) = &changed.exceeded {
            let mut text = vec![Piece::own("The guard would hold a part of these changes:").bold()];
            if !readers.is_public {
                text.push(Piece::value(&changed.target));
            }
            text.push(Piece::value(why));
            page.quote(&text);
        }
    }
    if readers.is_public {
        return 0;
    }
    unknowns(page, preview, readers);
    list(page, preview, readers)
}

/// Adds the parts that Beadle could not read or resolve, such as a group that belongs to another
/// mapping. The reason can contain names of people.
fn unknowns(page: &mut Page, preview: &Previewed, readers: Readers) {
    let all = preview.groups.iter().flat_map(|changed| changed.plans().chain(&changed.unknown));
    let mut lines: Vec<(&str, &str)> = all
        .flat_map(|(_, plan)| {
            plan.unknowns.iter().map(move |unknown| (plan.subject.as_str(), unknown.why.as_str()))
        })
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let most = page.bytes() + MOST;
    for (subject, why) in lines.into_iter().take(UNKNOWNS) {
        let mut item = Page::default();
        let mut line = vec![Piece::own("unknown").bold(), Piece::value(subject)];
        if !readers.is_from_fork {
            line.push(Piece::value(why));
        }
        item.item(&line);
        if page.bytes() + item.bytes() <= most {
            page.append(&item);
        }
    }
}

/// Adds one item for each group. The most severe risks come first, and then the largest changes.
/// Returns the number of groups that are left out.
fn list(page: &mut Page, preview: &Previewed, readers: Readers) -> u64 {
    let mut by_key: BTreeMap<&Key, GroupChanges<'_>> = BTreeMap::new();
    for (key, plan) in preview.groups.iter().flat_map(ChangedGroups::plans) {
        if !plan.changes.is_empty() {
            by_key.entry(key).or_default().add(plan);
        }
    }
    let mut all: Vec<GroupChanges<'_>> = by_key.into_values().collect();
    let total = |risks: &Risks| Risk::ALL.into_iter().map(|risk| u64::from(risks.count(risk))).sum::<u64>();
    all.sort_by_key(|group| (Reverse(group.risks.gravest()), Reverse(total(&group.risks))));
    let most = page.bytes() + MOST;
    let mut left: u64 = 0;
    for group in &all {
        let line = group.line(readers);
        if page.bytes() + line.bytes() <= most {
            page.append(&line);
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let groups = Piece::counted(left, "more group", "more groups");
        page.paragraph(&[Piece::own("and"), groups, Piece::own("(`beadle plan` shows all of them)")]);
    }
    left
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Field, Mode, Unknown};
    use serde_json::{Value, json};

    use super::super::findings::tests::preview;
    use super::*;

    fn change(aspect: &str, what: &str, fields: Vec<Field>) -> Change<()> {
        Change {
            aspect: aspect.to_owned(),
            what: what.to_owned(),
            fields,
            mode: Mode::Enforce,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: (),
        }
    }

    fn members(what: &str, names: &[String], risk: Risk) -> Change<()> {
        let (before, after) = match risk {
            Risk::Removes => (json!(true), Value::Null),
            _ => (Value::Null, json!(true)),
        };
        let field = |name: &String| Field {
            name: name.clone(),
            before: before.clone(),
            after: after.clone(),
            asked: None,
            risk,
        };
        change("members", what, names.iter().map(field).collect())
    }

    fn people(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|at| format!("octo{at}")).collect()
    }

    fn plan(group: &str, changes: Vec<Change<()>>) -> (Key, Plan<()>) {
        let plan = Plan { changes, ..Plan::new(format!("teams/{group}")) };
        (Key::new("target-group", "teams", format!("corp/{group}")), plan)
    }

    fn shown(changed: ChangedGroups, readers: Readers) -> String {
        let mut preview = preview(&[], &[]);
        preview.groups = vec![changed];
        let mut page = Page::default();
        add(&mut page, &preview, readers);
        page.text().to_owned()
    }

    const MEMBERS_ONLY: Readers = Readers { is_public: false, is_from_fork: false };

    fn changed() -> ChangedGroups {
        let mut leave = members("remove", &people(0..7), Risk::Removes);
        leave.stop = Some("7 of 9 members would leave".to_owned());
        let rename = Field {
            name: "displayName".to_owned(),
            before: json!("Ops"),
            after: json!("Operations"),
            asked: None,
            risk: Risk::Changes,
        };
        let changes = vec![members("add", &people(8..9), Risk::Adds), leave];
        ChangedGroups {
            target: "teams".to_owned(),
            mapped: vec![plan("Dev", vec![members("add", &people(0..1), Risk::Adds)]), plan("Ops", changes)],
            declared: vec![plan("Ops", vec![change("group", "rename", vec![rename])])],
            exceeded: Some("at most 5 removals in 60 min allowed, found 7".to_owned()),
            ..ChangedGroups::default()
        }
    }

    #[test]
    fn each_group_shows_who_leaves_and_who_joins_and_what_is_held() {
        let text = shown(changed(), MEMBERS_ONLY);
        let said = [
            "### Groups",
            "**7 removals, 1 modification, 2 additions** in 2 groups",
            "> **The guard would hold a part of these changes:** `teams` `at most 5 removals in 60 min allowed",
            "- `teams/Ops` — **removes** 7 members: `octo0`, `octo1`, `octo2`, `octo3`, `octo4` and 2 more; \
             adds 1 member: `octo8`; 1 other change: `rename` `displayName`\n",
            "- **held until an approval:** `7 of 9 members would leave`\n",
            "- `teams/Dev` — adds 1 member: `octo0`\n",
        ];
        let at: Vec<Option<usize>> = said.iter().map(|part| text.find(part)).collect();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?} {text}");
    }

    #[test]
    fn a_fork_learns_no_names_of_people_and_the_public_no_names_at_all() {
        let text = shown(changed(), Readers { is_from_fork: true, ..MEMBERS_ONLY });
        assert!(text.contains("- `teams/Ops` — **removes** 7 members; adds 1 member"), "{text}");
        assert!(!text.contains("octo"), "{text}");
        let text = shown(changed(), Readers { is_public: true, ..MEMBERS_ONLY });
        assert!(text.contains("in 2 groups"), "{text}");
        for secret in ["octo", "Ops", "`teams`"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }

    #[test]
    fn many_groups_leave_room_for_the_repositories() {
        let all =
            (0..2_000).map(|at| plan(&format!("g{at}"), vec![members("add", &people(0..9), Risk::Adds)]));
        let text = shown(ChangedGroups { mapped: all.collect(), ..ChangedGroups::default() }, MEMBERS_ONLY);
        assert!(text.len() <= MOST + 500, "{}", text.len());
        assert!(text.contains("in 2000 groups") && text.contains("more groups (`beadle plan`"), "{text}");
    }

    #[test]
    fn a_changed_file_without_a_changed_group_shows_what_is_unknown() {
        let mut taken = plan("Ops", Vec::new());
        taken.1.unknowns.push(Unknown {
            aspect: "group".to_owned(),
            part: None,
            why: "the target has a group Ops that Beadle did not create".to_owned(),
            transient: false,
        });
        let changed = || ChangedGroups { unknown: vec![taken.clone()], ..ChangedGroups::default() };
        let text = shown(changed(), MEMBERS_ONLY);
        let said = "- **unknown** `teams/Ops` `the target has a group Ops that Beadle did not create`\n";
        assert!(text.contains("This policy changes no group.") && text.contains(said), "{text}");
        let text = shown(changed(), Readers { is_from_fork: true, ..MEMBERS_ONLY });
        assert!(text.contains("- **unknown** `teams/Ops`\n"), "{text}");
        let text = shown(changed(), Readers { is_public: true, ..MEMBERS_ONLY });
        assert!(!text.contains("Ops"), "{text}");
    }
}
