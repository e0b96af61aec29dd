//! The store in one SQLite file keeps the contract.

use std::sync::Arc;

use flowmeter_model::{Clock, ManualClock};
use flowmeter_store::contract::histories::{Dice, tell_both};
use flowmeter_store::contract::{Opened, Surroundings};
use flowmeter_store::{SqliteConfig, SqliteStore};

fn open(surroundings: &Surroundings) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::<ManualClock>::clone(&surroundings.clock) as Arc<dyn Clock>;
    let config = SqliteConfig::new(clock, surroundings.is_alive());
    let store = SqliteStore::open(&folder.path().join("flowmeter.db"), config).unwrap();
    Opened {
        store: Arc::new(store),
        settle: Box::new(|| {}),
        holds: Box::new(folder),
    }
}

flowmeter_store::store_contract!(super::open);

/// Random histories are answered as the store in memory answers them.
#[test]
fn random_histories_are_answered_alike() {
    arbtest::arbtest(|u| {
        let mut dice = |limit: u64| u.int_in_range(0..=limit - 1).unwrap_or(0);
        tell_both(&open, &mut Dice(&mut dice));
        Ok(())
    })
    .budget_ms(3_000);
}
