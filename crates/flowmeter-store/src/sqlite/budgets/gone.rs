//! Reservations of processes that are gone: nobody will settle them.
//!
//! Never gives out again what such a process may have spent: its call may have been made, and nobody counted it.

use flowmeter_model::TimestampNs;
use rusqlite::Connection;
use smol_str::SmolStr;

use super::Budgets;
use super::accounts::withhold;
use crate::{ProcessMark, ReservationId, StoreError};

/// No call takes as long: one hour. Counts only where nobody can tell whether a process lives.
const UNKNOWN_NS_MAX: u64 = 3_600_000_000_000;
/// Reservations that are freed in one transaction, so that nobody waits for long.
const FREED_MAX: usize = 200;

impl Budgets {
    /// Ends the reservations of processes that are gone; what they held is withheld until the period ends. Says
    /// whether there were any.
    pub(super) fn free_what_is_gone(&mut self, now: TimestampNs) -> Result<bool, StoreError> {
        let made = reservations(&self.connection)?;
        let mut judged: Vec<(ProcessMark, Option<bool>)> = Vec::new();
        let mut gone = Vec::new();
        for Made { id, at, process } in made {
            let lives = process.and_then(|mark| {
                if let Some((_, lives)) = judged.iter().find(|(known, _)| *known == mark) {
                    return *lives;
                }
                let lives = (self.config.is_alive)(&mark);
                judged.push((mark, lives));
                lives
            });
            // A clock that jumped back makes a reservation young, never old.
            let is_old = now.since(at) > UNKNOWN_NS_MAX;
            if lives.map_or(is_old, |lives| !lives) {
                gone.push(id);
            }
        }
        for some in gone.chunks(FREED_MAX) {
            let transaction = self.begin()?;
            for id in some {
                // Where another process has done the same by now, there is nothing left to do.
                withhold(&transaction, *id)?;
            }
            transaction.commit()?;
        }
        Ok(!gone.is_empty())
    }
}

/// A reservation, and who made it.
struct Made {
    id: ReservationId,
    at: TimestampNs,
    process: Option<ProcessMark>,
}

fn reservations(connection: &Connection) -> rusqlite::Result<Vec<Made>> {
    let mut statement =
        connection.prepare_cached("SELECT id, made, host, pid, started FROM budget_reservation")?;
    let rows = statement.query_map([], |row| {
        let host: Option<String> = row.get(2)?;
        let process = match host {
            Some(host) => Some(ProcessMark {
                host: SmolStr::new(host),
                pid: row.get(3)?,
                started: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            }),
            None => None,
        };
        Ok(Made {
            id: ReservationId(row.get(0)?),
            at: TimestampNs(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
            process,
        })
    })?;
    rows.collect()
}
