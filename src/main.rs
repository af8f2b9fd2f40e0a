//! The `chimein` binary: hands the command line to the library and ends with its exit code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives memory back to the system once it has been free for a second, by a thread of its own: after an
/// attack or a rush the program is as small as before. `.cargo/config.toml` says how it behaves.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    chimein::cli::main()
}
