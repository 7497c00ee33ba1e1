//! Characters that make a text look like another text.

/// Returns whether a character is invisible, or changes how a terminal or a browser shows text.
///
/// The control characters C0, DEL and C1 move the cursor, or change titles and colours. The other
/// characters in this function change the reading direction, break the line or are invisible. All
/// of these characters can make a text look like another text.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
