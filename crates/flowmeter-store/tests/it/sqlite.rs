//! The store in a file keeps the contract.

use std::sync::Arc;

use flowmeter_model::{Clock, ManualClock};
use flowmeter_store::contract::{Opened, Surroundings};
use flowmeter_store::{SqliteConfig, SqliteStore};

fn open(surroundings: &Surroundings) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::<ManualClock>::clone(&surroundings.clock) as Arc<dyn Clock>;
    let config = SqliteConfig::new(clock, surroundings.is_alive());
    let store = Arc::new(SqliteStore::open(&folder.path().join("flowmeter.db"), config).unwrap());
    let settled = Arc::clone(&store);
    Opened {
        store,
        settle: Box::new(move || settled.settle().unwrap()),
        holds: Box::new(folder),
    }
}

flowmeter_store::store_contract!(super::open);
