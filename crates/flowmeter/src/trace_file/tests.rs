//! Unit tests of the trace file.
