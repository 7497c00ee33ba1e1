//! Shows which planned changes of an undo would be held by the guard.

use beadle_engine::GuardPreview;

use crate::output::plural::counted;

/// The maximum number of reasons that the output names.
const MOST: usize = 5;

/// The next step for changes that the guard would hold.
const NEXT: &str = "to write the held changes too: after the undo, approve them (see `beadle holds`), then undo the \
                    same writes again";

/// Returns sentences about the changes that the guard would hold. The sentences show the number of
/// these changes in each organisation, the reasons, and the next step. Returns no sentences if the
/// guard would hold nothing.
pub(crate) fn sentences(previews: &[(String, GuardPreview)]) -> Vec<String> {
    let mut sentences: Vec<String> =
        previews.iter().flat_map(|(organisation, preview)| of_organisation(organisation, preview)).collect();
    if !sentences.is_empty() {
        sentences.push(NEXT.to_owned());
    }
    sentences
}

fn of_organisation(organisation: &str, preview: &GuardPreview) -> Vec<String> {
    let which = |count: usize| match preview.writes {
        1 => format!("the change in {organisation}"),
        writes => format!("{count} of the {writes} changes in {organisation}"),
    };
    let mut sentences: Vec<String> = Vec::new();
    for (why, count) in preview.held.iter().take(MOST) {
        sentences.push(format!("the guard would hold {}: {why}", which(*count)));
    }
    let more: usize = preview.held.iter().skip(MOST).map(|(_, count)| count).sum();
    if more > 0 {
        let changes = counted(more, "further change", "further changes");
        sentences.push(format!("the guard would hold {changes} in {organisation} for other reasons"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_name_the_number_the_organisation_the_reason_and_the_next_step() {
        let of = |previews: &[(&str, &GuardPreview)]| {
            sentences(
                &previews.iter().map(|(name, one)| ((*name).to_owned(), (*one).clone())).collect::<Vec<_>>(),
            )
        };
        assert!(of(&[("acme", &GuardPreview { writes: 3, held: Vec::new() })]).is_empty());
        let one = GuardPreview { writes: 1, held: vec![("guard limit reached".into(), 1)] };
        let held = (1..=7).map(|n| (format!("reason {n}"), n)).collect();
        let shown = of(&[("acme", &one), ("labs", &GuardPreview { writes: 190, held })]);
        assert_eq!(shown.len(), 8);
        assert_eq!(shown[0], "the guard would hold the change in acme: guard limit reached");
        assert_eq!(shown[3], "the guard would hold 3 of the 190 changes in labs: reason 3");
        assert_eq!(shown[6], "the guard would hold 13 further changes in labs for other reasons");
        assert!(shown[7].contains("`beadle holds`"), "the advice comes once: {}", shown[7]);
    }
}
