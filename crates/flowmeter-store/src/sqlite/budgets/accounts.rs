//! Reserving, settling, giving back: what each LLM call does with the accounts.
//!
//! Never refuses for the sake of a rule that is not hard.

use flowmeter_model::{TimestampNs, UsdNanos};
use rusqlite::{Connection, params};

use super::Budgets;
use super::rows::{self, Account, column};
use crate::{AccountState, BudgetRule, CallCost, Refused, Reservation, ReservationId, Spender, StoreError};

/// Whether there is room, and what was done where there is.
type Answer<T> = Result<T, Refused>;

impl Budgets {
    /// Holds `amount` in the account of every rule that concerns the call, or in none. `None` where no rule does.
    ///
    /// # Errors
    /// [`Refused`] where a hard rule has no room; [`StoreError`] when the file cannot be written.
    pub fn reserve(
        &mut self,
        spender: &Spender,
        amount: UsdNanos,
        now: TimestampNs,
    ) -> Result<Answer<Option<Reservation>>, StoreError> {
        let amount = UsdNanos(amount.0.max(0));
        let answer = self.reserve_once(spender, amount, now)?;
        if matches!(&answer, Err(refused) if refused.may_come_free) && self.free_what_is_gone(now)? {
            return self.reserve_once(spender, amount, now);
        }
        Ok(answer)
    }

    fn reserve_once(
        &mut self,
        spender: &Spender,
        amount: UsdNanos,
        now: TimestampNs,
    ) -> Result<Answer<Option<Reservation>>, StoreError> {
        let transaction = self.begin()?;
        let answer = hold(&transaction, spender, amount, now)?;
        if matches!(answer, Ok(Some(_))) {
            transaction.commit()?;
        }
        Ok(answer)
    }

    /// Holds so much more for a call that goes on.
    ///
    /// # Errors
    /// As [`Budgets::reserve`]; what was held before stays held.
    pub fn extend(&mut self, id: ReservationId, more: UsdNanos) -> Result<Answer<()>, StoreError> {
        let more = UsdNanos(more.0.max(0));
        let transaction = self.begin()?;
        let rules = rows::rules(&transaction)?;
        let mut held = holds(&transaction, id, &rules)?;
        for (account, _) in &held {
            if let Some(refused) = refusal(&account.state, more) {
                return Ok(Err(refused));
            }
        }
        for (account, amount) in &mut held {
            account.state.reserved += more;
            account.write(&transaction)?;
            transaction.execute(
                "UPDATE budget_hold SET amount = ?3 WHERE reservation = ?1 AND account = ?2",
                params![id.0, account.id, (*amount + more).0],
            )?;
        }
        transaction.commit()?;
        Ok(Ok(()))
    }

    /// The call has ended: what it held is given back, and what it cost is spent, in the period in which it was
    /// reserved. Gives the accounts, each with the mark that it has passed by this.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle(
        &mut self,
        id: ReservationId,
        cost: CallCost,
        now: TimestampNs,
    ) -> Result<Vec<AccountState>, StoreError> {
        self.end(id, Some(cost), now)
    }

    /// The call was not made: what it held is given back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn release(&mut self, id: ReservationId) -> Result<(), StoreError> {
        self.end(id, None, TimestampNs(0)).map(drop)
    }

    fn end(
        &mut self,
        id: ReservationId,
        cost: Option<CallCost>,
        now: TimestampNs,
    ) -> Result<Vec<AccountState>, StoreError> {
        let transaction = self.begin()?;
        let states = end(&transaction, id, cost, now)?;
        transaction.commit()?;
        Ok(states)
    }

    /// Takes what a call cost for which nothing was reserved: it is made already, so that no limit refuses it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn charge(
        &mut self,
        spender: &Spender,
        cost: CallCost,
        now: TimestampNs,
    ) -> Result<Vec<AccountState>, StoreError> {
        let transaction = self.begin()?;
        let mut states = Vec::new();
        let rules = rows::rules(&transaction)?;
        for rule in rules.iter().filter(|rule| rule.scope.concerns(spender)) {
            let account = Account::open(&transaction, rule, now)?;
            states.push(take(&transaction, account, cost, now)?);
        }
        if !states.is_empty() {
            transaction.commit()?;
        }
        Ok(states)
    }
}

