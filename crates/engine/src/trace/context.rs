//! The ids of traces and spans, in the text form of W3C's Trace Context.
//!
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The only version of the text form.
const VERSION: &str = "00";
/// If this bit of the flags is set, the spans of the trace are exported.
const SAMPLED: u8 = 1;

/// The error for a text that is not a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid trace: expected hexadecimal digits such as `4bf92f3577b34da6a3ce929d0e0e4736`")]
pub struct InvalidTrace;

/// The id of a trace. Its text has 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceId(u128);

impl TraceId {
    /// Creates an id from its number. The number 0 is not a valid id.
    pub fn new(number: u128) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// Returns the number of the id.
    pub fn number(self) -> u128 {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<Self, InvalidTrace> {
        let number = digits(text, 32).and_then(|text| u128::from_str_radix(text, 16).ok());
        number.and_then(Self::new).ok_or(InvalidTrace)
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for TraceId {
    type Error = InvalidTrace;

    fn try_from(text: String) -> Result<Self, InvalidTrace> {
        text.parse()
    }
}

/// The place of a span: its trace, its id, and whether the trace is exported. The text of a place
/// has the form of the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TraceContext {
    /// The id of the trace.
    pub trace: TraceId,
    /// The id of the span, which is not 0.
    pub span: u64,
    /// True if the spans of the trace are exported.
    pub is_sampled: bool,
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTrace;

    fn from_str(text: &str) -> Result<Self, InvalidTrace> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(InvalidTrace);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        if version != VERSION || next().is_ok() {
            return Err(InvalidTrace);
        }
        let span = digits(span, 16).and_then(|text| u64::from_str_radix(text, 16).ok());
        let span = span.filter(|span| *span != 0).ok_or(InvalidTrace)?;
        let flags = digits(flags, 2).and_then(|text| u8::from_str_radix(text, 16).ok());
        let is_sampled = flags.ok_or(InvalidTrace)? & SAMPLED != 0;
        Ok(Self { trace: trace.parse()?, span, is_sampled })
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> Self {
        context.to_string()
    }
}

impl TryFrom<String> for TraceContext {
    type Error = InvalidTrace;

    fn try_from(text: String) -> Result<Self, InvalidTrace> {
        text.parse()
    }
}

/// Returns the text if it has exactly `count` lower-case hexadecimal digits and nothing else.
fn digits(text: &str, count: usize) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == count && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_as_it_was_written() {
        for is_sampled in [true, false] {
            let context =
                TraceContext { trace: TraceId(0x4bf9_2f35), span: 0x00f0_67aa_0ba9_02b7, is_sampled };
            let stored = serde_json::to_string(&context).unwrap();
            assert_eq!(serde_json::from_str::<TraceContext>(&stored).unwrap(), context);
        }
        let text = "00-0000000000000000000000004bf92f35-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
    }

    #[test]
    fn any_other_text_is_no_context() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for text in [
            String::new(),
            trace.to_owned(),
            format!("00-{trace}-00f067aa0ba902b7"),
            format!("01-{trace}-00f067aa0ba902b7-01"),
            format!("00-{trace}-00f067aa0ba902b7-01-x"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{trace}-+0f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTrace), "{text}");
        }
        assert_eq!("4bf9".parse::<TraceId>(), Err(InvalidTrace));
    }
}
