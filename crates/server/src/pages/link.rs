//! Builds the addresses of the pages. Each value becomes exactly one segment of the path, or one
//! value in the query.

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that need no percent-encoding according to RFC 3986 (2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The address of a page at this listener or at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link(String);

impl Link {
    /// Returns the address of a page. The path is a text of this program.
    pub(super) fn to(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// Returns the address of another server. Returns `None` in two cases: the address does not
    /// begin with `http://` or `https://`, or it contains characters that need an encoding.
    pub(super) fn outside(address: &str) -> Option<Self> {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%:/".contains(c);
        (!rest.is_empty() && rest.chars().all(is_plain)).then(|| Self(address.to_owned()))
    }

    /// Returns the address of a line on a page of another server, such as
    /// `https://github.com/acme/admin/blob/COMMIT/settings.yml#L2`. Returns `None` if
    /// [`Self::outside`] refuses the address, or if the address names no line.
    pub(super) fn outside_line(address: &str) -> Option<Self> {
        let (page, line) = address.rsplit_once("#L")?;
        let line: u32 = line.parse().ok()?;
        Self::outside(page).map(|page| Self(format!("{}#L{line}", page.0)))
    }

    /// Adds a segment to the path. Returns `None` for `.` and `..`, because a browser resolves
    /// these segments even if they are encoded.
    pub(super) fn segment(self, value: &str) -> Option<Self> {
        let is_kept = !value.is_empty() && !value.chars().all(|c| c == '.');
        is_kept.then(|| Self(format!("{}/{}", self.0, utf8_percent_encode(value, UNRESERVED))))
    }

    /// Adds a value to the query. Leaves out an empty value.
    pub(super) fn with(self, name: &'static str, value: &str) -> Self {
        if value.is_empty() {
            return self;
        }
        let separator = if self.0.contains('?') { '&' } else { '?' };
        let query = Serializer::new(String::new()).append_pair(name, value).finish();
        Self(format!("{}{separator}{query}", self.0))
    }

    /// Returns the address as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_web_address_leads_outside() {
        for (address, is_link) in [
            ("https://github.com/acme/admin/pull/7", true),
            ("http://127.0.0.1:8080/acme/a%20b/pull/7", true),
            ("javascript:alert(1)", false),
            ("https://", false),
            ("//evil.example", false),
            ("https://github.com/\"><script>", false),
            ("https://a@evil.example/", false),
        ] {
            assert_eq!(Link::outside(address).is_some(), is_link, "{address}");
        }
    }

    #[test]
    fn only_the_number_of_a_line_follows_the_address_of_a_page() {
        for (address, is_link) in [
            ("https://github.com/acme/admin/blob/0a1b/a%20b.yml#L7", true),
            ("https://github.com/acme/admin/blob/0a1b/a.yml", false),
            ("https://github.com/acme/admin#L7-L9", false),
            ("https://github.com/acme/admin#La", false),
            ("https://github.com/#x#L7", false),
            ("javascript:alert(1)#L7", false),
        ] {
            let link = Link::outside_line(address);
            assert_eq!(link.as_ref().map(Link::as_str), is_link.then_some(address), "{address}");
        }
    }

    #[test]
    fn a_value_is_one_segment_or_one_value_of_the_query() {
        let to = |value: &str| Link::to("/repositories").segment(value).map(|link| link.0);
        for (value, address) in [
            ("shop", Some("/repositories/shop")),
            ("a/b?c#d", Some("/repositories/a%2Fb%3Fc%23d")),
            ("a..b", Some("/repositories/a..b")),
            ("\"><script>", Some("/repositories/%22%3E%3Cscript%3E")),
            ("..", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(to(value).as_deref(), address, "{value}");
        }
        let link = Link::to("/journal").with("key", "a&b=c").with("text", "").with("kind", "run");
        assert_eq!(link.as_str(), "/journal?key=a%26b%3Dc&kind=run");
        let link = Link::to("/journal").with("text", "javascript:alert(1)");
        assert_eq!(link.as_str(), "/journal?text=javascript%3Aalert%281%29");
    }
}
