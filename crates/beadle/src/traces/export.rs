//! Sends ended spans to the endpoint. A run never waits for the export. If the queue is full, the
//! export drops spans.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use beadle_engine::Clock;
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The maximum number of spans that wait for the export.
const QUEUE: usize = 4096;
/// The maximum number of spans in one request.
const BATCH: usize = 512;
/// The time that an ended span waits for other spans. After this time, the export sends all waiting
/// spans in one request.
const DELAY: Duration = Duration::from_secs(1);
/// The maximum duration of one request.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// The maximum time that the process waits for the export when it stops.
const FLUSH: Duration = Duration::from_secs(3);

/// Passes ended spans to the export.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<SpanData>,
    /// The number of spans that the export dropped because the queue was full.
    dropped: Arc<AtomicU64>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The background task that exports spans.
pub(crate) struct Export {
    stop: CancellationToken,
    sending: JoinHandle<()>,
}

impl Export {
    /// Begins the export. Returns the queue for ended spans.
    pub(super) fn begin(exporter: impl SpanExporter + 'static, clock: Clock) -> (Queue, Self) {
        let (sender, spans) = mpsc::channel(QUEUE);
        let (dropped, stop) = (Arc::<AtomicU64>::default(), CancellationToken::new());
        let sending = Sending {
            exporter,
            spans,
            clock,
            stop: stop.clone(),
            dropped: dropped.clone(),
            is_failing: false,
            is_full: false,
            lost: 0,
        };
        (Queue { sender, dropped }, Self { stop, sending: tokio::spawn(sending.run()) })
    }

    /// Sends the waiting spans, and ends the export. If the endpoint does not answer in time, the
    /// waiting spans are lost.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(FLUSH, &mut self.sending).await.is_err() {
            self.sending.abort();
            tracing::warn!("endpoint of traces does not answer, last spans not exported");
        }
    }
}

/// The state of the export.
struct Sending<E> {
    exporter: E,
    spans: mpsc::Receiver<SpanData>,
    clock: Clock,
    stop: CancellationToken,
    dropped: Arc<AtomicU64>,
    /// True if the last request failed.
    is_failing: bool,
    /// True if the log already contains an entry about the full queue.
    is_full: bool,
    /// The number of spans in failed requests.
    lost: u64,
}

impl<E: SpanExporter + 'static> Sending<E> {
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                ended = self.spans.recv() => match ended {
                    Some(span) => batch.push(span),
                    None => break,
                },
            }
            if self.spans.len() < BATCH {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = self.clock.sleep(DELAY) => {}
                }
            }
            self.fill(&mut batch);
            self.send(mem::take(&mut batch)).await;
        }
        self.fill(&mut batch);
        while !batch.is_empty() {
            self.send(mem::take(&mut batch)).await;
            self.fill(&mut batch);
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped + self.lost > 0 {
            tracing::info!(dropped, failed = self.lost, "spans not exported since the start");
        }
    }

    /// Moves waiting spans from the queue into one request.
    fn fill(&mut self, batch: &mut Vec<SpanData>) {
        while batch.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
    }

    /// Sends one request. Logs the first failure, the first success after it, and the first
    /// overflow of the queue.
    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len() as u64;
        let error = match tokio::time::timeout(LIMIT, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", LIMIT.as_secs())),
        };
        let was_failing = mem::replace(&mut self.is_failing, error.is_some());
        match error {
            None if was_failing => tracing::info!("traces exported again"),
            None => {}
            Some(error) => {
                self.lost += spans;
                if !was_failing {
                    tracing::warn!(error, "traces not exported, spans are lost until the endpoint answers");
                }
            }
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 && !mem::replace(&mut self.is_full, true) {
            tracing::warn!(dropped, "queue of the export full, spans dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use parking_lot::Mutex;

    use super::*;

    /// An endpoint for tests. It stores the names of spans, or it never answers.
    #[derive(Clone, Debug, Default)]
    struct Endpoint {
        taken: Arc<Mutex<Vec<String>>>,
        hangs: bool,
    }

    impl SpanExporter for Endpoint {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            if self.hangs {
                pending::<()>().await;
            }
            self.taken.lock().extend(batch.into_iter().map(|span| span.name.into_owned()));
            Ok(())
        }
    }

    fn begin(endpoint: &Endpoint) -> (SdkTracerProvider, Arc<AtomicU64>, Export) {
        let (queue, export) = Export::begin(endpoint.clone(), Clock::system());
        let dropped = queue.dropped.clone();
        (SdkTracerProvider::builder().with_span_processor(queue).build(), dropped, export)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_sends_what_waits() {
        let endpoint = Endpoint::default();
        let (provider, dropped, export) = begin(&endpoint);
        let names: Vec<String> = (0..BATCH + 10).map(|n| format!("span {n}")).collect();
        for name in &names {
            drop(provider.tracer("test").start(name.clone()));
        }
        export.stop().await;
        assert_eq!(*endpoint.taken.lock(), names);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_hangs_delays_neither_a_span_nor_the_stop() {
        let endpoint = Endpoint { hangs: true, ..Endpoint::default() };
        let (provider, dropped, export) = begin(&endpoint);
        for _ in 0..QUEUE + 5 {
            drop(provider.tracer("test").start("span"));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 5, "the queue is bounded");
        export.stop().await;
        assert!(endpoint.taken.lock().is_empty());
    }
}
