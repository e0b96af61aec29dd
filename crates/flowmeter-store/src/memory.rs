//! History in memory: naive, and for that reason obviously right. It is what every other backend is compared with, and
//! serves tests and programs that live shortly.
//!
//! Looks at everything for each question. Never drops anything by itself: whoever uses it for long calls
//! [`Store::retain`].

mod history;
mod kept_run;
mod queries;
mod removal;

use std::ops::ControlFlow;
use std::sync::Arc;

use flowmeter_model::{Clock, Span, SpanId};
use parking_lot::Mutex;

use crate::sqlite::IsAlive;
use crate::{
    Append, ForgetSelector, Forgotten, LogFilter, Retention, RunDetail, RunFilter, RunKey, RunOrder, RunRow,
    SearchHit, SearchQuery, SpanFilter, SpanRow, StatsQuery, StatsRow, Store, StoreError, StoredLog,
};
use history::History;

/// How a store in memory is made.
#[derive(Clone)]
pub struct MemoryConfig {
    /// The time now.
    pub clock: Arc<dyn Clock>,
    /// Tells whether a process still lives.
    pub is_alive: IsAlive,
}

/// A history in memory.
pub struct MemoryStore {
    config: MemoryConfig,
    history: Mutex<History>,
}

impl MemoryStore {
    /// An empty history.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        Self {
            config,
            history: Mutex::new(History::default()),
        }
    }
}

/// Visits what was gathered under the lock, so that a visitor may ask the store something else.
fn hand_out<T>(things: Vec<T>, visit: &mut dyn FnMut(T) -> ControlFlow<()>) {
    for thing in things {
        if visit(thing).is_break() {
            return;
        }
    }
}

impl Store for MemoryStore {
    fn append(&self, append: Append) -> Result<(), StoreError> {
        self.history.lock().append(append);
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn runs(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<RunRow>, StoreError> {
        Ok(self
            .history
            .lock()
            .runs(&self.config, filter, order, limit, offset))
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunDetail>, StoreError> {
        let history = self.history.lock();
        Ok(history.run(key).map(|run| run.detail(&self.config)))
    }

    fn spans(&self, key: &RunKey, visit: &mut dyn FnMut(Span) -> ControlFlow<()>) -> Result<(), StoreError> {
        let spans = self
            .history
            .lock()
            .run(key)
            .map_or_else(Vec::new, kept_run::KeptRun::spans_in_order);
        hand_out(spans, visit);
        Ok(())
    }

    fn span(&self, key: &RunKey, span_id: SpanId) -> Result<Option<Span>, StoreError> {
        let history = self.history.lock();
        Ok(history.run(key).and_then(|run| run.span(span_id)))
    }

    fn span_rows(&self, key: &RunKey) -> Result<Vec<SpanRow>, StoreError> {
        let history = self.history.lock();
        Ok(history
            .run(key)
            .map_or_else(Vec::new, kept_run::KeptRun::rows_in_order))
    }

    fn scan(
        &self,
        filter: &SpanFilter,
        visit: &mut dyn FnMut(&SpanRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let rows = self.history.lock().scan(&self.config, filter);
        hand_out(rows, &mut |row| visit(&row));
        Ok(())
    }

    fn logs(
        &self,
        filter: &LogFilter,
        visit: &mut dyn FnMut(StoredLog) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let logs = self.history.lock().logs(&self.config, filter);
        hand_out(logs, visit);
        Ok(())
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<SearchHit>, StoreError> {
        self.history.lock().search(&self.config, query)
    }

    fn stats(&self, query: &StatsQuery) -> Result<Vec<StatsRow>, StoreError> {
        Ok(self.history.lock().stats(&self.config, query))
    }

    fn forget(&self, selector: &ForgetSelector) -> Result<Forgotten, StoreError> {
        Ok(self.history.lock().forget(&self.config, selector))
    }

    fn retain(&self, retention: &Retention) -> Result<Forgotten, StoreError> {
        Ok(self.history.lock().retain(&self.config, retention))
    }
}
