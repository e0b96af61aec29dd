//! The store in memory keeps the contract.

use std::sync::Arc;

use flowmeter_model::{Clock, ManualClock};
use flowmeter_store::contract::histories::{Dice, tell_both};
use flowmeter_store::contract::{Opened, Surroundings};
use flowmeter_store::{MemoryConfig, MemoryStore};

fn open(surroundings: &Surroundings) -> Opened {
    let store = MemoryStore::new(MemoryConfig {
        clock: Arc::<ManualClock>::clone(&surroundings.clock) as Arc<dyn Clock>,
        is_alive: surroundings.is_alive(),
    });
    Opened {
        store: Arc::new(store),
        settle: Box::new(|| {}),
        holds: Box::new(()),
    }
}

flowmeter_store::store_contract!(super::open);

/// That random histories of all sizes can be told at all; what they find stands with the other backends.
#[test]
fn random_histories_can_be_told() {
    arbtest::arbtest(|u| {
        let mut dice = |limit: u64| u.int_in_range(0..=limit - 1).unwrap_or(0);
        tell_both(&open, &mut Dice(&mut dice));
        Ok(())
    })
    .budget_ms(2_000);
}
