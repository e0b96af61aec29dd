//! Hits, misses and savings, added up.

use super::super::{Aggregator, LlmSample};
use super::*;

fn hit<'a>(model: &'a str, saved: &'a Cost) -> CacheHitSample<'a> {
    CacheHitSample {
        model,
        input_tokens: Some(1_000),
        output_tokens: Some(100),
        saved,
    }
}

#[test]
fn hits_are_no_calls_and_misses_are() {
    let mut sums = Aggregator::new();
    let cost = Cost::known(CostStatus::Priced, UsdNanos(500), None);
    let asked = LlmSample {
        cache_missed: true,
        input_tokens: Some(1_000),
        output_tokens: Some(100),
        ..LlmSample::new("a", &cost)
    };
    sums.llm_call_ended("n", &asked);
    for _ in 0..3 {
        sums.llm_cache_hit("n", &hit("a", &cost));
    }
    let seen = sums.snapshot();
    let llm = &seen.llm.llm;
    assert_eq!(
        (llm.calls, llm.total_tokens(), llm.cost.known),
        (1, 1_100, UsdNanos(500))
    );
    assert_eq!(
        (llm.cache.hits, llm.cache.misses, llm.cache.hit_rate()),
        (3, 1, Some(0.75))
    );
    assert_eq!(
        (llm.cache.saved_tokens(), llm.cache.saved_cost.known),
        (3_300, UsdNanos(1_500))
    );
    // The same by node and by model.
    assert_eq!(seen.nodes[0].1.llm, *llm);
    assert_eq!(seen.models[0].1.llm, *llm);
    let json = seen.to_json();
    assert_eq!(json["cache"], json["nodes"]["n"]["cache"]);
    assert_eq!(json["cache"], json["models"]["a"]["cache"]);
    assert_eq!(json["cache"]["hit_rate"], 0.75);
}

#[test]
fn what_is_not_known_of_a_saving_is_said() {
    let mut sums = Aggregator::new();
    sums.llm_cache_hit("", &hit("a", &Cost::unpriced()));
    let of = |sums: &Aggregator| sums.snapshot().llm.llm.cache_json();
    assert_eq!(of(&sums)["saved_cost_usd"], Value::Null);
    assert_eq!(of(&sums)["saved_cost_status"], "unpriced");
    sums.llm_cache_hit(
        "",
        &hit(
            "b",
            &Cost::known(CostStatus::Estimated, UsdNanos(1_000_000), None),
        ),
    );
    assert_eq!(of(&sums)["saved_cost_usd"], 0.001);
    assert_eq!(of(&sums)["saved_cost_status"], "partial");
    assert_eq!(of(&sums)["saved_unpriced_calls"], 1);
    // A run in which nobody looked anything up has no rate.
    assert_eq!(
        Aggregator::new().snapshot().llm.llm.cache_json()["hit_rate"],
        Value::Null
    );
}

#[test]
fn sums_of_sums_are_the_sums_of_all() {
    let cost = Cost::known(CostStatus::Priced, UsdNanos(7), None);
    let (mut both, mut first, mut second) = (Aggregator::new(), Aggregator::new(), Aggregator::new());
    for (number, part) in [&mut first, &mut second].into_iter().enumerate() {
        let call = LlmSample {
            cache_read_tokens: Some(10),
            provider_cache_saved: (number == 0).then_some(UsdNanos(-3)),
            cache_missed: number == 0,
            ..LlmSample::new("a", &cost)
        };
        for sums in [part, &mut both] {
            sums.llm_call_ended("n", &call);
            sums.llm_cache_hit("n", &hit("a", &cost));
        }
    }
    first.merge(&second);
    assert_eq!(first.snapshot().llm.llm, both.snapshot().llm.llm);
    let cache = both.snapshot().llm.llm.cache;
    assert_eq!(cache.provider_saved_cost(), Some(UsdNanos(-3)));
    assert_eq!(cache.provider_saved_status(), CostStatus::Partial);
}

#[test]
fn models_without_a_price_are_named_up_to_a_bound() {
    let mut totals = LlmTotals::default();
    let names: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    let unpriced = Cost::unpriced();
    for name in &names {
        totals.add_cache_hit(&hit(name, &unpriced));
    }
    assert!(totals.cache.saved_cost.unpriced_models.len() <= 33);
    assert_eq!(totals.cache.saved_cost.unpriced_calls, 100);
}
