//! Header grammar.
