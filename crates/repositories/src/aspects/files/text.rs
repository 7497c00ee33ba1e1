//! The text of the pull request. A comment in the text lists the files and the ids of their
//! contents. GitHub does not show the comment. Later, Beadle reads this comment to find out which
//! files a person merged or refused.

use std::collections::BTreeMap;

use super::wanted::Wanted;

/// The title of the pull request, and the first line of each commit message in the pull request.
pub(super) const TITLE: &str = "Update files to match the policy";

/// The text of a pull request that Beadle closes. This text has no list of files, because nobody
/// refused the files.
pub(super) const CLOSED: &str = "Beadle closed this pull request, because the policy no longer needs it. Either the \
                                 files of the default branch match the policy, or the policy changed.";

const START: &str = "<!-- beadle-files";
const END: &str = "-->";

/// Returns the text of a pull request with these files. If `has_places` is true, the text contains
/// the policy's line numbers.
pub(super) fn body(files: &[&Wanted], has_places: bool) -> String {
    let shown = files.iter().map(|file| {
        let place = if has_places { format!(" ({})", file.asked) } else { String::new() };
        format!("- `{}`{}\n", file.path, place.replace('`', "'"))
    });
    let listed = files.iter().map(|file| format!("{} {}\n", file.id, file.path));
    format!(
        "Beadle keeps these files as the policy declares:\n\n{}\nTo accept the files, merge this pull request. If \
         you close it, Beadle does not propose the same contents again.\n\n{START}\n{}{END}\n",
        shown.collect::<String>(),
        listed.collect::<String>()
    )
}

/// Returns the files that a text lists. The key is the path of the file, and the value is the id of
/// its content.
pub(super) fn listed(body: &str) -> BTreeMap<&str, &str> {
    let list = body.split_once(START).and_then(|(_, rest)| rest.split_once(END));
    let lines = list.map(|(list, _)| list).unwrap_or_default().lines();
    lines.filter_map(|line| line.trim().split_once(' ')).map(|(id, path)| (path, id)).collect()
}

#[cfg(test)]
mod tests {
    use crate::policy::Node;
    use crate::policy::file_template::TemplateFacts;

    use super::*;

    #[test]
    fn the_list_in_a_text_can_be_read_again() {
        let entry = Node::parse("settings.yml", "{ path: docs/a.md, content: x }").unwrap();
        let facts = TemplateFacts {
            name: "",
            owner: "",
            visibility: "",
            default_branch: "",
            topics: None,
            properties: None,
        };
        let file = Wanted::of(&entry, facts).unwrap();
        let text = body(&[&file], true);
        let expected = BTreeMap::from([("docs/a.md", file.id.as_str())]);
        assert_eq!(listed(&text), expected);
        assert_eq!(listed(&text.replace('\n', "\r\n")), expected, "GitHub can change the ends of lines");
        assert!(text.contains("settings.yml:1") && !body(&[&file], false).contains("settings.yml"));
        assert!(listed(CLOSED).is_empty() && listed("<!-- beadle-files").is_empty());
    }
}
