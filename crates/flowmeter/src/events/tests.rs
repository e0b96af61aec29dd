//! Unit tests of event lines: every line to the byte, and back without loss; and what is made of any line at all.

mod blocks;
mod formats;
mod hostile;
mod nesting;
mod problems;
mod roundtrip;
mod scanning;
mod streams;
