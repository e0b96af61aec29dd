//! Unit tests of the layer.
