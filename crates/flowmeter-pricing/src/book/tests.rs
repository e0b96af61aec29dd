//! Prices from end to end: sources in order, statuses, tiers, dates, explanations.

use expect_test::{Expect, expect};
use flowmeter_model::Figure;
use genai_prices::Calculator;

use super::*;

mod by_hand;

/// 2026-11-01T00:00:00Z.
const NOVEMBER_2026: TimestampNs = TimestampNs(1_793_491_200_000_000_000);

fn tokens(input: u64, output: u64) -> TokenUsage {
    TokenUsage {
        input: Some(Figure::provider(input)),
        output: Some(Figure::provider(output)),
        ..TokenUsage::default()
    }
}

fn call<'a>(provider: Option<&'a str>, model: &'a str, usage: &'a TokenUsage) -> PricedCall<'a> {
    PricedCall {
        provider,
        request_model: model,
        response_model: None,
        usage,
        start: NOVEMBER_2026,
        service_tier: None,
    }
}

fn own(text: &str) -> PriceBook {
    PriceBook::with_overrides(Overrides::parse(text).unwrap().0)
}

fn show(cost: &Cost) -> String {
    let amount = cost
        .amount
        .map_or("no amount".to_owned(), |amount| amount.to_string());
    let mut text = format!("{} {amount}\n", cost.status.as_str());
    if let Some(why) = &cost.explanation {
        text += &format!("{} | {} | {}\n", why.matched, why.source, why.rule);
        for line in &why.lines {
            text += &format!(
                "  {} {} x {} = {}\n",
                line.kind,
                line.quantity,
                line.rate_nanos,
                line.amount().to_usd()
            );
        }
        for warning in &why.warnings {
            text += &format!("  ! {warning}\n");
        }
    }
    text
}

#[track_caller]
fn check(book: &PriceBook, call: &PricedCall<'_>, wanted: Expect) {
    wanted.assert_eq(&show(&book.price(call)));
}

fn golden() -> TokenUsage {
    TokenUsage {
        cache_read: Some(Figure::provider(1024)),
        cache_write_5m: Some(Figure::provider(150)),
        cache_write_1h: Some(Figure::provider(50)),
        web_searches: Some(2),
        ..tokens(1400, 300)
    }
}

