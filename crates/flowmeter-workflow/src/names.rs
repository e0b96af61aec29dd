//! Names in messages: the nearest valid one, and lists that stay readable.
//!
//! Never decides whether a name is valid.

/// The longest list of names in one message.
const LISTED_MAX: usize = 12;

/// The candidate that `wanted` is probably a misspelling of.
#[must_use]
pub fn nearest_name<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted_lower = wanted.to_lowercase();
    let length = wanted_lower.chars().count();
    // A third of the letters may differ; of short names one, but not the only one.
    let distance_max = (length / 3).max(usize::from(length > 1));
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let candidate_lower = candidate.to_lowercase();
        if candidate_lower.chars().count().abs_diff(length) > distance_max
            && !related(&candidate_lower, &wanted_lower)
        {
            continue;
        }
        let mut distance = strsim::damerau_levenshtein(&wanted_lower, &candidate_lower);
        if distance > distance_max && related(&candidate_lower, &wanted_lower) {
            distance = distance_max;
        }
        if distance <= distance_max && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// One name contains the other: `status` and `status_code`, `file-read` and `read-file` have words in common.
fn related(a: &str, b: &str) -> bool {
    let (shorter, longer) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if shorter.len() >= 3 && longer.contains(shorter) {
        return true;
    }
    let words = |text: &str| {
        let mut words: Vec<String> = text.split(['-', '_', ' ']).map(str::to_owned).collect();
        words.sort();
        words
    };
    words(a).len() > 1 && words(a) == words(b)
}

/// The names, a dozen at most, separated by commas.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names
        .iter()
        .take(LISTED_MAX)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > LISTED_MAX {
        format!("{shown} and {} more", names.len() - LISTED_MAX)
    } else {
        shown
    }
}

/// `did you mean …?` where a name is near, and what there is.
pub(crate) fn suggestion(wanted: &str, candidates: &[&str], what: &str) -> Option<String> {
    let near = nearest_name(wanted, candidates.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let all = (!candidates.is_empty()).then(|| format!("{what}: {}", list(candidates.iter().copied())));
    match (near, all) {
        (Some(near), Some(all)) => Some(format!("{near} {all}")),
        (near, all) => near.or(all),
    }
}
