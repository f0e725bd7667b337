//! The command line: what a person types.

pub mod check;
pub mod demo;
pub mod explain;
