//! OTLP for flowmeter: telemetry as protobuf and JSON, and the names of the GenAI conventions.
//!
//! Never sends anything: bytes in, bytes out.

#![forbid(unsafe_code)]
