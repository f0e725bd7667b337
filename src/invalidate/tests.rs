//! What orders are resolved to, and what becomes of them.
