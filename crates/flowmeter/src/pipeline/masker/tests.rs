//! Masking with a memory: the same as without one.

use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes};
use serde_json::json;

use super::{Masker, Origin};
use crate::capture::{Capture, CaptureLevel, CaptureLimits, MASK, Redactor};
use crate::recorder::RecordedValue;

fn capture() -> Capture {
    let redactor = Redactor::new(&["hunter2-hunter2".to_owned()], &[]).unwrap();
    Capture::new(CaptureLevel::Limited, CaptureLimits::default(), redactor)
}

fn masked(
    masker: &mut Masker,
    key: &str,
    value: impl Into<AttributeValue>,
    origin: Origin,
) -> AttributeValue {
    let mut attributes = Attributes::new();
    attributes.set(key, value);
    masker.mask(&capture(), &mut attributes, origin);
    attributes.get(key).unwrap().clone()
}

#[test]
fn what_is_remembered_is_only_what_was_clean() {
    let mut masker = Masker::default();
    for _ in 0..3 {
        assert_eq!(
            masked(&mut masker, "note", "all is well", Origin::Others),
            "all is well".into()
        );
        assert_eq!(
            masked(&mut masker, "note", "it is hunter2-hunter2", Origin::Others),
            format!("it is {MASK}").into()
        );
        assert_eq!(
            masked(&mut masker, "password", "all is well", Origin::Others),
            MASK.into()
        );
        let nested = masked(
            &mut masker,
            "user",
            json!({"password": "x", "name": "y"}),
            Origin::Ours,
        );
        assert_eq!(nested, json!({"password": MASK, "name": "y"}).into());
    }
}

#[test]
fn numbers_of_others_under_a_secrets_name_are_masked() {
    let mut masker = Masker::default();
    assert_eq!(
        masked(&mut masker, "password", 1234_i64, Origin::Others),
        MASK.into()
    );
    assert_eq!(masked(&mut masker, "password", 0.5, Origin::Others), MASK.into());
    assert_eq!(masked(&mut masker, "password", true, Origin::Others), true.into());
    assert_eq!(
        masked(&mut masker, "rows", 1234_i64, Origin::Others),
        1234_i64.into()
    );
    let recorded = |masker: &mut Masker, value| masker.recorded(&capture(), "password", value);
    assert_eq!(recorded(&mut masker, RecordedValue::I64(1)), MASK.into());
    assert_eq!(recorded(&mut masker, RecordedValue::Str("x")), MASK.into());
    assert_eq!(recorded(&mut masker, RecordedValue::Bool(true)), true.into());
    assert_eq!(
        masked(&mut masker, "auth_token", 7_i64, Origin::Ours),
        7_i64.into()
    );
}

#[test]
fn it_says_what_the_capture_says_for_any_texts() {
    let plain = [
        "",
        "a",
        "key",
        "secret",
        "hunter2-hunter2",
        "sk-abcdefghijklmnop",
        "token=abcdef",
        "\0",
    ];
    arbtest::arbtest(|u| {
        let mut masker = Masker::default();
        for _ in 0..u.int_in_range(0..=60)? {
            let text = format!(
                "{} {}",
                u.choose(&plain)?,
                u.choose(&plain)?.repeat(u.int_in_range(0..=40)?)
            );
            let recorded = masker.recorded(&capture(), "note", RecordedValue::Str(&text));
            let expected = capture().changed_text("", &text).unwrap_or_else(|| text.clone());
            assert_eq!(recorded, expected.into());
            assert_eq!(
                masker.changed(&capture(), &text),
                capture().changed_text("", &text)
            );
        }
        Ok(())
    });
}

#[test]
fn shared_values_that_stay_are_not_copied() {
    let value = Arc::new(json!({"rows": 3}));
    let AttributeValue::Json(kept) = masked(&mut Masker::default(), "x", Arc::clone(&value), Origin::Others)
    else {
        unreachable!("it stays what it was")
    };
    assert!(Arc::ptr_eq(&value, &kept));
}
