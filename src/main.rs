//! The `chimein` binary: hands the command line to the library and ends with its exit code.

use std::process::ExitCode;

/// Gives memory back to the system once it is free, unlike the system's own: after an attack the
/// program is as small as before.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chimein::cli::main()
}