fn hold(
    connection: &Connection,
    spender: &Spender,
    amount: UsdNanos,
    now: TimestampNs,
) -> rusqlite::Result<Answer<Option<Reservation>>> {
    let rules = rows::rules(connection)?;
    let mut accounts = Vec::new();
    let mut refused: Option<Refused> = None;
    for rule in rules.iter().filter(|rule| rule.scope.concerns(spender)) {
        let account = Account::open(connection, rule, now)?;
        if let Some(found) = refusal(&account.state, amount) {
            // One that never has room decides, whoever else only has to wait.
            if refused
                .as_ref()
                .is_none_or(|known| known.may_come_free && !found.may_come_free)
            {
                refused = Some(found);
            }
        }
        accounts.push(account);
    }
    if let Some(refused) = refused {
        return Ok(Err(refused));
    }
    if accounts.is_empty() {
        return Ok(Ok(None));
    }
    let process = spender.process.as_ref();
    connection
        .prepare_cached("INSERT INTO budget_reservation (made, host, pid, started) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            column(now),
            process.map(|process| process.host.as_str()),
            process.map(|process| process.pid),
            process.map(|process| i64::try_from(process.started).unwrap_or(i64::MAX)),
        ])?;
    let id = connection.last_insert_rowid();
    let mut statement = connection
        .prepare_cached("INSERT INTO budget_hold (reservation, account, amount) VALUES (?1, ?2, ?3)")?;
    let mut states = Vec::with_capacity(accounts.len());
    for mut account in accounts {
        account.state.reserved += amount;
        account.write(connection)?;
        statement.execute(params![id, account.id, amount.0])?;
        states.push(account.state);
    }
    Ok(Ok(Some(Reservation {
        id: ReservationId(id),
        accounts: states,
    })))
}

/// Why there is no room for this, where a hard rule has none.
fn refusal(state: &AccountState, wanted: UsdNanos) -> Option<Refused> {
    // What costs nothing is never too much.
    if !state.rule.hard || wanted == UsdNanos::ZERO || wanted <= state.left() {
        return None;
    }
    Some(Refused {
        account: state.clone(),
        wanted,
        may_come_free: wanted <= state.unspent(),
    })
}

/// The accounts in which a reservation holds something, and how much.
fn holds(
    connection: &Connection,
    id: ReservationId,
    rules: &[BudgetRule],
) -> rusqlite::Result<Vec<(Account, UsdNanos)>> {
    let mut statement =
        connection.prepare_cached("SELECT account, amount FROM budget_hold WHERE reservation = ?1")?;
    let rows = statement.query_map([id.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let mut holds = Vec::new();
    for row in rows {
        let (account, amount) = row?;
        if let Some(account) = Account::of_id(connection, account, rules)? {
            holds.push((account, UsdNanos(amount)));
        }
    }
    Ok(holds)
}

/// Ends a reservation; without a cost, as if it had never been.
pub(super) fn end(
    connection: &Connection,
    id: ReservationId,
    cost: Option<CallCost>,
    now: TimestampNs,
) -> rusqlite::Result<Vec<AccountState>> {
    let rules = rows::rules(connection)?;
    let mut states = Vec::new();
    for (mut account, amount) in holds(connection, id, &rules)? {
        account.state.reserved = UsdNanos((account.state.reserved - amount).0.max(0));
        match cost {
            Some(cost) => states.push(take(connection, account, cost, now)?),
            None => account.write(connection)?,
        }
    }
    forget(connection, id)?;
    Ok(states)
}

/// Removes a reservation's rows.
pub(super) fn forget(connection: &Connection, id: ReservationId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM budget_hold WHERE reservation = ?1")?
        .execute([id.0])?;
    connection
        .prepare_cached("DELETE FROM budget_reservation WHERE id = ?1")?
        .execute([id.0])?;
    Ok(())
}

/// Counts a call in an account.
fn take(
    connection: &Connection,
    mut account: Account,
    cost: CallCost,
    now: TimestampNs,
) -> rusqlite::Result<AccountState> {
    let state = &mut account.state;
    state.calls += 1;
    state.unpriced_calls += u64::from(cost.spent.is_none());
    state.withheld += UsdNanos(cost.withheld.0.max(0));
    let spent = cost.spent.map_or(0, |spent| spent.0.max(0));
    account.write(connection)?;
    account.spend(connection, spent, now)?;
    account.mark(connection)?;
    Ok(account.state)
}

/// What a process that is gone held in each account may have been spent: it is withheld, and not given out again.
pub(super) fn withhold(connection: &Connection, id: ReservationId) -> rusqlite::Result<()> {
    let rules = rows::rules(connection)?;
    for (mut account, amount) in holds(connection, id, &rules)? {
        account.state.reserved = UsdNanos((account.state.reserved - amount).0.max(0));
        account.state.withheld += amount;
        account.write(connection)?;
    }
    forget(connection, id)
}
