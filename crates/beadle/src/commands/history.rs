//! `beadle history`: shows each setting of one repository or group over time, and its waivers.

use std::collections::BTreeMap;

use beadle_engine::guard::is_undo;
use beadle_engine::journal::{IntendedChange, OperatorAction};
use beadle_engine::{Clock, Detail, Field, History, Time};
use beadle_repositories::controls::LastDeclared;
use beadle_repositories::policy::absent_entry;
use serde_json::{Value, json};

use crate::app::operations::key_names::{self as names, PAGE};
use crate::app::store;
use crate::cli::HistoryArgs;
use crate::commands::FINE;
use crate::commands::shared::policies_behind_writes::WritePolicies;
use crate::config::Config;
use crate::journal::approval::Approval;
use crate::journal::attribution::KnownPolicy;
use crate::journal::reverted_state_makers;
use crate::journal::stories::Stories;
use crate::journal::story::{Quotes, Story, WriteEnd};
use crate::output::escape::{self, VALUE};
use crate::output::journal_attribution::{POLICIES, clauses};
use crate::output::journal_line::operator;
use crate::output::journal_write::{asked_by, value};
use crate::output::printer::{Printer, Tone};

/// The maximum number of characters in the line about a waiver.
const WAIVER: usize = 4 * VALUE;

/// One change of a setting.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    at: Time,
    field: Field,
    /// The result of the write: `written`, `failed`, `unknown` or `open`.
    end: &'static str,
    why: String,
    /// The generation in which the policy asked for the value, or the name of an undo.
    generation: String,
    asking: Asking,
    /// The cause of the write: its approval, or the person who had changed the value before, if
    /// Beadle knows this person.
    by: Option<String>,
    /// The approval that let the write pass.
    approval: Option<Approval>,
    /// The known texts of the lines that asked for the write.
    quotes: Quotes,
}

/// The policies that asked for a change of a setting.
#[derive(Clone, Debug, PartialEq)]
struct Asking {
    /// The parts of the text about the policies.
    clauses: Vec<String>,
    /// The policy in force during the write, if the journal has an entry about this policy.
    policy: Option<KnownPolicy>,
    /// The earlier generation that first asked for the change.
    first_asked: Option<String>,
    /// The policy of the generation in `first_asked`, if the journal has an entry about this
    /// policy.
    first_policy: Option<KnownPolicy>,
    /// The path of the list that does not have a removed entry.
    absent_from: Option<String>,
    /// The line that last declared a removed entry.
    declared: Option<LastDeclared>,
}

/// The settings of one repository or group. Each setting has a list of its changes, with the newest
/// change first.
type Settings = BTreeMap<String, Vec<Step>>;

pub(crate) async fn run(config: &Config, args: &HistoryArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let keys = names::keys(config, &store, &args.name).await?;
    names::ensure_known(store.as_ref(), &keys).await?;
    let since = args.since.map(|since| Clock::system().now() - since);
    let (mut any, mut has_policy) = (false, false);
    let mut policies = WritePolicies::new(&store, config);
    for key in &keys {
        let history = History { since, limit: PAGE, ..History::default() };
        let mut stories = Stories::new(&store, std::slice::from_ref(key), &history);
        let (mut settings, mut waivers) = (Settings::new(), Vec::new());
        while let Some(story) = stories.next_story().await? {
            let story = policies.add_to(story).await?;
            add(&mut settings, &story);
            waivers.extend(waiver(&story));
        }
        settings.retain(|setting, _| is_wanted(setting, args.setting.as_deref()));
        // The JSON has one object for each change of a setting.
        if args.json || args.setting.is_some() {
            waivers.clear();
        }
        if settings.is_empty() && waivers.is_empty() {
            continue;
        }
        any = true;
        let name = names::shown(store.as_ref(), key).await?;
        if args.json {
            for (setting, steps) in &settings {
                for step in steps {
                    printer.json(&as_json(key.as_str(), &name, setting, step).to_string());
                }
            }
            continue;
        }
        printer.line(printer.paint(Tone::Heading, escape::cut(&name, VALUE)));
        for (setting, steps) in &settings {
            printer.line(format!("  {}", escape::cut(setting, VALUE)));
            for step in steps {
                has_policy |= step.asking.policy.is_some();
                printer.line(format!("    {}", text(step)));
            }
        }
        if !waivers.is_empty() {
            printer.line("  waivers");
            for waiver in &waivers {
                printer.line(format!("    {waiver}"));
            }
        }
    }
    if !any {
        printer.note("the journal has no changes of this repository or group");
    }
    if has_policy {
        printer.note(POLICIES);
    }
    Ok(FINE)
}

