//! The program `beadle`, with the command line.

fn main() -> std::process::ExitCode {
    beadle::main()
}
