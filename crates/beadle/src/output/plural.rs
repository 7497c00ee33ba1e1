//! Numbers with their nouns.

use std::fmt::Display;

/// Returns a number with its noun: `1 removal`, `2 removals`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_every_other_number_is_plural() {
        let texts = [0_u64, 1, 2].map(|number| counted(number, "key", "keys"));
        assert_eq!(texts, ["0 keys", "1 key", "2 keys"]);
    }
}
