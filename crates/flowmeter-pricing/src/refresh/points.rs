//! The sizes and times of day at which the prices of a file change.
//!
//! Never judges a price: it collects where to look.

use serde_json::Value;

/// Where prices change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Points {
    /// Input tokens beyond which some price changes.
    pub(super) sizes: Vec<u64>,
    /// Seconds of the day, in UTC.
    pub(super) day_seconds: Vec<u32>,
}

/// Collects the points of a file in the format of genai-prices. What is no JSON has none.
pub(super) fn of(text: &str) -> Points {
    let mut points = Points::default();
    if let Ok(file) = serde_json::from_str::<Value>(text) {
        walk(&file, &mut points);
    }
    points
}

fn walk(value: &Value, points: &mut Points) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, points)),
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("start", Value::Number(size)) => points.sizes.extend(whole_size(size)),
                    ("start_time" | "end_time", Value::String(time)) => {
                        points.day_seconds.extend(second_of_day(time));
                    }
                    ("match" | "extractors" | "model_match" | "provider_match", _) => {}
                    (_, member) => walk(member, points),
                }
            }
        }
        _ => {}
    }
}

/// The last whole number of tokens that is not beyond a size.
fn whole_size(size: &serde_json::Number) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a negative or endless size is no size; the cast holds it at the limits"
    )]
    size.as_u64()
        .or_else(|| size.as_f64().map(|size| size.floor() as u64))
}

/// The second at which a time such as `00:30:00Z` or `23:00:00.5+01:00` has come.
fn second_of_day(time: &str) -> Option<u32> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u32>().ok();
    let (hour, minute, second) = (number(0..2)?, number(3..5)?, number(6..8)?);
    let rest = time.get(8..)?;
    let (fraction, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let begun = u32::from(fraction.bytes().any(|byte| matches!(byte, b'1'..=b'9')));
    let offset = match zone.as_bytes().first()? {
        b'Z' => 0,
        sign => {
            let hours: i64 = zone.get(1..3)?.parse().ok()?;
            let minutes: i64 = zone.get(4..6)?.parse().ok()?;
            let offset = hours * 3_600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
    };
    let local = i64::from(hour * 3_600 + minute * 60 + second + begun);
    u32::try_from((local - offset).rem_euclid(86_400)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_seconds_of_the_day_in_utc() {
        assert_eq!(second_of_day("00:30:00Z"), Some(1_800));
        assert_eq!(second_of_day("23:00:00+01:00"), Some(79_200));
        assert_eq!(second_of_day("00:30:00+01:00"), Some(84_600));
        assert_eq!(second_of_day("12:00:00.5Z"), Some(43_201));
        assert_eq!(second_of_day("noon"), None);
    }

    #[test]
    fn sizes_and_times_are_found_wherever_they_stand() {
        let text = r#"[{"models": [{"match": {"start": 7}, "prices": [{"constraint": {"start_time": "01:00:00Z",
            "end_time": "02:00:00Z"}, "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 5, "price": 2}]}}}]}]}]"#;
        let points = of(text);
        assert_eq!((points.sizes, points.day_seconds), (vec![5], vec![3_600, 7_200]));
    }
}
