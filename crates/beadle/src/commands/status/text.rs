//! Shows the state as text, one line for each organisation, target and problem.

mod service_line;

use beadle_config::Standing;
use beadle_engine::gate::noun;
use beadle_engine::{KeyCondition, Lane, Time, one_line};

use self::service_line::service;
use super::model::{
    InstallationStatus, InstanceKind, InstanceStatus, KeyCounts, Problem, ServiceState, ServiceStatus,
    Status, WaiverInForce,
};
use crate::app::operations::waiver_comparison::NOTICE;
use crate::app::service::record::sentence;
use crate::commands::ago;
use crate::output::escape::{self, VALUE};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

/// The maximum number of names that the output shows for one problem.
const NAMES: usize = 5;
/// The output shows a token if the token ends within this number of days.
const SOON: i64 = 30;

/// Returns the lines that show the state.
pub(super) fn lines(status: &Status, printer: &Printer) -> Vec<String> {
    let now = status.at;
    let mut lines = vec![service(status, printer)];
    if !status.service.other_configuration.is_empty() {
        let text = sentence(&status.service.other_configuration);
        lines.push(format!("{} {text}", label("config", Tone::Notice, printer)));
    }
    lines.extend(status.instances.iter().map(|of| instance(of, &status.service, now, printer)));
    lines.extend(status.installations.iter().filter_map(|of| installation(of, now, printer)));
    for held in &status.held_policies {
        let (name, generation) = (short(&held.instance), short(&held.generation));
        let (why, noun) = (reason(&held.why), noun(&held.generation));
        lines.push(format!(
            "{} {noun} {generation} of {name}, for {}: {why}; see `beadle holds`",
            label("held", Tone::Notice, printer),
            ago(held.since, now)
        ));
    }
    lines.extend(status.problems.iter().map(|of| problem(of, now, printer)));
    lines.extend(status.waivers.iter().map(|of| waiver(of, now, printer)));
    for pause in &status.pauses {
        let name = short(&pause.name);
        lines.push(format!("{} {name} until {}", label("paused", Tone::Notice, printer), pause.until));
    }
    for task in &status.failing_tasks {
        let since = task.since.map(|since| format!(" for {}", ago(since, now))).unwrap_or_default();
        let (name, why) = (short(&task.name), reason(&task.why));
        lines.push(format!("{} task {name}{since}: {why}", label("failing", Tone::Danger, printer)));
    }
    for what in &status.unreadable {
        let what = escape::cut(what, VALUE);
        lines.push(format!("{} {what}", label("unreadable", Tone::Danger, printer)));
    }
    for token in status.tokens.iter().filter(|token| token.days <= SOON) {
        let name = short(&token.instance);
        let text = match token.days {
            ..0 => "has expired".to_owned(),
            days => format!("expires in {}", counted(days, "day", "days")),
        };
        lines.push(format!("{} of {name} {text}", label("token", Tone::Notice, printer)));
    }
    for budget in &status.budgets {
        let (name, figures) = (short(&budget.instance), &budget.figures);
        let minutes = figures.reset.since(now).as_secs().div_ceil(60);
        lines.push(format!(
            "{} {name} {}: {} of {} left, reset in {minutes} min",
            label("budget", Tone::Faint, printer),
            budget.account,
            figures.remaining,
            figures.limit
        ));
    }
    lines.push(queue(status, printer));
    lines
}

fn label(text: &str, tone: Tone, printer: &Printer) -> String {
    printer.paint(tone, format!("{text:9}"))
}

fn short(text: &str) -> String {
    escape::cut(text, VALUE)
}

/// Returns a reason or an error in one line. An error can have several lines, but each part of the
/// state is only one line.
fn reason(text: &str) -> String {
    short(&one_line(text))
}

