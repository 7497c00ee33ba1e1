//! The forms of a signed-in person to decide about held changes and to exempt keys.

use super::html::{Attribute, Html, Tag, element, hidden, line, text};
use crate::sign_in::{Role, Visitor};

/// The path for a decision.
pub(super) const RULING_PATH: &str = "/holds/decide";

/// The path for a waiver.
pub(super) const WAIVER_PATH: &str = "/waivers";

/// Returns the form that exempts keys of a repository. Returns nothing if the person may not do
/// this.
pub(super) fn waiver_form(visitor: Option<&Visitor>, repository: &str) -> Html {
    let Some(visitor) = visitor.filter(|visitor| visitor.role >= Role::Approver) else {
        return Html::default();
    };
    let fields = [
        hidden("repository", repository),
        hidden("token", &visitor.token),
        element(
            Tag::Label,
            &[],
            [text("Keys, separated by commas, such as topics or teams[core]"), line("keys")],
        ),
        element(Tag::Label, &[], [text("Until, such as 2d"), line("until")]),
        element(Tag::Label, &[], [text("Reason"), line("reason")]),
        element(Tag::Button, &[], [text("Waive")]),
    ];
    element(Tag::Form, &[Attribute::Action(WAIVER_PATH), Attribute::Method("post")], fields)
}

/// Returns the form for the changes with this code. Returns nothing if the person may not decide,
/// or if the form cannot change the decision. `decision` is the present decision.
pub(super) fn ruling_form(visitor: Option<&Visitor>, code: &str, decision: &str) -> Html {
    let Some(visitor) = visitor else { return Html::default() };
    let mut buttons = Vec::new();
    // The enter key in the field of the reason presses the first button. So the first button must
    // not approve.
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
        // The page has the time of the request, because Beadle can hold the changes again while it
        // creates the page.
        hidden("shown", &visitor.at.0.to_string()),
        hidden("token", &visitor.token),
        element(Tag::Label, &[], [text("Reason"), line("reason")]),
    ];
    let attributes = [Attribute::Action(RULING_PATH), Attribute::Method("post")];
    element(Tag::Form, &attributes, fields.into_iter().chain(buttons))
}
