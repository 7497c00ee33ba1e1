//! The AWS shape: the functions, as they are packaged, behind a gateway and queues.

mod burst;
mod deployment;
mod functions;
mod permissions;
