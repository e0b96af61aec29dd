//! The vertical axis: round numbers from zero to above the largest value, with their units.
//!
//! Never below zero: nothing that is counted here is.

use super::Unit;

/// Lines across the chart, the axis itself included: not more than this many steps.
const STEPS_WANTED: f64 = 5.0;
/// So finely are amounts known, dollars.
const USD_LEAST: f64 = 1e-9;

/// Where the lines are; the first is 0, the last is not below the largest value.
pub(super) fn ticks(most: f64, unit: Unit) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let least = match unit {
        Unit::Count => 1.0,
        Unit::Usd => USD_LEAST,
        Unit::Seconds => 1e-9,
        Unit::Share => 0.01,
    };
    let most = if unit == Unit::Share { 1.0 } else { most };
    let step = match unit {
        Unit::Seconds if most > 60.0 => round_seconds(most / STEPS_WANTED),
        _ => round_number((most / STEPS_WANTED).max(least)),
    };
    let count = (most / step - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|index| index as f64 * step).collect()
}

/// The next of 1, 2, 2.5, 5 times a power of ten; of small counts none that is no whole number.
fn round_number(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let part = rough / power;
    let whole_only = power < 9.5 && rough >= 1.0;
    let rounded = match part {
        part if part <= 1.000_001 => 1.0,
        part if part <= 2.000_001 => 2.0,
        part if part <= 2.500_001 && !whole_only => 2.5,
        part if part <= 5.000_001 => 5.0,
        _ => 10.0,
    };
    rounded * power
}

/// The next round time above a minute's axis.
fn round_seconds(rough: f64) -> f64 {
    const ROUND: [f64; 14] = [
        15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
        43_200.0, 86_400.0,
    ];
    let found = ROUND.into_iter().find(|seconds| *seconds >= rough - 1e-9);
    found.unwrap_or_else(|| round_number(rough / 86_400.0) * 86_400.0)
}

/// The text of a line, all of an axis alike.
pub(super) fn label(value: f64, most: f64, unit: Unit) -> String {
    match unit {
        Unit::Usd => format!("${}", plain(value, most)),
        Unit::Count => short(value),
        Unit::Share => format!("{:.0}%", value * 100.0),
        Unit::Seconds => seconds(value, most),
    }
}

/// A value where it stands alone.
pub(super) fn exact(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Usd => {
            let text = format!("{value:.9}");
            let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
            let places = places.trim_end_matches('0');
            format!("${whole}.{places:0<2}")
        }
        Unit::Count => format!("{value}"),
        Unit::Share => format!("{:.1}%", value * 100.0),
        Unit::Seconds => flowmeter::format_duration((value * 1e9) as u64),
    }
}

fn short(value: f64) -> String {
    let (value, suffix) = match value {
        value if value >= 1e12 => (value / 1e12, "T"),
        value if value >= 1e9 => (value / 1e9, "G"),
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    format!("{}{suffix}", trimmed(value, 2))
}

/// A number with as many places as the steps of an axis up to `most` need.
fn plain(value: f64, most: f64) -> String {
    if most >= 10_000.0 {
        return short(value);
    }
    let step = (most / 10.0).max(1e-9);
    let places = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    if places <= 2 && most < 10_000.0 {
        // Cents, where there are any.
        return if most >= 20.0 {
            trimmed(value, 2)
        } else {
            format!("{value:.2}")
        };
    }
    format!("{value:.places$}")
}

fn seconds(value: f64, most: f64) -> String {
    let (size, name) = match most {
        most if most >= 7_200.0 => (3_600.0, "h"),
        most if most > 120.0 => (60.0, "min"),
        most if most >= 1.0 => (1.0, "s"),
        most if most >= 1e-3 => (1e-3, "ms"),
        _ => (1e-6, "µs"),
    };
    format!("{} {name}", trimmed(value / size, 2))
}

fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
