//! The `warmfront` command.

fn main() {}
