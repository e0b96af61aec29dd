//! A year in memory, and what is said of it.

use std::sync::Arc;

use flowmeter_model::{ManualClock, TimestampNs};

use crate::insights::{
    Insight, InsightKind, InsightQuery, InsightReport, InsightScope, ModelRates, PriceLookup, insights,
};
use crate::synthetic::{Effect, Year};
use crate::{MemoryConfig, MemoryStore, Store};

/// The prices of the synthetic year, as far as caches go.
pub(super) struct YearPrices;

impl PriceLookup for YearPrices {
    fn rates(&self, _: &str, model: &str, _: TimestampNs) -> Option<ModelRates> {
        let (input, output) = if model.ends_with("mini") {
            (150_000_000, 600_000_000)
        } else {
            (2_500_000_000, 10_000_000_000)
        };
        Some(ModelRates {
            input,
            output,
            cache_read: Some(input / 2),
            cache_write: None,
        })
    }
}

pub(super) fn store_of(year: &Year) -> MemoryStore {
    let store = MemoryStore::new(MemoryConfig {
        clock: Arc::new(ManualClock::new(year.ends())),
        is_alive: Arc::new(|_| None),
    });
    for append in year.appends() {
        store.append(append).unwrap();
    }
    store
}

pub(super) fn report(year: &Year, scope: InsightScope) -> InsightReport {
    let store = store_of(year);
    let query = InsightQuery::new(scope, year.ends(), 0);
    insights(&store, &query, &YearPrices, &mut |_, _| {}).unwrap()
}

fn planted(seed: u64, effect: Effect) -> Vec<Insight> {
    report(&Year::new(seed, &[effect]), InsightScope::All).insights
}

#[test]
fn every_effect_is_found_and_nothing_else() {
    for effect in Effect::ALL {
        let found = planted(1, effect);
        println!("== {effect:?}");
        for insight in &found {
            println!("  {:?} {:?} {}", insight.kind, insight.size, insight.title);
            for line in &insight.evidence {
                println!("      {line}");
            }
            println!("    > {}", insight.suggestion);
        }
    }
    let _ = InsightKind::CostChange;
}
