//! Parts that several pages use: tables, lists of facts, forms, times and states.

use beadle_engine::{Key, Pause, Time, one_line};

use super::condition::Thing;
use super::html::{Attribute, Html, Tag, element, input, joined, text};
use super::link::Link;
use super::names::Names;

/// The maximum number of items in a list. Because of this limit, a page stays small.
const ITEMS: usize = 20;

/// The maximum number of names in an unfolded list. A page folds a list with more names.
const OPEN: usize = 5;
/// The number of names that a folded list shows.
const FIRST: usize = 3;

/// The maximum number of rows in a table. Because of this limit, a page stays small. If a list
/// continues on further pages, each page has fewer rows than this number.
const ROWS: usize = 150;

/// Returns a section with its heading.
pub(super) fn section(title: &'static str, content: impl IntoIterator<Item = Html>) -> Html {
    let heading = element(Tag::H2, &[], [text(title)]);
    element(Tag::Section, &[], std::iter::once(heading).chain(content))
}

/// Returns a paragraph.
pub(super) fn paragraph(content: impl IntoIterator<Item = Html>) -> Html {
    element(Tag::P, &[], content)
}

/// Returns a table. The first cell of each row is the title of the row. If there are no rows,
/// returns the sentence `empty`. Truncates a long table, and shows how many rows are missing.
pub(super) fn table(
    caption: &'static str,
    columns: &[&'static str],
    rows: Vec<Vec<Html>>,
    empty: &'static str,
) -> Html {
    table_of(caption, columns, (rows, ROWS), empty)
}

/// Returns a table like [`table`]. The table has at most `most` rows.
pub(super) fn table_of(
    caption: &'static str,
    columns: &[&'static str],
    (rows, most): (Vec<Vec<Html>>, usize),
    empty: &'static str,
) -> Html {
    if rows.is_empty() {
        return paragraph([text(empty)]);
    }
    let column = |name: &&'static str| element(Tag::Th, &[Attribute::Scope("col")], [text(name)]);
    let head = element(Tag::Thead, &[], [element(Tag::Tr, &[], columns.iter().map(column))]);
    let left_out = rows.len().saturating_sub(most);
    let rows = rows.into_iter().take(most).map(|cells| {
        let cells = cells.into_iter().enumerate().map(|(at, cell)| match columns.get(at).copied() {
            Some(name) if at > 0 => element(Tag::Td, &[Attribute::Column(name)], [cell]),
            _ => element(Tag::Th, &[Attribute::Scope("row")], [cell]),
        });
        element(Tag::Tr, &[], cells)
    });
    // A person can scroll a wide table, also with the keyboard.
    let scroll = [
        Attribute::Class("scroll"),
        Attribute::Role("group"),
        Attribute::Label(caption),
        Attribute::Tabbable,
    ];
    let caption = element(Tag::Caption, &[], [text(caption)]);
    let table = element(Tag::Table, &[], [caption, head, element(Tag::Tbody, &[], rows)]);
    let table = element(Tag::Div, &scroll, [table]);
    if left_out == 0 {
        return table;
    }
    let missing = counted(left_out, "row is", "rows are");
    joined([table, paragraph([text(format!("{missing} left out; the API has all of them."))])])
}

/// Returns a list of facts. Each fact has a name.
pub(super) fn facts(facts: Vec<(&'static str, Html)>) -> Html {
    let pairs = facts
        .into_iter()
        .map(|(name, fact)| joined([element(Tag::Dt, &[], [text(name)]), element(Tag::Dd, &[], [fact])]));
    element(Tag::Dl, &[], pairs)
}

/// Returns a list of items. Truncates a long list, and shows how many items are missing.
pub(super) fn list(items: impl IntoIterator<Item = Html>) -> Html {
    short_list(items, ITEMS)
}

/// Returns a list like [`list`]. The list has at most `most` items.
pub(super) fn short_list(items: impl IntoIterator<Item = Html>, most: usize) -> Html {
    let mut items = items.into_iter();
    let mut shown: Vec<Html> = items.by_ref().take(most).collect();
    let more = items.count();
    if more > 0 {
        shown.push(text(format!("and {more} more")));
    }
    element(Tag::Ul, &[], shown.into_iter().map(|item| element(Tag::Li, &[], [item])))
}

/// Returns the number of things, such as `170 repositories`, and the names of the things. Each name
/// comes with its HTML. Folds a long list, and shows only its first names. `left_out` is the number
/// of further names that the list does not contain.
pub(super) fn folded<'a>(
    count: &str,
    names: impl IntoIterator<Item = (&'a str, Html)>,
    left_out: usize,
) -> Html {
    let (names, items): (Vec<&str>, Vec<Html>) = names.into_iter().unzip();
    match (items.len(), left_out) {
        (0, _) => return text(count),
        (1, 0) => return joined(items),
        (2..=OPEN, 0) => return joined([text(count), list(items)]),
        _ => {}
    }
    let first: Vec<&str> = names.iter().take(FIRST).copied().collect();
    let folded = names.len() - first.len() + left_out;
    let summary = text(format!("{count}: {} and {folded} more", first.join(", ")));
    let more = (left_out > 0).then(|| text(format!("and {left_out} more")));
    let all = items.into_iter().chain(more).map(|item| element(Tag::Li, &[], [item]));
    element(Tag::Details, &[], [element(Tag::Summary, &[], [summary]), element(Tag::Ul, &[], all)])
}

/// Returns the number of values that drifted before a change of a policy, and an explanation. `why`
/// is a sentence about the changes of these values.
pub(super) fn existing_drift(count: u64, why: &'static str, organisation: &str) -> Html {
    let sum = text(format!("{count} (not part of the changes)"));
    if count == 0 {
        return sum;
    }
    let repositories = Link::to("/repositories").with("instance", organisation);
    let why = text(format!("{why} To see them, run "));
    let or = [text(", or open the "), link(&repositories, "repositories"), text(".")];
    joined([sum, paragraph([why, code("beadle plan")].into_iter().chain(or))])
}

/// Returns a text in the typeface of code.
pub(super) fn code(shown: impl std::fmt::Display) -> Html {
    element(Tag::Code, &[], [text(shown)])
}

/// Returns a text in the style of less important texts.
pub(super) fn faint(shown: impl std::fmt::Display) -> Html {
    element(Tag::Span, &[Attribute::Class("faint")], [text(shown)])
}

/// Returns a text with a link to an address.
pub(super) fn link(to: &Link, shown: impl std::fmt::Display) -> Html {
    element(Tag::A, &[Attribute::Href(to)], [text(shown)])
}

/// Returns the name of a state or of a risk.
pub(super) fn state(name: &'static str) -> Html {
    let class = element(Tag::Span, &[Attribute::Class(name)], [text(name)]);
    element(Tag::Span, &[Attribute::Class("state")], [class])
}

/// Returns a time, and how long ago it was.
pub(super) fn moment(at: Time, now: Time) -> Html {
    let time = element(Tag::Time, &[Attribute::DateTime(at)], [text(at)]);
    if at > now {
        return joined([time, faint(format!(" in {}", span(now, at)))]);
    }
    joined([time, faint(format!(" {} ago", span(at, now)))])
}

fn span(from: Time, to: Time) -> String {
    let seconds = to.since(from).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

/// Returns the address of a repository's page. Returns `None` if the address cannot contain this
/// name.
pub(super) fn repository(subject: &str) -> Option<Link> {
    let (owner, name) = subject.split_once('/')?;
    Link::to("/repositories").segment(owner)?.segment(name)
}

/// Returns the name of a key as a link. The name of a repository or a group links to its page.
/// Every other name links to the journal of the key.
pub(super) fn subject(key: &str, name: &str) -> Html {
    let shown = if name.is_empty() { key } else { name };
    if key == "-" {
        return text(shown);
    }
    let parsed = key.parse::<Key>();
    let page = match parsed.as_ref().map(Key::kind) {
        Ok("repository") if name != key => repository(name),
        // If the name is missing, no run of the group has ended yet. In that case the group has no
        // page.
        Ok("target-group") if !name.is_empty() => Some(Link::to("/group").with("key", key)),
        _ => None,
    };
    link(&page.unwrap_or_else(|| Link::to("/journal").with("key", key)), shown)
}

/// Returns the name of a key like [`subject`]. The name comes from `names`.
pub(super) fn named(key: &Key, names: &Names) -> Html {
    subject(key.as_str(), names.get(key.as_str()).map_or("", String::as_str))
}

/// Returns the name of the paused object. If the name of a paused key is not known, returns the
/// key.
pub(super) fn paused(pause: &Pause, names: &Names) -> Html {
    match pause.scope.parse::<Key>() {
        Ok(key) => named(&key, names),
        Err(_) => text(&pause.scope),
    }
}

/// The columns of a table that lists repositories, groups or organisations.
pub(super) const THING_COLUMNS: [&str; 4] = ["Name", "State", "Why", "Since"];

/// Returns the rows of a table with [`THING_COLUMNS`].
pub(super) fn thing_rows(things: &[Thing], now: Time) -> Vec<Vec<Html>> {
    let row = |thing: &Thing| {
        let name = subject(thing.key.as_str(), &thing.subject);
        vec![name, states(thing), reasons(thing), moment(thing.since, now)]
    };
    things.iter().map(row).collect()
}

/// Returns the states of a thing. The most important one comes first. A state with several reasons
/// is shown once.
pub(super) fn states(thing: &Thing) -> Html {
    // The reasons of one state follow each other.
    let mut names: Vec<&'static str> = thing.findings().map(|(state, ..)| state.as_str()).collect();
    names.dedup();
    joined(names.into_iter().enumerate().map(|(at, name)| {
        let gap = if at == 0 { Html::default() } else { text(" ") };
        joined([gap, state(name)])
    }))
}

/// Returns the reasons for the states of a thing.
fn reasons(thing: &Thing) -> Html {
    let own = text(one_line(&thing.why));
    if thing.further.is_empty() {
        return own;
    }
    joined([own, list(thing.further.iter().map(|one| text(one_line(&one.why))))])
}

/// Returns a number with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns a form that loads a page again with different values in its query.
pub(super) fn filter(action: &'static str, controls: Vec<Html>) -> Html {
    let button = element(Tag::Button, &[], [text("Show")]);
    element(Tag::Form, &[Attribute::Action(action)], controls.into_iter().chain([button]))
}

/// Returns a field of a form for a text.
pub(super) fn field(name: &'static str, label: &'static str, value: &str) -> Html {
    element(Tag::Label, &[], [text(label), input(name, value)])
}

/// Returns a field of a form. A person chooses one of several values, or all values.
pub(super) fn choice<'a>(
    name: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = &'a str>,
    chosen: &str,
) -> Html {
    let all = element(Tag::Option, &[Attribute::Value("")], [text("all")]);
    let options = values.into_iter().map(|value| {
        let mut attributes = vec![Attribute::Value(value)];
        attributes.extend((value == chosen).then_some(Attribute::Selected));
        element(Tag::Option, &attributes, [text(value)])
    });
    let select = element(Tag::Select, &[Attribute::Name(name)], std::iter::once(all).chain(options));
    element(Tag::Label, &[], [text(label), select])
}

/// Returns a link to the next page, if there is one.
pub(super) fn more(next: Option<Link>, shown: &'static str) -> Html {
    next.map(|next| paragraph([link(&next, shown)])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_leads_to_one_page() {
        for (key, name, shown) in [
            ("repository:acme:7", "acme/shop", "<a href=\"/repositories/acme/shop\">acme/shop</a>"),
            (
                "repository:acme:7",
                "acme/a?b#<i>",
                "<a href=\"/repositories/acme/a%3Fb%23%3Ci%3E\">acme/a?b#&lt;i&gt;</a>",
            ),
            ("repository:acme:7", "acme/..", "<a href=\"/journal?key=repository%3Aacme%3A7\">acme/..</a>"),
            ("target-group:aws:a&b", "aws/x", "<a href=\"/group?key=target-group%3Aaws%3Aa%26b\">aws/x</a>"),
            (
                "target-group:aws:a&b",
                "",
                "<a href=\"/journal?key=target-group%3Aaws%3Aa%26b\">target-group:aws:a&amp;b</a>",
            ),
            (
                "repository:acme:name/new",
                "repository:acme:name/new",
                "<a href=\"/journal?key=repository%3Aacme%3Aname%2Fnew\">repository:acme:name/new</a>",
            ),
            ("-", "", "-"),
        ] {
            assert_eq!(subject(key, name).as_str(), shown);
        }
    }

    #[test]
    fn a_pause_has_the_name_that_people_know() {
        let names = Names::from([("repository:acme:7".to_owned(), "acme/shop".to_owned())]);
        for (scope, shown) in [
            ("repository:acme:7", "<a href=\"/repositories/acme/shop\">acme/shop</a>"),
            ("repository:acme:8", "<a href=\"/journal?key=repository%3Aacme%3A8\">repository:acme:8</a>"),
            ("acme", "acme"),
        ] {
            let pause = Pause { scope: scope.to_owned(), until: Time(5) };
            assert_eq!(paused(&pause, &names).as_str(), shown);
        }
    }

    #[test]
    fn a_time_shows_its_distance() {
        let moments = [(0, "0 s ago"), (-150_000, "2 min ago"), (-7_200_000, "2 h ago"), (60_000, "in 60 s")];
        for (at, shown) in moments {
            let moment = moment(Time(1_000_000_000 + at), Time(1_000_000_000));
            assert!(moment.as_str().contains(shown), "{}", moment.as_str());
        }
    }

    #[test]
    fn a_field_keeps_its_hostile_value() {
        let field = choice("state", "State", ["held", "\"><script>"], "\"><script>");
        assert!(
            field.as_str().contains("value=\"&quot;&gt;&lt;script&gt;\" selected=\"selected\">"),
            "{}",
            field.as_str()
        );
        let table = table("Caption", &["a"], vec![vec![text("<td>")]], "empty");
        assert!(table.as_str().contains("<th scope=\"row\">&lt;td&gt;</th>"), "{}", table.as_str());
        assert_eq!(super::table("Caption", &["a"], Vec::new(), "none").as_str(), "<p>none</p>");
    }

    #[test]
    fn a_table_that_scrolls_has_a_name_and_can_be_reached_with_the_keyboard() {
        let table = table("Caption", &["a"], vec![vec![text("b")]], "empty");
        let start = "<div class=\"scroll\" role=\"group\" aria-label=\"Caption\" tabindex=\"0\"><table>";
        assert!(table.as_str().starts_with(start), "{}", table.as_str());
    }

    #[test]
    fn a_long_table_is_cut_and_says_so() {
        let rows = |count: usize| (0..count).map(|n| vec![text(n), text("x".repeat(400))]).collect();
        let whole = table("Caption", &["a", "b"], rows(ROWS), "empty");
        assert_eq!(whole.as_str().matches("<tr>").count(), ROWS + 1);
        assert!(whole.as_str().ends_with("</table></div>"), "{}", whole.as_str());
        let cut = table("Caption", &["a", "b"], rows(5000), "empty");
        assert!(cut.as_str().ends_with("<p>4850 rows are left out; the API has all of them.</p>"));
        assert!(cut.as_str().len() < 100_000, "{} bytes", cut.as_str().len());
    }

    #[test]
    fn a_cell_names_its_column_for_narrow_screens() {
        let table = table("Caption", &["Name", "Why"], vec![vec![text("a"), text("<b>")]], "empty");
        let row = "<tr><th scope=\"row\">a</th><td data-column=\"Why\">&lt;b&gt;</td></tr>";
        assert!(table.as_str().contains(row), "{}", table.as_str());
    }

    #[test]
    fn a_long_list_of_names_is_folded_and_contains_all_of_them() {
        let all = ["<a>", "b", "c", "d", "e", "f"];
        let shown = |count: usize, left_out: usize| {
            let names = all.into_iter().take(count).map(|name| (name, text(name)));
            folded("many", names, left_out).as_str().to_owned()
        };
        for (count, left_out, expected) in [
            (0, 9, "many"),
            (1, 0, "&lt;a&gt;"),
            (2, 0, "many<ul><li>&lt;a&gt;</li><li>b</li></ul>"),
            (
                6,
                0,
                "<details><summary>many: &lt;a&gt;, b, c and 3 more</summary><ul><li>&lt;a&gt;</li><li>b</li>\
                 <li>c</li><li>d</li><li>e</li><li>f</li></ul></details>",
            ),
            (
                1,
                7,
                "<details><summary>many: &lt;a&gt; and 7 more</summary><ul><li>&lt;a&gt;</li>\
                 <li>and 7 more</li></ul></details>",
            ),
        ] {
            assert_eq!(shown(count, left_out), expected, "{count} {left_out}");
        }
    }

    #[test]
    fn drift_that_exists_already_is_explained_and_can_be_seen() {
        let why = "The policy in force asks for these changes too.";
        let shown = existing_drift(40, why, "acme");
        for part in [
            "40 (not part of the changes)<p>The policy in force asks for these changes too. To see them, run ",
            "<code>beadle plan</code>, or open the <a href=\"/repositories?instance=acme\">repositories</a>.</p>",
        ] {
            assert!(shown.as_str().contains(part), "`{part}` is not in {}", shown.as_str());
        }
        assert_eq!(existing_drift(0, why, "acme").as_str(), "0 (not part of the changes)");
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let items = |count: usize| list((0..count).map(text)).as_str().to_owned();
        assert!(items(ITEMS + 3).ends_with("<li>and 3 more</li></ul>"), "{}", items(ITEMS + 3));
        assert_eq!(items(ITEMS).matches("<li>").count(), ITEMS);
    }
}
