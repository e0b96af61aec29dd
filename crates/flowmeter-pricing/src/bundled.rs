//! The bundled price book, `genai-prices`: which of its entries is meant, and at which rates.
//!
//! Never takes the book's word for a match: many of its rules say "starts with" or "contains", so a match
//! counts only where the rule's literal covers the whole name up to a version suffix. The book gives
//! prices as floats of dollars; rates are recovered from it exactly, and all arithmetic is ours.

mod rates;

use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage};
use smol_str::{SmolStr, format_smolstr};

use crate::host::{CLOSED_MAKERS, Host, fold, host};
use crate::model_name::{fine_tuned_base, is_prefix_only, stem, strip_version, unprefixed, without_region};

pub(crate) use rates::{Inquiry, Rated, is_standard_tier};

/// Longer names belong to no model; looking for one would only cost time.
const LONGEST_NAME: usize = 200;

/// An entry of the book that a call's model means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BookMatch {
    /// The provider's id in the book.
    pub(crate) provider: String,
    /// The spelling under which the book finds the entry.
    pub(crate) name: String,
    /// `provider/model`, as the book calls it.
    pub(crate) key: SmolStr,
    /// The rule that led there.
    pub(crate) rule: &'static str,
    /// What the user should know about this match.
    pub(crate) warning: Option<String>,
}

/// The entry of this id at this provider, for whoever goes through the book.
pub(crate) fn entry_of(book: &Calculator, provider: &str, model: &str) -> BookMatch {
    BookMatch {
        provider: provider.to_owned(),
        name: spelling_of(book, provider, model).unwrap_or_else(|| model.to_owned()),
        key: format_smolstr!("{provider}/{model}"),
        rule: "exact model",
        warning: None,
    }
}

/// A name under which the book finds the entry of this id: some ids are labels that the entry's own rule
/// does not match. Those of Fireworks stand behind a path, those of Bedrock's regions mean any of them, and
/// some rules name only what comes with a version.
fn spelling_of(book: &Calculator, provider: &str, model: &str) -> Option<String> {
    let means_it =
        |name: &str| look_up(book, Some(provider), name).is_some_and(|found| found.model_id == model);
    let shorter = std::iter::successors(Some(model), |name| Some(name.rsplit_once('-')?.0)).skip(1);
    let regional = model.strip_prefix("regional.");
    let regional = regional
        .into_iter()
        .flat_map(|name| [format!("us.{name}"), name.to_owned()]);
    let versions = ["-latest", "-2024-07-18", "-2024-08-06"];
    let spellings = [model.to_owned()]
        .into_iter()
        .chain(
            ["accounts/fireworks/models/", "accounts/fireworks/routers/"]
                .map(|path| format!("{path}{model}")),
        )
        .chain(regional)
        .chain(versions.map(|version| format!("{model}{version}")))
        .chain(shorter.map(str::to_owned));
    let mut spellings = spellings;
    spellings.find(|name| means_it(name))
}

/// The entry that has this name for its id, whatever its own rule matches.
fn by_id(book: &Calculator, provider: &str, name: &str) -> Option<BookMatch> {
    let known = book.providers().find(|known| known.id() == provider)?;
    let model = known
        .models()
        .find(|model| model.id().eq_ignore_ascii_case(name))?;
    spelling_of(book, provider, model.id())?;
    let mut entry = entry_of(book, provider, model.id());
    if fine_tuned_base(name).is_some() {
        entry.rule = "fine-tuned entry";
    }
    Some(entry)
}

/// Providers of the book that make models, rather than host those of others; the likeliest first.
pub(crate) const MAKERS: [&str; 9] = [
    "openai",
    "anthropic",
    "google",
    "x-ai",
    "mistral",
    "deepseek",
    "cohere",
    "perplexity",
    "meta",
];

/// Hints that name a router: the name before the slash says who serves the call.
const ROUTERS: [&str; 4] = ["litellm", "litellm_proxy", "litellm-proxy", "portkey"];

/// Whether a provider of the book makes models.
pub(crate) fn is_maker(provider: &str) -> bool {
    MAKERS.contains(&provider)
}

/// Finds the entry for `model` as served by the provider that the hint names.
pub(crate) fn find(book: &Calculator, hint: Option<&str>, model: &str) -> Option<BookMatch> {
    let name = fold(model);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let served_by = match hint.map(host) {
        Some(Host::Local) => return None,
        Some(Host::Known(id)) => Some(id.to_owned()),
        Some(Host::Other) => book
            .find_provider(hint, None)
            .ok()
            .flatten()
            .map(|provider| provider.id().to_owned()),
        None => None,
    };
    if let Some(provider) = served_by {
        let found = find_at(book, &provider, &name);
        // OpenAI's client is what most gateways speak, so that name alone proves little.
        return if provider == "openai" {
            found.or_else(|| find_by_name(book, hint, &name))
        } else {
            found
        };
    }
    find_by_name(book, hint, &name)
}

