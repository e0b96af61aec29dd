//! What is usual at an hour of the day and on a weekday, so that Monday mornings are compared with Monday mornings.
//!
//! Never guesses: with less than four weeks there are no seasons, and an hour that was seen rarely has none.

use super::DAY_NS;
use super::robust;
use super::words::local;

/// The shortest history whose weeks can be told from chance.
pub(super) const WEEKS_MIN: u64 = 4;
/// An hour or weekday with fewer values has no season of its own.
const VALUES_MIN: usize = 16;
/// Fewer values say nothing about hours.
const SERIES_MIN: usize = 200;

/// What is usual, as a summand on the scale of the values.
#[derive(Clone, Debug, Default)]
pub(super) struct Seasons {
    by_hour: [f64; 24],
    by_weekday: [f64; 7],
    /// Whether there was enough to go by.
    pub(super) is_known: bool,
}

impl Seasons {
    /// Learns from values and their times. Medians, in two rounds, so that hours do not pay for weekdays.
    pub(super) fn learn(times: &[u64], values: &[f64], utc_offset_seconds: i32) -> Self {
        let mut seasons = Self::default();
        let spanned = match (times.first(), times.last()) {
            (Some(first), Some(last)) => last.saturating_sub(*first),
            _ => 0,
        };
        if values.len() < SERIES_MIN || spanned < WEEKS_MIN * 7 * DAY_NS {
            return seasons;
        }
        seasons.is_known = true;
        let places: Vec<(usize, usize)> = times
            .iter()
            .map(|at| {
                let local = local(*at, utc_offset_seconds);
                (local.hour, local.weekday)
            })
            .collect();
        for _ in 0..2 {
            let of_hours = residuals(values, &places, |place| seasons.by_weekday[place.1]);
            learn_by(
                &mut seasons.by_hour,
                &of_hours,
                places.iter().map(|place| place.0),
            );
            let of_weekdays = residuals(values, &places, |place| seasons.by_hour[place.0]);
            learn_by(
                &mut seasons.by_weekday,
                &of_weekdays,
                places.iter().map(|place| place.1),
            );
        }
        seasons
    }

    /// What is to be taken off a value of this time.
    pub(super) fn usual(&self, at: u64, utc_offset_seconds: i32) -> f64 {
        let local = local(at, utc_offset_seconds);
        self.by_hour[local.hour] + self.by_weekday[local.weekday]
    }
}

fn residuals(values: &[f64], places: &[(usize, usize)], known: impl Fn(&(usize, usize)) -> f64) -> Vec<f64> {
    values
        .iter()
        .zip(places)
        .map(|(value, place)| value - known(place))
        .collect()
}

fn learn_by(effects: &mut [f64], values: &[f64], places: impl Iterator<Item = usize>) {
    let mut groups: Vec<Vec<f64>> = vec![Vec::new(); effects.len()];
    for (value, place) in values.iter().zip(places) {
        groups[place].push(*value);
    }
    let middle = robust::median_of(values.iter().copied()).unwrap_or(0.0);
    for (effect, group) in effects.iter_mut().zip(&mut groups) {
        // A handful of values more than the least needed is half believed.
        let trust = group.len() as f64 / (group.len() + VALUES_MIN) as f64;
        *effect = match robust::median(group) {
            Some(own) if group.len() >= VALUES_MIN => trust * (own - middle),
            _ => 0.0,
        };
    }
}
