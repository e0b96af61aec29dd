//! How fast calls are priced once the book is loaded, beside genai-prices' own `calculate`; and how fast a call's upper
//! bound is found.
//!
//! Variants run in turns within one process, so that noise hits them alike; medians are printed. Limits: one call is
//! priced in at most 2 µs, its bound found in at most 200 ns.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

use flowmeter_model::{Figure, TimestampNs, TokenUsage};
use flowmeter_pricing::{BoundedCall, Overrides, PriceBook, PricedCall};
use genai_prices::{Calculator, PriceRequest, Usage, UsageKey};

const PRICE_LIMIT_NS: f64 = 2_000.0;
const BOUND_LIMIT_NS: f64 = 200.0;
const REPEATS: u32 = 1_000;

/// 2026-11-20T12:00:00Z.
const NOON: TimestampNs = TimestampNs(1_795_176_000_000_000_000);

/// A call as both sides see it.
struct Case {
    provider: String,
    model: String,
    usage: TokenUsage,
    theirs: Usage,
}

fn case(provider: &str, model: &str, counts: [u64; 5]) -> Case {
    let [input, read, short, hour, output] = counts;
    let some = |count: u64| (count > 0).then(|| Figure::provider(count));
    let mut theirs = Usage::new();
    for (key, count) in [
        (UsageKey::INPUT_TOKENS, input),
        (UsageKey::CACHE_READ_TOKENS, read),
        (UsageKey::CACHE_WRITE_TOKENS, short + hour),
        (UsageKey::CACHE_WRITE_1H_TOKENS, hour),
        (UsageKey::OUTPUT_TOKENS, output),
    ] {
        if count > 0 {
            theirs.insert(key, count as f64);
        }
    }
    Case {
        provider: provider.to_owned(),
        model: model.to_owned(),
        usage: TokenUsage {
            input: Some(Figure::provider(input)),
            cache_read: some(read),
            cache_write_5m: some(short),
            cache_write_1h: some(hour),
            output: Some(Figure::provider(output)),
            ..TokenUsage::default()
        },
        theirs,
    }
}

fn ours(book: &PriceBook, case: &Case, start: TimestampNs) -> i64 {
    let cost = book.price(&PricedCall {
        provider: Some(&case.provider),
        request_model: &case.model,
        response_model: None,
        usage: &case.usage,
        start,
        service_tier: None,
    });
    cost.amount.map_or(0, |amount| amount.0)
}

fn theirs(case: &Case, start: TimestampNs) -> f64 {
    let request = PriceRequest::new(&case.model, &case.theirs)
        .with_provider_id(&case.provider)
        .with_timestamp(UNIX_EPOCH + Duration::from_nanos(start.0));
    Calculator::bundled()
        .calculate(&request)
        .map_or(0.0, |price| price.total_price)
}

fn bound(book: &PriceBook, case: &Case, start: TimestampNs) -> i64 {
    let bound = book.bound(&BoundedCall {
        provider: Some(&case.provider),
        model: &case.model,
        start,
        input_tokens_max: case.usage.input_tokens(),
        output_tokens_max: Some(1_024),
        ..BoundedCall::default()
    });
    bound.cost_max().map_or(0, |cost| cost.0)
}

/// The nanoseconds that one of `REPEATS` runs takes.
fn timed(mut run: impl FnMut(u32)) -> f64 {
    let began = Instant::now();
    for index in 0..REPEATS {
        run(index);
    }
    began.elapsed().as_nanos() as f64 / f64::from(REPEATS)
}