#[test]
fn the_golden_case_is_exact() {
    let usage = golden();
    let cost = PriceBook::bundled().price(&call(Some("anthropic"), "claude-sonnet-4-5-20250929", &usage));
    assert_eq!(cost.amount, Some(UsdNanos(26_197_700)));
    expect![[r#"
        priced $0.0261977
        anthropic/claude-sonnet-4-5 | genai-prices 0.2.1 | version suffix stripped
          input 176 x 3000000000 = 0.000528
          cache_read 1024 x 300000000 = 0.0003072
          cache_write_5m 150 x 3750000000 = 0.0005625
          cache_write_1h 50 x 6000000000 = 0.0003
          output 300 x 15000000000 = 0.0045
          web_search 2 x 10000000000 = 0.02
    "#]]
    .assert_eq(&show(&cost));
}

#[test]
fn nothing_is_decoded_before_it_is_needed() {
    let book = own(r#"{"m": {"input": 0.001}}"#);
    let unknown = TokenUsage::default();
    assert_eq!(book.price(&call(None, "gpt-4o", &unknown)), Cost::unpriced());
    let paid = TokenUsage {
        reported_cost: Some(UsdNanos(5)),
        ..tokens(1, 1)
    };
    assert_eq!(
        book.price(&call(None, "gpt-4o", &paid)).status,
        CostStatus::Reported
    );
    let _ = book.price(&call(Some("ollama"), "llama3", &tokens(1, 1)));
    assert!(!book.is_decoded());
    let _ = book.price(&call(None, "gpt-4o", &tokens(1, 1)));
    assert!(book.is_decoded());
}

#[test]
fn warming_up_does_not_wait_and_decodes() {
    let book = Arc::new(PriceBook::bundled());
    book.warm_up();
    book.warm_up();
    for _ in 0..2_000 {
        if book.is_decoded() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the prices were never decoded");
}

#[test]
fn sources_go_in_order() {
    let book = own(r#"{"gpt-4o": {"unit": "1M", "input": 1, "output": 2}}"#);
    let usage = tokens(1_000_000, 1_000_000);
    check(
        &book,
        &call(Some("openai"), "gpt-4o", &usage),
        expect![[r#"
        priced $3.00
        gpt-4o | pricing.json | exact model
          input 1000000 x 1000000000 = 1
          output 1000000 x 2000000000 = 2
    "#]],
    );
    let paid = TokenUsage {
        reported_cost: Some(UsdNanos(123)),
        ..usage.clone()
    };
    check(
        &book,
        &call(Some("openrouter"), "openai/gpt-4o", &paid),
        expect![[r#"
        reported $0.000000123
        openrouter/openai/gpt-4o | provider | reported by the provider
    "#]],
    );
    check(
        &book,
        &call(Some("openai"), "gpt-4o-mini", &usage),
        expect![[r#"
        priced $0.75
        openai/gpt-4o-mini | genai-prices 0.2.1 | exact model
          input 1000000 x 150000000 = 0.15
          output 1000000 x 600000000 = 0.6
    "#]],
    );
    check(
        &book,
        &call(Some("openai"), "gpt-4-mystery", &usage),
        expect![[r#"
        unpriced no amount
    "#]],
    );
}

#[test]
fn the_model_that_answered_goes_first() {
    let usage = tokens(1_000_000, 0);
    let mut routed = call(Some("openai"), "gpt-4o", &usage);
    routed.response_model = Some("gpt-4o-mini-2024-07-18");
    let cost = PriceBook::bundled().price(&routed);
    assert_eq!(cost.explanation.unwrap().matched, "openai/gpt-4o-mini");
    routed.response_model = Some("a-name-of-the-server");
    assert_eq!(
        PriceBook::bundled().price(&routed).explanation.unwrap().matched,
        "openai/gpt-4o"
    );
}

#[test]
fn a_local_model_costs_nothing_for_certain() {
    for usage in [tokens(10, 10), TokenUsage::default()] {
        let cost = PriceBook::bundled().price(&call(Some("ollama"), "llama3.2", &usage));
        assert_eq!(
            (cost.status, cost.amount),
            (CostStatus::Priced, Some(UsdNanos::ZERO))
        );
    }
    let priced = own(r#"{"llama3.2": {"unit": "1M", "input": 1, "output": 1}}"#).price(&call(
        Some("ollama"),
        "llama3.2",
        &tokens(10, 10),
    ));
    assert_eq!(
        priced.amount,
        Some(UsdNanos(20_000)),
        "electricity may have a price of its own"
    );
}

#[test]
fn estimated_and_partial_amounts_say_so() {
    let guessed = TokenUsage {
        output: Some(crate::estimate_tokens("12345")),
        ..tokens(10, 0)
    };
    assert_eq!(
        PriceBook::bundled().price(&call(None, "gpt-4o", &guessed)).status,
        CostStatus::Estimated
    );
    let half_told = TokenUsage {
        output: None,
        ..tokens(10, 0)
    };
    check(
        &PriceBook::bundled(),
        &call(None, "gpt-4o", &half_told),
        expect![[r#"
        partial $0.000025
        openai/gpt-4o | genai-prices 0.2.1 | exact model
          input 10 x 2500000000 = 0.000025
          ! `output` could not be priced: the amount is a lower bound
    "#]],
    );
    check(
        &own(r#"{"x": {"input": 1}}"#),
        &call(None, "x", &tokens(10, 10)),
        expect![[r#"
        partial $0.01
        x | pricing.json | exact model
          input 10 x 1000000000000 = 0.01
          ! `output` could not be priced: the amount is a lower bound
    "#]],
    );
    assert_eq!(
        own(r#"{"x": {"output": 1}}"#).price(&call(None, "x", &tokens(10, 0))),
        Cost::unpriced()
    );
    // An embedding has no output, and none is missed.
    let embedded = TokenUsage {
        output: None,
        ..tokens(1_000_000, 0)
    };
    let cost = PriceBook::bundled().price(&call(Some("openai"), "text-embedding-3-small", &embedded));
    assert_eq!(
        (cost.status, cost.amount),
        (CostStatus::Priced, Some(UsdNanos(20_000_000)))
    );
}

#[test]
fn an_override_in_the_wrong_unit_is_warned_of() {
    let book = own(r#"{"gpt-4o": {"input": 2.5, "output": 10}}"#);
    check(
        &book,
        &call(Some("openai"), "gpt-4o", &tokens(1, 1)),
        expect![[r#"
        priced $0.0125
        gpt-4o | pricing.json | exact model
          input 1 x 2500000000000 = 0.0025
          output 1 x 10000000000000 = 0.01
          ! `input` of `gpt-4o` in pricing.json is 1000 times dearer than the bundled price of openai/gpt-4o: rates are dollars per 1,000 tokens unless "unit" is "1M"
          ! `output` of `gpt-4o` in pricing.json is 1000 times dearer than the bundled price of openai/gpt-4o: rates are dollars per 1,000 tokens unless "unit" is "1M"
    "#]],
    );
}

#[test]
fn an_override_still_pays_for_searches() {
    let text = r#"{"claude-sonnet-4-5": {"unit": "1M", "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "cache_write_1h": 6}}"#;
    let usage = golden();
    let cost = own(text).price(&call(Some("anthropic"), "claude-sonnet-4-5", &usage));
    assert_eq!(cost.amount, Some(UsdNanos(26_197_700)));
    let unheard_of = own(r#"{"x": {"input": 1, "output": 1}}"#).price(&call(None, "x", &usage));
    assert_eq!(unheard_of.status, CostStatus::Partial);
}

#[test]
fn a_long_prompt_raises_the_rate_of_the_whole_request() {
    let book = PriceBook::bundled();
    let rate = |input| {
        let usage = tokens(input, 10);
        let why = book
            .price(&call(Some("gemini"), "gemini-2.5-pro", &usage))
            .explanation
            .unwrap();
        (why.lines[0].rate_nanos, why.lines[1].rate_nanos)
    };
    assert_eq!(rate(200_000), (1_250_000_000, 10_000_000_000));
    assert_eq!(rate(200_001), (2_500_000_000, 15_000_000_000));
}

#[test]
fn the_price_is_that_of_the_calls_day() {
    let book = PriceBook::bundled();
    let usage = tokens(1_000_000, 1_000_000);
    let price = |year: u64| {
        let mut dated = call(Some("openai"), "o3", &usage);
        dated.start = TimestampNs((year - 1970) * 31_557_600 * 1_000_000_000);
        book.price(&dated).amount.unwrap()
    };
    assert!(price(2025) > price(2026), "o3 became cheaper in June 2025");
}

#[test]
fn service_tiers_have_their_own_rates() {
    let book = PriceBook::bundled();
    let usage = tokens(1_000_000, 1_000_000);
    let price = |asked, granted: Option<&str>| {
        let usage = TokenUsage {
            service_tier: granted.map(str::to_owned),
            ..usage.clone()
        };
        let mut tiered = call(Some("openai"), "gpt-5", &usage);
        tiered.service_tier = asked;
        book.price(&tiered)
    };
    let amount = |asked, granted| price(asked, granted).amount.unwrap();
    let standard = amount(None, None);
    assert_eq!(standard, UsdNanos(11_250_000_000));
    assert_eq!(amount(Some("auto"), Some("default")), standard);
    assert_eq!(amount(None, Some("flex")), UsdNanos(5_625_000_000));
    assert_eq!(
        amount(Some("flex"), Some("priority")),
        UsdNanos(22_500_000_000),
        "what was granted counts"
    );
    assert_eq!(amount(Some("batch"), Some("default")), UsdNanos(5_625_000_000));
    let unheard_of = price(Some("platinum"), None);
    assert_eq!(unheard_of.amount, Some(standard));
    assert!(unheard_of.explanation.unwrap().warnings[0].contains("`platinum`"));
}

#[test]
fn a_request_fee_is_a_line_of_its_own() {
    let usage = tokens(0, 0);
    let cost = PriceBook::bundled().price(&call(Some("perplexity"), "sonar", &usage));
    let why = cost.explanation.unwrap();
    assert_eq!(
        why.lines
            .iter()
            .map(|line| line.kind.as_str())
            .collect::<Vec<_>>(),
        ["request"]
    );
    assert!(cost.amount.unwrap().0 > 0);
}

#[test]
fn contradictory_counts_are_priced_and_said_so() {
    let usage = TokenUsage {
        cache_read: Some(Figure::provider(500)),
        ..tokens(100, 1)
    };
    let cost = PriceBook::bundled().price(&call(None, "claude-sonnet-4-5", &usage));
    assert_eq!(cost.amount, Some(UsdNanos(45_000)));
    assert!(cost.explanation.unwrap().warnings[0].contains("contradict"));
}

#[test]
fn prices_agree_with_the_book_and_grow_with_use() {
    let book = PriceBook::bundled();
    let models = [
        (Some("anthropic"), "claude-sonnet-4-5"),
        (Some("openai"), "gpt-5"),
        (Some("gemini"), "gemini-2.5-flash"),
        (Some("bedrock"), "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (Some("groq"), "llama-3.3-70b-versatile"),
    ];
    arbtest::arbtest(|u| {
        let (provider, model) = *u.choose(&models)?;
        let mut count = || u.int_in_range(0..=5_000_u64);
        let (plain, read, short, hour, output) = (count()?, count()?, count()?, count()?, count()?);
        let usage = TokenUsage {
            cache_read: Some(Figure::provider(read)),
            cache_write_5m: Some(Figure::provider(short)),
            cache_write_1h: Some(Figure::provider(hour)),
            ..tokens(plain + read + short + hour, output)
        };
        let cost = book.price(&call(provider, model, &usage));
        let amount = cost.amount.unwrap();

        let lines: f64 = cost
            .explanation
            .unwrap()
            .lines
            .iter()
            .map(|line| line.amount().to_usd())
            .sum();
        assert!((lines * 1e9 - amount.to_usd() * 1e9).abs() <= 1.0);

        let theirs = genai_prices::Usage::from([
            ("input_tokens", (plain + read + short + hour) as f64),
            ("cache_read_tokens", read as f64),
            ("cache_write_tokens", (short + hour) as f64),
            ("cache_write_1h_tokens", hour as f64),
            ("output_tokens", output as f64),
        ]);
        let entry = bundled::find(Calculator::bundled(), provider, model).unwrap();
        let request = genai_prices::PriceRequest::new(&entry.name, &theirs)
            .with_provider_id(&entry.provider)
            .with_timestamp(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(NOVEMBER_2026.0));
        let total = genai_prices::calculate(&request).unwrap().total_price;
        assert!(
            (total * 1e9 - amount.to_usd() * 1e9).abs() <= 1.0,
            "{model}: {total} against {amount}"
        );

        let more = TokenUsage {
            output: Some(Figure::provider(output + 1)),
            ..usage.clone()
        };
        assert!(book.price(&call(provider, model, &more)).amount.unwrap() >= amount);
        Ok(())
    })
    .budget_ms(1_500);
}

#[test]
fn what_the_book_has_no_prices_for_is_not_free_but_free_models_are() {
    let book = PriceBook::bundled();
    let usage = TokenUsage {
        cache_read: Some(Figure::provider(2)),
        reasoning: Some(Figure::provider(2)),
        ..tokens(9, 9)
    };
    assert_eq!(
        book.price(&call(Some("openai"), "whisper-1", &usage)),
        Cost::unpriced()
    );
    let free = book.price(&call(
        Some("openrouter"),
        "deepseek/deepseek-chat-v3-0324:free",
        &usage,
    ));
    assert_eq!(
        (free.status, free.amount),
        (CostStatus::Priced, Some(UsdNanos::ZERO))
    );
}

#[test]
fn every_entry_of_the_book_is_priced_as_the_book_prices_it() {
    let (book, calculator) = (PriceBook::bundled(), Calculator::bundled());
    let usage = TokenUsage {
        cache_read: Some(Figure::provider(100)),
        cache_write_5m: Some(Figure::provider(50)),
        cache_write_1h: Some(Figure::provider(25)),
        reasoning: Some(Figure::provider(20)),
        ..tokens(300_000, 500)
    };
    let theirs = genai_prices::Usage::from([
        ("input_tokens", 300_000.0),
        ("cache_read_tokens", 100.0),
        ("cache_write_tokens", 75.0),
        ("cache_write_1h_tokens", 25.0),
        ("output_tokens", 500.0),
        ("output_reasoning_tokens", 20.0),
    ]);
    let start = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(NOVEMBER_2026.0);
    let mut compared = 0;
    for provider in calculator.providers() {
        for model in provider.models() {
            let cost = book.price(&call(Some(provider.id()), model.id(), &usage));
            let Some(amount) = cost.amount else { continue };
            let entry = bundled::entry_of(calculator, provider.id(), model.id());
            let request = genai_prices::PriceRequest::new(&entry.name, &theirs)
                .with_provider_id(provider.id())
                .with_timestamp(start);
            let total = calculator.calculate(&request).unwrap().total_price;
            let off = (total * 1e9 - amount.to_usd() * 1e9).abs();
            assert!(
                off <= 1.0,
                "{}/{}: {total} against {amount}",
                provider.id(),
                model.id()
            );
            compared += 1;
        }
    }
    assert!(compared > 1_900, "{compared}");
}

#[test]
fn a_price_file_that_leaves_out_a_whole_takes_the_books() {
    let book = own(r#"{"gpt-4o": {"unit": "1M", "output": 20}}"#);
    let usage = TokenUsage {
        cache_read: Some(Figure::provider(400)),
        ..tokens(1_000, 100)
    };
    check(
        &book,
        &call(Some("openai"), "gpt-4o", &usage),
        expect![[r#"
            priced $0.004
            gpt-4o | pricing.json | exact model
              input 600 x 2500000000 = 0.0015
              cache_read 400 x 1250000000 = 0.0005
              output 100 x 20000000000 = 0.002
              ! `gpt-4o` in pricing.json has no `input`: that of openai/gpt-4o in genai-prices 0.2.1 is used
        "#]],
    );
}
