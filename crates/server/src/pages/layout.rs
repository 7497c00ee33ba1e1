//! The parts around the content of every page: the head, the navigation and the style sheet.

use super::html::{Attribute, Html, Tag, document, element, joined, text};
use super::link::Link;

/// The address of the style sheet.
pub(super) const STYLE_PATH: &str = "/assets/style.css";
/// The style sheet.
pub(super) const STYLE: &str = include_str!("assets/style.css");

/// The address of the script.
pub(super) const SCRIPT_PATH: &str = "/assets/live.js";
/// The script that replaces the values of an open page when they change.
pub(super) const SCRIPT: &str = include_str!("assets/live.js");

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

/// The name and the version of a page that replaces its values when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LivePage {
    pub(super) part: &'static str,
    pub(super) version: String,
}

/// Returns a whole page. `current` is the path of the page in the navigation.
pub(super) fn page(title: &str, current: &str, content: Vec<Html>) -> String {
    let heading = element(Tag::H1, &[], [text(title)]);
    let content = std::iter::once(heading).chain(content);
    let main = element(Tag::Main, &[Attribute::Id("content")], content);
    frame(title, current, None, main)
}

/// Returns a whole page like [`page`]. Adds the script that replaces the values of the page. A
/// browser replaces each piece of the content as a whole. So the number of pieces must be the same
/// each time that a browser loads the address.
pub(super) fn live_page(title: &str, current: &str, live: &LivePage, content: Vec<Html>) -> String {
    let heading = element(Tag::H1, &[], [text(title)]);
    let notice = [Attribute::Id("live-notice"), Attribute::Class("notice"), Attribute::Role("status")];
    let notice = element(Tag::P, &notice, []);
    let regions = content.into_iter().map(|piece| element(Tag::Div, &[Attribute::LiveRegion], [piece]));
    let attributes =
        [Attribute::Id("content"), Attribute::LivePart(live.part), Attribute::LiveVersion(&live.version)];
    let main = element(Tag::Main, &attributes, [heading, notice].into_iter().chain(regions));
    frame(title, current, Some(SCRIPT_PATH), main)
}

/// Returns the head, the navigation and the content of a page.
fn frame(title: &str, current: &str, script: Option<&'static str>, main: Html) -> String {
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
    document(&format!("{title} · Beadle"), STYLE_PATH, script, joined([skip, header, main]))
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

    #[test]
    fn a_page_that_replaces_its_values_has_only_the_script_of_this_listener() {
        let live = LivePage { part: "holds", version: "\"><script>".into() };
        let page = live_page("<script>", "/holds", &live, vec![text("one"), Html::default()]);
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(page.contains("<script defer src=\"/assets/live.js\"></script>"), "{page}");
        assert!(page.contains("data-version=\"&quot;&gt;&lt;script&gt;\">"), "{page}");
        assert!(
            page.contains("<div data-region=\"\">one</div><div data-region=\"\"></div></main>"),
            "{page}"
        );
        for part in ["eval(", "innerHTML", "outerHTML", "document.write", "insertAdjacentHTML", "http"] {
            assert!(!SCRIPT.contains(part), "{part} in the script");
        }
    }
}
