//! The cookies of the sign-in.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

/// The cookies of one address.
pub(super) struct Cookies {
    /// True if the address begins with `https`. In this case, the names of the cookies begin with
    /// `__Host-`. A browser does not allow another host or an unencrypted page to set a cookie with
    /// this prefix.
    pub(super) is_secure: bool,
}

impl Cookies {
    fn name(&self, name: &str) -> String {
        if self.is_secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// Returns the header that sets a cookie. `value` consists of digits, letters and dots.
    pub(super) fn set(&self, name: &str, value: &str, age: Duration) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let (name, age) = (self.name(name), age.as_secs());
        let line = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&line).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Returns the header that deletes a cookie.
    pub(super) fn clear(&self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    /// Returns the value of a cookie. If the browser sends two cookies with this name, returns
    /// `None`. In that case, another server has set one of the two cookies.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.name(name);
        // The function reads the lines as bytes, and not as text. Another host of the same domain
        // can add cookies that contain bytes outside of ASCII.
        let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
        let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
        let pairs = pairs.filter_map(|pair| std::str::from_utf8(pair.trim_ascii()).ok()?.split_once('='));
        let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_of_an_encrypted_address_has_every_limit_that_a_browser_knows() {
        let line = |is_secure| {
            let set = Cookies { is_secure }.set("beadle-session", "0a", Duration::from_secs(60));
            set.to_str().unwrap().to_owned()
        };
        let limits = "Path=/; Max-Age=60; HttpOnly; SameSite=Lax";
        assert_eq!(line(true), format!("__Host-beadle-session=0a; {limits}; Secure"));
        assert_eq!(line(false), format!("beadle-session=0a; {limits}"));
    }

    #[test]
    fn a_cookie_of_another_host_with_other_bytes_does_not_hide_the_own_one() {
        for line in ["caf\u{e9}=1; __Host-s=1", "__Host-s=1; a=\u{2713}", "\u{2000}__Host-s=2; __Host-s=1"] {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            assert_eq!(Cookies { is_secure: true }.read(&headers, "s"), Some("1"), "{line}");
        }
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_bytes(b"a=\xff; __Host-s=1").unwrap());
        assert_eq!(Cookies { is_secure: true }.read(&headers, "s"), Some("1"));
    }

    #[test]
    fn a_cookie_that_is_there_twice_counts_as_missing() {
        for (lines, expected) in [
            (&["__Host-s=1"][..], Some("1")),
            (&["a=2; __Host-s=1; b=3"][..], Some("1")),
            (&["s=1"][..], None),
            (&["__Host-s=1; __Host-s=2"][..], None),
            (&["__Host-s=1", "__Host-s=1"][..], None),
            (&["x__Host-s=1"][..], None),
            (&[""][..], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(Cookies { is_secure: true }.read(&headers, "s"), expected, "{lines:?}");
        }
    }
}
