//! Scratch.
use flowmeter_model::{TimestampNs, TokenUsage};
use flowmeter_pricing::{PriceBook, PricedCall, UsageStream, extract_usage, extract_usage_from_slice};
use serde_json::{Value, json};
use std::io::BufRead;
use std::sync::Arc;
fn main() {
    let book = Arc::new(PriceBook::bundled());
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let v: Value = serde_json::from_str(&line).unwrap();
        let s = |k: &str| v.get(k).and_then(Value::as_str);
        let hint = s("hint");
        let usage: TokenUsage = if let Some(u) = v.get("usage_in") {
            serde_json::from_value(u.clone()).unwrap()
        } else if let Some(frames) = v.get("frames").and_then(Value::as_array) {
            let mut st = UsageStream::new(hint);
            if let Some(h) = v.get("headers").and_then(Value::as_object) {
                st.headers(h.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())));
            }
            for f in frames {
                st.frame(f.as_str().unwrap());
            }
            st.usage()
        } else if let Some(b) = s("body") {
            let a = extract_usage_from_slice(hint, b.as_bytes());
            if let Ok(val) = serde_json::from_str::<Value>(b) {
                let c = extract_usage(hint, &val);
                if a != c {
                    eprintln!("DIFF slice/value {line}\n {a:?}\n {c:?}");
                }
            }
            a
        } else {
            TokenUsage::default()
        };
        let start = TimestampNs(
            v.get("start")
                .and_then(Value::as_u64)
                .unwrap_or(1_793_491_200_000_000_000),
        );
        let model = s("model").unwrap_or("");
        let cost = book.price(&PricedCall {
            provider: s("price_hint").or(hint),
            request_model: model,
            response_model: s("response_model"),
            usage: &usage,
            start,
            service_tier: s("tier"),
        });
        println!("{}", json!({"usage": usage, "cost": cost}));
    }
}
