//! CSV by RFC 4180, for spreadsheets.

/// The characters with which a spreadsheet begins a formula. Some spreadsheets also accept the wide
/// forms of these characters.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Returns one line of a CSV file, without a line break.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",")
}

/// Returns a cell. A spreadsheet does not compute a text that begins with an apostrophe.
fn cell(text: &str) -> String {
    // A spreadsheet can ignore white space before a formula.
    let is_formula = text.trim_start().starts_with(FORMULA);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    // A cell stays on one line, so that each row is a line of the file.
    let text = text.replace("\r\n", " ").replace(['\n', '\r'], " ");
    if text.contains(['"', ',']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
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
            ("\t=1", "'\t=1"),
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
