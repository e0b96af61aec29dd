//! Nothing by itself: this package is the place of the benchmarks that measure flowmeter beside its peers.
//!
//! Never part of the workspace, so that the peers' dependencies are not the project's own.

#![forbid(unsafe_code)]
