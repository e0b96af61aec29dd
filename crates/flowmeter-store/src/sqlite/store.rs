//! The store's methods: each hands its question on to the module that answers it.
//!
//! Never holds SQL.

use std::ops::ControlFlow;

use flowmeter_model::{Span, SpanId, TelemetryEvent};

use super::read::spans::{StoredSpans, run_of};
use super::read::{detail, logs, runs, scan};
use super::writer::WriterThread;
use super::{SqliteConfig, SqliteStore, search};
use crate::{
    Append, ForgetSelector, Forgotten, LogFilter, MemoryConfig, MemoryStore, Retention, RunDetail, RunEnd,
    RunFilter, RunKey, RunOrder, RunRow, RunStart, RunStatus, SearchHit, SearchQuery, SpanFilter, SpanRow,
    StatsQuery, StatsRow, Store, StoreError, StoredLog,
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
        self.ask(|connection| runs::runs(connection, &self.config, filter, order, limit, offset))
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
        self.ask(|connection| search::search(connection, &self.config, &self.texts, query))
    }

    fn stats(&self, query: &StatsQuery) -> Result<Vec<StatsRow>, StoreError> {
        self.in_memory()?.stats(query)
    }

    fn forget(&self, selector: &ForgetSelector) -> Result<Forgotten, StoreError> {
        super::forget::forget(self, selector)
    }

    fn retain(&self, retention: &Retention) -> Result<Forgotten, StoreError> {
        super::retain::retain(self, retention)
    }
}

impl SqliteStore {
    /// Everything in memory, for questions that have no way of their own yet.
    fn in_memory(&self) -> Result<MemoryStore, StoreError> {
        let SqliteConfig { clock, is_alive, .. } = &self.config;
        let memory = MemoryStore::new(MemoryConfig {
            clock: clock.clone(),
            is_alive: is_alive.clone(),
        });
        let rows = self.runs(&RunFilter::default(), RunOrder::Started, usize::MAX, 0)?;
        for row in rows.into_iter().rev() {
            let Some(detail) = self.run(&row.key)? else {
                continue;
            };
            memory.append(Append::Began(Box::new(RunStart {
                key: row.key,
                parent_span_id: row.parent_span_id,
                workflow: row.workflow.clone(),
                started: row.started,
                sampled: row.sampled,
                origin: row.origin.clone(),
                resource: detail.resource,
                process: detail.process,
            })))?;
            let mut events = Vec::new();
            self.spans(&row.key, &mut |span| {
                events.push(TelemetryEvent::SpanEnded(Box::new(span)));
                ControlFlow::Continue(())
            })?;
            let of_run = LogFilter {
                run: Some(row.key),
                ..LogFilter::default()
            };
            self.logs(&of_run, &mut |log| {
                events.push(TelemetryEvent::Log(row.key.trace_id, Box::new(log.record)));
                ControlFlow::Continue(())
            })?;
            memory.append(Append::Events(row.key, events))?;
            if let (RunStatus::Ok | RunStatus::Error | RunStatus::Cancelled, Some(ended)) =
                (row.status, row.ended)
            {
                memory.append(Append::Ended(Box::new(RunEnd {
                    key: row.key,
                    ended,
                    status: row.status,
                    error: row.error,
                    sampled: row.sampled,
                    nodes: row.nodes,
                    llm_calls: row.llm_calls,
                    tokens: row.tokens,
                    cost: row.cost,
                    saved: row.saved,
                    metrics: detail.metrics.unwrap_or_default(),
                })))?;
            }
        }
        Ok(memory)
    }
}
