//! Requests under way: of equal ones in this process only the first is sent, and the others wait for its answer.
//!
//! Never leaves anybody waiting: a leader that fails, or is dropped, makes one of those who wait the next leader.
//! The lock is held for a look into a map and never across an `.await`.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use super::entry::CachedAnswer;
use super::key::CacheKey;

/// What those who wait will see: nothing yet, or the answer.
type Promised = watch::Receiver<Option<Arc<CachedAnswer>>>;

/// The requests under way, by key.
#[derive(Default)]
pub(super) struct Flights {
    under_way: Mutex<FxHashMap<CacheKey, Promised>>,
}

/// Whose turn it is to ask.
pub(super) enum Turn {
    /// This caller's.
    Lead(Leader),
    /// Somebody else's: the answer will be here.
    Wait(Waiting),
}

/// Who asks for all. Dropped without an answer, another one takes over.
pub(super) struct Leader {
    flights: Arc<Flights>,
    key: CacheKey,
    answer: watch::Sender<Option<Arc<CachedAnswer>>>,
}

/// Who waits for somebody else's answer.
pub(super) struct Waiting(Promised);

impl Flights {
    pub(super) fn turn(self: &Arc<Self>, key: CacheKey) -> Turn {
        let mut under_way = self.under_way.lock();
        if let Some(promised) = under_way.get(&key) {
            return Turn::Wait(Waiting(promised.clone()));
        }
        let (answer, promised) = watch::channel(None);
        under_way.insert(key, promised);
        Turn::Lead(Leader {
            flights: Arc::clone(self),
            key,
            answer,
        })
    }
}

impl Leader {
    /// Gives the answer to all who wait.
    pub(super) fn answer(self, answer: Arc<CachedAnswer>) {
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Before the sender goes, so that whoever wakes up finds the place free.
        self.flights.under_way.lock().remove(&self.key);
    }
}

impl Waiting {
    /// The answer; `None` where its leader gave up.
    pub(super) async fn answer(mut self) -> Option<Arc<CachedAnswer>> {
        let answered = self.0.wait_for(Option::is_some).await;
        answered.ok().and_then(|answer| answer.clone())
    }
}

#[cfg(test)]
mod tests;
