//! Parses the e-mail addresses in the configuration file.

use lettre::Address;

/// Parses an address without a name. Only ASCII is allowed, because few SMTP servers accept other
/// addresses.
pub(crate) fn address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| text.is_ascii() && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_address_and_has_no_name() {
        for fine in ["ops@example.com", "a.b+c@mail.example.com", "ops@localhost"] {
            assert_eq!(address(fine).unwrap().to_string(), fine);
        }
        for wrong in [
            "",
            "ops",
            "@example.com",
            "ops@",
            "Ops <ops@example.com>",
            "ops@example.com, else@example.com",
            "ops@example.com\r\nBcc: else@example.com",
            "ops@example.com>\r\nRCPT TO:<else@example.com",
            "ops @example.com",
            "öps@example.com",
            "ops@exämple.com",
        ] {
            assert!(address(wrong).is_none(), "{wrong:?}");
        }
    }
}
