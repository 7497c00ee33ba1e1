//! Sends messages through an SMTP server.
//!
//! <https://www.rfc-editor.org/rfc/rfc5321>

use std::time::Duration;

use beadle_config::{EmailTls, NotifyEmailFile};
use beadle_engine::notify::Outgoing;
use beadle_secrets::{ExposeSecret as _, SecretString};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};

use super::email_message::message;
use super::http_post::SendFailure;
use super::text::Text;
use crate::config::email_address::address;
use crate::output::escape;

/// The maximum time to connect to the server.
const CONNECTING: Duration = Duration::from_secs(15);
/// The maximum time to wait while the connection closes. At that point, the server already has the
/// message.
const LEAVING: Duration = Duration::from_secs(2);
/// The only answer code that means that the server accepts the command DATA.
const GO_ON: u16 = 354;
/// The maximum length of an error from the server, in characters.
const ERROR: usize = 300;

/// The user name and the password for the server.
pub(super) struct SignIn {
    pub(super) user: SecretString,
    pub(super) password: SecretString,
}

/// Sends a message to the recipients of a channel. If the server refuses some recipients
/// permanently, the other recipients get the message. If the server refuses any recipient
/// temporarily, no recipient gets the message before the next try.
pub(super) async fn send(
    channel: &NotifyEmailFile,
    sign_in: Option<SignIn>,
    outgoing: &Outgoing,
    texts: &[Text],
) -> Result<(), SendFailure> {
    // Validation rejects an invalid address.
    let parsed = |text: &String| {
        address(text).ok_or_else(|| SendFailure::new(format!("`{}` is no address", text.escape_debug())))
    };
    let from = parsed(&channel.from)?;
    let to = channel.to.iter().map(parsed).collect::<Result<Vec<Address>, _>>()?;
    let message = message(outgoing, texts, &from, &to)?;
    let mut connection = connect(channel).await?;
    let sent = transmit(&mut connection, sign_in, &message, &from, &to).await;
    // The message has already been sent, so the answer to the last command does not matter.
    let _ = tokio::time::timeout(LEAVING, connection.abort()).await;
    sent
}

/// Connects to the server. The connection is encrypted. The configuration of the channel can turn
/// the encryption off, but only for a server on this machine.
async fn connect(channel: &NotifyEmailFile) -> Result<AsyncSmtpConnection, SendFailure> {
    let server = channel.server.as_str();
    let failed = |error: Error| failure("cannot connect to the server", &error);
    let tls = || TlsParameters::new(server.to_owned()).map_err(failed);
    let from_the_start = match channel.tls {
        EmailTls::Implicit => Some(tls()?),
        EmailTls::Starttls | EmailTls::None => None,
    };
    let (place, name) = ((server, channel.port()), ClientId::default());
    let connecting =
        AsyncSmtpConnection::connect_tokio1(place, Some(CONNECTING), &name, from_the_start, None);
    let mut connection = connecting.await.map_err(failed)?;
    if channel.tls == EmailTls::Starttls {
        if !connection.can_starttls() {
            let why = "the server does not offer STARTTLS, and Beadle sends nothing without TLS";
            return Err(SendFailure::new(why));
        }
        let started = connection.starttls(tls()?, &name).await;
        started.map_err(|error| failure("the server does not begin TLS", &error))?;
    }
    if channel.tls != EmailTls::None && !connection.is_encrypted() {
        return Err(SendFailure::new("the connection to the server is not encrypted"));
    }
    Ok(connection)
}

/// Signs in, and transmits a message.
async fn transmit(
    connection: &mut AsyncSmtpConnection,
    sign_in: Option<SignIn>,
    message: &Message,
    from: &Address,
    to: &[Address],
) -> Result<(), SendFailure> {
    if let Some(SignIn { user, password }) = sign_in {
        let (user, password) = (user.expose_secret().to_owned(), password.expose_secret().to_owned());
        let signed_in = connection.auth(DEFAULT_MECHANISMS, &Credentials::new(user, password)).await;
        signed_in.map_err(|error| refused_sign_in(&error))?;
    }
    let sender = connection.command(Mail::new(Some(from.clone()), Vec::new())).await;
    sender.map_err(|error| failure(&format!("the server refuses the sender {from}"), &error))?;
    let mut refused = Vec::new();
    for one in to {
        if let Err(error) = connection.command(Rcpt::new(one.clone(), Vec::new())).await {
            let why = failure(&format!("the server refuses the recipient {one}"), &error);
            // If one recipient has no mailbox, the other recipients must still get the message.
            if !error.is_permanent() || refused.len() + 1 == to.len() {
                return Err(why);
            }
            refused.push(why.text);
        }
    }
    let ready = connection.command(Data).await;
    let ready = ready.map_err(|error| failure("the server refuses the message", &error))?;
    // An attacker in the network can add an answer before TLS begins. Each later command would then
    // get the answer to the previous command. Beadle would then treat a refused message as
    // accepted.
    if !ready.has_code(GO_ON) {
        let why = format!("the server answers DATA with {}, expected {GO_ON}", ready.code());
        return Err(SendFailure::new(why));
    }
    match connection.message(&message.formatted()).await {
        Ok(_) => {
            for why in refused {
                tracing::warn!(why, "e-mail sent without a recipient");
            }
            Ok(())
        }
        Err(error) => Err(SendFailure {
            // The cause of a temporary refusal (4xx) might not be the content.
            refuses_content: error.is_permanent(),
            ..failure("the server refuses the message", &error)
        }),
    }
}

/// Returns the failure of a sign-in. The failure does not contain the server's error text, because
/// this text could contain the password.
fn refused_sign_in(error: &Error) -> SendFailure {
    SendFailure::new(match error.status() {
        Some(code) => format!("the server refuses the sign-in with {code}: check `user` and `password`"),
        None if error.is_client() => "the server does not offer AUTH with PLAIN or LOGIN".to_owned(),
        None => "the connection to the server ended during the sign-in".to_owned(),
    })
}

fn failure(what: &str, error: &Error) -> SendFailure {
    let error = escape::escaped(escape::cut(&error.to_string(), ERROR));
    SendFailure::new(format!("{what}: {error}"))
}
