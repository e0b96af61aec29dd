//! Unit tests of event lines: every line to the byte, and back without loss.

mod roundtrip;
