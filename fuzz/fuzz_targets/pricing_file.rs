//! `flowmeter_fuzz::pricing_file`, driven by libFuzzer.
//!
//! Never checks anything by itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flowmeter_fuzz::pricing_file(input));
