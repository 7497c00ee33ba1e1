//! The program `beadle`, which runs the commands of the command line.

fn main() -> std::process::ExitCode {
    beadle::main()
}
