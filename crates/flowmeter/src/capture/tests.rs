//! Unit tests of capture: what is cut, what is masked, what is left alone.

use std::sync::Arc;

use serde_json::json;

use super::*;

fn capture(level: CaptureLevel) -> Capture {
    Capture::new(level, CaptureLimits::default(), Redactor::default())
}

#[test]
fn a_long_text_is_cut_with_its_full_length() {
    let text = "é".repeat(12_000);
    let kept = capture(CaptureLevel::Limited).text(&text);
    assert!(
        kept.ends_with("… [cut at 10000 of 12000 chars]"),
        "{}",
        &kept[kept.len() - 60..]
    );
    assert_eq!(capture(CaptureLevel::Full).text(&text), text);
}

#[test]
fn a_long_array_says_how_much_is_missing() {
    let value = json!(vec!["x".repeat(100); 1000]);
    let kept = capture(CaptureLevel::Limited).value(None, &Arc::new(value), ContentKind::StoreValue);
    let last = kept.as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(last.contains("of 1000 elements left out"), "{last}");
    assert!(kept.to_string().len() < 11_000);
}

#[test]
fn secrets_are_masked_by_name_and_by_pattern() {
    let value = json!({
        "headers": {"Authorization": "Bearer abcdefgh12345", "X-Api-Key": "k", "accept": "text/plain"},
        "max_tokens": 100,
        "tokens": {"input": 3},
        "command": "curl -H 'Authorization: Bearer abcdefgh12345' https://u:pw@host/?api_key=zzzz9999&x=1",
        "note": "key sk-proj-abcdefghijklmnop and ghp_0123456789abcdef0123 and AKIAIOSFODNN7EXAMPLE",
        "reply": "{\"password\": \"hunter22\", \"user\": \"ann\"}",
        "token": null,
    });
    let kept = capture(CaptureLevel::Limited)
        .value(None, &Arc::new(value), ContentKind::StoreValue)
        .to_string();
    for secret in [
        "abcdefgh12345",
        "u:pw",
        "zzzz9999",
        "abcdefghijklmnop",
        "ghp_0",
        "AKIAIOS",
        "hunter22",
    ] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
    for plain in [
        "text/plain",
        "\"max_tokens\":100",
        "\"input\":3",
        "x=1",
        "ann",
        "\"token\":null",
    ] {
        assert!(kept.contains(plain), "{plain} not in {kept}");
    }
}

#[test]
fn environment_values_and_own_patterns_are_masked() {
    let redactor = Redactor::new(
        &["s3cr3t-value".to_owned(), "ab".to_owned()],
        &["ACME-[0-9]+".to_owned()],
    )
    .unwrap();
    let capture = Capture::new(CaptureLevel::Limited, CaptureLimits::default(), redactor);
    assert_eq!(
        capture.text("a s3cr3t-value, ACME-77, ab"),
        "a [REDACTED], [REDACTED], ab"
    );
    let error = Redactor::new(&[], &["(".to_owned()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the redaction pattern `(` is no regular expression"
    );
}

#[test]
fn a_secret_astride_the_cut_is_masked() {
    let text = format!("{}sk-proj-{}", "a ".repeat(4_998), "Z".repeat(40));
    let kept = capture(CaptureLevel::Limited).text(&text);
    assert!(!kept.contains("sk-pr"), "{}", &kept[9_900..]);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{}", "Ab1+\n".repeat(4_000));
    assert!(!capture(CaptureLevel::Limited).text(&key).contains("Ab1+"));
}

#[test]
fn binary_is_shown_as_its_size() {
    let capture = capture(CaptureLevel::Limited);
    assert_eq!(capture.text("a\0b"), "[binary: 3 bytes]");
    assert_eq!(
        capture.text("data:image/png;base64,AAAA"),
        "[binary image/png: 3 bytes]"
    );
    assert_eq!(capture.text(&"aB3/".repeat(400)), "[binary: 1200 bytes, base64]");
    assert_eq!(capture.text(&"x".repeat(2000)), "x".repeat(2000));
}

#[test]
fn masking_never_panics_and_never_lets_a_known_value_through() {
    let redactor = Redactor::new(&["p4ssphrase".to_owned()], &[]).unwrap();
    let capture = Capture::new(CaptureLevel::Limited, CaptureLimits::default(), redactor);
    arbtest::arbtest(|u| {
        let (before, after): (String, String) = (u.arbitrary()?, u.arbitrary()?);
        let kept = capture.text(&format!("{before}p4ssphrase{after}"));
        assert!(!kept.contains("p4ssphrase"));
        Ok(())
    });
}

#[test]
fn each_known_form_is_masked_where_it_stands_alone() {
    let capture = capture(CaptureLevel::Limited);
    let body = "Ab0Cd1Ef2Gh3Ij4Kl5Mn6Op7Qr8St9Uv";
    let upper = body.to_ascii_uppercase();
    let mut forms: Vec<String> = [
        "sk-",
        "sk_",
        "pk-",
        "pk_",
        "rk-",
        "rk_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "AIza",
        "ya29.",
        "xoxb-",
        "xoxp-",
        "hf_",
        "gsk_",
        "npm_",
        "Bearer ",
        "basic ",
    ]
    .iter()
    .map(|prefix| format!("{prefix}{body}"))
    .collect();
    forms.extend(["AKIA", "ASIA", "AGPA", "AIDA", "AROA"].map(|prefix| format!("{prefix}{upper}")));
    forms.extend(
        [
            "api_key",
            "API-KEY",
            "apikey",
            "my_access_key",
            "private-key",
            "auth_token",
            "accessToken",
            "refresh_token",
            "session-token",
            "client_secret",
            "secret",
            "DB_PASSWORD",
            "passwd",
            "token",
            "Authorization",
            "Cookie",
        ]
        .map(|name| format!("{name}={body}")),
    );
    forms.push(format!("eyJ{body}.{body}.{body}"));
    forms.push(format!("postgres://ann:{body}@host/db"));
    forms.push(format!(
        "-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----"
    ));
    for form in forms {
        for text in [form.clone(), format!("({form})"), format!("é {form}\nrest")] {
            let kept = capture.text(&text);
            assert!(
                !kept.contains(body) && !kept.contains(&upper) && kept.contains("[REDACTED]"),
                "{text} → {kept}"
            );
        }
    }
}

#[test]
fn masking_a_pair_keeps_its_quotes() {
    let capture = capture(CaptureLevel::Limited);
    assert_eq!(
        capture.text(r#"{"token": "abcdefgh", "x": 1}"#),
        r#"{"token": "[REDACTED]", "x": 1}"#
    );
    assert_eq!(capture.text("password='abcdefgh' x"), "password='[REDACTED]' x");
}

#[test]
fn many_and_long_values_are_masked_and_never_shown() {
    let values: Vec<String> = (0..3_000)
        .map(|number| format!("{number:06}{}", "v".repeat(200)))
        .collect();
    let redactor = Redactor::new(&values, &[]).unwrap();
    let text = format!("a {} b {}", values[7], values[2_999]);
    assert_eq!(redactor.mask(&text), "a [REDACTED] b [REDACTED]");
    let nested = Redactor::new(
        &["abcdef".to_owned(), "abcdefgh".to_owned(), "fghijk".to_owned()],
        &[],
    )
    .unwrap();
    assert_eq!(nested.mask("xabcdefghijk abcdef é"), "x[REDACTED] [REDACTED] é");
    let error = Redactor::new(&values, &["[".to_owned()]).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("vvv"));
}
