//! The `offhook` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    offhook_server::cli::main()
}
