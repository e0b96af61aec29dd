//! Amounts finer than a nano-dollar: what counts times rates give before a call's one rounding.
//!
//! Never rounds by itself, and never becomes a float but for the eye.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::UsdNanos;

/// A nano-dollar in femto-dollars.
const FEMTOS_PER_NANO: i128 = 1_000_000;
/// A dollar in femto-dollars.
const FEMTOS_PER_USD: u128 = 1_000_000_000_000_000;
/// Places behind the point.
const PLACES: usize = 15;

/// An amount in femto-dollars: millionths of a nano-dollar, which a token count times a rate per million tokens
/// always is exactly. Serialised as a text of dollars, `"0.0000000375"`, so that no reader rounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsdFemtos(pub i128);

/// Why a text is no exact amount.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no amount in dollars with at most 15 decimal places")]
pub struct InvalidAmount(pub String);

impl UsdFemtos {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `quantity` units at `rate_nanos` nano-dollars for every `per` of them. Exact for every `per` that divides a
    /// million.
    #[must_use]
    pub fn of(quantity: u64, rate_nanos: i64, per: u32) -> Self {
        let product = i128::from(quantity).saturating_mul(i128::from(rate_nanos));
        let per = i128::from(per.max(1));
        Self(if FEMTOS_PER_NANO % per == 0 {
            product.saturating_mul(FEMTOS_PER_NANO / per)
        } else {
            product.saturating_mul(FEMTOS_PER_NANO) / per
        })
    }

    /// The nearest nano-dollar, halves away from zero; held at the limits of the type.
    #[must_use]
    pub fn rounded(self) -> UsdNanos {
        let half = if self.0 < 0 {
            -FEMTOS_PER_NANO / 2
        } else {
            FEMTOS_PER_NANO / 2
        };
        held(self.0.saturating_add(half) / FEMTOS_PER_NANO)
    }

    /// Whole nano-dollars, the rest cut off.
    #[must_use]
    pub fn whole_nanos(self) -> UsdNanos {
        held(self.0 / FEMTOS_PER_NANO)
    }

    /// Dollars, for the eye: never compute with it.
    #[must_use]
    pub fn to_usd(self) -> f64 {
        self.0 as f64 / FEMTOS_PER_USD as f64
    }

    /// Reads what [`Self::decimal`] writes.
    ///
    /// # Errors
    /// [`InvalidAmount`] where it is no decimal number of dollars, or has more than 15 places.
    pub fn parse(text: &str) -> Result<Self, InvalidAmount> {
        let invalid = || InvalidAmount(text.to_owned());
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > PLACES {
            return Err(invalid());
        }
        let femtos: i128 = format!("{whole}{fraction:0<PLACES$}")
            .parse()
            .map_err(|_| invalid())?;
        Ok(Self(if is_negative { -femtos } else { femtos }))
    }

    /// All places that are not trailing zeros, without a currency: `0.0000000375`, `12`.
    #[must_use]
    pub fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let femtos = self.0.unsigned_abs();
        let (whole, fraction) = (femtos / FEMTOS_PER_USD, femtos % FEMTOS_PER_USD);
        if fraction == 0 {
            return format!("{sign}{whole}");
        }
        let places = format!("{fraction:0PLACES$}");
        format!("{sign}{whole}.{}", places.trim_end_matches('0'))
    }
}

fn held(nanos: i128) -> UsdNanos {
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    UsdNanos(i64::try_from(nanos).unwrap_or(limit))
}

impl From<UsdNanos> for UsdFemtos {
    fn from(nanos: UsdNanos) -> Self {
        Self(i128::from(nanos.0) * FEMTOS_PER_NANO)
    }
}

impl Add for UsdFemtos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for UsdFemtos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for UsdFemtos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for UsdFemtos {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// `$0.0000000375`: at least two places.
impl fmt::Display for UsdFemtos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimal = self.decimal();
        let (sign, digits) = match decimal.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", decimal.as_str()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        write!(f, "{sign}${whole}.{fraction:0<2}")
    }
}

impl Serialize for UsdFemtos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.decimal())
    }
}

impl<'de> Deserialize<'de> for UsdFemtos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
