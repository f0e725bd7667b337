//! Header grammar.

pub mod host;
