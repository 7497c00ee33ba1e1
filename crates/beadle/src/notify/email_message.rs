//! Creates e-mail messages.
//!
//! <https://www.rfc-editor.org/rfc/rfc5322>

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use beadle_engine::Time;
use beadle_engine::notify::Outgoing;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::http_post::SendFailure;
use super::text::{Text, cut};

/// The name of the sender.
const SENDER: &str = "Beadle";
/// The maximum size of the subject in bytes.
const SUBJECT: usize = 200;
/// The latest possible time in the header `Date`: the last second of the year 9998.
const LAST: u64 = 253_370_764_799;

/// Returns a message as plain text and as HTML. A repeated message has the same `Message-ID`.
pub(super) fn message(
    outgoing: &Outgoing,
    texts: &[Text],
    from: &Address,
    to: &[Address],
) -> Result<Message, SendFailure> {
    let id = format!("<{}@{}>", outgoing.id, from.domain());
    // Programs that answer e-mail must not answer this message (RFC 3834).
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let mut builder = Message::builder()
        .from(Mailbox::new(Some(SENDER.to_owned()), from.clone()))
        .subject(subject(texts))
        .date(UNIX_EPOCH + Duration::from_secs(seconds(outgoing.at)))
        .message_id(Some(id))
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
    for one in to {
        builder = builder.to(Mailbox::new(None, one.clone()));
    }
    let parts = MultiPart::alternative_plain_html(plain(texts), html(texts));
    builder.multipart(parts).map_err(|error| SendFailure::new(format!("cannot write the e-mail: {error}")))
}

fn seconds(at: Time) -> u64 {
    u64::try_from(at.seconds()).unwrap_or(0).min(LAST)
}

/// Returns the title of the first topic, and the number of the other topics.
fn subject(texts: &[Text]) -> String {
    let first = texts.first().map_or("", |text| text.title.as_str());
    let text = match texts.len() {
        0 | 1 => first.to_owned(),
        2 => format!("{first}, and 1 more topic"),
        all => format!("{first}, and {} more topics", all - 1),
    };
    header(&text)
}

/// Converts a text to the value of a header: one line, without control characters. The value does
/// not contain `=?`, because a mail program would decode the text that follows.
fn header(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(&line.replace("=?", "= ?"), SUBJECT)
}

fn plain(texts: &[Text]) -> String {
    let mut all = String::new();
    for text in texts {
        let _ = writeln!(all, "{}", text.title); // writing to a string cannot fail
        let mark = if text.body.is_some() { "" } else { "- " };
        for line in text.below() {
            let _ = writeln!(all, "{mark}{line}");
        }
        all.push('\n');
    }
    all
}

fn html(texts: &[Text]) -> String {
    let mut all = String::from("<!DOCTYPE html>\n<html lang=\"en\"><body>\n");
    for text in texts {
        // The lines of a template form one paragraph, because the template itself contains the
        // necessary line breaks.
        let (open, close, before, after) = if text.body.is_some() {
            ("<p>", "</p>", "", "<br>")
        } else {
            ("<ul>", "</ul>", "<li>", "</li>")
        };
        let _ = writeln!(all, "<h3>{}</h3>\n{open}", encoded(&text.title));
        for line in text.below() {
            let _ = writeln!(all, "{before}{}{after}", encoded(&line));
        }
        let _ = writeln!(all, "{close}");
    }
    all.push_str("</body></html>\n");
    all
}

