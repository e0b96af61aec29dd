//! Unit tests of the vocabulary.

use crate::*;

#[test]
fn ids_are_validated_at_the_boundary() {
    let id = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(TraceId::parse("00000000000000000000000000000000").is_err());
    assert!(TraceId::parse("4BF92F3577B34DA6A3CE929D0E0E4736").is_err());
    assert!(TraceId::parse("+bf92f3577b34da6a3ce929d0e0e4736").is_err());
    assert!(SpanId::parse("00f067aa0ba902b7").is_ok());
    assert!(SpanId::parse("00f067aa0ba902b").is_err());
    assert_eq!(
        SpanId::parse("x").unwrap_err().to_string(),
        "`x` is no span id: 16 hex digits, not all zero, are wanted"
    );
}

#[test]
fn equal_seeds_give_equal_ids() {
    let mut one = IdSource::from_seed(7);
    let mut two = IdSource::from_seed(7);
    assert_eq!(one.trace_id(), two.trace_id());
    assert_eq!(one.span_id(), two.span_id());
    assert_ne!(one.span_id(), one.span_id());
}

#[test]
fn money_shows_every_place_that_counts() {
    assert_eq!(UsdNanos(26_197_700).to_string(), "$0.0261977");
    assert_eq!(UsdNanos(0).to_string(), "$0.00");
    assert_eq!(UsdNanos(1).to_string(), "$0.000000001");
    assert_eq!(UsdNanos(-1_500_000_000).to_string(), "-$1.50");
    assert_eq!(UsdNanos(i64::MIN).to_string(), "-$9223372036.854775808");
    assert!(UsdNanos::from_usd(f64::NAN).is_err());
    assert!(UsdNanos::from_usd(1e10).is_err());
}

#[test]
fn money_survives_json() {
    arbtest::arbtest(|u| {
        let nanos = UsdNanos(i64::from(u.arbitrary::<i32>()?) * 1_000_003);
        let text = serde_json::to_string(&nanos).unwrap();
        assert_eq!(serde_json::from_str::<UsdNanos>(&text).unwrap(), nanos);
        Ok(())
    });
}

#[test]
fn a_sum_never_hides_what_it_could_not_price() {
    let mut total = CostTotal::default();
    assert_eq!(total.amount(), Some(UsdNanos::ZERO));
    total.add("mystery", &Cost::unpriced());
    assert_eq!(total.amount(), None);
    assert_eq!(total.display(), "unpriced (1 call)");
    total.add(
        "gpt-4o",
        &Cost::known(CostStatus::Priced, UsdNanos(8_900_000), None),
    );
    assert_eq!(total.status(), CostStatus::Partial);
    assert_eq!(total.display(), "≥ $0.0089 (+1 unpriced)");
    assert!(total.unpriced_models.contains("mystery"));
}