fn instance(of: &InstanceStatus, service: &ServiceStatus, now: Time, printer: &Printer) -> String {
    let mut parts = Vec::new();
    parts.extend(of.mode.as_ref().map(|mode| format!("mode {mode}")));
    match (&of.generation, of.kind) {
        (Some(generation), InstanceKind::Organisation) => {
            let author = of.author.as_ref().map(|author| format!(" by {author}")).unwrap_or_default();
            let subject = of.subject.as_ref().map(|subject| format!(" ({subject})")).unwrap_or_default();
            parts.push(short(&format!("policy {generation}{author}{subject}")));
        }
        (Some(generation), _) => parts.push(short(&format!("mappings {generation}"))),
        (None, InstanceKind::Organisation) if service.state == ServiceState::Up => {
            parts.push("first policy waits for the gate".to_owned());
        }
        (None, _) => {}
    }
    match of.last_sweep {
        Some(last) => parts.push(format!("last sweep {} ago", ago(last, now))),
        None if of.kind != InstanceKind::Target => parts.push("no sweep yet".to_owned()),
        None => {}
    }
    match of.next_sweep {
        Some(next) if of.overdue => parts.push(format!("next sweep overdue for {}", ago(next, now))),
        Some(next) => parts.push(format!("next in {}", ago(now, next))),
        None => {}
    }
    parts.extend(of.oldest_read.map(|at| format!("oldest read {} ago", ago(at, now))));
    parts.extend(of.stopped.as_ref().map(|why| format!("writes stopped: {}", reason(why))));
    let is_fine = of.keys.is_empty() && of.stopped.is_none();
    if of.kind != InstanceKind::Directory {
        parts.extend(counts(of.kind, &of.keys));
    }
    let tone = if is_fine { Tone::Good } else { Tone::Notice };
    format!("{} {}", label(&short(&of.name), tone, printer), parts.join("; "))
}

/// Returns the number of keys for each kind of problem, as text. If a key has several problems, the
/// key counts in several of these numbers, and the text says so.
fn counts(kind: InstanceKind, of: &KeyCounts) -> Vec<String> {
    if of.is_empty() {
        return vec!["no open problem".to_owned()];
    }
    let problems = || KeyCondition::PROBLEMS.into_iter();
    let count = |kind: KeyCondition| of.counts.get(&kind).map(|count| format!("{count} {}", kind.as_str()));
    let counts: Vec<String> = problems().filter_map(count).collect();
    let own: Vec<&str> =
        problems().filter(|kind| of.organisation.contains(kind)).map(KeyCondition::as_str).collect();
    let mut parts = Vec::new();
    if of.counts.values().sum::<usize>() > of.affected {
        let is_target = kind == InstanceKind::Target;
        let (one, many) = if is_target { ("group", "groups") } else { ("repository", "repositories") };
        let affected = counted(of.affected as u64, one, many);
        parts.push(format!("{} ({affected}; each counts for each of its problems)", counts.join(", ")));
    } else if !counts.is_empty() {
        parts.push(counts.join(", "));
    }
    if !own.is_empty() {
        parts.push(format!("the organisation itself is {}", own.join(", ")));
    }
    if of.other_parked > 0 {
        parts.push(format!("{} parked", counted(of.other_parked as u64, "other key", "other keys")));
    }
    parts
}

/// Returns the line of an installation. If the organisation has an `[[org]]`, returns `None`.
fn installation(of: &InstallationStatus, now: Time, printer: &Printer) -> Option<String> {
    if of.standing == Standing::Declared {
        return None;
    }
    let tone = if of.standing == Standing::TakenIn { Tone::Faint } else { Tone::Notice };
    let (login, why) = (short(&of.login), of.standing.describe());
    Some(format!("{} {login}: {why}, for {}", label("app", tone, printer), ago(of.since, now)))
}

