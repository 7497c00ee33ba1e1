//! Creates the texts of messages. Each kind of channel then encodes the texts in its own way.

use beadle_engine::notify::{Item, Line, ProblemKind, State, Topic};

use crate::output::escape;
use crate::output::plural::counted;

/// The texts of one topic of a message.
pub(crate) struct Text {
    /// The heading, in one line.
    pub(super) title: String,
    /// The lines of Beadle's own text.
    pub(super) lines: Vec<String>,
    /// The text of a template. This text replaces the lines.
    pub(super) body: Option<String>,
    /// The reason why templates failed.
    pub(super) failures: Vec<String>,
}

impl Text {
    /// Returns Beadle's own texts of a topic.
    pub(super) fn own(item: &Item) -> Self {
        Self { title: title(item), lines: lines(item), body: None, failures: Vec::new() }
    }

    /// Returns the lines below the heading.
    pub(super) fn below(&self) -> Vec<String> {
        let lines = match &self.body {
            Some(body) => body.lines().map(str::to_owned).collect(),
            None => self.lines.clone(),
        };
        lines.into_iter().chain(self.failures.iter().cloned()).collect()
    }
}

/// Returns the heading of a topic. All values in the heading come from the configuration or the
/// program.
fn title(item: &Item) -> String {
    let Item { topic, state, new, .. } = item;
    let instance = escape::escaped(&topic.instance);
    match state {
        State::Opened => format!("{instance}: {}", what(topic, item.count())),
        State::Updated => format!("{instance}: {}, {new} of them new", what(topic, item.count())),
        State::Recovered => format!("{instance}: recovered, {}", none(topic)),
    }
}

/// Returns the lines of a topic: its problems, and advice about them.
fn lines(item: &Item) -> Vec<String> {
    let mut lines: Vec<String> = item.lines().iter().map(line).collect();
    if item.found.more > 0 && !lines.is_empty() {
        lines.push(format!("and {} more", item.found.more));
    }
    if item.state != State::Recovered {
        lines.push(advice(item.topic.kind).to_owned());
    }
    lines
}

/// Returns the text of one line. Escapes line breaks and invisible characters in values.
fn line(line: &Line) -> String {
    let Line { what, why, code, count, examples } = line;
    let (what, why) = (escape::escaped(what), escape::escaped(why));
    let mut names = escape::escaped(examples.join(", "));
    let left = count.saturating_sub(examples.len() as u64);
    if left > 0 {
        names = format!("{names} and {left} more");
    }
    let times = if *count > 1 { format!(", {count} times") } else { String::new() };
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let code = if code.is_empty() { String::new() } else { format!(", code {}", escape::escaped(code)) };
    format!("{what}{times}: {names}{why}{code}")
}

fn of_aspect(topic: &Topic) -> String {
    if topic.aspect.is_empty() { String::new() } else { format!(" of {}", escape::escaped(&topic.aspect)) }
}

fn what(topic: &Topic, count: u64) -> String {
    let aspect = of_aspect(topic);
    match topic.kind {
        ProblemKind::Held => format!("{}{aspect} held", counted(count, "change", "changes")),
        ProblemKind::Contested => format!("{}{aspect} contested", counted(count, "change", "changes")),
        ProblemKind::Parked => counted(count, "parked key", "parked keys"),
        ProblemKind::Unknown => format!("{}{aspect}", counted(count, "unknown part", "unknown parts")),
        ProblemKind::PolicyRejected => "Beadle cannot use the newest policy".into(),
        ProblemKind::PolicyHeld => "the gate holds a new policy".into(),
        ProblemKind::SweepOverdue => "a sweep is overdue".into(),
        ProblemKind::SweepFailed => "a sweep failed".into(),
        ProblemKind::CredentialEnds => "a credential expires soon, or the vendor denies it".into(),
        ProblemKind::Reverted => format!("{}{aspect} reverted", counted(count, "change", "changes")),
        ProblemKind::Unreadable => {
            format!("Beadle cannot read {}", counted(count, "stored value", "stored values"))
        }
    }
}

fn none(topic: &Topic) -> String {
    let aspect = of_aspect(topic);
    match topic.kind {
        ProblemKind::Held => format!("no held change{aspect} waits for a decision"),
        ProblemKind::Contested => format!("no change{aspect} is contested"),
        ProblemKind::Parked => "no key is parked".into(),
        ProblemKind::Unknown => format!("no part{aspect} is unknown"),
        ProblemKind::PolicyRejected => "Beadle can use the newest policy".into(),
        ProblemKind::PolicyHeld => "the gate holds no policy".into(),
        ProblemKind::SweepOverdue => "no sweep is overdue".into(),
        ProblemKind::SweepFailed => "the sweeps succeed".into(),
        ProblemKind::CredentialEnds => "no credential expires soon or is denied".into(),
        ProblemKind::Reverted => format!("no change{aspect} was reverted for 1 day"),
        ProblemKind::Unreadable => "Beadle can read all stored values".into(),
    }
}

