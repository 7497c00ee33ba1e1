//! Changes and holds for the tests of plans, the guard and the gate.

use serde_json::json;

use crate::clock::Time;
use crate::guard::Hold;
use crate::key::Key;
use crate::mode::Mode;
use crate::plan::{Change, Field, Risk};

/// Returns a change of one repository in the mode `enforce`. The change removes one value for each
/// risk.
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
        undone: false,
        reaches: 1,
        write: (),
    }
}

/// Returns a held removal of the team engineering in the repository `acme/rN`. Its digest is `dN`,
/// and no operator has decided about it.
pub fn hold(n: u64) -> Hold {
    let key = Key::new("repository", "acme", n);
    let change = change("teams", "team engineering", &[Risk::Removes]);
    Hold {
        digest: format!("d{n}"),
        why: "limit".into(),
        ..Hold::new(&key, &format!("acme/r{n}"), "g", change, Time(0))
    }
}
