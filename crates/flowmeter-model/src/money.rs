//! Money as whole nano-dollars, so that sums are exact.
//!
//! Never holds an unknown amount: that is `Option<UsdNanos>` or a [`crate::CostStatus`], not zero.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// An amount in billionths of a US dollar. `UsdNanos(26_197_700)` is $0.0261977.
/// Serialised as a JSON number of dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsdNanos(pub i64);

/// Why a number is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is no amount in dollars between -9.2e9 and 9.2e9")]
pub struct InvalidUsd(pub f64);

impl UsdNanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One dollar.
    pub const ONE_USD: Self = Self(1_000_000_000);

    /// Rounds a number of dollars to the nearest nano-dollar.
    ///
    /// # Errors
    /// [`InvalidUsd`] when it is not finite or does not fit.
    pub fn from_usd(usd: f64) -> Result<Self, InvalidUsd> {
        let nanos = (usd * 1e9).round();
        if !nanos.is_finite() || nanos.abs() >= 9.2e18 {
            return Err(InvalidUsd(usd));
        }
        Ok(Self(nanos as i64))
    }

    /// The amount in dollars, for output only: never compute with it.
    #[must_use]
    pub fn to_usd(self) -> f64 {
        let nanos = self.0 as f64;
        nanos / 1e9
    }

    /// The sum, held at the limits of the type instead of wrapping around.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add for UsdNanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl Sub for UsdNanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for UsdNanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for UsdNanos {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// `$0.0261977`: all nine places that are not trailing zeros, at least two.
impl fmt::Display for UsdNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        let trimmed = fraction.trim_end_matches('0');
        let places = trimmed.len().max(2);
        write!(f, "{sign}${}.{}", nanos / 1_000_000_000, &fraction[..places])
    }
}

impl Serialize for UsdNanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_usd())
    }
}

impl<'de> Deserialize<'de> for UsdNanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_usd(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
