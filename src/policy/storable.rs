//! storable
