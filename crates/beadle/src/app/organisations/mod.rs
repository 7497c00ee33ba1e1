pub(crate) mod configured;
pub(crate) mod github;
mod installation_limits;
pub(crate) mod installation_reading;
pub(crate) mod installations;