/// Returns advice about a problem of this kind.
pub(super) fn advice(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Held => {
            "List the changes with `beadle holds CODE`, then decide with `beadle approve CODE` or \
             `beadle reject CODE`."
        }
        ProblemKind::Contested => {
            "Find the other writer with `beadle history \"NAME\"`. If a line has a code, decide with \
             `beadle approve CODE` or `beadle reject CODE`."
        }
        ProblemKind::Parked => {
            "List the keys with `beadle queue`, repair the cause, then run `beadle queue --retry`."
        }
        ProblemKind::Unknown => "Repair the cause. Beadle removes nothing in an unknown part.",
        ProblemKind::PolicyRejected => {
            "Check the policy with `beadle check`. The last accepted policy stays in force."
        }
        ProblemKind::PolicyHeld => {
            "Show the policy with `beadle holds`, then approve it with `beadle approve`."
        }
        ProblemKind::SweepOverdue => "Look at `beadle tasks` and `beadle budget`.",
        ProblemKind::SweepFailed => "Look at `beadle tasks` and `beadle queue`.",
        ProblemKind::CredentialEnds => "Replace the credential, or correct its rights at the vendor.",
        ProblemKind::Reverted => {
            "To keep a change, propose it as a change of the policy. For a limited time, propose a \
             waiver in `waivers.yml`, or ask an operator for `beadle waive NAME --keys KEYS --until TIME \
             --reason \"TEXT\"`. `beadle explain NAME` shows the keys."
        }
        ProblemKind::Unreadable => {
            "Use the newest version of Beadle that has used this store. `beadle status` names each value and \
             the effect."
        }
    }
}

/// Shortens a text to at most this number of bytes.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= bytes).last().unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
pub(super) mod tests {
    use beadle_engine::Time;
    use beadle_engine::notify::{Found, Ledger, Outgoing, Problem, Rules, collect};

    use super::*;

    /// Returns a message about held changes. The names in the message contain markup that must have
    /// no effect.
    pub(in super::super) fn hostile() -> Outgoing {
        let problem = |n: u32| Problem {
            topic: Topic::new(ProblemKind::Held, "acme").of_aspect("teams"),
            id: n.to_string(),
            subject: format!("acme/<!channel>*[r{n}](https://evil.example)"),
            what: "removes team <@U123> `x`\n# new".into(),
            why: "limit & more".into(),
            code: "5d0c1e2f3a4b".into(),
        };
        message((0..7).map(problem).collect())
    }

    /// Returns Beadle's own texts of a message.
    pub(in super::super) fn own(outgoing: &Outgoing) -> Vec<Text> {
        outgoing.items.iter().map(Text::own).collect()
    }

    fn message(problems: Vec<Problem>) -> Outgoing {
        let rules =
            Rules { kinds: ProblemKind::ALL.into(), settle: std::time::Duration::ZERO, most_per_hour: 1 };
        let mut ledger = Ledger::default();
        ledger.observe("ops", &collect(problems), &rules, false, Time(0));
        ledger.begin(false, Time(0)).unwrap()
    }

    #[test]
    fn a_message_names_what_where_and_what_to_do() {
        let message = hostile();
        let item = &message.items[0];
        assert_eq!(title(item), "acme: 7 changes of teams held");
        let lines = lines(item);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("removes team <@U123> `x`\\n# new, 7 times: acme/<!channel>"),
            "{}",
            lines[0]
        );
        assert!(lines[0].ends_with(" and 2 more (limit & more), code 5d0c1e2f3a4b"), "{}", lines[0]);
        assert!(lines[1].contains("`beadle approve CODE`"));
        for kind in ProblemKind::ALL {
            let topic = Topic::new(kind, "acme");
            let opened = Item { topic, found: Found::default(), ..item.clone() };
            assert!(title(&opened).starts_with("acme: ") && lines_of(&opened).len() == 1, "{kind}");
            let recovered = Item { state: State::Recovered, ..opened };
            assert!(title(&recovered).starts_with("acme: recovered, "), "{kind}");
            assert!(lines_of(&recovered).is_empty(), "{kind}");
        }
    }

    fn lines_of(item: &Item) -> Vec<String> {
        super::lines(item)
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 6), "äöü");
        assert_eq!(cut("äöü", 5), "äö…");
        assert_eq!(cut("äöü", 3), "ä…");
    }
}
