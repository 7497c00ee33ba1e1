//! The AWS shape: the same intake and the same worker behind API Gateway, Lambda, SQS and DynamoDB.
//!
//! ```text
//! API Gateway ─► intake ─► DynamoDB (deliveries, keys) ─► SQS: event, sweep ─► worker ─► vendors
//!                                    ▲                                          │
//!             EventBridge Scheduler ─┴── once a minute ─────────────────────────┘
//! ```
//!
//! A key's row is the truth, and a message only wakes a worker for it: a message that is lost costs a minute, one that comes
//! twice is deleted.

pub mod environment;
pub mod intake;
pub mod invocation;
pub mod queues;
mod senders;
pub mod wakes;
