//! Invalidations, beyond the ledger that makes them hold.

pub mod sweep;
