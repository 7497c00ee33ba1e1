//! Sends a message to the address of a channel.

use std::time::Duration;

use beadle_secrets::{ExposeSecret as _, SecretString};
use reqwest::{StatusCode, Url};

/// The maximum duration of one request.
const PATIENCE: Duration = Duration::from_secs(15);

/// The reason why a channel did not get a message. The text contains only the host name of the
/// address, because the rest of the address can be secret.
#[derive(Debug)]
pub(crate) struct SendFailure {
    /// The cause, and the advice for a person.
    pub(crate) text: String,
    /// The time that Beadle must wait before the next try, if the receiver asks for a wait.
    pub(crate) retry_after: Option<Duration>,
    /// True if the receiver refuses the content of the message.
    pub(crate) refuses_content: bool,
}

impl SendFailure {
    /// Creates a failure that does not set the time of the next try.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), retry_after: None, refuses_content: false }
    }
}

/// The body of a message and its headers. The content type is JSON.
pub(crate) struct Post {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Returns the client for all channels. The client does not follow redirects, so a message goes
/// only to the configured address.
pub(crate) fn client() -> Result<reqwest::Client, SendFailure> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("beadle/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .build();
    client.map_err(|error| SendFailure::new(format!("cannot create the HTTP client: {error}")))
}

/// Sends a message, and waits for the answer of the receiver.
pub(crate) async fn send(
    http: &reqwest::Client,
    address: &SecretString,
    post: Post,
) -> Result<(), SendFailure> {
    let mut request = http
        .post(checked(address)?)
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(post.body);
    for (name, value) in post.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| SendFailure::new(causes(error.without_url())))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let header = answer.headers().get(reqwest::header::RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    Err(SendFailure {
        text: refusal(status),
        retry_after: seconds.map(Duration::from_secs),
        refuses_content: refuses_content(status),
    })
}

/// Returns whether the receiver refuses the content of the message. In that case, the receiver
/// might accept a message with different content.
fn refuses_content(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 413 | 422)
}

/// Parses the address. The address must use HTTPS, unless the address is on this machine.
fn checked(address: &SecretString) -> Result<Url, SendFailure> {
    let url = Url::parse(address.expose_secret().trim());
    let is_local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)) => Ok(url),
        _ => Err(SendFailure::new("the address of the channel must begin with `https://`")),
    }
}

fn refusal(status: StatusCode) -> String {
    let hint = match status.as_u16() {
        401 | 403 | 404 | 410 => ": the webhook is revoked, or its address is wrong",
        429 => ": the receiver gets too many messages",
        _ if refuses_content(status) => ": the receiver refuses the content, and gets only titles now",
        _ => "",
    };
    format!("the receiver answered {status}{hint}")
}

/// Returns the message of an error, followed by the messages of its causes. The message of reqwest
/// itself does not contain the causes.
fn causes(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn no_redirect_is_followed_and_no_error_has_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let receiver = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"{}") && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
                let answer = format!(
                    "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{place}/internal\r\n\
                     content-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes()).await; // the client may have gone
            }
        });
        let address = SecretString::from(format!("http://{place}/hook/hunter2"));
        let sent = async || {
            let post = Post { headers: Vec::new(), body: "{}".into() };
            send(&client().unwrap(), &address, post).await.unwrap_err().text
        };
        let answered = sent().await;
        assert!(answered.contains("307") && !answered.contains("hunter2"), "{answered}");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
        receiver.abort();
        let _ = receiver.await; // the test has aborted this receiver
        let away = sent().await;
        assert!(!away.is_empty() && !away.contains("hunter2"), "{away}");
    }

    #[test]
    fn only_an_address_of_this_machine_may_be_unencrypted() {
        let is_fine = |address: &str| checked(&SecretString::from(address)).is_ok();
        for fine in
            ["https://hooks.example.com/a", "http://127.0.0.1:9/a", "http://[::1]:9/", " https://a.b/c\n"]
        {
            assert!(is_fine(fine), "{fine}");
        }
        for wrong in
            ["http://hooks.example.com/a", "ftp://a.b", "a.b/c", "", "http://127.0.0.1.evil.example/"]
        {
            let error = checked(&SecretString::from(wrong)).unwrap_err();
            assert!(!error.text.contains("example"), "{wrong}: {}", error.text);
        }
    }
}
