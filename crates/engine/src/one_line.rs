//! Joins the lines of an error for places that show only one line.

/// Joins the lines of a text, such as an error and its hint, into one line.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_error_become_one_line() {
        for (text, shown) in [
            ("invalid policy", "invalid policy"),
            (
                "settings.yml:3: unknown key\r\n\n  hint: remove it\n",
                "settings.yml:3: unknown key; hint: remove it",
            ),
            ("\n", ""),
        ] {
            assert_eq!(one_line(text), shown);
        }
    }
}
