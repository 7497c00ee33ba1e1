//! The program that runs the intake as a Lambda function.

use beadle_aws::environment::log_level;
use beadle_aws::intake::Function;
use lambda_http::{Error, Request, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let log = tracing_subscriber::fmt().with_max_level(log_level()).with_target(false);
    log.json().flatten_event(true).with_writer(std::io::stderr).init();
    let function = Function::open()
        .await
        .inspect_err(|error| tracing::error!(%error, "intake function failed to start"))?;
    lambda_http::run(service_fn(async |request: Request| Ok::<_, Error>(function.answer(request).await)))
        .await
}
