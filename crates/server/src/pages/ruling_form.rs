//! The forms for decisions about held changes and for waivers. Only a signed-in person sees these
//! forms.

use super::html::{Attribute, Html, Tag, element, filled_line, hidden, line, suggesting_line, text};
use super::parts::{counted, faint, paragraph};
use crate::sign_in::{Role, Visitor};

/// The path for a decision.
pub(super) const RULING_PATH: &str = "/holds/decide";

/// The path for an approval that a person confirms.
pub(super) const CONFIRMATION_PATH: &str = "/holds/confirm";

/// The maximum number of changes on the page that confirms an approval.
pub(super) const MOST_CHANGES: usize = 1000;

/// The path for a waiver.
pub(super) const WAIVER_PATH: &str = "/waivers";

/// The id of a list on the page. The form for a waiver suggests the keys in this list.
const KEYS_ID: &str = "waivable-keys";

/// The initial values in the form for a waiver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WaiverValues<'a> {
    pub(super) repository: &'a str,
    /// The keys in one text, separated by commas.
    pub(super) keys: &'a str,
    pub(super) until: &'a str,
    pub(super) reason: &'a str,
}

/// Returns the form that exempts keys of a repository. The browser suggests the keys in `known`.
/// Returns nothing if the person has no right to exempt keys.
pub(super) fn waiver_form(visitor: Option<&Visitor>, values: WaiverValues<'_>, known: &[String]) -> Html {
    let Some(visitor) = visitor.filter(|visitor| visitor.role >= Role::Approver) else {
        return Html::default();
    };
    let keys = "Keys, separated by commas, such as repository.topics or teams[core]";
    let options = known.iter().map(|key| element(Tag::Option, &[Attribute::Value(key)], []));
    let scope = "Until the end of the waiver, Beadle neither changes nor reports these values of this repository. To \
                 exempt the whole repository, pause it.";
    let fields = [
        paragraph([faint(scope)]),
        hidden("repository", values.repository),
        hidden("token", &visitor.token),
        element(Tag::Label, &[], [text(keys), suggesting_line("keys", values.keys, KEYS_ID)]),
        element(Tag::Datalist, &[Attribute::Id(KEYS_ID)], options),
        element(Tag::Label, &[], [text("Until, such as 2d"), filled_line("until", values.until)]),
        element(Tag::Label, &[], [text("Reason"), filled_line("reason", values.reason)]),
        element(Tag::Button, &[], [text("Waive")]),
    ];
    element(Tag::Form, &[Attribute::Action(WAIVER_PATH), Attribute::Method("post")], fields)
}

/// Returns the form for the changes with this code. Returns nothing if the person has no right to
/// decide, or if the form cannot change the decision. `decision` is the present decision, and
/// `changes` is the number of changes. `can_approve` is false if nobody can approve the changes on
/// a page.
pub(super) fn ruling_form(
    visitor: Option<&Visitor>,
    (code, changes): (&str, usize),
    decision: &str,
    can_approve: bool,
) -> Html {
    let Some(visitor) = visitor else { return Html::default() };
    let mut buttons = Vec::new();
    if visitor.role >= Role::Approver && decision == "open" && can_approve {
        let name = if changes == 1 { "Approve".to_owned() } else { format!("Approve {changes} changes") };
        buttons.push(ruling_button("approve", "primary", &name));
    }
    if visitor.role >= Role::Operator && decision != "rejected" {
        buttons.push(ruling_button("reject", "apart", "Reject"));
    }
    if buttons.is_empty() {
        return Html::default();
    }
    form_of(visitor, code, buttons)
}

/// Returns the form that approves all changes of several groups together. `codes` are the codes of
/// the groups, separated by commas. Returns nothing if the person has no right to approve.
pub(super) fn approval_form(visitor: Option<&Visitor>, codes: &str, changes: usize) -> Html {
    let Some(visitor) = visitor.filter(|visitor| visitor.role >= Role::Approver) else {
        return Html::default();
    };
    let name = format!("Approve {}", counted(changes, "change", "changes"));
    form_of(visitor, codes, vec![ruling_button("approve", "primary", &name)])
}

/// Returns a button that sends a decision. `class` is the CSS class of the button.
fn ruling_button(ruling: &'static str, class: &'static str, name: &str) -> Html {
    let attributes = [Attribute::Class(class), Attribute::Name("ruling"), Attribute::Value(ruling)];
    element(Tag::Button, &attributes, [text(name)])
}

/// Returns a form with these buttons, for the changes with these codes.
fn form_of(visitor: &Visitor, codes: &str, buttons: Vec<Html>) -> Html {
    let fields = [
        // If a person presses Enter in the field for the reason, a browser presses the first
        // button. The first button is disabled, so the Enter key decides nothing.
        element(Tag::Button, &[Attribute::Disabled, Attribute::Hidden], []),
        hidden("code", codes),
        // The form contains the time of the request, because Beadle might hold the changes again
        // while it creates the page.
        hidden("shown", &visitor.at.0.to_string()),
        hidden("token", &visitor.token),
        element(Tag::Label, &[], [text("Reason"), line("reason")]),
    ];
    let attributes = [Attribute::Action(RULING_PATH), Attribute::Method("post")];
    element(Tag::Form, &attributes, fields.into_iter().chain(buttons))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_button_decides_nothing_and_the_approval_comes_before_the_rejection() {
        let approver = Visitor::example(Role::Approver);
        for form in [
            ruling_form(Some(&approver), ("d1", 1), "open", true),
            ruling_form(Some(&approver), ("5d0c", 170), "open", true),
            approval_form(Some(&approver), "5d0c,8f0c", 170),
        ] {
            let (_, buttons) = form.as_str().split_once("<button").unwrap();
            assert!(buttons.starts_with(" disabled=\"disabled\" hidden=\"hidden\"></button>"), "{buttons}");
        }
        let both = ruling_form(Some(&approver), ("5d0c", 170), "open", true);
        let approve =
            "<button class=\"primary\" name=\"ruling\" value=\"approve\">Approve 170 changes</button>";
        let reject = "<button class=\"apart\" name=\"ruling\" value=\"reject\">Reject</button>";
        assert!(both.as_str().contains(&format!("{approve}{reject}")), "{}", both.as_str());
    }

    #[test]
    fn a_person_sees_only_the_buttons_of_the_role() {
        for (role, decision, can_approve, expected) in [
            (Role::Viewer, "open", true, [false, false]),
            (Role::Operator, "open", true, [false, true]),
            (Role::Approver, "open", true, [true, true]),
            (Role::Approver, "open", false, [false, true]),
            (Role::Approver, "approved", true, [false, true]),
            (Role::Approver, "rejected", true, [false, false]),
        ] {
            let visitor = Visitor::example(role);
            let form = ruling_form(Some(&visitor), ("d1", 1), decision, can_approve);
            let found = ["approve", "reject"].map(|ruling| form.as_str().contains(&format!("\"{ruling}\"")));
            assert_eq!(found, expected, "{role:?} {decision}");
            let approves = approval_form(Some(&visitor), "d1,d2", 2) != Html::default();
            assert_eq!(approves, role == Role::Approver, "{role:?}");
        }
        assert_eq!(ruling_form(None, ("d1", 1), "open", true), Html::default());
        assert_eq!(approval_form(None, "d1,d2", 2), Html::default());
    }
}
