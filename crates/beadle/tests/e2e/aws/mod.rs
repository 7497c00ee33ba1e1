//! Beadle on AWS: the packaged functions behind a gateway and queues.

mod burst;
mod deployment;
mod functions;
mod installations;
mod permissions;
