//! Runs the worker as a Lambda function.

mod emf_metrics;
mod worker;

pub(crate) use worker::Looked;
pub use worker::main as worker;
