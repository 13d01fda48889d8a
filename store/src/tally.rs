//! Stored counts.