/// The name at one provider: as it is, without its prefix, without version suffixes.
pub(crate) fn find_at(book: &Calculator, provider: &str, name: &str) -> Option<BookMatch> {
    let accept = |name: &str, rule| accept(book, provider, name, rule);
    if let Some(found) = accept(name, "exact model").or_else(|| by_id(book, provider, name)) {
        return Some(found);
    }
    let short = unprefixed(name).map(|found| found.name);
    let stripped = |short| accept(short, "prefix stripped").or_else(|| by_id(book, provider, short));
    if let Some(found) = short.and_then(stripped) {
        return Some(found);
    }
    if fine_tuned_base(name).is_some() {
        return None;
    }
    for start in [Some(name), short].into_iter().flatten() {
        let mut name = start;
        while let Some(shorter) = strip_version(name) {
            name = shorter;
            if let Some(found) = accept(name, "version suffix stripped") {
                return Some(found);
            }
        }
    }
    None
}

/// The name where the provider is not known: by what the name itself says about its maker.
fn find_by_name(book: &Calculator, hint: Option<&str>, name: &str) -> Option<BookMatch> {
    let prefixed = unprefixed(name);
    let bare = prefixed.map_or(name, |found| found.name);
    if without_region(bare).is_some() || bare.starts_with("regional.") {
        return find_at(book, "aws", bare);
    }
    let named = prefixed.and_then(|found| found.provider);
    let maker = match named {
        Some(provider) => provider.to_owned(),
        None if bare.starts_with("ft:") => "openai".to_owned(),
        None if bare.starts_with("accounts/fireworks/") => "fireworks".to_owned(),
        None => maker_of(book, bare)?,
    };
    // Whoever hosts an open model sets his own price, and this host's is not in the book. A router that
    // hosts nothing names the host before the model.
    let routed = named.is_some() && hint.is_some_and(|hint| ROUTERS.contains(&&*fold(hint)));
    if hint.is_some() && !routed && !CLOSED_MAKERS.contains(&maker.as_str()) {
        return None;
    }
    let mut found = find_at(book, &maker, bare)?;
    if let Some(hint) = hint {
        // OpenAI's name is in the book, but this model is not among its own.
        let lacking = if matches!(host(hint), Host::Known(_)) {
            "has no such model in"
        } else {
            "is not in"
        };
        found.warning = Some(format!(
            "provider `{}` {lacking} the price book: priced as from `{maker}`",
            hint.trim()
        ));
    }
    Some(found)
}

/// The provider whose models are named like this, versions aside: by the book's word, else the first of
/// the makers that has such a model.
fn maker_of(book: &Calculator, name: &str) -> Option<String> {
    let mut stem = Some(name);
    while let Some(name) = stem {
        if let Some(found) = look_up(book, None, name) {
            return Some(found.provider_id);
        }
        stem = strip_version(name);
    }
    MAKERS
        .into_iter()
        .find(|maker| find_at(book, maker, name).is_some())
        .map(str::to_owned)
}

fn look_up(book: &Calculator, provider: Option<&str>, name: &str) -> Option<PriceCalculation> {
    if name.is_empty() {
        return None;
    }
    let nothing = Usage::new();
    let mut request = PriceRequest::new(name, &nothing);
    if let Some(provider) = provider {
        request = request.with_provider_id(provider);
    }
    book.calculate(&request).ok()
}

/// The book's match for a name, if the rule behind it means this model and not a family of names.
fn accept(book: &Calculator, provider: &str, name: &str, rule: &'static str) -> Option<BookMatch> {
    let found = look_up(book, Some(provider), name)?;
    let rule = if found.model_id.eq_ignore_ascii_case(name) {
        rule
    } else {
        match literal_in(book, provider, name, &found)? {
            Literal::Whole => rule,
            Literal::BehindPrefix => "prefix stripped",
            Literal::BeforeVersion => "version suffix stripped",
        }
    };
    Some(BookMatch {
        provider: found.provider_id.clone(),
        name: name.to_owned(),
        key: format_smolstr!("{}/{}", found.provider_id, found.model_id),
        rule: if fine_tuned_base(name).is_some() {
            "fine-tuned entry"
        } else {
            rule
        },
        warning: None,
    })
}

/// How much of a name the literal of the book's rule is.
enum Literal {
    Whole,
    BehindPrefix,
    BeforeVersion,
}

/// The literal of the rule that matched, if it is the whole name but for a version behind it and a path or
/// region before it; `None` if anything else is left over. The rules themselves are not public, so the literal is found by shortening the
/// name for as long as the same entry still answers.
fn literal_in(book: &Calculator, provider: &str, name: &str, found: &PriceCalculation) -> Option<Literal> {
    let same_entry = |part: &str| {
        look_up(book, Some(provider), part)
            .is_some_and(|other| other.model_id == found.model_id && other.provider_id == found.provider_id)
    };
    let ends = name.char_indices().rev().map(|(at, _)| at);
    let end = ends
        .take_while(|&at| same_entry(&name[..at]))
        .last()
        .unwrap_or(name.len());
    let starts = name[..end].char_indices().skip(1).map(|(at, _)| at);
    let start = starts
        .take_while(|&at| same_entry(&name[at..end]))
        .last()
        .unwrap_or(0);
    let needed = match fine_tuned_base(name) {
        // The literal must itself name the fine-tunes, and all of the base but its version.
        Some(base) if name[start..end].starts_with("ft:") => "ft:".len() + stem(base).len(),
        Some(_) => return None,
        None => stem(name).len(),
    };
    if end < needed || !is_prefix_only(&name[..start]) {
        return None;
    }
    Some(match (start, end) {
        (_, end) if end < name.len() => Literal::BeforeVersion,
        (0, _) => Literal::Whole,
        _ => Literal::BehindPrefix,
    })
}

#[cfg(test)]
mod tests;
