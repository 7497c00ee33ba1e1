//! Lists, on a page, the stored data that this version cannot read.

use crate::pages::html::{Html, joined, text};
use crate::pages::parts::{list, paragraph};

/// Returns a sentence with a list of unreadable data. Returns nothing if the list is empty.
pub(in crate::pages) fn unreadable_list(unreadable: &[String]) -> Html {
    if unreadable.is_empty() {
        return Html::default();
    }
    let sentence = "This version of Beadle cannot read some stored data, and does not work on what it \
                    concerns. Use the newest version of Beadle that has used this store:";
    joined([paragraph([text(sentence)]), list(unreadable.iter().map(text))])
}
