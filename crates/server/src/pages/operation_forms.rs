//! The forms for the operations of a signed-in person: pause, resume, retry, run a task, approve a
//! held policy, and undo writes. A form has no scripts. A person without the necessary role gets no
//! form.

use beadle_engine::Pause;
use beadle_engine::guard::GUARD_CHECKS_UNDO;

use super::html::{Attribute, Html, Tag, element, hidden, line, optional_line, required_box, text};
use super::link::Link;
use super::parts::{code, link, paragraph};
use crate::sign_in::{Role, ScopeRequest, UndoPreview, Visitor};

/// The path for the approval of a held policy.
pub(super) const POLICY_PATH: &str = "/policy/approve";
/// The path for a pause.
pub(super) const PAUSE_PATH: &str = "/pauses";
/// The path for the end of a pause.
pub(super) const RESUME_PATH: &str = "/pauses/end";
/// The path for the end of an undo.
pub(super) const END_UNDO_PATH: &str = "/undo/end";
/// The path for a retry of a key.
pub(super) const RETRY_PATH: &str = "/queue/retry";
/// The path for a sweep of an organisation.
pub(super) const SWEEP_PATH: &str = "/sweeps";
/// The path for the end of a waiver.
pub(super) const END_WAIVER_PATH: &str = "/waivers/end";
/// The path for a reload of the configuration.
pub(super) const RELOAD_PATH: &str = "/configuration/reload";
/// The path for a run of a task.
pub(super) const TASK_PATH: &str = "/tasks/run";
/// The path of the page with the form of an undo. The form that confirms an undo uses this path
/// too.
pub(super) const UNDO_PATH: &str = "/undo";
/// The path of the page with the plan of an undo.
pub(super) const UNDO_PLAN_PATH: &str = "/undo/plan";

/// The names that a form uses for the kinds of scopes.
pub(super) const ORGANISATION: &str = "organisation";
pub(super) const REPOSITORY: &str = "repository";
pub(super) const TARGET: &str = "target";

/// Returns the visitor if the visitor has at least this role.
fn may(visitor: Option<&Visitor>, role: Role) -> Option<&Visitor> {
    visitor.filter(|visitor| visitor.role >= role)
}

/// Returns a form that changes something. `button` is the name of the only button.
fn post(action: &'static str, visitor: &Visitor, fields: Vec<Html>, button: &'static str) -> Html {
    let token = hidden("token", &visitor.token);
    let button = element(Tag::Button, &[], [text(button)]);
    let attributes = [Attribute::Action(action), Attribute::Method("post")];
    element(Tag::Form, &attributes, std::iter::once(token).chain(fields).chain([button]))
}

fn labelled(label: &'static str, control: Html) -> Html {
    element(Tag::Label, &[], [text(label), control])
}

/// Returns the form that approves a held policy. `plan` is the code of the plan on the page.
/// `generation` is the generation that this plan belongs to.
pub(super) fn policy_form(visitor: Option<&Visitor>, (plan, generation): (&str, &str)) -> Html {
    let Some(visitor) = may(visitor, Role::Approver) else { return Html::default() };
    let fields = vec![
        hidden("plan", plan),
        hidden("generation", generation),
        labelled("Reason", line("reason")),
        // If a person presses Enter in the field for the reason, the browser presses the button.
        // Without the checkbox, this would approve the policy.
        labelled("I looked at the changes", required_box("seen")),
    ];
    post(POLICY_PATH, visitor, fields, "Approve this policy")
}

/// Returns the hidden field that contains a scope.
fn scope_field(scope: &ScopeRequest) -> Html {
    match scope {
        ScopeRequest::Organisation(name) => hidden(ORGANISATION, name),
        ScopeRequest::Repository(name) => hidden(REPOSITORY, name),
        ScopeRequest::Target(name) => hidden(TARGET, name),
    }
}

/// Returns the form that pauses a repository.
pub(super) fn pause_form(visitor: Option<&Visitor>, scope: &ScopeRequest) -> Html {
    let Some(visitor) = may(visitor, Role::Operator) else { return Html::default() };
    let fields = vec![scope_field(scope), labelled("Pause for, such as 2h", line("for"))];
    post(PAUSE_PATH, visitor, fields, "Pause")
}

