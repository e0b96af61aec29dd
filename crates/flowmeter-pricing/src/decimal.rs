//! Exact decimal numbers, as written in a price file, to whole nano-dollars.
//!
//! Never goes through a float: `0.00015` per 1,000 tokens is exactly 150,000,000 nanos per million.

/// Why a number is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalFault {
    /// The text is no JSON number.
    NotANumber,
    /// The number is below zero.
    Negative,
    /// The scaled number does not fit.
    TooLarge,
}

/// A scaled number and whether places had to be rounded away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) nanos: i64,
    pub(crate) exact: bool,
}

/// Reads the JSON number `text` and multiplies it by ten to the power of `shift`, rounding half up.
pub(crate) fn scale(text: &str, shift: i32) -> Result<Scaled, DecimalFault> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (significand, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => {
            let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if exponent_digits.is_empty() || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(DecimalFault::NotANumber);
            }
            // An exponent that does not fit is beyond any price in either direction.
            (
                digits,
                exponent.parse::<i32>().map_err(|_| DecimalFault::TooLarge)?,
            )
        }
        None => (unsigned, 0),
    };
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    if whole.is_empty()
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit())
    {
        return Err(DecimalFault::NotANumber);
    }
    let digits: String = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Scaled {
            nanos: 0,
            exact: true,
        });
    }
    if negative {
        return Err(DecimalFault::Negative);
    }
    let fraction_len = i64::try_from(fraction.len()).map_err(|_| DecimalFault::TooLarge)?;
    let power = i64::from(exponent) + i64::from(shift) - fraction_len;
    let digit_count = i64::try_from(digits.len()).map_err(|_| DecimalFault::TooLarge)?;
    // How many digits stand before the decimal point once the number is scaled.
    let kept = digit_count + power;
    if kept > 19 {
        return Err(DecimalFault::TooLarge);
    }
    if kept < 0 {
        return Ok(Scaled {
            nanos: 0,
            exact: false,
        });
    }
    let kept = usize::try_from(kept).map_err(|_| DecimalFault::TooLarge)?;
    let (head, tail) = digits.split_at(kept.min(digits.len()));
    let mut value: i128 = 0;
    for digit in head.bytes().chain(std::iter::repeat_n(b'0', kept - head.len())) {
        value = value * 10 + i128::from(digit - b'0');
    }
    if tail.bytes().next().is_some_and(|digit| digit >= b'5') {
        value += 1;
    }
    let exact = tail.bytes().all(|digit| digit == b'0');
    let nanos = i64::try_from(value).map_err(|_| DecimalFault::TooLarge)?;
    Ok(Scaled { nanos, exact })
}

/// Writes `nanos` divided by ten to the power of `shift`, in as few digits as say it exactly.
pub(crate) fn decimal(nanos: i64, shift: i32) -> String {
    let places = usize::try_from(shift).unwrap_or(0);
    let digits = format!("{:0>width$}", nanos.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let sign = if nanos < 0 { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests;
