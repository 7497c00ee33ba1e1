//! Changes the access to the whole organisation: the roles of teams and accounts, and blocked
//! accounts.

use beadle_engine::Failure;
use beadle_transport::{Method, Path};

use crate::fresh::{FRESH, TRIES};
use crate::grantee::{Confirmed, Grantee, Purpose};
use crate::write::Writer;

impl Writer {
    /// `PUT /orgs/{org}/organization-roles/teams/{team_slug}/{role_id}`: assigns a role of the
    /// organisation to a team. The path for a user is similar.
    pub async fn assign_role(&self, whom: &Grantee, role: u64) -> Result<(), Failure> {
        self.write_role(Method::PUT, (whom, Purpose::Grant), role).await
    }

    /// `DELETE /orgs/{org}/organization-roles/teams/{team_slug}/{role_id}`: removes a role of the
    /// organisation from a team. The path for a user is similar.
    pub async fn unassign_role(&self, whom: &Grantee, role: u64) -> Result<(), Failure> {
        self.write_role(Method::DELETE, (whom, Purpose::Remove), role).await
    }

    /// `PUT /orgs/{org}/blocks/{username}`: blocks an account.
    pub async fn block(&self, account: &Grantee) -> Result<(), Failure> {
        self.write_block(Method::PUT, (account, Purpose::Grant)).await
    }

    /// `DELETE /orgs/{org}/blocks/{username}`: unblocks an account.
    pub async fn unblock(&self, account: &Grantee) -> Result<(), Failure> {
        self.write_block(Method::DELETE, (account, Purpose::Remove)).await
    }

    async fn write_role(
        &self,
        method: Method,
        (whom, purpose): (&Grantee, Purpose),
        role: u64,
    ) -> Result<(), Failure> {
        let list = whom.list();
        let path = |roles: Path, confirmed: &Confirmed| {
            roles.then("organization-roles").then(list).value(confirmed.name()).id(role)
        };
        self.write_to(method, (whom, purpose), path).await
    }

    async fn write_block(
        &self,
        method: Method,
        (account, purpose): (&Grantee, Purpose),
    ) -> Result<(), Failure> {
        let path = |blocks: Path, confirmed: &Confirmed| blocks.then("blocks").value(confirmed.name());
        self.write_to(method, (account, purpose), path).await
    }

    /// Sends a write to a path below the organisation. `path` builds the path from the name of a
    /// team or an account. If the write has to wait, another team or account can take the name in
    /// the meantime. Beadle then looks up the name again.
    async fn write_to(
        &self,
        method: Method,
        (whom, purpose): (&Grantee, Purpose),
        path: impl Fn(Path, &Confirmed) -> Path + Send,
    ) -> Result<(), Failure> {
        let api = self.api();
        let mut tries = 0;
        loop {
            let confirmed = whom.confirm(api, purpose).await?;
            let path = path(Path::at("orgs").value(api.organisation()), &confirmed);
            match api.write_by(method.clone(), &path, None, confirmed.asked() + FRESH).await {
                Err(error) if error.is_late() && tries < TRIES => tries += 1,
                written => return written.map(drop).map_err(Failure::from),
            }
        }
    }
}