fn problem(of: &Problem, now: Time, printer: &Printer) -> String {
    let is_severe = matches!(of.kind, KeyCondition::Parked | KeyCondition::Contested);
    let tone = if is_severe { Tone::Danger } else { Tone::Notice };
    let (one, many) = match of.of.as_str() {
        "repository" => ("repository", "repositories"),
        "organisation" => ("organisation", "organisations"),
        "target-group" => ("group", "groups"),
        _ => ("key", "keys"),
    };
    let mut names: Vec<String> = of.names.iter().take(NAMES).cloned().collect();
    if let Some(more) = of.names.len().checked_sub(NAMES).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let next = if of.kind == KeyCondition::Held { "; see `beadle holds`" } else { "" };
    let because = of.held_because.as_ref().map(|why| format!(" ({})", reason(why))).unwrap_or_default();
    format!(
        "{} {} of {}, for {}: {}{because} [{}]{next}",
        label(of.kind.as_str(), tone, printer),
        counted(of.count as u64, one, many),
        short(&of.instance),
        ago(of.since, now),
        reason(&of.cause),
        escape::cut(&names.join(", "), VALUE)
    )
}

/// Returns the line of a waiver. Highlights a waiver that ends soon.
fn waiver(of: &WaiverInForce, now: Time, printer: &Printer) -> String {
    let tone = if of.until.since(now) <= NOTICE { Tone::Notice } else { Tone::Faint };
    let names: Vec<String> = of.repositories.iter().map(|name| format!("{}/{name}", of.instance)).collect();
    format!(
        "{} {} of {} until {} ({}): {}",
        label("waived", tone, printer),
        escape::cut(&of.keys.join(", "), VALUE),
        escape::cut(&names.join(", "), VALUE),
        of.until,
        short(&of.owner),
        short(&of.reason)
    )
}

