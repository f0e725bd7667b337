//! How a failure is told to the viewer.
