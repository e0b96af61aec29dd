//! The store's methods: each hands its question on to the module that answers it.
//!
//! Never holds SQL.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use flowmeter_model::{Span, SpanId};

use super::read::spans::{StoredSpans, run_of};
use super::read::{detail, logs, runs, salvage, scan};
use super::writer::WriterThread;
use super::{SqliteStore, search};
use crate::{
    Append, ForgetSelector, Forgotten, LogFilter, Retention, RunDetail, RunFilter, RunKey, RunOrder, RunRow,
    SearchHit, SearchQuery, SpanFilter, SpanRow, StatsQuery, StatsRow, Store, StoreError, StoredLog,
};

impl Store for SqliteStore {
    fn append(&self, append: Append) -> Result<(), StoreError> {
        if let Some(writer) = &*self.writer.read() {
            return writer.append(append);
        }
        let mut writer = self.writer.write();
        let writer = match &mut *writer {
            Some(writer) => writer,
            none => none.insert(WriterThread::start(&self.path, &self.config)?),
        };
        writer.append(append)
    }

    fn flush(&self) -> Result<(), StoreError> {
        match &*self.writer.read() {
            Some(writer) => writer.flush(),
            None => Ok(()),
        }
    }

    fn runs(
        &self,
        filter: &RunFilter,
        order: RunOrder,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.ask(
            |connection| match runs::runs(connection, &self.config, filter, order, limit, offset) {
                // What is damaged must not hide the rest.
                Err(damage @ StoreError::Damaged { .. }) => {
                    let part = (limit, offset);
                    let found = salvage::runs(connection, &self.config, filter, order, part, damage)?;
                    self.is_damaged.store(true, Ordering::Relaxed);
                    Ok(found)
                }
                listed => listed,
            },
        )
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunDetail>, StoreError> {
        self.ask(|connection| detail::run(connection, &self.config, key))
    }

    fn spans(&self, key: &RunKey, visit: &mut dyn FnMut(Span) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.ask(|connection| match run_of(connection, key)? {
            Some(run) => StoredSpans::new(connection, &self.texts).visit(&run, visit),
            None => Ok(()),
        })
    }

    fn span(&self, key: &RunKey, span_id: SpanId) -> Result<Option<Span>, StoreError> {
        self.ask(|connection| match run_of(connection, key)? {
            Some(run) => StoredSpans::new(connection, &self.texts).find(&run, span_id),
            None => Ok(None),
        })
    }

    fn span_rows(&self, key: &RunKey) -> Result<Vec<SpanRow>, StoreError> {
        self.ask(|connection| match run_of(connection, key)? {
            Some(run) => StoredSpans::new(connection, &self.texts).rows(&run),
            None => Ok(Vec::new()),
        })
    }

    fn scan(
        &self,
        filter: &SpanFilter,
        visit: &mut dyn FnMut(&SpanRow) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.ask(|connection| scan::scan(connection, &self.config, &self.texts, filter, visit))
    }

    fn logs(
        &self,
        filter: &LogFilter,
        visit: &mut dyn FnMut(StoredLog) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.ask(|connection| logs::visit(connection, &self.config, filter, visit))
    }

    fn search(&self, query: &SearchQuery) -> Result<Vec<SearchHit>, StoreError> {
        let mut unreadable = Vec::new();
        let hits = self.search_noting(query, &mut |what| unreadable.push(what))?;
        if !unreadable.is_empty() {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        // Nothing found where not all was read is no answer.
        match unreadable.into_iter().next() {
            Some(what) if hits.is_empty() => Err(StoreError::Damaged { what }),
            _ => Ok(hits),
        }
    }

    fn search_noting(
        &self,
        query: &SearchQuery,
        unreadable: &mut dyn FnMut(String),
    ) -> Result<Vec<SearchHit>, StoreError> {
        self.ask(|connection| search::search(connection, &self.config, &self.texts, query, unreadable))
    }

    fn stats(&self, query: &StatsQuery) -> Result<Vec<StatsRow>, StoreError> {
        self.ask(|connection| super::stats::stats(connection, &self.config, &self.texts, query))
    }

    fn forget(&self, selector: &ForgetSelector) -> Result<Forgotten, StoreError> {
        super::forget::forget(self, selector)
    }

    fn retain(&self, retention: &Retention) -> Result<Forgotten, StoreError> {
        super::retain::retain(self, retention)
    }
}
