//! The binary. Everything is in the library, so that the compiler makes the code of a future once.

use std::process::ExitCode;

fn main() -> ExitCode {
    rollbook::cli::main()
}
