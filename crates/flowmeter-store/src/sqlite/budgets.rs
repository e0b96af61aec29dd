//! Budgets that all processes share, in the history's file: a connection of its own, and short transactions.
//!
//! Never lets a hard limit be passed by what is settled, withheld and reserved together; never waits for a call.

mod accounts;
mod gone;
mod rows;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flowmeter_model::{TimestampNs, UsdNanos};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{IsAlive, SqliteConfig, connection};
use crate::{AccountState, BudgetId, BudgetRule, BudgetTerms, PastPeriod, StoreError};
use rows::Account;

/// Rules at most: each is looked at for each call.
const RULES_MAX: usize = 1_000;
/// Periods of a rule that are kept, for forecasts.
const PERIODS_KEPT: i64 = 120;
/// Periods before the present one that a forecast looks at.
const PAST_PERIODS_MAX: usize = 28;
/// Days of one weekday from which on they say more than all days together.
const WEEKDAYS_MIN: usize = 4;
/// A checkpoint falls to this connection only when nobody else makes one: pages of the log.
const CHECKPOINT_PAGES: i64 = 8_000;
/// How often a transaction that finds the file held by others asks again, at about a millisecond each.
const ASKED_AGAIN_MAX: i32 = 30_000;

/// The shared budgets of a history.
pub struct Budgets {
    connection: Connection,
    path: PathBuf,
    is_alive: IsAlive,
}

impl Budgets {
    /// Opens the budgets in the history at `path`, which is made when there is none and `config` says so.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](crate::SqliteStore::open).
    pub fn open(path: &Path, config: &SqliteConfig) -> Result<Self, StoreError> {
        let mut connection = connection::open(path, config)?;
        connection
            .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
            .map_err(failed)?;
        connection.busy_handler(Some(ask_again)).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self {
            connection,
            path: path.to_owned(),
            is_alive: config.is_alive.clone(),
        })
    }

    /// Whether a hard budget was set in the history at `path`, as far as can be told without opening it: what cannot
    /// be opened cannot be kept either.
    #[must_use]
    pub fn are_kept_hard(path: &Path) -> bool {
        mark_of_hard_rules(path).exists()
    }

    /// All rules, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rules(&self) -> Result<Vec<BudgetRule>, StoreError> {
        rows::rules(&self.connection).map_err(failed)
    }

    /// Sets a rule in place of one of the same scope and period, whose account goes on. `spent_so_far` is what the
    /// present period has cost before there was a rule; where its account knows of more, that counts.
    ///
    /// # Errors
    /// When the file cannot be written, or there are too many rules.
    pub fn set(
        &mut self,
        terms: &BudgetTerms,
        spent_so_far: UsdNanos,
        now: TimestampNs,
    ) -> Result<AccountState, StoreError> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let id = rows::put_rule(&transaction, terms, now).map_err(failed)?;
        let rules = rows::rules(&transaction).map_err(failed)?;
        if rules.len() > RULES_MAX {
            return Err(StoreError::Invalid(format!(
                "there are {RULES_MAX} budgets already; remove one with `flowmeter budget remove`"
            )));
        }
        let rule = rules.iter().find(|rule| rule.id == id).cloned();
        let rule = rule.ok_or_else(|| failed(rusqlite::Error::QueryReturnedNoRows))?;
        rows::move_account(&transaction, &rule, now).map_err(failed)?;
        let mut account = Account::open(&transaction, &rule, now).map_err(failed)?;
        let missing = spent_so_far.0.saturating_sub(account.state.spent.0);
        if missing > 0 {
            account.spend(&transaction, missing, now).map_err(failed)?;
        }
        // What is passed already is said by whoever sets the rule; a limit that was raised is warned of anew.
        account.forget_mark(&transaction).map_err(failed)?;
        account.mark(&transaction).map_err(failed)?;
        if rules.iter().any(|rule| rule.hard) {
            put_mark(&path)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(account.state)
    }

    /// Removes a rule with its accounts. Says whether there was one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, id: BudgetId) -> Result<bool, StoreError> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let was_there = rows::remove_rule(&transaction, id).map_err(failed)?;
        let rules = rows::rules(&transaction).map_err(failed)?;
        let is_any_hard = rules.iter().any(|rule| rule.hard);
        transaction.commit().map_err(failed)?;
        if !is_any_hard {
            // If it cannot be removed, a file that cannot be opened counts as one with hard budgets: the safe side.
            let _stays = std::fs::remove_file(mark_of_hard_rules(&path));
        }
        Ok(was_there)
    }

    /// How the account of each rule stands in the period of `now`.
    ///
    /// # Errors
    /// When the file cannot be read or written: what processes that are gone held is freed.
    pub fn status(&mut self, now: TimestampNs) -> Result<Vec<AccountState>, StoreError> {
        self.free_what_is_gone(now)?;
        let rules = self.rules()?;
        rules
            .iter()
            .map(|rule| rows::state(&self.connection, rule, now).map_err(failed))
            .collect()
    }

    /// The periods of a rule before that of `now`, newest first, each cut where the present one stands. Of days,
    /// those of the same weekday, once there are enough.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn past(&self, rule: &BudgetRule, now: TimestampNs) -> Result<Vec<PastPeriod>, StoreError> {
        let periods = rows::past(&self.connection, rule, now, PAST_PERIODS_MAX).map_err(failed)?;
        if rule.period == crate::BudgetPeriod::Day {
            let weekly: Vec<PastPeriod> = periods.iter().skip(6).step_by(7).copied().collect();
            if weekly.len() >= WEEKDAYS_MIN {
                return Ok(weekly);
            }
        }
        Ok(periods)
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)
    }
}

/// Waits a little, never in step with others, and says whether to ask again.
fn ask_again(asked: i32) -> bool {
    let jitter = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::from(since.subsec_nanos()) / 8 % 1_024);
    let most = if asked < 4 { 200 } else { 1_500 };
    std::thread::sleep(Duration::from_micros(50 + most * jitter / 1_024));
    asked < ASKED_AGAIN_MAX
}

/// A file beside the history that is there while a hard rule is: it answers whether limits would be passed unseen
/// when the history itself cannot be opened.
fn mark_of_hard_rules(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-hard-budgets");
    PathBuf::from(name)
}

fn put_mark(path: &Path) -> Result<(), StoreError> {
    let text = "There are hard budgets in the history beside this file (see `flowmeter budget list`).\n";
    std::fs::write(mark_of_hard_rules(path), text).map_err(StoreError::Io)
}

/// What a failure of the database means here.
fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy {
            waited_ms: u64::from(ASKED_AGAIN_MAX.unsigned_abs()),
        },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
            what: "the budgets".to_owned(),
        },
        _ => StoreError::Sqlite(error),
    }
}

#[cfg(test)]
mod tests;
