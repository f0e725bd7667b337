//! The commands: they read arguments, print, and choose the exit code.

pub mod check;
