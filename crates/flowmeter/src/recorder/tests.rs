//! Unit tests of the recorder.
