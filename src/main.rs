//! The `warmfront` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// The least memory per connection and object of those measured.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    warmfront::cli::main()
}