#[test]
fn attributes_keep_order_and_types_through_json() {
    let mut attributes = Attributes::new();
    attributes.set("b", 1_i64);
    attributes.set("a", "x");
    attributes.set("b", 2.5);
    let text = serde_json::to_string(&attributes).unwrap();
    assert_eq!(text, r#"{"b":2.5,"a":"x"}"#);
    assert_eq!(serde_json::from_str::<Attributes>(&text).unwrap(), attributes);
}

#[test]
fn a_value_that_was_null_is_not_a_value_that_was_not_there() {
    let record = MutationRecord {
        path: "a.k".into(),
        before: Some(std::sync::Arc::new(serde_json::Value::Null)),
        after: None,
        time: TimestampNs(1),
    };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(text, r#"{"path":"a.k","before":null,"time":1}"#);
    assert_eq!(serde_json::from_str::<MutationRecord>(&text).unwrap(), record);
}

#[test]
fn exact_amounts_are_written_and_read_without_loss() {
    for (femtos, decimal, shown) in [
        (0, "0", "$0.00"),
        (37_500_000, "0.0000000375", "$0.0000000375"),
        (1, "0.000000000000001", "$0.000000000000001"),
        (-1_500_000_000_000_000, "-1.5", "-$1.50"),
        (12_000_000_000_000_000, "12", "$12.00"),
    ] {
        let amount = UsdFemtos(femtos);
        assert_eq!(
            (amount.decimal().as_str(), amount.to_string().as_str()),
            (decimal, shown)
        );
        assert_eq!(UsdFemtos::parse(decimal), Ok(amount));
    }
    for wrong in ["", ".5", "1.", "1e3", "+1", "0.0000000000000001", "$1", "--1"] {
        assert!(UsdFemtos::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_call_is_rounded_once_and_halves_go_away_from_zero() {
    assert_eq!(UsdFemtos(1_499_999).rounded(), UsdNanos(1));
    assert_eq!(UsdFemtos(1_500_000).rounded(), UsdNanos(2));
    assert_eq!(UsdFemtos(-1_500_000).rounded(), UsdNanos(-2));
    assert_eq!(UsdFemtos(i128::MAX).rounded(), UsdNanos(i64::MAX));
    let why = CostExplanation {
        lines: vec![
            CostLine::tokens("input", 1, 37_500_000),
            CostLine::units("web_search", 2, 10_000_000_000),
        ],
        ..CostExplanation::default()
    };
    assert_eq!(why.sum().decimal(), "0.0200000375");
    assert_eq!(why.rounding(why.sum().rounded()), Some(UsdFemtos(500_000)));
}

#[test]
fn a_line_says_its_amount_and_lines_of_older_files_are_read() {
    let line = CostLine::tokens("input", 3, 12_500_000);
    let written = serde_json::to_value(&line).unwrap();
    assert_eq!(
        written,
        serde_json::json!({
            "kind": "input", "quantity": 3, "rate_nanos": 12_500_000, "per": 1_000_000,
            "rate_usd": 0.0125, "amount": "0.0000000375", "amount_usd": 0.000_000_037_5
        })
    );
    assert_eq!(serde_json::from_value::<CostLine>(written).unwrap(), line);
    let old = r#"{"kind": "web_search", "quantity": 2, "rate_nanos": 10000000000, "amount_usd": 0.02}"#;
    let old: CostLine = serde_json::from_str(old).unwrap();
    assert_eq!(old, CostLine::units("web_search", 2, 10_000_000_000));
}

#[test]
fn a_lower_bound_by_estimate_says_both() {
    let mut total = CostTotal::default();
    total.add(
        "a",
        &Cost::known(CostStatus::Estimated, UsdNanos(8_900_000), None),
    );
    assert_eq!(total.display(), "~$0.0089");
    total.add("b", &Cost::unpriced());
    assert_eq!(
        (total.status(), total.display().as_str()),
        (CostStatus::Partial, "≥ ~$0.0089 (+1 unpriced)")
    );
}

#[test]
fn usage_written_before_its_finer_parts_were_known_still_reads() {
    let older = r#"{"input":{"tokens":5,"source":"provider"},"cache_read":null,"cache_write_5m":null,
        "cache_write_1h":null,"output":null,"reasoning":null,"input_audio":null,"input_image":null,
        "output_audio":null,"web_searches":2,"reported_cost":null,"service_tier":"flex"}"#;
    let read: TokenUsage = serde_json::from_str(older).unwrap();
    let wanted = TokenUsage {
        input: Some(Figure::provider(5)),
        web_searches: Some(2),
        service_tier: Some("flex".to_owned()),
        ..TokenUsage::default()
    };
    assert_eq!(read, wanted);
    // What is unknown of the finer parts takes no room in a file.
    let written = serde_json::to_string(&wanted).unwrap();
    assert!(!written.contains("output_image"), "{written}");
    let finer = TokenUsage {
        output_image: Some(Figure::provider(7)),
        inference_geo: Some("us".to_owned()),
        audio_ms: Some(1_500),
        ..wanted
    };
    let written = serde_json::to_string(&finer).unwrap();
    assert_eq!(serde_json::from_str::<TokenUsage>(&written).unwrap(), finer);
}

#[test]
fn what_a_tokenizer_counted_is_an_estimate() {
    let of = |figure| TokenUsage {
        output: Some(figure),
        ..TokenUsage::default()
    };
    assert!(of(Figure::tokenizer(4)).is_estimated());
    assert!(of(Figure::estimate(4)).is_estimated());
    assert!(!of(Figure::provider(4)).is_estimated());
}