/// Returns the form that pauses one organisation or one target. A person chooses the organisation
/// or target from these lists.
pub(super) fn pause_choice(visitor: Option<&Visitor>, organisations: &[String], targets: &[String]) -> Html {
    let Some(visitor) = may(visitor, Role::Operator) else { return Html::default() };
    let of = |kind: &str, names: &[String]| {
        names.iter().map(|name| (format!("{kind}/{name}"), format!("{kind} {name}"))).collect::<Vec<_>>()
    };
    let options = of(ORGANISATION, organisations).into_iter().chain(of(TARGET, targets));
    let options: Vec<Html> = options
        .map(|(value, shown)| element(Tag::Option, &[Attribute::Value(&value)], [text(shown)]))
        .collect();
    if options.is_empty() {
        return Html::default();
    }
    let select = element(Tag::Select, &[Attribute::Name("scope")], options);
    let fields = vec![labelled("Pause", select), labelled("For, such as 2h", line("for"))];
    post(PAUSE_PATH, visitor, fields, "Pause")
}

/// Returns the form that ends a pause.
pub(super) fn resume_form(visitor: Option<&Visitor>, scope: &ScopeRequest) -> Html {
    let Some(visitor) = may(visitor, Role::Operator) else { return Html::default() };
    post(RESUME_PATH, visitor, vec![scope_field(scope)], "Resume")
}

/// Returns the form that ends an undo. Beadle then applies the policy to the restored values again.
pub(super) fn end_undo_form(visitor: Option<&Visitor>, scope: &ScopeRequest) -> Html {
    let Some(visitor) = may(visitor, Role::Approver) else { return Html::default() };
    post(END_UNDO_PATH, visitor, vec![scope_field(scope)], "Follow the policy again")
}

/// Returns the form that makes a key due.
pub(super) fn retry_form(visitor: Option<&Visitor>, key: &str) -> Html {
    let Some(visitor) = may(visitor, Role::Operator) else { return Html::default() };
    post(RETRY_PATH, visitor, vec![hidden("key", key)], "Retry")
}

/// Returns the form that begins a sweep. A person chooses an organisation from this list.
pub(super) fn sweep_form(visitor: Option<&Visitor>, organisations: &[String]) -> Html {
    let Some(visitor) = may(visitor, Role::Operator).filter(|_| !organisations.is_empty()) else {
        return Html::default();
    };
    let option = |name: &String| element(Tag::Option, &[Attribute::Value(name)], [text(name)]);
    let options: Vec<Html> = organisations.iter().map(option).collect();
    let select = element(Tag::Select, &[Attribute::Name("name")], options);
    post(SWEEP_PATH, visitor, vec![labelled("Organisation", select)], "Sweep now")
}

/// Returns the form that ends a waiver.
pub(super) fn end_waiver_form(visitor: Option<&Visitor>, code: &str) -> Html {
    let Some(visitor) = may(visitor, Role::Approver) else { return Html::default() };
    post(END_WAIVER_PATH, visitor, vec![hidden("code", code)], "End this waiver")
}

/// Returns the form that makes the service read its configuration again.
pub(super) fn reload_form(visitor: Option<&Visitor>) -> Html {
    let Some(visitor) = may(visitor, Role::Approver) else { return Html::default() };
    post(RELOAD_PATH, visitor, Vec::new(), "Read the configuration again")
}

/// Returns the form that runs a background task now.
pub(super) fn task_form(visitor: Option<&Visitor>, name: &str) -> Html {
    let Some(visitor) = may(visitor, Role::Operator) else { return Html::default() };
    post(TASK_PATH, visitor, vec![hidden("name", name)], "Run now")
}

/// Returns a link to the form that undoes a run. If the person has no right to undo, returns the
/// command that undoes the run.
pub(super) fn undo_link(visitor: Option<&Visitor>, run: u64) -> Html {
    if may(visitor, Role::Approver).is_none() {
        return paragraph([text("To undo it: "), code(format!("beadle undo {run}"))]);
    }
    let to = Link::to(UNDO_PATH).with("runs", &run.to_string());
    paragraph([link(&to, format!("Undo {run}"))])
}

