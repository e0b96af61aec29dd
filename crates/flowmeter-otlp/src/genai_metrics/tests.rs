//! The definitions, as the conventions have them.

use std::collections::BTreeSet;

use super::*;

#[test]
fn bounds_are_the_series_of_the_conventions() {
    for (index, bound) in CALL_SECONDS.iter().enumerate() {
        assert!((bound - 0.01 * f64::from(1 << index)).abs() < 1e-9);
    }
    for (index, bound) in TOKENS.iter().enumerate() {
        assert_eq!(*bound, 4_f64.powi(index as i32));
    }
}

#[test]
fn each_edition_lists_its_metrics_once() {
    let names = |conventions| {
        let all: Vec<&str> = genai_metrics(conventions).map(|metric| metric.name).collect();
        let set: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(set.len(), all.len());
        set
    };
    let latest = names(SemanticConventions::Latest);
    let older = names(SemanticConventions::V1_41);
    assert!(latest.contains(INFERENCE_DURATION) && !latest.contains(TOKEN_USAGE));
    assert!(older.contains(TOKEN_USAGE) && !older.contains(INFERENCE_DURATION));
    assert_eq!(names(SemanticConventions::Both), &latest | &older);
    assert_eq!(genai_metric(USAGE_INPUT_TOKENS).unwrap().unit, "{token}");
    assert!(genai_metric(USAGE_INPUT_TOKENS).unwrap().histogram().is_none());
    assert!(genai_metric("gen_ai.unheard_of").is_none());
}
