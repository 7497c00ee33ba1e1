//! Beadle on AWS: the intake and the worker of `beadle serve`, as Lambda functions.
//!
//! ```text
//! API Gateway ─► intake ─► DynamoDB (deliveries, keys) ─► SQS: event, sweep ─► worker ─► vendors
//!                                    ▲                                          │
//!             EventBridge Scheduler ─┴── once a minute ─────────────────────────┘
//! ```
//!
//! Only the row of a key decides whether the key is due. A message only wakes a worker for the key.
//! If a message is lost, the key runs about a minute later. A repeated message has no effect.

pub mod environment;
pub mod intake;
pub mod invocation;
pub mod queues;
mod senders;
pub mod wakes;
