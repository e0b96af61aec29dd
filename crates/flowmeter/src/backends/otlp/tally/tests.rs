//! What the user is told: once, however many signals failed for one reason.

use flowmeter_otlp::Signal;

use super::Tally;

fn receiver(signal: Signal) -> String {
    format!("otlp (http://localhost:4318/v1/{})", signal.as_str())
}

#[test]
fn signals_that_failed_for_one_reason_are_one_sentence() {
    let tally = Tally::default();
    tally.kept(Signal::Traces, 3, "connection refused", 0);
    tally.kept(Signal::Logs, 2, "connection refused", 0);
    tally.kept(Signal::Metrics, 1, "connection refused", 0);
    assert_eq!(
        tally.report(receiver).unwrap(),
        "3 spans, 2 log records and 1 metrics could not be sent to otlp (http://localhost:4318) and wait for \
         `flowmeter flush`: connection refused"
    );
}

#[test]
fn different_reasons_are_different_sentences() {
    let tally = Tally::default();
    tally.kept(Signal::Traces, 3, "connection refused", 0);
    tally.kept(Signal::Logs, 2, "the key is wrong", 0);
    assert_eq!(
        tally.report(receiver).unwrap(),
        "3 spans could not be sent to otlp (http://localhost:4318/v1/traces) and wait for `flowmeter flush`: \
         connection refused; 2 log records could not be sent to otlp (http://localhost:4318/v1/logs) and wait for \
         `flowmeter flush`: the key is wrong"
    );
}
