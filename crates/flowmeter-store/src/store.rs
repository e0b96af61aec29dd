//! What every backend of history can do.
//!
//! One contract test suite runs on all of them ([`crate::contract`]). Never assumes SQL, files or one machine.

use std::ops::ControlFlow;

use flowmeter_model::{Span, SpanId};

use crate::{
    Append, ForgetSelector, Forgotten, LogFilter, Retention, RunDetail, RunFilter, RunKey, RunOrder, RunRow,
    SearchHit, SearchQuery, SpanFilter, SpanRow, StatsQuery, StatsRow, StoreError, StoredLog,
};

/// A history of runs. All methods may be called from any thread; they block.
pub trait Store: Send + Sync {
    /// Takes something to be kept. Returns when it is accepted, which is before it is durable: at most 200 ms before.
    /// Waits while the queue is full, up to the backend's limit.
    ///
    /// # Errors
    /// [`StoreError::Full`] when it found no room, [`StoreError::DiskFull`] and others once writing has failed.
    fn append(&self, append: Append) -> Result<(), StoreError>;

    /// Waits until everything accepted so far is durable and can be queried.
    ///
    /// # Errors
    /// Why it could not be written.
    fn flush(&self) -> Result<(), StoreError>;

    /// Runs that a filter holds for.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn runs(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<RunRow>, StoreError>;

    /// Everything about one run but its spans and logs.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn run(&self, key: &RunKey) -> Result<Option<RunDetail>, StoreError>;

    /// The spans of a run that ended, in the order of their start (of those that started at once, by their ids), with
    /// everything that was kept of them. Logs stand apart. Handed out one by one, so that a run of any size can be read; `visit` ends it early.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn spans(&self, key: &RunKey, visit: &mut dyn FnMut(Span) -> ControlFlow<()>) -> Result<(), StoreError>;

    /// One span of a run, with everything that was kept of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn span(&self, key: &RunKey, span_id: SpanId) -> Result<Option<Span>, StoreError>;

    /// The rows of a run's spans, in the order of their start (of those that started at once, by their ids).
    ///
    /// # Errors
    /// When the store cannot be read.
    fn span_rows(&self, key: &RunKey) -> Result<Vec<SpanRow>, StoreError>;

    /// The rows of all spans that a filter holds for, newest batches first and in no promised order within them.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(
        &self,
        filter: &SpanFilter,
        visit: &mut dyn FnMut(&SpanRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Log lines, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn logs(
        &self,
        filter: &LogFilter,
        visit: &mut dyn FnMut(StoredLog) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Where a text stands, newest first. What is damaged is passed by, where anything else is found.
    ///
    /// # Errors
    /// When the store cannot be read, when nothing is found and something is damaged, and for a text without anything
    /// to look for.
    fn search(&self, query: &SearchQuery) -> Result<Vec<SearchHit>, StoreError>;

    /// The same, and what is damaged, so that it could not be searched, is told to `unreadable`.
    ///
    /// # Errors
    /// When the store cannot be read, and for a text without anything to look for.
    fn search_noting(
        &self,
        query: &SearchQuery,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<Vec<SearchHit>, StoreError> {
        let _all_can_be_read = unreadable;
        self.search(query)
    }

    /// Sums and percentiles. Spans count where they began; runs that have had their time ([`Store::retain`]) stay in the
    /// sums that need no look at single runs, by whole half-hours; forgotten runs are in none. Rows come in the order of
    /// time, or of their groups' names.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn stats(&self, query: &StatsQuery) -> Result<Vec<StatsRow>, StoreError>;

    /// Removes runs for good.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn forget(&self, selector: &ForgetSelector) -> Result<Forgotten, StoreError>;

    /// Removes some of what has had its time; a small step, to be called again until it removes nothing.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn retain(&self, retention: &Retention) -> Result<Forgotten, StoreError>;
}