/// Encodes a text for HTML, so that no character of the text has a special meaning in HTML.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => encoded.push_str("&amp;"),
            '<' => encoded.push_str("&lt;"),
            '>' => encoded.push_str("&gt;"),
            '"' => encoded.push_str("&quot;"),
            '\'' => encoded.push_str("&#39;"),
            _ => encoded.push(c),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{hostile, own};
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    /// Splits a message into its headers and its body.
    fn parts(message: &Message) -> (String, String) {
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[test]
    fn a_repeated_message_has_the_same_id_and_the_same_date() {
        let outgoing = hostile();
        let to = [address("ops@example.com"), address("more@example.com")];
        let written = message(&outgoing, &own(&outgoing), &address("beadle@example.com"), &to).unwrap();
        let (head, body) = parts(&written);
        for line in [
            "From: Beadle <beadle@example.com>".to_owned(),
            "To: ops@example.com, more@example.com".to_owned(),
            "Subject: acme: 7 changes of teams held".to_owned(),
            "Date: Thu, 01 Jan 1970 00:00:00 +0000".to_owned(),
            format!("Message-ID: <{}@example.com>", outgoing.id),
            "Auto-Submitted: auto-generated".to_owned(),
        ] {
            assert!(head.lines().any(|found| found == line), "{line}\n{head}");
        }
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
        let ends: Vec<&str> = written.envelope().to().iter().map(AsRef::as_ref).collect();
        assert_eq!(ends, ["ops@example.com", "more@example.com"]);
    }

    #[test]
    fn no_value_leaves_its_place() {
        let mut outgoing = hostile();
        let line = &mut outgoing.items[0].found.lines[0];
        line.what = "</li></body><script>x</script>\r\n.\r\nMAIL FROM:<evil@example.com>".into();
        line.why = "é \" ' & =?utf-8?q?=0D=0ABcc:_evil@example.com?=".into();
        let texts = own(&outgoing);
        let text = html(&texts);
        assert_eq!(text.matches("<script").count() + text.matches("</body>").count(), 1, "{text}");
        assert!(text.contains("&lt;script&gt;") && text.contains("&quot; &#39; &amp;"), "{text}");
        assert!(plain(&texts).lines().all(|line| line != "." && !line.starts_with("MAIL")));
        let wire = message(&outgoing, &texts, &address("a@b.c"), &[address("d@e.f")]).unwrap().formatted();
        assert!(wire.is_ascii(), "a server without 8BITMIME accepts it");
        assert!(!String::from_utf8(wire).unwrap().contains("\n.\r\n"));
    }

    #[test]
    fn the_text_of_a_template_keeps_its_lines_and_is_no_html() {
        let mut texts = own(&hostile());
        texts[0].body = Some("first <b>\nsecond".into());
        texts[0].failures = vec!["a template failed".into()];
        assert!(
            plain(&texts).ends_with("held\nfirst <b>\nsecond\na template failed\n\n"),
            "{}",
            plain(&texts)
        );
        let text = html(&texts);
        assert!(text.contains("<p>\nfirst &lt;b&gt;<br>\nsecond<br>\na template failed<br>\n</p>"), "{text}");
    }

    #[test]
    fn a_header_is_one_line_that_nobody_decodes() {
        let header = header("a\r\nBcc: evil@example.com\u{1b}[2J =?utf-8?q?=0D=0A?= \u{0}");
        assert!(!header.chars().any(char::is_control), "{header:?}");
        assert!(!header.contains("=?"), "{header}");
        assert!(super::header(&"x".repeat(5000)).len() <= SUBJECT + '…'.len_utf8());
    }

    #[test]
    fn a_subject_names_the_first_topic_and_counts_the_others() {
        let mut outgoing = hostile();
        let item = outgoing.items[0].clone();
        outgoing.items.push(item.clone());
        assert_eq!(subject(&own(&outgoing)), "acme: 7 changes of teams held, and 1 more topic");
        outgoing.items.push(item);
        assert_eq!(subject(&own(&outgoing)), "acme: 7 changes of teams held, and 2 more topics");
    }

    #[test]
    fn a_time_outside_the_calendar_is_a_date_too() {
        for time in [Time(i64::MIN), Time(i64::MAX)] {
            let mut outgoing = hostile();
            outgoing.at = time;
            assert!(message(&outgoing, &own(&outgoing), &address("a@b.c"), &[address("d@e.f")]).is_ok());
        }
    }
}
