//! The integration tests, one binary.

mod origin;
