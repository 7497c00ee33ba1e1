//! What only runs on AWS: the worker as a Lambda function.

mod figures;
mod worker;

pub use worker::main as worker;
