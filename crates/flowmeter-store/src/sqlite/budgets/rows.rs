//! Rules and accounts as rows.
//!
//! Never decides whether a call may be made.

use flowmeter_model::{TimestampNs, UsdNanos};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use smol_str::SmolStr;

use super::PERIODS_KEPT;
use crate::{AccountState, BudgetId, BudgetPeriod, BudgetRule, BudgetScope, BudgetTerms, PastPeriod};

/// The percentages of a limit that are warned of.
const MARKS: [u8; 3] = [50, 80, 100];

const RULE_COLUMNS: &str = "id, scope, name, value, period, limit_nanos, hard, utc_offset_s";
const STATE_COLUMNS: &str = "id, begins, ends, spent, withheld, reserved, calls, unpriced, marked";

/// A time as it stands in a column.
pub(super) fn column(at: TimestampNs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn time(row: &Row<'_>, index: usize) -> Result<TimestampNs> {
    Ok(TimestampNs(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0)))
}

fn count(row: &Row<'_>, index: usize) -> Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(index)?).unwrap_or(0))
}

fn scope_columns(scope: &BudgetScope) -> (&'static str, &str, &str) {
    match scope {
        BudgetScope::All => ("all", "", ""),
        BudgetScope::Workflow(name) => ("workflow", name, ""),
        BudgetScope::Model(name) => ("model", name, ""),
        BudgetScope::Tag(key, value) => ("tag", key, value),
    }
}

fn unknown(index: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, what.into())
}

fn rule_of(row: &Row<'_>) -> Result<BudgetRule> {
    let (scope, name, value): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let scope = match scope.as_str() {
        "all" => BudgetScope::All,
        "workflow" => BudgetScope::Workflow(SmolStr::new(name)),
        "model" => BudgetScope::Model(SmolStr::new(name)),
        "tag" => BudgetScope::Tag(name, value),
        other => return Err(unknown(1, format!("no scope: {other}"))),
    };
    let period: String = row.get(4)?;
    Ok(BudgetRule {
        id: BudgetId(row.get(0)?),
        limit: UsdNanos(row.get(5)?),
        period: BudgetPeriod::of_name(&period).ok_or_else(|| unknown(4, format!("no period: {period}")))?,
        scope,
        hard: row.get(6)?,
        utc_offset_seconds: row.get(7)?,
    })
}

pub(super) fn rules(connection: &Connection) -> Result<Vec<BudgetRule>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {RULE_COLUMNS} FROM budget_rule ORDER BY id"))?;
    let rules = statement.query_map([], rule_of)?;
    rules.collect()
}

pub(super) fn put_rule(connection: &Connection, terms: &BudgetTerms, now: TimestampNs) -> Result<BudgetId> {
    let (scope, name, value) = scope_columns(&terms.scope);
    let id = connection.query_row(
        "INSERT INTO budget_rule (scope, name, value, period, limit_nanos, hard, utc_offset_s, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (scope, name, value, period) DO UPDATE
         SET limit_nanos = excluded.limit_nanos, hard = excluded.hard, utc_offset_s = excluded.utc_offset_s
         RETURNING id",
        params![
            scope,
            name,
            value,
            terms.period.as_str(),
            terms.limit.0,
            terms.hard,
            terms.utc_offset_seconds,
            column(now),
        ],
        |row| row.get(0),
    )?;
    Ok(BudgetId(id))
}

/// Where a rule was set in another zone, its present account goes on with the period that is the present one here.
pub(super) fn move_account(connection: &Connection, rule: &BudgetRule, now: TimestampNs) -> Result<()> {
    let (begins, ends) = rule.period.around(now, rule.utc_offset_seconds);
    connection.execute(
        "UPDATE OR IGNORE budget_account SET begins = ?2, ends = ?3
         WHERE rule = ?1 AND begins <= ?4 AND ends > ?4 AND begins <> ?2",
        params![rule.id.0, column(begins), column(ends), column(now)],
    )?;
    Ok(())
}

