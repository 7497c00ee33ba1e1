//! Beadle on AWS: the same intake and the same worker behind API Gateway, Lambda, SQS and DynamoDB.
//!
//! ```text
//! API Gateway ─► intake ─► DynamoDB (deliveries, keys) ─► SQS: event, sweep ─► worker ─► vendors
//!                                    ▲                                          │
//!             EventBridge Scheduler ─┴── once a minute ─────────────────────────┘
//! ```
//!
//! The row of a key decides, and a message only wakes a worker for the key. A lost message costs a
//! minute. A repeated message has no effect.

pub mod environment;
pub mod intake;
pub mod invocation;
pub mod queues;
mod senders;
pub mod wakes;