/// Returns a button that shows the plan to undo a sweep. If the person has no right to undo,
/// returns the command that undoes the sweep.
pub(super) fn undo_plan_button(visitor: Option<&Visitor>, sweep: u64) -> Html {
    match may(visitor, Role::Approver) {
        None => undo_link(visitor, sweep),
        Some(visitor) => post(
            UNDO_PLAN_PATH,
            visitor,
            vec![hidden("runs", &sweep.to_string())],
            "Show the plan of its undo",
        ),
    }
}

/// Returns a button that shows the plan to undo these undos. If the person has no right to undo,
/// returns the command that undoes these undos.
pub(super) fn undo_undo_button(visitor: Option<&Visitor>, undos: &[u64]) -> Html {
    let numbers: Vec<String> = undos.iter().map(ToString::to_string).collect();
    match may(visitor, Role::Approver) {
        None => {
            let command = format!("beadle undo {}", numbers.join(" "));
            paragraph([text("To undo this undo: "), code(command)])
        }
        Some(visitor) => {
            post(UNDO_PLAN_PATH, visitor, vec![hidden("runs", &numbers.join(","))], "Undo this undo")
        }
    }
}

/// Returns a button that shows the plan to undo everything that a policy wrote to an organisation.
/// `generation` is the generation of the policy. If the person has no right to undo, returns the
/// command that undoes the same writes.
pub(super) fn undo_policy_button(
    visitor: Option<&Visitor>,
    (organisation, generation): (&str, &str),
) -> Html {
    let Some(visitor) = may(visitor, Role::Approver) else {
        let command = format!("beadle undo {generation} --org {organisation}");
        return paragraph([text("To undo what this policy wrote: "), code(command)]);
    };
    let fields = vec![hidden("runs", generation), hidden(ORGANISATION, organisation)];
    post(UNDO_PLAN_PATH, visitor, fields, "Show the plan of this policy's undo")
}

/// Returns a link to the form that undoes what a policy wrote. `entry` is the number of the journal
/// entry about the policy. If the person has no right to undo, returns the command that undoes the
/// same writes.
pub(super) fn undo_policy_link(visitor: Option<&Visitor>, entry: u64) -> Html {
    if may(visitor, Role::Approver).is_none() {
        return paragraph([text("To undo what this policy wrote: "), code(format!("beadle undo {entry}"))]);
    }
    let to = Link::to(UNDO_PATH).with("runs", &entry.to_string());
    paragraph([link(&to, "Undo what this policy wrote")])
}

/// Returns a link to the form that undoes an undo. `entries` are the numbers of the journal entries
/// about this undo. Without entries, returns nothing.
pub(super) fn undo_again_link(entries: &[u64]) -> Html {
    if entries.is_empty() {
        return Html::default();
    }
    let entries = entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let to = Link::to(UNDO_PATH).with("runs", &entries);
    paragraph([link(&to, "Undo this undo"), text(format!("; {GUARD_CHECKS_UNDO}."))])
}

/// Returns a link to the form of an undo, if the person has the right to undo.
pub(super) fn undo_start_link(visitor: Option<&Visitor>) -> Html {
    match may(visitor, Role::Approver) {
        Some(_) => paragraph([link(&Link::to(UNDO_PATH), "Undo writes of Beadle")]),
        None => Html::default(),
    }
}

/// Returns a link to the form that undoes the writes to a repository, if the person has the right
/// to undo.
pub(super) fn undo_repository_link(visitor: Option<&Visitor>, repository: &str) -> Html {
    if may(visitor, Role::Approver).is_none() {
        return Html::default();
    }
    let to = Link::to(UNDO_PATH).with("repositories", repository);
    paragraph([link(&to, "Undo writes to this repository")])
}

