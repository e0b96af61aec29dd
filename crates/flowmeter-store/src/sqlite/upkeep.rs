//! Looking after the file: is all well, making it smaller, copying it.
//!
//! Never changes what is in it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension};

use super::connection::{self, Purpose};
use super::failure::is_busy;
use super::forget::empty_log;
use super::locking::Patience;
use super::read::batches::{StoredBatch, firsts, lacks_payloads};
use super::rewrite::{hashes_of, open_block};
use super::{SqliteStore, hooks};
use crate::codec::block::Sealer;
use crate::codec::log_block::LogBlock;
use crate::{Store, StoreError, Upkeep};

/// Problems of one kind that are told one by one.
const PROBLEMS_MAX: usize = 20;
/// Pages that are copied at once: all, so that the copy is of one moment.
const ALL_PAGES: i32 = i32::MAX;

/// Looks at one part of the file and notes what is wrong.
type Look = fn(&Connection, &mut Upkeep) -> Result<(), StoreError>;

impl SqliteStore {
    /// Looks at all of the file: whether SQLite finds it whole, whether everything can be decoded, whether counts agree.
    ///
    /// # Errors
    /// When the file cannot be opened or read at all; what is wrong inside is told in [`Upkeep::problems`].
    pub fn check(&self) -> Result<Upkeep, StoreError> {
        self.flush()?;
        let file_bytes = std::fs::metadata(&self.path).map_err(StoreError::Io)?.len();
        self.ask(|connection| {
            let mut upkeep = Upkeep {
                file_bytes,
                ..Upkeep::default()
            };
            check_pages(connection, &mut upkeep)?;
            let parts: [(&str, Look); 5] = [
                ("runs", check_runs),
                ("spans", check_batches),
                ("log lines", check_logs),
                ("texts kept apart", check_content),
                ("sums and search", hooks::check),
            ];
            for (what, check) in parts {
                if let Err(error) = check(connection, &mut upkeep) {
                    upkeep.problems.push(format!("{what}: {error}"));
                }
            }
            Ok(upkeep)
        })
    }

    /// Makes the file as small as what is in it, and puts it in order. While others write, only free pages are given
    /// back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn vacuum(&self) -> Result<(), StoreError> {
        self.settle()?;
        let connection = connection::open(&self.path, &self.config, Purpose::Write)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        match connection.execute_batch("VACUUM") {
            Err(error) if is_busy(&error) => {
                let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
            }
            done => done?,
        }
        empty_log(&connection);
        Ok(())
    }

    /// Copies the file as it is at one moment, while others go on writing. A file that is there is replaced, when the
    /// copy is whole.
    ///
    /// # Errors
    /// When it cannot be read, or the copy cannot be written.
    pub fn backup(&self, path: &Path) -> Result<(), StoreError> {
        self.flush()?;
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = Path::new(&name);
        let remove = |file: &Path| match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Io(error)),
            _ => Ok(()),
        };
        remove(part)?;
        let copied = self.copy_to(part);
        if copied.is_err() {
            let _gone = remove(part);
        }
        copied?;
        // What belonged to the file that is replaced must not be taken for changes of this one.
        for suffix in ["-wal", "-shm"] {
            let mut beside = path.as_os_str().to_owned();
            beside.push(suffix);
            remove(Path::new(&beside))?;
        }
        std::fs::rename(part, path).map_err(StoreError::Io)
    }

    fn copy_to(&self, part: &Path) -> Result<(), StoreError> {
        connection::create_private(part);
        let source = connection::open(&self.path, &self.config, Purpose::Read)?;
        let mut copy = Connection::open(part)?;
        {
            let backup = Backup::new(&source, &mut copy)?;
            let mut patience = Patience::new(self.config.busy_ms_max);
            loop {
                match backup.step(ALL_PAGES)? {
                    StepResult::Done => break,
                    StepResult::Busy | StepResult::Locked if !patience.wait() => {
                        return Err(StoreError::Busy {
                            waited_ms: patience.waited_ms(),
                        });
                    }
                    _ => {}
                }
            }
        }
        // One file, with nothing beside it.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        copy.pragma_update(None, "journal_mode", "WAL")?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

fn check_pages(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let free = number("freelist_count")? * number("page_size")?;
    upkeep.free_bytes = u64::try_from(free).unwrap_or(0);
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let found: String = row.get(0)?;
                if found != "ok" {
                    upkeep.problems.push(found);
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                upkeep.problems.push(error.to_string());
                return Ok(());
            }
        }
    }
}

