//! The parts of a model's name: path, provider prefix, region, version suffix, fine-tuned base.
//!
//! Works on names in lower case and never prices anything: it only says which other spellings mean the
//! same model. A shorter name is never offered for the sake of being a prefix.

use crate::host::known_id;

/// Bedrock's inference profiles: who serves the call, hence at which price.
const REGIONS: &[&str] = &[
    "us", "eu", "apac", "global", "us-gov", "jp", "au", "in", "ca", "sa",
];

/// A name without the path in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unprefixed<'a> {
    /// The price book's id of the provider that the prefix named.
    pub(crate) provider: Option<&'static str>,
    /// The name after the prefix.
    pub(crate) name: &'a str,
}

/// Strips an ARN's path, `publishers/…/models/`, `models/` or a known provider's prefix.
pub(crate) fn unprefixed(name: &str) -> Option<Unprefixed<'_>> {
    if name.starts_with("arn:") {
        let (_, last) = name.rsplit_once('/')?;
        return some_name(Some("aws"), last);
    }
    if let Some((before, last)) = name.rsplit_once("/models/") {
        let publisher = before
            .strip_prefix("publishers/")
            .or_else(|| Some(before.rsplit_once("/publishers/")?.1));
        return publisher.and_then(|_| some_name(Some("google"), last));
    }
    if let Some(rest) = name.strip_prefix("models/") {
        return some_name(None, rest);
    }
    let (prefix, rest) = name.split_once('/')?;
    some_name(Some(known_id(prefix)?), rest)
}

fn some_name<'a>(provider: Option<&'static str>, name: &'a str) -> Option<Unprefixed<'a>> {
    (!name.is_empty()).then_some(Unprefixed { provider, name })
}

/// `us.anthropic.claude-…` or `anthropic.claude-…` without region and vendor; `None` for any other name.
pub(crate) fn without_region(name: &str) -> Option<&str> {
    const VENDORS: &[&str] = &[
        "anthropic",
        "amazon",
        "meta",
        "mistral",
        "cohere",
        "ai21",
        "deepseek",
        "openai",
        "qwen",
        "stability",
        "writer",
        "twelvelabs",
        "luma",
        "google",
        "minimax",
        "moonshot",
        "nvidia",
        "zai",
    ];
    let (first, rest) = name.split_once('.')?;
    let (vendor, model) = if REGIONS.contains(&first) {
        rest.split_once('.')?
    } else {
        (first, rest)
    };
    (VENDORS.contains(&vendor) && !model.is_empty()).then_some(model)
}

/// Whether the text before a model's own name is only a path, a region or a vendor.
pub(crate) fn is_prefix_only(front: &str) -> bool {
    let path_ends = front.rfind('/').map_or(0, |at| at + 1);
    let dotted = &front[path_ends..];
    dotted.is_empty()
        || (dotted.ends_with('.') && without_region(&format!("{dotted}x")) == Some("x"))
        || dotted
            .strip_suffix('.')
            .is_some_and(|region| REGIONS.contains(&region))
}

/// The base in `ft:base:organisation::id`.
pub(crate) fn fine_tuned_base(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("ft:")?;
    Some(rest.split_once(':').map_or(rest, |(base, _)| base))
}

/// Strips one version suffix: a date, `@date`, `-latest`, `-v1:0` or three digits. Nothing else.
pub(crate) fn strip_version(name: &str) -> Option<&str> {
    let stem = strip_at_date(name)
        .or_else(|| name.strip_suffix("-latest"))
        .or_else(|| strip_revision(name))
        .or_else(|| strip_dashed_date(name))
        .or_else(|| strip_digits(name, 8).filter(|stem| is_compact_date(&name[stem.len() + 1..])))
        .or_else(|| strip_digits(name, 3))?;
    (!stem.is_empty()).then_some(stem)
}

/// What remains when every mark of a version is gone, those that only makers of price books use
/// (`-preview-05-06`, `-0613`, `-beta`) included. For judging a match that the book itself made.
pub(crate) fn stem(name: &str) -> &str {
    let mut stem = name;
    while let Some(shorter) = strip_version(stem).or_else(|| strip_loose_version(stem)) {
        stem = shorter;
    }
    stem
}

fn strip_loose_version(name: &str) -> Option<&str> {
    let worded = ["-preview", "-exp", "-experimental", "-beta"]
        .into_iter()
        .find_map(|word| name.strip_suffix(word));
    let stem = worded
        .or_else(|| strip_digits(name, 4).filter(|stem| is_short_date(&name[stem.len() + 1..])))
        .or_else(|| strip_month_and(name, 2))
        .or_else(|| strip_month_and(name, 4))
        .or_else(|| {
            let (stem, revision) = name.rsplit_once("-v")?;
            is_digits(revision).then_some(stem)
        })?;
    (!stem.is_empty()).then_some(stem)
}

/// `-05-06` and `-09-2025`.
fn strip_month_and(name: &str, digits: usize) -> Option<&str> {
    let stem = strip_digits(name, digits)?;
    let stem = strip_digits(stem, 2).filter(|shorter| is_between(&stem[shorter.len() + 1..], 1, 12))?;
    Some(stem)
}

fn strip_at_date(name: &str) -> Option<&str> {
    let (stem, date) = name.rsplit_once('@')?;
    let dashed = date.len() == 10 && strip_dashed_date(&format!("-{date}")) == Some("");
    (dashed || (date.len() == 8 && is_compact_date(date))).then_some(stem)
}

fn strip_revision(name: &str) -> Option<&str> {
    let (stem, revision) = name.rsplit_once("-v")?;
    let (major, minor) = revision.split_once(':')?;
    (is_digits(major) && is_digits(minor)).then_some(stem)
}

fn strip_dashed_date(name: &str) -> Option<&str> {
    let without_day = strip_digits(name, 2)?;
    let without_month = strip_digits(without_day, 2)?;
    let stem = strip_digits(without_month, 4)?;
    let date = [
        &without_month[stem.len() + 1..],
        &without_day[without_month.len() + 1..],
        &name[without_day.len() + 1..],
    ];
    is_compact_date(&date.concat()).then_some(stem)
}

/// Strips `-` and exactly `count` digits.
fn strip_digits(name: &str, count: usize) -> Option<&str> {
    let (stem, digits) = name.rsplit_once('-')?;
    (digits.len() == count && is_digits(digits)).then_some(stem)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `0613` for the thirteenth of June, `2411` for November 2024; not the beginning of a year.
fn is_short_date(digits: &str) -> bool {
    let (front, back) = digits.split_at(2);
    (is_between(front, 1, 12) && is_between(back, 1, 31))
        || (is_between(front, 22, 39) && is_between(back, 1, 12))
}

fn is_compact_date(date: &str) -> bool {
    date.len() == 8
        && is_digits(date)
        && is_between(&date[..4], 2000, 2199)
        && is_between(&date[4..6], 1, 12)
        && is_between(&date[6..], 1, 31)
}

fn is_between(digits: &str, low: u32, high: u32) -> bool {
    digits
        .parse::<u32>()
        .is_ok_and(|number| (low..=high).contains(&number))
}

#[cfg(test)]
mod tests;