/// Returns the form that asks for the plan of an undo. The texts are the initial values of the
/// fields for runs, repositories and keys.
pub(super) fn undo_form(visitor: &Visitor, [runs, repositories, keys]: &[String; 3]) -> Html {
    if visitor.role < Role::Approver {
        return paragraph([text("Only an approver can undo writes.")]);
    }
    let fields = vec![
        labelled("Numbers of journal entries, or codes, separated by commas", optional_line("runs", runs)),
        labelled(
            "Or all writes since a time, such as 12h or 2026-12-01T09:00:00Z",
            optional_line("last", ""),
        ),
        labelled("Only this organisation", optional_line(ORGANISATION, "")),
        labelled("Only these repositories, separated by commas", optional_line("repositories", repositories)),
        labelled(
            "Only these keys of the policy, such as branches.main, separated by commas",
            optional_line("keys", keys),
        ),
    ];
    post(UNDO_PLAN_PATH, visitor, fields, "Show the plan")
}

/// Returns the form that confirms the plan of an undo.
pub(super) fn confirm_undo_form(visitor: &Visitor, preview: &UndoPreview) -> Html {
    let request = &preview.request;
    let since = request.since.map(|since| since.0.to_string()).unwrap_or_default();
    let fields = vec![
        hidden("plan", &preview.plan),
        hidden("runs", &request.runs.join(",")),
        hidden("since", &since),
        hidden(ORGANISATION, request.organisation.as_deref().unwrap_or_default()),
        hidden("repositories", &request.repositories.join(",")),
        hidden("keys", &request.keys.join(",")),
        labelled("Reason", line("reason")),
        // The Enter key in the field for the reason presses the button.
        labelled("I looked at the changes", required_box("seen")),
    ];
    post(UNDO_PATH, visitor, fields, "Undo these changes")
}

