//! The reasons why a sign-in can fail.

/// The reason why a person is not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The sign-in did not begin in this browser, took too long, or was already used.
    Unexpected,
    /// The browser asked for the sign-in because another page contains its address, for example as
    /// an image.
    Embedded,
    /// The provider sent the person back without a code.
    Refused,
    /// The provider did not identify the person, or the role is unknown.
    Failed,
    /// The person has no role.
    NoRole(String),
    /// Too many people sign in at the same time.
    TooMany,
    /// The store does not answer.
    Unavailable(String),
}

impl Problem {
    /// Returns the text for the person. The text contains nothing from the provider.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unexpected => {
                "this sign-in did not begin in this browser, or it is too old: sign in again".to_owned()
            }
            Self::Embedded => "a sign-in cannot be a part of another page: open its address".to_owned(),
            Self::Refused => "the provider refused the sign-in".to_owned(),
            Self::Failed => {
                "the provider did not confirm who you are: the log of the service has the reason".to_owned()
            }
            Self::NoRole(name) => {
                format!("{name} has no role here: a team or a group of `server.sign_in` gives a role")
            }
            Self::TooMany => "too many sign-ins: try again in a minute".to_owned(),
            Self::Unavailable(why) => why.clone(),
        }
    }
}
