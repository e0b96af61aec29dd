//! Budgets that all processes share, in the history's file: a connection of its own, and short transactions.
//!
//! Never lets a hard limit be passed by what is settled, withheld and reserved together; never waits for a call.

mod accounts;
mod gone;
mod rows;

use std::path::{Path, PathBuf};

use flowmeter_model::{TimestampNs, UsdNanos};
use rusqlite::{Connection, Transaction};

use super::connection::{self, Purpose};
use super::{SqliteConfig, locking};
use crate::{AccountState, BudgetId, BudgetRule, BudgetTerms, PastPeriod, Spender, StoreError};
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

/// The shared budgets of a history.
pub struct Budgets {
    connection: Connection,
    path: PathBuf,
    config: SqliteConfig,
}

impl Budgets {
    /// Opens the budgets in the history at `path`, which is made when there is none and `config` says so.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](crate::SqliteStore::open).
    pub fn open(path: &Path, config: &SqliteConfig) -> Result<Self, StoreError> {
        connection::prepare(path, config)?;
        let connection = connection::open(path, config, Purpose::Write)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            config: config.clone(),
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
        Ok(rows::rules(&self.connection)?)
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
        let id = rows::put_rule(&transaction, terms, now)?;
        let rules = rows::rules(&transaction)?;
        if rules.len() > RULES_MAX {
            return Err(StoreError::Invalid(format!(
                "there are {RULES_MAX} budgets already; remove one with `flowmeter budget remove`"
            )));
        }
        let rule = rules.iter().find(|rule| rule.id == id).cloned();
        let rule = rule.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        rows::move_account(&transaction, &rule, now)?;
        let mut account = Account::open(&transaction, &rule, now)?;
        let missing = spent_so_far.0.saturating_sub(account.state.spent.0);
        if missing > 0 {
            account.spend(&transaction, missing, now)?;
        }
        // What is passed already is said by whoever sets the rule; a limit that was raised is warned of anew.
        account.forget_mark(&transaction)?;
        account.mark(&transaction)?;
        if rules.iter().any(|rule| rule.hard) {
            put_mark(&path)?;
        }
        transaction.commit()?;
        Ok(account.state)
    }

    /// Removes a rule with its accounts. Says whether there was one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, id: BudgetId) -> Result<bool, StoreError> {
        let path = self.path.clone();
        let transaction = self.begin()?;
        let was_there = rows::remove_rule(&transaction, id)?;
        let rules = rows::rules(&transaction)?;
        let is_any_hard = rules.iter().any(|rule| rule.hard);
        transaction.commit()?;
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
            .map(|rule| Ok(rows::state(&self.connection, rule, now)?))
            .collect()
    }

    /// How the account of each rule that concerns a call of `spender` stands in the period of `now`. Only reads.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn concerning(&self, spender: &Spender, now: TimestampNs) -> Result<Vec<AccountState>, StoreError> {
        let rules = self.rules()?;
        let concerned = rules.iter().filter(|rule| rule.scope.concerns(spender));
        concerned
            .map(|rule| Ok(rows::state(&self.connection, rule, now)?))
            .collect()
    }

    /// The periods of a rule before that of `now`, newest first, each cut where the present one stands. Of days,
    /// those of the same weekday, once there are enough.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn past(&self, rule: &BudgetRule, now: TimestampNs) -> Result<Vec<PastPeriod>, StoreError> {
        let periods = rows::past(&self.connection, rule, now, PAST_PERIODS_MAX)?;
        if rule.period == crate::BudgetPeriod::Day {
            let weekly: Vec<PastPeriod> = periods.iter().skip(6).step_by(7).copied().collect();
            if weekly.len() >= WEEKDAYS_MIN {
                return Ok(weekly);
            }
        }
        Ok(periods)
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        locking::begin(&mut self.connection, &self.config)
    }
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

#[cfg(test)]
mod tests;
