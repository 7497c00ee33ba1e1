//! Sends requests over a number of connections. Each connection sends its next request after the
//! answer to its previous request. The sender writes HTTP/1.1 itself, so that the sender needs
//! little processor time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clock::now;

/// The rate and the answer times of a load test.
pub(crate) struct Measured {
    /// The number of answers in a second.
    pub(crate) rate: f64,
    /// The answer times in ms, in ascending order.
    times: Vec<f64>,
}

impl Measured {
    /// Returns a percentile of the answer times in ms.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.times.get(self.times.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0.0)
    }

    /// Combines load tests that ran at the same time.
    pub(crate) fn together(all: Vec<Self>) -> Self {
        let rate = all.iter().map(|one| one.rate).sum();
        let mut times: Vec<f64> = all.into_iter().flat_map(|one| one.times).collect();
        times.sort_by(f64::total_cmp);
        Self { rate, times }
    }
}

/// The options of a load test.
pub(crate) struct Load<'a> {
    /// The port of the service.
    pub(crate) port: u16,
    /// The body of each request.
    pub(crate) body: &'a str,
    /// The signature of the body, for the header.
    pub(crate) tag: &'a str,
    /// The prefix of the delivery ids. Each load test needs a new prefix, because Beadle does not
    /// store a delivery with a known id again.
    pub(crate) ids: &'a str,
    /// The number of connections.
    pub(crate) connections: usize,
    /// How long the load test runs.
    pub(crate) time: Duration,
}

/// Sends the same body repeatedly, each time with a new delivery id.
pub(crate) async fn run(load: &Load<'_>) -> anyhow::Result<Measured> {
    let started = now();
    let until = started + load.time;
    let senders = (0..load.connections).map(|n| {
        let (port, body, tag, ids) =
            (load.port, load.body.to_owned(), load.tag.to_owned(), format!("{}-{n}", load.ids));
        tokio::spawn(async move { sender(port, &ids, &body, &tag, until).await })
    });
    let mut times = Vec::new();
    for sender in futures::future::join_all(senders.collect::<Vec<_>>()).await {
        times.extend(sender??);
    }
    let seconds = started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let count = u32::try_from(times.len())?;
    Ok(Measured { rate: f64::from(count) / seconds, times })
}

async fn sender(port: u16, ids: &str, body: &str, tag: &str, until: Instant) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = vec![0; 4096];
    let mut round = 0;
    while now() < until {
        let request = format!(
            "POST /hooks/github HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             x-github-event: repository\r\nx-github-delivery: {ids}-{round}\r\nx-hub-signature-256: {tag}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let started = now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut buffer).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        round += 1;
    }
    Ok(times)
}

/// Reads one answer, which must be 2xx.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await?;
        if read == 0 {
            bail!("the connection was closed");
        }
        have += read;
        let text = std::str::from_utf8(&buffer[..have])?;
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 2") {
            bail!("answered {text}");
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length: usize = length.context("no content-length")?.trim().parse()?;
        if rest.len() >= length {
            return Ok(());
        }
    }
}