/// Adds each value of a write to the list of its setting.
fn add(settings: &mut Settings, story: &Story) {
    let Detail::Change(intended) = &story.entry.detail else { return };
    let (change, generation) = (&intended.change, &intended.generation);
    let (end, why) = match story.end() {
        WriteEnd::Written => ("written", ""),
        WriteEnd::Failed(why) => ("failed", why),
        WriteEnd::Unknown(why) => ("unknown", why),
        WriteEnd::Open => ("open", ""),
    };
    for field in &change.fields {
        let parts = [&change.aspect, &change.what, &field.name].into_iter().filter(|part| !part.is_empty());
        let setting = parts.map(String::as_str).collect::<Vec<_>>().join(": ");
        settings.entry(setting).or_default().push(Step {
            at: story.entry.at,
            field: field.clone(),
            end,
            why: why.to_owned(),
            generation: generation.clone(),
            asking: asking(story, intended, field),
            by: reverted_state_makers::text(story),
            approval: story.approval.clone(),
            quotes: story.quotes.clone(),
        });
    }
}

/// Returns the policies that asked for one value of a write.
fn asking(story: &Story, intended: &IntendedChange, field: &Field) -> Asking {
    let IntendedChange { change, generation, first_asked, .. } = intended;
    // No policy asks for the values that an undo restores.
    let absent = if is_undo(generation) { None } else { absent_entry(&change.aspect, &change.what, field) };
    Asking {
        clauses: clauses(intended, std::slice::from_ref(field), &story.attribution),
        policy: story.attribution.policy.clone(),
        first_asked: first_asked.clone(),
        first_policy: story.attribution.first.clone(),
        absent_from: absent.map(|entry| entry.list),
        declared: story.attribution.declared.get(&field.name).cloned(),
    }
}

/// Returns the line of an entry about a waiver, or `None` if the entry is not about a waiver.
fn waiver(story: &Story) -> Option<String> {
    let Detail::Operator(action) = &story.entry.detail else { return None };
    let is_waiver = matches!(action, OperatorAction::Waived { .. } | OperatorAction::EndedWaiver { .. });
    is_waiver.then(|| format!("{}  {}", story.entry.at, escape::cut(&operator(action), WAIVER)))
}

/// Returns whether the user asked for a setting. The comparison ignores case.
fn is_wanted(setting: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| setting.to_lowercase().contains(&wanted.to_lowercase()))
}

fn text(step: &Step) -> String {
    let field = &step.field;
    let mut text = format!("{}  {} → {}", step.at, value(&field.before), value(&field.after));
    let end = match (step.end, step.why.as_str()) {
        ("written", _) => None,
        ("open", _) => Some("no result yet".to_owned()),
        (end, "") => Some(end.to_owned()),
        (end, why) => Some(format!("{end}: {}", escape::cut(why, VALUE))),
    };
    let asked = asked_by(&field.asked, &step.generation, &step.quotes);
    let asking = step.asking.clauses.iter().cloned();
    for part in asked.into_iter().chain(asking).chain(step.by.clone()).chain(end) {
        text = format!("{text}; {part}");
    }
    text
}

