//! The frame of every page: the head, the navigation and the style sheet.

use super::html::{Attribute, Html, Tag, document, element, joined, text};
use super::link::Link;

/// The address of the style sheet.
pub(super) const STYLE_PATH: &str = "/assets/style.css";
/// The style sheet.
pub(super) const STYLE: &str = include_str!("assets/style.css");

/// The pages of the navigation.
const NAVIGATION: [(&str, &str); 9] = [
    ("/", "Overview"),
    ("/repositories", "Repositories"),
    ("/groups", "Groups"),
    ("/holds", "Holds"),
    ("/policy", "Policy"),
    ("/journal", "Journal"),
    ("/deliveries", "Deliveries"),
    ("/queue", "Queue"),
    ("/tasks", "Tasks"),
];

/// Returns a whole page. `current` is the path of the page in the navigation.
pub(super) fn page(title: &str, current: &str, content: Vec<Html>) -> String {
    let skip = Link::to("#content");
    let skip =
        element(Tag::A, &[Attribute::Class("skip"), Attribute::Href(&skip)], [text("Skip to the content")]);
    let items = NAVIGATION.into_iter().map(|(path, name)| {
        let link = Link::to(path);
        let mut attributes = vec![Attribute::Href(&link)];
        attributes.extend((path == current).then_some(Attribute::Current));
        element(Tag::Li, &[], [element(Tag::A, &attributes, [text(name)])])
    });
    let navigation = element(Tag::Nav, &[Attribute::Label("Pages")], [element(Tag::Ul, &[], items)]);
    let brand = element(Tag::Span, &[Attribute::Class("brand")], [text("Beadle")]);
    let header = element(Tag::Header, &[], [brand, navigation]);
    let heading = element(Tag::H1, &[], [text(title)]);
    let content = std::iter::once(heading).chain(content);
    let main = element(Tag::Main, &[Attribute::Id("content")], content);
    document(&format!("{title} · Beadle"), STYLE_PATH, joined([skip, header, main]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_itself_and_marks_its_place_in_the_navigation() {
        let page = page("acme/<b>", "/repositories", vec![text("content")]);
        assert!(page.contains("<title>acme/&lt;b&gt; · Beadle</title>"), "{page}");
        assert!(page.contains("<h1>acme/&lt;b&gt;</h1>content</main>"), "{page}");
        assert!(page.contains("<a href=\"/repositories\" aria-current=\"page\">Repositories</a>"), "{page}");
        assert_eq!(page.matches("aria-current").count(), 1, "{page}");
    }

    #[test]
    fn a_page_has_no_script_and_no_style_of_its_own() {
        let page = page("title", "/", Vec::new());
        for part in ["<script", "<style", " style=", " on", "javascript:", "http:", "https:"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"), "the style sheet loads another file");
    }
}
