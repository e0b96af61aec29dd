//! Entries: read as written, or not at all.

use flowmeter_model::Figure;

use super::*;
use crate::chat::{ChatRequest, ChatTarget};

fn key(prompt: &str) -> CacheKey {
    let request = ChatRequest {
        prompt: prompt.to_owned(),
        ..ChatRequest::default()
    };
    let target = ChatTarget {
        provider: "openai".into(),
        model: "m".into(),
        server_address: None,
        server_port: None,
        server_path: None,
    };
    CacheKey::of(&request, &target).unwrap()
}

fn answer(text: &str) -> CachedAnswer {
    CachedAnswer {
        about: AboutAnswer {
            key: key("p").hex(),
            stored_ns: TimestampNs(1_700_000_000_000_000_000),
            provider: "openai".into(),
            request_model: "m".into(),
            model: Some("m-2024".into()),
            finish_reason: Some("stop".into()),
            usage: TokenUsage {
                input: Some(Figure::provider(100)),
                output: Some(Figure::estimate(20)),
                ..TokenUsage::default()
            },
            cost_status: CostStatus::Estimated,
            cost_nanos: Some(12_345_678),
        },
        text: text.to_owned(),
    }
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    for text in [
        "x",
        "",
        "two\nlines\n",
        "\u{0}\u{feff}ünï 🦀\r\n",
        &"a".repeat(100_000),
    ] {
        let bytes = answer(text).encode().unwrap();
        assert_eq!(CachedAnswer::decode(&bytes, &key("p")), Some(answer(text)));
        assert_eq!(AboutAnswer::peek(&bytes), Some(answer(text).about));
    }
    let cost = answer("").about.cost();
    assert_eq!(
        (cost.status, cost.amount),
        (CostStatus::Estimated, Some(UsdNanos(12_345_678)))
    );
}

#[test]
fn whatever_is_not_whole_is_no_entry() {
    let whole = answer("the answer\nof two lines").encode().unwrap();
    for length in 0..whole.len() {
        assert_eq!(
            CachedAnswer::decode(&whole[..length], &key("p")),
            None,
            "{length}"
        );
    }
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        assert_eq!(CachedAnswer::decode(&flipped, &key("p")), None, "{place}");
    }
    let longer: Vec<u8> = whole.iter().copied().chain(*b"x").collect();
    assert_eq!(CachedAnswer::decode(&longer, &key("p")), None);
}

#[test]
fn an_entry_under_another_name_or_of_another_version_is_none() {
    let whole = answer("a").encode().unwrap();
    assert_eq!(CachedAnswer::decode(&whole, &key("another")), None);
    let text = String::from_utf8(whole).unwrap();
    let newer = text.replacen("flowmeter-response/1", "flowmeter-response/2", 1);
    assert_eq!(CachedAnswer::decode(newer.as_bytes(), &key("p")), None);
}
