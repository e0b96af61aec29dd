//! What an account will have spent when its period ends: a guess, and what it rests on.
//!
//! Never promises: from few figures it says that it is too early.

use flowmeter_model::{TimestampNs, UsdNanos};

use super::AccountState;

/// The share of a period that has to be over before its own pace says anything, as one in so many.
const EARLY: u64 = 20;
/// Past periods from which on they say more than the pace of the present one.
const PAST_MIN: usize = 3;

/// What was spent in a period that is over, cut at the moment where the present one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastPeriod {
    /// When it began.
    pub begins: TimestampNs,
    /// What was spent until this moment of it.
    pub before: UsdNanos,
    /// What was spent after.
    pub after: UsdNanos,
}

/// What a forecast rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastGround {
    /// On what was spent in the rest of so many periods before.
    Past(usize),
    /// On the pace of this period alone.
    Pace,
    /// On nothing: too little of the period is over, and too few went before.
    TooEarly,
}

/// What will have been spent at the end of the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// What it rests on.
    pub ground: ForecastGround,
    /// The likely sum; what is spent by now where nothing can be said.
    pub likely: UsdNanos,
    /// One of four periods may come to less.
    pub low: UsdNanos,
    /// One of four periods may come to more.
    pub high: UsdNanos,
}

impl Forecast {
    /// A forecast for `account` at `now`, where `past` are the periods before.
    #[must_use]
    pub fn of(account: &AccountState, past: &[PastPeriod], now: TimestampNs) -> Self {
        let spent = account.spent + account.withheld;
        if past.len() >= PAST_MIN {
            let mut rests: Vec<i64> = past.iter().map(|period| period.after.0).collect();
            rests.sort_unstable();
            let at = |quarter: usize| spent + UsdNanos(quantile(&rests, quarter));
            return Self {
                ground: ForecastGround::Past(past.len()),
                low: at(1),
                likely: at(2),
                high: at(3),
            };
        }
        let (elapsed, whole) = (now.since(account.begins), account.ends.since(account.begins));
        if elapsed < whole / EARLY || elapsed == 0 || elapsed > whole {
            return Self {
                ground: ForecastGround::TooEarly,
                likely: spent,
                low: spent,
                high: spent,
            };
        }
        let paced = i128::from(spent.0) * i128::from(whole) / i128::from(elapsed);
        let likely = UsdNanos(i64::try_from(paced).unwrap_or(i64::MAX));
        // Nobody knows how even the pace is: what is still to come may be nothing, or twice as much.
        let rest = likely - spent;
        Self {
            ground: ForecastGround::Pace,
            likely,
            low: spent,
            high: likely + rest,
        }
    }
}

/// The value below which so many quarters lie.
fn quantile(sorted: &[i64], quarter: usize) -> i64 {
    let place = quarter * (sorted.len() - 1);
    let (index, part) = (place / 4, (place % 4) as i64);
    let low = sorted[index];
    let high = sorted[(index + 1).min(sorted.len() - 1)];
    low + (high - low) / 4 * part
}

#[cfg(test)]
mod tests;
