//! Sends a message to the receiver of a channel.

use beadle_config::NotifyFile;
use beadle_engine::Time;
use beadle_engine::notify::Outgoing;
use beadle_secrets::SecretString;
use parking_lot::Mutex;

pub(crate) use super::http_post::SendFailure;
use super::http_post::{client, send};
use super::smtp::SignIn;
use super::template::Templates;
use super::text::Text;
use super::{issues, microsoft_teams_message, slack_message, smtp, webhook_message};
use crate::app::application::App;

/// The client that all channels share.
#[derive(Default)]
pub(crate) struct Sender(Mutex<Option<reqwest::Client>>);

impl Sender {
    /// Sends a message, and waits for the answer of the receiver. Reads the secrets of the channel
    /// each time, so that a new value needs no restart.
    pub(crate) async fn send(
        &self,
        app: &App,
        channel: &NotifyFile,
        outgoing: &Outgoing,
        now: Time,
    ) -> Result<(), SendFailure> {
        let secret = |reference: &str| -> Result<SecretString, SendFailure> {
            let what = format!("a secret of the channel {}", channel.name);
            app.config.secret(reference, &what).map_err(|error| SendFailure::new(format!("{error:#}")))
        };
        let templates = Templates::of(channel);
        let texts: Vec<Text> = outgoing.items.iter().map(|item| templates.text(item)).collect();
        if let Some(place) = &channel.github {
            return issues::send(app, &channel.name, place, outgoing, &texts, now).await;
        }
        if let Some(email) = &channel.email {
            let sign_in = match (&email.user, &email.password) {
                (Some(user), Some(password)) => {
                    Some(SignIn { user: secret(user)?, password: secret(password)? })
                }
                _ => None,
            };
            return smtp::send(email, sign_in, outgoing, &texts).await;
        }
        let (address, post) = if let Some(reference) = &channel.slack {
            (secret(reference)?, slack_message::message(&texts))
        } else if let Some(reference) = &channel.teams {
            (secret(reference)?, microsoft_teams_message::message(&texts))
        } else if let Some(receiver) = &channel.webhook {
            let secrets = receiver.secrets.iter().map(|reference| secret(reference));
            let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
            (
                secret(&receiver.url)?,
                webhook_message::message(outgoing, &texts, &channel.name, &secrets, now)?,
            )
        } else {
            // Validation rejects a channel without a receiver.
            return Err(SendFailure::new("the channel has no receiver"));
        };
        send(&self.client()?, &address, post).await
    }

    fn client(&self) -> Result<reqwest::Client, SendFailure> {
        let mut known = self.0.lock();
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let new = client()?;
        *known = Some(new.clone());
        Ok(new)
    }
}
