//! Changes for the tests of plans, of the guard and of the gate.

use serde_json::json;

use crate::mode::Mode;
use crate::plan::{Change, Field, Risk};

/// Returns a change of one repository in the mode `enforce`. It takes away one value for each risk.
pub fn change(aspect: &str, what: &str, risks: &[Risk]) -> Change<()> {
    let field = |risk: &Risk| Field {
        name: "x".into(),
        before: json!(true),
        after: json!(null),
        asked: None,
        risk: *risk,
    };
    Change {
        aspect: aspect.into(),
        what: what.into(),
        fields: risks.iter().map(field).collect(),
        mode: Mode::Enforce,
        after: Vec::new(),
        stop: None,
        reaches: 1,
        write: (),
    }
}