pub(super) fn remove_rule(connection: &Connection, id: BudgetId) -> Result<bool> {
    const OF_RULE: &str = "account IN (SELECT id FROM budget_account WHERE rule = ?1)";
    connection.execute(&format!("DELETE FROM budget_hold WHERE {OF_RULE}"), [id.0])?;
    connection.execute(&format!("DELETE FROM budget_part WHERE {OF_RULE}"), [id.0])?;
    connection.execute("DELETE FROM budget_account WHERE rule = ?1", [id.0])?;
    connection.execute(
        "DELETE FROM budget_reservation WHERE id NOT IN (SELECT reservation FROM budget_hold)",
        [],
    )?;
    Ok(connection.execute("DELETE FROM budget_rule WHERE id = ?1", [id.0])? > 0)
}

fn empty_state(rule: &BudgetRule, now: TimestampNs) -> AccountState {
    let (begins, ends) = rule.period.around(now, rule.utc_offset_seconds);
    AccountState {
        rule: rule.clone(),
        begins,
        ends,
        spent: UsdNanos::ZERO,
        withheld: UsdNanos::ZERO,
        reserved: UsdNanos::ZERO,
        calls: 0,
        unpriced_calls: 0,
        mark_passed: None,
    }
}

fn account_of(row: &Row<'_>, rule: &BudgetRule) -> Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        marked: row.get(8)?,
        state: AccountState {
            rule: rule.clone(),
            begins: time(row, 1)?,
            ends: time(row, 2)?,
            spent: UsdNanos(row.get(3)?),
            withheld: UsdNanos(row.get(4)?),
            reserved: UsdNanos(row.get(5)?),
            calls: count(row, 6)?,
            unpriced_calls: count(row, 7)?,
            mark_passed: None,
        },
    })
}

/// How the account of a rule stands in the period of `now`, whether it has a row or not.
pub(super) fn state(connection: &Connection, rule: &BudgetRule, now: TimestampNs) -> Result<AccountState> {
    let found = Account::find(connection, rule, now)?;
    Ok(found.map_or_else(|| empty_state(rule, now), |account| account.state))
}

/// An account with its row.
pub(super) struct Account {
    pub(super) id: i64,
    marked: u8,
    pub(super) state: AccountState,
}

impl Account {
    fn find(connection: &Connection, rule: &BudgetRule, now: TimestampNs) -> Result<Option<Self>> {
        let (begins, _) = rule.period.around(now, rule.utc_offset_seconds);
        connection
            .prepare_cached(&format!(
                "SELECT {STATE_COLUMNS} FROM budget_account WHERE rule = ?1 AND begins = ?2"
            ))?
            .query_row(params![rule.id.0, column(begins)], |row| account_of(row, rule))
            .optional()
    }

