//! The program of the worker as a Lambda function.

fn main() -> std::process::ExitCode {
    beadle::aws::worker()
}