/// Calls of a run start one after the other, not all at once.
fn start_of(index: u32) -> TimestampNs {
    TimestampNs(NOON.0 + u64::from(index) * 10_000_000)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if is_quick { 7 } else { 51 };

    let began = Instant::now();
    black_box(Calculator::bundled());
    println!(
        "decoding the bundled book      {:>8.1} ms, once a process",
        began.elapsed().as_secs_f64() * 1e3
    );
    let book = PriceBook::bundled();
    let simple = case("openai", "gpt-4o-2024-08-06", [1_200, 0, 0, 0, 300]);
    let began = Instant::now();
    black_box(ours(&book, &simple, NOON));
    println!(
        "the first price of a model     {:>8.1} µs",
        began.elapsed().as_secs_f64() * 1e6
    );

    let own = r#"{"gpt-4o": {"unit": "1M", "input": 2.5, "cache_read": 1.25, "output": 10}}"#;
    let (overrides, _) = Overrides::parse(own).unwrap_or_default();
    let overridden = PriceBook::with_overrides(overrides);
    let singles = [
        ("a simple call", &book, simple),
        (
            "a cached call",
            &book,
            case(
                "anthropic",
                "claude-sonnet-4-5-20250929",
                [1_400, 1_024, 150, 50, 300],
            ),
        ),
        (
            "a call beyond a size",
            &book,
            case("google", "gemini-2.5-pro", [250_000, 100_000, 0, 0, 300]),
        ),
        (
            "a call with an own price",
            &overridden,
            case("openai", "gpt-4o", [1_200, 1_024, 0, 0, 300]),
        ),
    ];
    let many: Vec<Case> = Calculator::bundled()
        .providers()
        .flat_map(|provider| {
            provider
                .models()
                .map(move |model| case(provider.id(), model.id(), [900, 0, 0, 0, 90]))
        })
        .filter(|case| theirs(case, NOON) > 0.0)
        .take(REPEATS as usize)
        .collect();
    for case in &many {
        black_box(ours(&book, case, NOON));
    }

    let mut times = vec![[Vec::new(), Vec::new(), Vec::new()]; singles.len() + 1];
    for _ in 0..rounds {
        for ((_, book, case), times) in singles.iter().zip(&mut times) {
            times[0].push(timed(|index| {
                black_box(ours(book, case, start_of(index)));
            }));
            times[1].push(timed(|index| {
                black_box(theirs(case, start_of(index)));
            }));
            times[2].push(timed(|index| {
                black_box(bound(book, case, start_of(index)));
            }));
        }
        let times = &mut times[singles.len()];
        let at = |index: u32| &many[index as usize % many.len()];
        times[0].push(timed(|index| {
            black_box(ours(&book, at(index), start_of(index)));
        }));
        times[1].push(timed(|index| {
            black_box(theirs(at(index), start_of(index)));
        }));
        times[2].push(timed(|index| {
            black_box(bound(&book, at(index), start_of(index)));
        }));
    }
    println!(
        "{:<28} {:>10} {:>14} {:>7} {:>12}",
        "", "flowmeter", "genai-prices", "ratio", "upper bound"
    );
    let names = singles.iter().map(|(name, ..)| (*name).to_owned());
    let names = names.chain([format!("{} different models", many.len())]);
    let (mut slowest_price, mut slowest_bound) = (0.0_f64, 0.0_f64);
    for (index, (name, times)) in names.zip(&mut times).enumerate() {
        let [ours, theirs, bound] = times.each_mut().map(|times| median(times));
        slowest_price = slowest_price.max(ours);
        // A budget asks for the bounds of a few models again and again.
        if index < singles.len() {
            slowest_bound = slowest_bound.max(bound);
        }
        println!(
            "{name:<28} {ours:>7.0} ns {theirs:>11.0} ns {:>6.1}x {bound:>9.0} ns",
            theirs / ours
        );
    }
    let mut holds = true;
    for (what, slowest, limit) in [
        ("one price", slowest_price, PRICE_LIMIT_NS),
        ("one bound", slowest_bound, BOUND_LIMIT_NS),
    ] {
        let ok = slowest <= limit;
        holds &= ok;
        println!(
            "{} {what}: at most {slowest:.0} ns, limit {limit} ns",
            if ok { "ok  " } else { "MISS" }
        );
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
