//! The interface of a recorder. A recorder can, for example, export the spans.

use std::borrow::Cow;

use super::context::TraceContext;
use crate::clock::Time;

/// What a span shows: work inside of Beadle, or one side of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside of Beadle.
    #[default]
    Internal,
    /// The receipt of a request.
    Server,
    /// A request to another system.
    Client,
    /// Work that waited in the queue.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
    /// A list of texts.
    Texts(Vec<String>),
}

impl From<&'static str> for SpanValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for SpanValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<String>> for SpanValue {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

/// The description of a span that begins.
///
/// Spans are sent to other machines. An attribute must therefore never contain the text of an
/// error, a body, a header or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSpan {
    /// The name, which is the same for all spans of this kind of work.
    pub name: Cow<'static, str>,
    /// Whether the span shows work inside of Beadle, or one side of a call.
    pub kind: SpanKind,
    /// The span that contains this span. Without a parent, the span begins a trace.
    pub parent: Option<TraceContext>,
    /// The beginning of the span, if the work began before now.
    pub since: Option<Time>,
    /// The attributes.
    pub attributes: Vec<(&'static str, SpanValue)>,
}

impl NewSpan {
    /// Describes a span within `parent`.
    pub fn within(parent: Option<TraceContext>, name: impl Into<Cow<'static, str>>) -> Self {
        let (kind, since, attributes) = (SpanKind::default(), None, Vec::new());
        Self { name: name.into(), kind, parent, since, attributes }
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(self, kind: SpanKind) -> Self {
        Self { kind, ..self }
    }

    /// Sets the beginning of the span to a time before now.
    #[must_use]
    pub fn since(self, since: Time) -> Self {
        Self { since: Some(since), ..self }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<SpanValue>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }
}

/// Records spans. No method of a recorder waits.
pub trait Recorder: Send + Sync + 'static {
    /// Begins a span.
    fn begin(&self, span: NewSpan) -> Box<dyn RecordedSpan>;
}

/// A span that a [`Recorder`] has begun. The span ends when it is dropped.
pub trait RecordedSpan: Send + Sync + 'static {
    /// Returns the place of the span; `None` if the recorder has stopped.
    fn context(&self) -> Option<TraceContext>;
    /// Sets an attribute.
    fn set(&mut self, name: &'static str, value: SpanValue);
    /// Records that the work failed.
    fn fail(&mut self);
}
