//! Whole answers, and those that are none.

use super::*;

#[test]
fn answers_that_were_cut_filtered_or_empty_are_not_whole() {
    for whole in [
        None,
        Some("stop"),
        Some("end_turn"),
        Some("STOP"),
        Some("stop_sequence"),
        Some("COMPLETE"),
    ] {
        assert!(is_whole("text", whole), "{whole:?}");
        assert!(!is_whole("", whole), "{whole:?}");
    }
    for cut in [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "content_filter",
        "SAFETY",
        "refusal",
        "model_length",
    ] {
        assert!(!is_whole("text", Some(cut)), "{cut}");
    }
}