/// Returns the scope of a pause. `name` is the name of a paused repository, if it is known. Returns
/// `None` if a form cannot contain the scope.
pub(super) fn paused_scope(
    pause: &Pause,
    name: Option<&str>,
    (organisations, targets): (&[String], &[String]),
) -> Option<ScopeRequest> {
    let scope = &pause.scope;
    if organisations.contains(scope) {
        return Some(ScopeRequest::Organisation(scope.clone()));
    }
    if targets.contains(scope) {
        return Some(ScopeRequest::Target(scope.clone()));
    }
    name.map(|name| ScopeRequest::Repository(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use beadle_engine::Time;

    use super::*;

    const HOSTILE: &str = "\"><script>alert(1)</script>";

    fn forms(visitor: Option<&Visitor>) -> [(&'static str, Role, Html); 12] {
        let scope = ScopeRequest::Repository(HOSTILE.to_owned());
        let names = [HOSTILE.to_owned()];
        [
            ("policy", Role::Approver, policy_form(visitor, (HOSTILE, HOSTILE))),
            ("pause", Role::Operator, pause_form(visitor, &scope)),
            ("choice", Role::Operator, pause_choice(visitor, &names, &names)),
            ("resume", Role::Operator, resume_form(visitor, &scope)),
            ("end of an undo", Role::Approver, end_undo_form(visitor, &scope)),
            ("retry", Role::Operator, retry_form(visitor, HOSTILE)),
            ("task", Role::Operator, task_form(visitor, HOSTILE)),
            ("sweep", Role::Operator, sweep_form(visitor, &names)),
            ("reload", Role::Approver, reload_form(visitor)),
            ("waiver", Role::Approver, end_waiver_form(visitor, HOSTILE)),
            ("link to a repository", Role::Approver, undo_repository_link(visitor, HOSTILE)),
            ("link", Role::Approver, undo_start_link(visitor)),
        ]
    }

    #[test]
    fn a_person_has_only_the_forms_of_the_role() {
        for (name, _, form) in forms(None) {
            assert_eq!(form, Html::default(), "{name} without a person");
        }
        for role in [Role::Viewer, Role::Operator, Role::Approver] {
            for (name, needed, form) in forms(Some(&Visitor::example(role))) {
                assert_eq!(form != Html::default(), role >= needed, "{name} for {role:?}");
            }
        }
    }

    #[test]
    fn everybody_sees_the_command_of_an_undo() {
        for visitor in [None, Some(&Visitor::example(Role::Operator))] {
            let shown = undo_link(visitor, 7);
            assert!(shown.as_str().contains("<code>beadle undo 7</code>"), "{}", shown.as_str());
        }
        let approver = undo_link(Some(&Visitor::example(Role::Approver)), 7);
        assert!(approver.as_str().contains("href=\"/undo?runs=7\""), "{}", approver.as_str());
        for visitor in [None, Some(&Visitor::example(Role::Operator))] {
            let shown = undo_policy_link(visitor, 269);
            assert!(shown.as_str().contains("<code>beadle undo 269</code>"), "{}", shown.as_str());
        }
        let approver = undo_policy_link(Some(&Visitor::example(Role::Approver)), 269);
        assert!(approver.as_str().contains("href=\"/undo?runs=269\""), "{}", approver.as_str());
        assert!(approver.as_str().contains("Undo what this policy wrote"), "{}", approver.as_str());
    }

    #[test]
    fn several_undos_are_undone_together() {
        for visitor in [None, Some(&Visitor::example(Role::Operator))] {
            let shown = undo_undo_button(visitor, &[60, 64]);
            assert!(shown.as_str().contains("<code>beadle undo 60 64</code>"), "{}", shown.as_str());
        }
        let approver = undo_undo_button(Some(&Visitor::example(Role::Approver)), &[60, 64]);
        for part in ["action=\"/undo/plan\"", "name=\"runs\" value=\"60,64\"", "Undo this undo"] {
            assert!(approver.as_str().contains(part), "{part} is not in {}", approver.as_str());
        }
    }

    #[test]
    fn the_policy_in_force_leads_to_the_plan_of_its_undo_in_its_organisation() {
        let of = ("acme", "3c9f0a1b2d4e");
        for visitor in [None, Some(&Visitor::example(Role::Operator))] {
            let shown = undo_policy_button(visitor, of);
            let command = "<code>beadle undo 3c9f0a1b2d4e --org acme</code>";
            assert!(shown.as_str().contains(command), "{}", shown.as_str());
        }
        let approver = undo_policy_button(Some(&Visitor::example(Role::Approver)), of);
        for part in [
            "action=\"/undo/plan\"",
            "name=\"runs\" value=\"3c9f0a1b2d4e\"",
            "name=\"organisation\" value=\"acme\"",
        ] {
            assert!(approver.as_str().contains(part), "{part} is not in {}", approver.as_str());
        }
    }

    #[test]
    fn no_value_of_a_form_becomes_html_and_each_form_has_the_token() {
        for (name, _, form) in forms(Some(&Visitor::example(Role::Approver))) {
            let shown = form.as_str();
            assert!(!shown.contains("<script"), "{name}: {shown}");
            let has_token = shown.contains("name=\"token\" value=\"the-token\"");
            assert!(has_token || name.starts_with("link"), "{name}: {shown}");
        }
    }

    #[test]
    fn the_enter_key_in_the_reason_does_not_approve_a_policy() {
        let form = policy_form(Some(&Visitor::example(Role::Approver)), ("0a1b2c3d4e5f", "a1b2c3d4e5f6"));
        let required = "<input type=\"checkbox\" required name=\"seen\" value=\"yes\">";
        assert!(form.as_str().contains(required), "{}", form.as_str());
    }

    #[test]
    fn a_pause_is_ended_by_the_name_of_its_scope() {
        let (orgs, targets) = (["acme".to_owned()], ["aws".to_owned()]);
        let scope = |scope: &str, name: Option<&str>| {
            let pause = Pause { scope: scope.to_owned(), until: Time(5) };
            paused_scope(&pause, name, (&orgs, &targets))
        };
        assert_eq!(scope("acme", None), Some(ScopeRequest::Organisation("acme".to_owned())));
        assert_eq!(scope("aws", None), Some(ScopeRequest::Target("aws".to_owned())));
        let repository = Some(ScopeRequest::Repository("acme/shop".to_owned()));
        assert_eq!(scope("repository:acme:7", Some("acme/shop")), repository);
        assert_eq!(scope("repository:acme:7", None), None);
    }
}
