//! Shows with the plan of an undo which of its changes the guard would hold.

use beadle_engine::GuardPreview;

use crate::output::plural::counted;

/// The maximum number of reasons that the output names.
const MOST: usize = 5;

/// Returns sentences about the changes that the guard would hold: how many, why, and the next step.
/// Returns no sentences if the guard would hold nothing.
pub(crate) fn sentences(preview: &GuardPreview) -> Vec<String> {
    let of = match preview.writes {
        1 => "this change".to_owned(),
        writes => format!("of these {writes} changes"),
    };
    let which = |count: usize| if preview.writes == 1 { of.clone() } else { format!("{count} {of}") };
    let mut sentences: Vec<String> = Vec::new();
    for (why, count) in preview.held.iter().take(MOST) {
        sentences.push(format!("the guard would hold {}: {why}", which(*count)));
    }
    let more: usize = preview.held.iter().skip(MOST).map(|(_, count)| count).sum();
    if more > 0 {
        let changes = counted(more, "further change", "further changes");
        sentences.push(format!("the guard would hold {changes} for other reasons"));
    }
    if !sentences.is_empty() {
        sentences.push(
            "to write the held changes too: after the undo, approve them (see `beadle holds`), then undo the same \
             writes again"
                .to_owned(),
        );
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_name_the_number_the_reason_and_the_next_step() {
        assert!(sentences(&GuardPreview { writes: 3, held: Vec::new() }).is_empty());
        let one = GuardPreview { writes: 1, held: vec![("guard limit reached".into(), 1)] };
        assert_eq!(sentences(&one)[0], "the guard would hold this change: guard limit reached");
        let held = (1..=7).map(|n| (format!("reason {n}"), n)).collect();
        let shown = sentences(&GuardPreview { writes: 190, held });
        assert_eq!(shown.len(), 7);
        assert_eq!(shown[2], "the guard would hold 3 of these 190 changes: reason 3");
        assert_eq!(shown[5], "the guard would hold 13 further changes for other reasons");
        assert!(shown[6].contains("`beadle holds`"), "{}", shown[6]);
    }
}
