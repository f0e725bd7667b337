//! What docs/security.md promises: that every case has its test, and what takes a whole daemon.

mod cases;
mod logs;
mod resources;
