//! The benchmarks of Beadle. Figures that are compared come from the same run. `cargo xtask bench`
//! builds the release binary that they use.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod bare;
mod burst;
mod calls;
mod clock;
mod coldstart;
mod directory;
mod folder;
mod fresh;
mod intake;
mod load;
mod runtime;
mod service;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["calls"] => calls::run().await,
        ["directory"] => directory::run().await,
        ["coldstart"] => coldstart::run().await,
        ["burst"] => burst::run().await,
        ["fresh"] => fresh::run().await,
        ["intake"] => intake::run().await,
        // `intake` starts this program as a child process with this argument, and writes the secret
        // to standard input.
        ["bare", port] => bare::run(port.parse()?).await,
        _ => anyhow::bail!("specify `calls`, `burst`, `fresh`, `directory`, `intake` or `coldstart`"),
    }
}