    /// The account of the period of `now`; where there is none yet it is opened, and the oldest ones are let go.
    pub(super) fn open(connection: &Connection, rule: &BudgetRule, now: TimestampNs) -> Result<Self> {
        if let Some(account) = Self::find(connection, rule, now)? {
            return Ok(account);
        }
        let state = empty_state(rule, now);
        connection
            .prepare_cached("INSERT INTO budget_account (rule, begins, ends) VALUES (?1, ?2, ?3)")?
            .execute(params![rule.id.0, column(state.begins), column(state.ends)])?;
        let id = connection.last_insert_rowid();
        const OLD: &str = "SELECT id FROM budget_account WHERE rule = ?1 AND reserved = 0 AND id NOT IN (
            SELECT id FROM budget_account WHERE rule = ?1 ORDER BY begins DESC LIMIT ?2)";
        connection
            .prepare_cached(&format!("DELETE FROM budget_part WHERE account IN ({OLD})"))?
            .execute(params![rule.id.0, PERIODS_KEPT])?;
        connection
            .prepare_cached(&format!("DELETE FROM budget_account WHERE id IN ({OLD})"))?
            .execute(params![rule.id.0, PERIODS_KEPT])?;
        Ok(Self { id, marked: 0, state })
    }

    /// The account with this row, of whatever period.
    pub(super) fn of_id(connection: &Connection, id: i64, rules: &[BudgetRule]) -> Result<Option<Self>> {
        let found = connection
            .prepare_cached(&format!(
                "SELECT {STATE_COLUMNS}, rule FROM budget_account WHERE id = ?1"
            ))?
            .query_row([id], |row| {
                let rule: i64 = row.get(9)?;
                let rule = rules.iter().find(|known| known.id.0 == rule);
                rule.map(|rule| account_of(row, rule)).transpose()
            })
            .optional()?;
        Ok(found.flatten())
    }

    /// Notes that so much was spent at `now`.
    pub(super) fn spend(&mut self, connection: &Connection, nanos: i64, now: TimestampNs) -> Result<()> {
        if nanos == 0 {
            return Ok(());
        }
        self.state.spent += UsdNanos(nanos);
        connection
            .prepare_cached("UPDATE budget_account SET spent = ?2 WHERE id = ?1")?
            .execute(params![self.id, self.state.spent.0])?;
        // Where a call ended after its period, or the clock jumped, it counts for the last part that there is.
        let parts = self.state.ends.since(self.state.begins) / self.state.rule.period.part_ns();
        let part = now.since(self.state.begins) / self.state.rule.period.part_ns();
        let part = i64::try_from(part.min(parts.saturating_sub(1))).unwrap_or(0);
        connection
            .prepare_cached(
                "INSERT INTO budget_part (account, part, spent) VALUES (?1, ?2, ?3)
                 ON CONFLICT (account, part) DO UPDATE SET spent = spent + excluded.spent",
            )?
            .execute(params![self.id, part, nanos])?;
        Ok(())
    }

    /// Takes over what else has changed in the state.
    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let state = &self.state;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        connection
            .prepare_cached(
                "UPDATE budget_account SET withheld = ?2, reserved = ?3, calls = ?4, unpriced = ?5 WHERE id = ?1",
            )?
            .execute(params![
                self.id,
                state.withheld.0,
                state.reserved.0,
                count(state.calls),
                count(state.unpriced_calls),
            ])?;
        Ok(())
    }

    /// Notes the highest mark that is passed and was not before, so that nobody else warns of it.
    pub(super) fn mark(&mut self, connection: &Connection) -> Result<()> {
        let passed = passed(&self.state);
        if passed > self.marked {
            self.marked = passed;
            self.state.mark_passed = Some(passed);
            self.write_mark(connection)?;
        }
        Ok(())
    }

    /// Marks count as not warned of.
    pub(super) fn forget_mark(&mut self, connection: &Connection) -> Result<()> {
        self.marked = 0;
        self.write_mark(connection)
    }

    fn write_mark(&self, connection: &Connection) -> Result<()> {
        connection
            .prepare_cached("UPDATE budget_account SET marked = ?2 WHERE id = ?1")?
            .execute(params![self.id, self.marked])?;
        Ok(())
    }
}

/// The highest mark that is passed; 0 of none.
fn passed(state: &AccountState) -> u8 {
    let gone = i128::from((state.spent + state.withheld).0);
    let limit = i128::from(state.rule.limit.0);
    if gone <= 0 {
        return 0;
    }
    let is_passed = |mark: &&u8| gone * 100 >= limit * i128::from(**mark);
    MARKS.iter().rev().find(is_passed).copied().unwrap_or(0)
}

/// Periods before that of `now`, newest first, without a gap back to the first one that is known, each cut where the
/// present one stands.
pub(super) fn past(
    connection: &Connection,
    rule: &BudgetRule,
    now: TimestampNs,
    periods_max: usize,
) -> Result<Vec<PastPeriod>> {
    let (present, _) = rule.period.around(now, rule.utc_offset_seconds);
    let elapsed_parts = now.since(present) / rule.period.part_ns();
    let first: Option<i64> = connection.query_row(
        "SELECT min(begins) FROM budget_account WHERE rule = ?1",
        [rule.id.0],
        |row| row.get(0),
    )?;
    let Some(first) = first else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(CASE WHEN part < ?3 THEN p.spent END), 0), coalesce(sum(p.spent), 0)
         FROM budget_account a JOIN budget_part p ON p.account = a.id WHERE a.rule = ?1 AND a.begins = ?2",
    )?;
    let mut periods = Vec::new();
    let mut next = present;
    while periods.len() < periods_max && next.0 > 0 {
        let (begins, _) = rule
            .period
            .around(TimestampNs(next.0 - 1), rule.utc_offset_seconds);
        // The first period is cut off: the rule was set in the midst of it.
        if column(begins) <= first {
            break;
        }
        let parts = i64::try_from(elapsed_parts).unwrap_or(i64::MAX);
        let (before, whole): (i64, i64) = statement
            .query_row(params![rule.id.0, column(begins), parts], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        periods.push(PastPeriod {
            begins,
            before: UsdNanos(before),
            after: UsdNanos(whole.saturating_sub(before)),
        });
        next = begins;
    }
    Ok(periods)
}