fn queue(status: &Status, printer: &Printer) -> String {
    let depth = &status.queue;
    let due: Vec<String> = Lane::ALL.iter().map(|lane| format!("{} {lane}", depth.lane(*lane))).collect();
    format!(
        "{} {} due, {} running, {} parked",
        label("queue", Tone::Faint, printer),
        due.join(", "),
        depth.leased,
        depth.parked
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::model::{FailingTask, HeldPolicy, PauseInForce, Token};
    use super::*;

    /// A function that makes a status worse.
    type Spoil = fn(&mut Status);

    const HOUR: i64 = 3_600_000;

    fn organisation() -> InstanceStatus {
        InstanceStatus {
            name: "acme".into(),
            kind: InstanceKind::Organisation,
            mode: Some("enforce".into()),
            generation: Some("3c9f0a1b2d4e".into()),
            author: Some("mona".into()),
            subject: Some("Add a team".into()),
            last_sweep: Some(Time(8 * HOUR)),
            next_sweep: Some(Time(32 * HOUR)),
            overdue: false,
            oldest_read: None,
            stopped: None,
            keys: KeyCounts {
                counts: BTreeMap::from([(KeyCondition::Unknown, 8)]),
                affected: 8,
                ..KeyCounts::default()
            },
        }
    }

    fn status() -> Status {
        Status {
            version: "1.0.0",
            at: Time(10 * HOUR),
            service: ServiceStatus {
                state: ServiceState::Up,
                version: Some("0.9.0".into()),
                started: Some(Time(HOUR)),
                ..ServiceStatus::default()
            },
            instances: vec![organisation()],
            ..Status::default()
        }
    }

    fn shown(status: &Status) -> String {
        lines(status, &Printer::plain()).join("\n")
    }

    #[test]
    fn the_line_of_an_organisation_has_the_oldest_read() {
        let mut status = status();
        status.instances[0].oldest_read = Some(Time(3 * HOUR));
        let shown = shown(&status);
        assert!(shown.contains("; next in 22 h; oldest read 7 h ago; 8 unknown"), "{shown}");
    }

    #[test]
    fn the_state_of_an_organisation_is_one_line() {
        assert_eq!(
            shown(&status()),
            "service   running since 9 h, version 0.9.0 (this is beadle 1.0.0)\n\
             acme      mode enforce; policy 3c9f0a1b2d4e by mona (Add a team); last sweep 2 h ago; next in 22 h; \
             8 unknown\n\
             queue     0 event, 0 manual, 0 sweep due, 0 running, 0 parked"
        );
    }

    #[test]
    fn the_line_of_an_organisation_has_the_numbers_of_its_keys_with_a_problem() {
        let counted =
            |counts: &[(KeyCondition, usize)], organisation: &[KeyCondition], other_parked| KeyCounts {
                counts: counts.iter().copied().collect(),
                affected: counts.iter().map(|(_, count)| count).sum(),
                organisation: organisation.iter().copied().collect(),
                other_parked,
            };
        let several = [(KeyCondition::Drifted, 3), (KeyCondition::Parked, 1)];
        for (keys, expected) in [
            (counted(&[], &[], 0), "; no open problem\n"),
            (
                counted(&several, &[KeyCondition::Drifted, KeyCondition::Held], 2),
                "; 1 parked, 3 drifted; the organisation itself is held, drifted; 2 other keys parked\n",
            ),
            (counted(&[], &[], 1), "; 1 other key parked\n"),
            (
                KeyCounts { affected: 3, ..counted(&several, &[], 0) },
                "; 1 parked, 3 drifted (3 repositories; each counts for each of its problems)\n",
            ),
        ] {
            let mut status = status();
            status.instances[0].keys = keys;
            let shown = shown(&status);
            assert!(shown.contains(expected), "{shown}");
        }
    }

    #[test]
    fn an_installation_has_a_line_unless_the_configuration_names_it() {
        let mut status = status();
        for (login, standing) in [
            ("acme", Standing::Declared),
            ("other", Standing::TakenIn),
            ("stranger", Standing::NotAllowed),
            ("left", Standing::Uninstalled),
        ] {
            status.installations.push(InstallationStatus {
                login: login.into(),
                standing,
                since: Time(9 * HOUR),
            });
        }
        let shown = shown(&status);
        let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("app ")).collect();
        assert_eq!(
            lines,
            [
                "app       other: taken in, mode observe, for 1 h",
                "app       stranger: not taken in: no pattern of `installations.organisations` matches it, for 1 h",
                "app       left: the App is uninstalled, Beadle sends no request for it and keeps its stored state, for 1 h",
            ]
        );
    }

    #[test]
    fn a_problem_names_its_cause_and_five_names() {
        let mut status = status();
        status.problems.push(Problem {
            kind: KeyCondition::Unknown,
            instance: "acme".into(),
            of: "repository".into(),
            cause: "teams: team `security` does not exist".into(),
            held_because: None,
            since: Time(7 * HOUR),
            count: 8,
            names: (1..=8).map(|n| format!("acme/r{n}")).collect(),
        });
        let line = "unknown   8 repositories of acme, for 3 h: teams: team `security` does not exist \
                    [acme/r1, acme/r2, acme/r3, acme/r4, acme/r5, 3 more]";
        assert!(shown(&status).contains(line), "{}", shown(&status));
    }

    #[test]
    fn a_held_change_has_its_reason_and_leads_to_the_holds() {
        let mut status = status();
        for (kind, why) in [(KeyCondition::Held, Some("guard limit reached")), (KeyCondition::Unknown, None)]
        {
            status.problems.push(Problem {
                kind,
                instance: "acme".into(),
                of: "repository".into(),
                cause: "removes teams: team contractors".into(),
                held_because: why.map(str::to_owned),
                since: Time(7 * HOUR),
                count: 1,
                names: vec!["acme/shop".into()],
            });
        }
        let shown = shown(&status);
        let row = "1 repository of acme, for 3 h: removes teams: team contractors";
        let held = format!("held      {row} (guard limit reached) [acme/shop]; see `beadle holds`\n");
        assert!(shown.contains(&held), "{shown}");
        assert!(shown.contains(&format!("unknown   {row} [acme/shop]\n")), "{shown}");
    }

    #[test]
    fn each_thing_that_needs_an_operator_is_one_line() {
        let mut status = status();
        status.service.state = ServiceState::Stopped;
        status.service.other_configuration = vec!["org.acme.mode".into()];
        status.instances[0].keys.counts.clear();
        status.instances[0].next_sweep = Some(Time(9 * HOUR));
        status.instances[0].overdue = true;
        status.held_policies.push(HeldPolicy {
            instance: "acme".into(),
            generation: "aa11".into(),
            since: Time(9 * HOUR),
            why: "30 removals".into(),
        });
        status.waivers.push(WaiverInForce {
            instance: "acme".into(),
            code: "0a1b2c3d".into(),
            keys: vec!["teams".into(), "repository.has_wiki".into()],
            repositories: vec!["shop".into(), "api-*".into()],
            until: Time(11 * HOUR),
            reason: "release".into(),
            owner: "mona".into(),
        });
        for (scope, name) in [("acme", "acme"), ("repository:acme:7", "acme/shop")] {
            let (scope, name) = (scope.to_owned(), name.to_owned());
            status.pauses.push(PauseInForce { scope, name, until: Time(11 * HOUR) });
        }
        status.failing_tasks.push(FailingTask {
            name: "policy of acme".into(),
            why: "invalid policy\n  settings.yml:3: unknown key\n".into(),
            since: Some(Time(9 * HOUR)),
        });
        status.unreadable.push("the waiver 0a1b2c3d of acme".into());
        status.tokens = [-1, 1, 31].map(|days| Token { instance: "aws".into(), days }).into();
        let shown = shown(&status);
        for line in [
            "service   stopped: start it with `beadle serve`",
            "config    the running service uses another configuration than the file: 1 value differs (`org.acme.mode`)",
            "next sweep overdue for 1 h; no open problem",
            "held      policy aa11 of acme, for 1 h: 30 removals; see `beadle holds`",
            "waived    teams, repository.has_wiki of acme/shop, acme/api-* until 1970-01-01T11:00:00Z (mona): release",
            "paused    acme until 1970-01-01T11:00:00Z",
            "paused    acme/shop until 1970-01-01T11:00:00Z",
            "failing   task policy of acme for 1 h: invalid policy; settings.yml:3: unknown key\n",
            "unreadable the waiver 0a1b2c3d of acme",
            "token     of aws has expired",
            "token     of aws expires in 1 day\n",
        ] {
            assert!(shown.contains(line), "{line}:\n{shown}");
        }
        assert!(!shown.contains("31 days"), "{shown}");
    }

    #[test]
    fn the_exit_code_is_for_monitors() {
        let mut fine = status();
        assert_eq!(fine.code(), 0);
        fine.service.state = ServiceState::Never;
        assert_eq!(fine.code(), 0, "commands in a CI job work on this store");
        let problem = || Problem {
            kind: KeyCondition::Held,
            instance: "acme".into(),
            of: "repository".into(),
            cause: String::new(),
            held_because: None,
            since: Time(0),
            count: 1,
            names: Vec::new(),
        };
        let task = || FailingTask { name: "t".into(), why: "w".into(), since: None };
        let token = || Token { instance: "aws".into(), days: -1 };
        let cases: [(&str, Spoil, u8); 4] = [
            ("stopped", |status| status.service.state = ServiceState::Stopped, 1),
            ("not ready", |status| status.service.state = ServiceState::NotReady, 1),
            ("late", |status| status.instances[0].overdue = true, 1),
            ("stopped target", |status| status.instances[0].stopped = Some("why".into()), 1),
        ];
        for (what, change, code) in cases {
            let mut status = status();
            change(&mut status);
            assert_eq!(status.code(), code, "{what}");
        }
        let mut status = status();
        status.problems.push(problem());
        assert_eq!(status.code(), 2);
        status.failing_tasks.push(task());
        assert_eq!(status.code(), 1, "a failure counts more than a problem");
        status.failing_tasks.clear();
        status.tokens.push(token());
        assert_eq!(status.code(), 1);
    }
}
