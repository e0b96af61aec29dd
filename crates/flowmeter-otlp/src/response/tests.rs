//! Answers of receivers.

use super::*;

#[test]
fn answers_survive_both_encodings() {
    for signal in Signal::ALL {
        for partial in [
            PartialSuccess::default(),
            PartialSuccess {
                rejected: 3,
                message: "too \"old\"".into(),
            },
            PartialSuccess {
                rejected: 0,
                message: "a warning".into(),
            },
        ] {
            let bytes = ExportResponse::to_protobuf(signal, &partial);
            assert_eq!(ExportResponse::from_protobuf(signal, &bytes).unwrap(), partial);
            let text = ExportResponse::to_json(signal, &partial);
            assert_eq!(ExportResponse::from_json(signal, &text).unwrap(), partial);
        }
        assert!(ExportResponse::from_json(signal, b" ").unwrap().is_complete());
        assert!(ExportResponse::from_json(signal, b"<html>").is_err());
        assert!(ExportResponse::from_protobuf(signal, b"<html>").is_err());
    }
    let number = br#"{"partialSuccess":{"rejectedSpans":7,"new":{}}}"#;
    let partial = ExportResponse::from_json(Signal::Traces, number).unwrap();
    assert_eq!(partial.rejected, 7);
}

#[test]
fn a_status_says_how_long_to_wait() {
    let status = Status {
        code: 8,
        message: "slow down".into(),
        retry_delay: Some(Duration::from_millis(1500)),
    };
    assert_eq!(Status::from_protobuf(&status.to_protobuf()).unwrap(), status);
    assert_eq!(Status::from_json(&status.to_json()).unwrap(), status);
    // As another library writes it: code 8, message, Any with RetryInfo of 2 s.
    let bytes = b"\x08\x08\x12\x04busy\x1a\x30\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x02";
    let read = Status::from_protobuf(bytes).unwrap();
    assert_eq!(read.retry_delay, Some(Duration::from_secs(2)));
    let text = br#"{"code":3,"message":"bad","details":[{"@type":"x/google.rpc.BadRequest","y":1},7]}"#;
    let read = Status::from_json(text).unwrap();
    assert_eq!((read.code, read.retry_delay), (3, None));
    let huge = br#"{"details":[{"@type":"x/google.rpc.RetryInfo","retryDelay":"1e300s"}]}"#;
    assert_eq!(Status::from_json(huge).unwrap().retry_delay, None);
}