/// Rows of runs, whether they are found by their keys, and whether their counts are those of their spans and lines.
fn check_runs(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    upkeep.runs = connection
        .query_row("SELECT count(*) FROM run", [], |row| row.get::<_, u32>(0))?
        .into();
    let unmatched = super::run_keys::unmatched(connection)?;
    if unmatched > 0 {
        upkeep
            .problems
            .push(format!("{unmatched} runs are not found by their ids"));
    }
    let unlisted = super::run_lists::unmatched(connection)?;
    if unlisted > 0 {
        upkeep.problems.push(format!(
            "{unlisted} places of runs in lists are not those of their rows"
        ));
    }
    let nameless = super::model_sets::missing(connection)?;
    if nameless > 0 {
        upkeep
            .problems
            .push(format!("the models of {nameless} runs are missing"));
    }
    let mut statement = connection.prepare(
        "SELECT id, spans, logs, \
           (SELECT coalesce(sum(count), 0) FROM batch_run WHERE batch_run.run = run.id), \
           (SELECT coalesce(sum(count), 0) FROM log_run WHERE log_run.run = run.id), \
           lower(hex(trace)) \
         FROM run",
    )?;
    let mut rows = statement.query([])?;
    let mut told = 0;
    while let Some(row) = rows.next()? {
        let number = |column: usize| row.get::<_, i64>(column);
        let (spans, logs, spans_there, lines_there) = (number(1)?, number(2)?, number(3)?, number(4)?);
        if (spans, logs) != (spans_there, lines_there) && told < PROBLEMS_MAX {
            told += 1;
            let trace: String = row.get(5)?;
            upkeep.problems.push(format!(
                "run {trace}: {spans_there} spans and {lines_there} lines instead of {spans} and {logs}"
            ));
        }
    }
    Ok(())
}

/// Columns and payloads of all batches.
fn check_batches(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT id, spans FROM batch ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut told = 0;
    while let Some(row) = rows.next()? {
        let (batch, spans): (i64, u32) = (row.get(0)?, row.get(1)?);
        upkeep.spans += u64::from(spans);
        if let Err(error) = check_batch(connection, batch, spans as usize) {
            told += 1;
            if told <= PROBLEMS_MAX {
                upkeep.problems.push(format!("batch {batch}: {error}"));
            }
        }
    }
    Ok(())
}

fn check_batch(connection: &Connection, batch: i64, spans: usize) -> Result<(), StoreError> {
    let wrong = |what: String| Err(super::failure::damaged(what));
    let stored = StoredBatch::read(connection, batch)?;
    if stored.columns.len() != spans || stored.columns.spans().count() != spans {
        return wrong(format!("{} spans instead of {spans}", stored.columns.len()));
    }
    let mut first = 0;
    for run in &stored.runs {
        let found: Option<(u32, u32)> = connection
            .prepare_cached("SELECT first, count FROM batch_run WHERE run = ?1 AND batch = ?2")?
            .query_row([run.id, batch], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if found != Some((first, run.count as u32)) {
            return wrong(format!("the spans of run {} stand elsewhere", run.id));
        }
        first += run.count as u32;
    }
    let firsts = firsts(connection, batch)?;
    let mut sealer = Sealer::new();
    for (number, first) in firsts.iter().enumerate() {
        let end = firsts.get(number + 1).copied().unwrap_or(spans);
        if let Some(block) = open_block(connection, &mut sealer, batch * 64 + number as i64)?
            && block.len() + first != end
        {
            return wrong(format!("block {number} holds {} payloads", block.len()));
        }
    }
    if lacks_payloads(connection, batch)? {
        return wrong("a block of payloads is missing".to_owned());
    }
    Ok(())
}

fn check_logs(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT id, lines, body FROM log_block")?;
    let mut rows = statement.query([])?;
    let mut sealer = Sealer::new();
    while let Some(row) = rows.next()? {
        let (block, lines): (i64, u32) = (row.get(0)?, row.get(1)?);
        let body = super::read::batches::blob(row, 2);
        match LogBlock::open(&mut sealer, body) {
            Ok(opened) if opened.len() == lines as usize => {}
            Ok(opened) => upkeep.problems.push(format!(
                "block {block}: {} lines instead of {lines}",
                opened.len()
            )),
            Err(error) => upkeep
                .problems
                .push(format!("block {block} of log lines: {error}")),
        }
    }
    Ok(())
}

/// Whether everything that is referred to is there.
fn check_content(connection: &Connection, upkeep: &mut Upkeep) -> Result<(), StoreError> {
    let mut exists = connection.prepare("SELECT 1 FROM content WHERE hash = ?1")?;
    let mut missing = 0_u64;
    for (table, column) in [
        ("batch_content", "hashes"),
        ("log_block", "hashes"),
        ("run_detail", "hashes"),
        ("run_open", "hashes"),
        ("content_part", "needs"),
    ] {
        let sql = format!("SELECT {column} FROM {table} WHERE length({column}) > 0");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for hash in hashes_of(super::read::batches::blob(row, 0)) {
                if !exists.exists([hash.to_bytes().as_slice()])? {
                    missing += 1;
                }
            }
        }
    }
    if missing > 0 {
        upkeep
            .problems
            .push(format!("{missing} texts that are referred to are missing"));
    }
    let mut statement = connection.prepare("SELECT body FROM content")?;
    let mut rows = statement.query([])?;
    let mut sealer = Sealer::new();
    while let Some(row) = rows.next()? {
        let body = super::read::batches::blob(row, 0);
        if let Err(error) = crate::codec::content::OpenedContent::open(&mut sealer, body) {
            upkeep.problems.push(format!("a text kept apart: {error}"));
        }
    }
    Ok(())
}
