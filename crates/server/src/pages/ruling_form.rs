//! The forms for decisions about held changes and for waivers. Only a signed-in person sees them.

use super::html::{Attribute, Html, Tag, element, filled_line, hidden, line, suggesting_line, text};
use crate::sign_in::{Role, Visitor};

/// The path for a decision.
pub(super) const RULING_PATH: &str = "/holds/decide";

/// The path for an approval that a person confirms.
pub(super) const CONFIRMATION_PATH: &str = "/holds/confirm";

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
    let fields = [
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
/// decide, or if the form cannot change the decision. `decision` is the present decision.
pub(super) fn ruling_form(visitor: Option<&Visitor>, code: &str, decision: &str) -> Html {
    let Some(visitor) = visitor else { return Html::default() };
    let mut buttons = Vec::new();
    // If a person presses Enter in the field for the reason, the browser presses the first button.
    // So the first button must not approve.
    if visitor.role >= Role::Operator && decision != "rejected" {
        buttons.push(("reject", "Reject"));
    }
    if visitor.role >= Role::Approver && decision == "open" {
        buttons.push(("approve", "Approve"));
    }
    if buttons.is_empty() {
        return Html::default();
    }
    let buttons = buttons.into_iter().map(|(value, name)| {
        element(Tag::Button, &[Attribute::Name("ruling"), Attribute::Value(value)], [text(name)])
    });
    let fields = [
        hidden("code", code),
        // The form contains the time of the request, because Beadle might hold the changes again
        // while it creates the page.
        hidden("shown", &visitor.at.0.to_string()),
        hidden("token", &visitor.token),
        element(Tag::Label, &[], [text("Reason"), line("reason")]),
    ];
    let attributes = [Attribute::Action(RULING_PATH), Attribute::Method("post")];
    element(Tag::Form, &attributes, fields.into_iter().chain(buttons))
}