fn as_json(key: &str, name: &str, setting: &str, step: &Step) -> Value {
    json!({
        "key": key,
        "name": name,
        "setting": setting,
        "at": step.at.to_string(),
        "before": step.field.before,
        "after": step.field.after,
        "risk": step.field.risk,
        "asked": step.field.asked.as_ref().map(ToString::to_string),
        "generation": step.generation,
        "policy": step.asking.policy.as_ref().map(KnownPolicy::as_json),
        "first_asked": step.asking.first_asked,
        "first_policy": step.asking.first_policy.as_ref().map(KnownPolicy::as_json),
        "absent_from": step.asking.absent_from,
        "last_declared": step.asking.declared.as_ref().map(last_declared),
        "result": step.end,
        "why": step.why,
        "cause": step.by,
        "approval": step.approval.as_ref().map(Approval::as_json),
    })
}

/// Returns the line that last declared a removed entry, as JSON.
fn last_declared(declared: &LastDeclared) -> Value {
    json!({ "entry": declared.path, "line": declared.at.to_string(), "commit": declared.commit })
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Entry, EntryKind, PolicyLocation};

    use super::*;
    use crate::journal::attribution::Attribution;

    fn story(at: i64, result: Option<Value>) -> Story {
        let line = json!({ "file": "settings.yml", "line": 3 });
        let field = |name: &str, before: Value, after: Value| json!({ "name": name, "before": before, "after": after, "asked": line, "risk": "changes" });
        let detail = json!({
            "aspect": "settings", "what": "", "mode": "enforce", "after": [], "write": null, "generation": "g",
            "fields": [field("has_wiki", json!(true), json!(false)), field("homepage", json!(null), json!("x"))],
        });
        let (key, kind) = ("repository:acme:1".to_owned(), EntryKind::Intent);
        let (seq, at, subject, detail) = (1, Time(at), "acme/shop".into(), detail.into());
        let entry = Entry { seq, at, kind, key, subject, intent: None, trace: None, detail };
        Story { result: result.map(Into::into), ..Story::of(entry) }
    }

    #[test]
    fn each_value_of_a_write_belongs_to_its_setting() {
        let mut settings = Settings::new();
        add(&mut settings, &story(2000, Some(json!({ "written": true }))));
        add(&mut settings, &story(1000, Some(json!({ "written": false, "unknown": false, "why": "403" }))));
        let lines: Vec<(&str, Vec<String>)> = settings
            .iter()
            .map(|(setting, steps)| (setting.as_str(), steps.iter().map(text).collect()))
            .collect();
        let line = |text: &str| text.to_owned();
        assert_eq!(
            lines,
            [
                (
                    "settings: has_wiki",
                    vec![
                        line("1970-01-01T00:00:02Z  true → false; asked by settings.yml:3 at g"),
                        line("1970-01-01T00:00:01Z  true → false; asked by settings.yml:3 at g; failed: 403"),
                    ]
                ),
                (
                    "settings: homepage",
                    vec![
                        line("1970-01-01T00:00:02Z  none → \"x\"; asked by settings.yml:3 at g"),
                        line("1970-01-01T00:00:01Z  none → \"x\"; asked by settings.yml:3 at g; failed: 403"),
                    ]
                ),
            ]
        );
    }

    #[test]
    fn a_value_has_the_text_of_its_line_if_it_is_known() {
        let mut settings = Settings::new();
        let written = story(2000, Some(json!({ "written": true })));
        let line = written.change().unwrap().fields[0].asked.clone().unwrap();
        let quotes = Quotes::from([(line, "has_wiki: false".to_owned())]);
        add(&mut settings, &Story { quotes, ..written });
        let shown = text(&settings["settings: has_wiki"][0]);
        assert!(shown.ends_with("asked by settings.yml:3 `has_wiki: false` at g"), "{shown}");
    }

    #[test]
    fn json_names_the_generation_that_asked_for_the_value() {
        let mut settings = Settings::new();
        add(&mut settings, &story(2000, Some(json!({ "written": true }))));
        let step = &settings["settings: has_wiki"][0];
        let json = as_json("repository:acme:1", "acme/shop", "settings: has_wiki", step);
        assert_eq!((&json["generation"], &json["asked"]), (&json!("g"), &json!("settings.yml:3")));
        assert_eq!((&json["cause"], &json["approval"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn text_and_json_name_the_approval_of_a_write() {
        let mut settings = Settings::new();
        let approval = Some(Approval { by: "sec".into(), entry: Some((7, Time(1000))) });
        add(&mut settings, &Story { approval, ..story(2000, Some(json!({ "written": true }))) });
        let step = &settings["settings: has_wiki"][0];
        let shown = text(step);
        assert!(shown.ends_with("; approved by sec at 1970-01-01T00:00:01Z (entry 7)"), "{shown}");
        let json = as_json("repository:acme:1", "acme/shop", "settings: has_wiki", step);
        let expected = json!({ "by": "sec", "entry": 7, "at": "1970-01-01T00:00:01Z" });
        assert_eq!(json["approval"], expected);
    }

    #[test]
    fn a_removal_names_who_asked_for_it_and_the_last_line_of_the_entry() {
        let mut removal = story(2000, Some(json!({ "written": true })));
        let line = json!({ "file": "settings.yml", "line": 6 });
        let field = json!({ "name": "permission", "before": "push", "after": null, "asked": line, "risk": "removes" });
        let detail = json!({
            "aspect": "teams", "what": "team ops", "mode": "enforce", "after": [], "write": null,
            "generation": "g2", "first_asked": "g1", "fields": [field],
        });
        removal.entry.detail = detail.into();
        let known = |entry: u64, generation: &str, author: &str| {
            let policy = json!({
                "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
                "subject": "Change it",
            });
            Some(KnownPolicy { entry, policy: serde_json::from_value(policy).unwrap() })
        };
        let declared = LastDeclared {
            path: "teams[ops]".into(),
            at: PolicyLocation { file: "settings.yml".into(), line: 9 },
            commit: "1a2b".into(),
        };
        removal.attribution = Attribution {
            policy: known(8, "g2", "zoe"),
            first: known(7, "g1", "mona"),
            declared: [("permission".to_owned(), declared)].into(),
        };
        let mut settings = Settings::new();
        add(&mut settings, &removal);
        let step = &settings["teams: team ops: permission"][0];
        let expected = "1970-01-01T00:00:02Z  \"push\" → none; asked by settings.yml:6 at g2; the list `teams` does not \
                        have ops; policy g2 by zoe: Change it (entry 8); policy g1 first asked for it, by mona: Change \
                        it (entry 7); the policy of the repository last declared `teams[ops]` in settings.yml:9 at \
                        1a2b";
        assert_eq!(text(step), expected);
        let json = as_json("repository:acme:1", "acme/shop", "teams: team ops: permission", step);
        assert_eq!((&json["policy"]["author"], &json["policy"]["entry"]), (&json!("zoe"), &json!(8)));
        assert_eq!((&json["first_asked"], &json["first_policy"]["author"]), (&json!("g1"), &json!("mona")));
        let last = json!({ "entry": "teams[ops]", "line": "settings.yml:9", "commit": "1a2b" });
        assert_eq!((&json["absent_from"], &json["last_declared"]), (&json!("teams"), &last));
    }

    #[test]
    fn a_waiver_of_the_repository_has_a_line() {
        let waived = json!({
            "waived": ["labels"], "repositories": ["shop"], "waived_until": "1970-01-03T00:00:00Z",
            "reason": "release", "owner": "mona", "by": "ann",
        });
        let mut of_waiver = story(1000, None);
        of_waiver.entry.detail = waived.into();
        let expected =
            "1970-01-01T00:00:01Z  ann exempted labels of shop until 1970-01-03T00:00:00Z: release";
        assert_eq!(waiver(&of_waiver).as_deref(), Some(expected));
        assert_eq!(waiver(&story(1000, None)), None);
    }

    #[test]
    fn a_setting_is_found_by_a_part_of_its_name() {
        assert!(is_wanted("settings: has_wiki", None) && is_wanted("settings: has_wiki", Some("Has_Wiki")));
        assert!(!is_wanted("settings: has_wiki", Some("teams")));
    }
}
