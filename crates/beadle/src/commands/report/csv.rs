//! CSV by RFC 4180, for spreadsheets.

/// A spreadsheet reads a cell as a formula if the cell begins with one of these characters. Some
/// spreadsheets also accept the full-width forms of these characters.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Returns one line of a CSV file, without a line break.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",")
}

/// Returns a cell. A spreadsheet does not interpret a text as a formula if the text begins with an
/// apostrophe.
fn cell(text: &str) -> String {
    // A cell stays on one line, so that each row is a line of the file.
    let text = text.replace("\r\n", " ").replace(['\n', '\r'], " ");
    // In some countries, a semicolon also begins a new cell. In some spreadsheets, a tab also
    // begins a new cell.
    let guarded = |part: &str| if is_formula(part) { format!("'{part}") } else { part.to_owned() };
    let text: String = text.split_inclusive([';', '\t']).map(guarded).collect();
    if text.contains(['"', ',']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Returns whether a spreadsheet can interpret a text as a formula. A spreadsheet might ignore
/// invisible characters before a formula.
fn is_formula(text: &str) -> bool {
    let is_unseen = |c: char| {
        let is_format =
            matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
        c.is_whitespace() || c.is_control() || is_format
    };
    text.trim_start_matches(is_unseen).starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_stays_in_its_row() {
        for (text, expected) in [
            ("acme/shop", "acme/shop"),
            ("", ""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\t'=1"),
            ("a;=1", "a;'=1"),
            ("a; =1;b", "a;' =1;b"),
            ("a\t+1", "a\t'+1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\u{200b}\0@x", "'\u{200b}\0@x"),
            ("\r=1", "' =1"),
            ("\n=1", "' =1"),
            (" =1", "' =1"),
            ("＝1", "'＝1"),
            (" a", "\" a\""),
            ("a=1", "a=1"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\r\nlines", "two lines"),
            ("'=1", "'=1"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_has_all_cells() {
        assert_eq!(line(["a", "", "b,c"]), "a,,\"b,c\"");
    }
}
