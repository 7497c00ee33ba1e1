//! The interface of an identity provider, such as GitHub.

use async_trait::async_trait;

use super::person::Person;
use super::role::Role;

/// The values that Beadle sends to the provider to begin a sign-in.
pub struct Challenge {
    /// The value that the browser brings back from the provider.
    pub state: String,
    /// The value that the ID token must contain.
    pub nonce: String,
    /// The digest of the verifier (RFC 7636, method `S256`).
    pub code_challenge: String,
    /// The address to which the provider sends the browser back.
    pub redirect: String,
}

/// The values that Beadle exchanges for the identity of a person.
pub struct Proof {
    /// The code that the browser brought back.
    pub code: String,
    /// The verifier of the challenge (RFC 7636).
    pub verifier: String,
    /// The value that the ID token must contain.
    pub nonce: String,
    /// The address to which the provider sent the browser back.
    pub redirect: String,
}

/// The reason why a provider did not identify a person. The text contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInFailure(pub String);

/// The present rights of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The role of the person. `None` if the person has no role.
    Role(Option<Role>),
    /// The provider reports the groups of a person only when the person signs in.
    KnownAtSignIn,
}

/// Identifies people.
#[async_trait]
pub trait IdentityProvider: Send + Sync + 'static {
    /// Returns the name of the provider.
    fn name(&self) -> &'static str;
    /// Returns a text that identifies the configuration: the address of the provider, and the teams
    /// or groups that give a role. If this text changes, earlier sessions are no longer valid.
    fn setup(&self) -> String;
    /// Returns the address for the sign-in of a person.
    async fn address(&self, challenge: &Challenge) -> Result<String, SignInFailure>;
    /// Exchanges a code for the person and the person's role.
    async fn identify(&self, proof: &Proof) -> Result<(Person, Option<Role>), SignInFailure>;
    /// Returns the present rights of a person.
    async fn standing(&self, person: &Person) -> Result<Standing, SignInFailure>;
}
