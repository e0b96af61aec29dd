//! Tests of the samplers: with and without a parent, and from the environment.

use flowmeter_model::SpanId;

use super::*;
use crate::propagation::TraceFlags;

/// Its randomness is ce929d0e0e4736: a bit more than 0.8.
const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn id() -> TraceId {
    TraceId::parse(ID).unwrap()
}

fn parent(bits: u8, trace_state: &str) -> RemoteParent {
    RemoteParent {
        trace_id: id(),
        span_id: SpanId::parse("00f067aa0ba902b7").unwrap(),
        flags: TraceFlags::from_bits(bits),
        trace_state: TraceState::parse(trace_state).unwrap(),
    }
}

fn rate(text: &str) -> SamplingRate {
    SamplingRate::parse(text).unwrap()
}

fn decided(sampler: Sampler, parent: Option<&RemoteParent>) -> (bool, String, Option<String>) {
    let decision = sampler.decide(id(), parent);
    let threshold = decision.threshold.map(|threshold| threshold.to_string());
    (decision.sampled, decision.trace_state.to_string(), threshold)
}

fn kept(state: &str, threshold: Option<&str>) -> (bool, String, Option<String>) {
    (true, state.to_owned(), threshold.map(str::to_owned))
}

fn dropped(state: &str) -> (bool, String, Option<String>) {
    (false, state.to_owned(), None)
}

#[test]
fn without_a_parent_the_sampler_itself_decides() {
    let ratio = |text| Sampler::TraceIdRatio(rate(text));
    let based = |text| Sampler::parent_based(rate(text));
    assert_eq!(decided(Sampler::AlwaysOn, None), kept("ot=th:0", Some("0")));
    assert_eq!(
        decided(Sampler::ParentBasedAlwaysOn, None),
        kept("ot=th:0", Some("0"))
    );
    assert_eq!(decided(Sampler::AlwaysOff, None), dropped(""));
    assert_eq!(decided(Sampler::ParentBasedAlwaysOff, None), dropped(""));
    assert_eq!(decided(ratio("0.25"), None), kept("ot=th:c", Some("c")));
    assert_eq!(decided(based("0.25"), None), kept("ot=th:c", Some("c")));
    assert_eq!(decided(ratio("0.1"), None), dropped(""));
    assert_eq!(decided(based("0"), None), dropped(""));
}

#[test]
fn a_parent_based_sampler_obeys_and_carries_on() {
    for sampler in [
        Sampler::ParentBasedAlwaysOn,
        Sampler::ParentBasedAlwaysOff,
        Sampler::parent_based(rate("0.1")),
    ] {
        let sampled = |state| decided(sampler, Some(&parent(1, state)));
        assert_eq!(sampled("a=1,ot=th:c;x:y"), kept("a=1,ot=th:c;x:y", Some("c")));
        assert_eq!(
            sampled(""),
            kept("", None),
            "an unknown probability stays unknown"
        );
        assert_eq!(sampled("a=1"), kept("a=1", None));
        let own = "ot=th:fff;rv:fffffffffffffe";
        assert_eq!(sampled(own), kept(own, Some("fff")));

        let unsampled = |state| decided(sampler, Some(&parent(0, state)));
        assert_eq!(unsampled("a=1,ot=th:f"), dropped("a=1,ot=th:f"));
        assert_eq!(unsampled("a=1"), dropped("a=1"));
    }
}

#[test]
fn a_threshold_that_contradicts_the_flag_is_dropped() {
    let based = Sampler::ParentBasedAlwaysOn;
    let sampled = decided(based, Some(&parent(1, "a=1,ot=th:f;x:y")));
    assert_eq!(sampled, kept("ot=x:y,a=1", None));
    let unsampled = decided(based, Some(&parent(0, "a=1,ot=th:c")));
    assert_eq!(unsampled, dropped("a=1"));
    let by_randomness = decided(based, Some(&parent(1, "ot=th:c;rv:00000000000001")));
    assert_eq!(by_randomness, kept("ot=rv:00000000000001", None));
    let unreadable = decided(based, Some(&parent(1, "ot=th:xyz;a:b")));
    assert_eq!(unreadable, kept("ot=a:b", None));
}

#[test]
fn other_samplers_decide_anew_from_the_same_randomness() {
    let quarter = Sampler::TraceIdRatio(rate("0.25"));
    assert_eq!(
        decided(quarter, Some(&parent(0, "a=1"))),
        kept("ot=th:c,a=1", Some("c"))
    );
    let explicit = decided(quarter, Some(&parent(1, "ot=th:0;rv:00000000000001;a:b")));
    assert_eq!(explicit, dropped("ot=rv:00000000000001;a:b"));
    assert_eq!(
        decided(Sampler::AlwaysOff, Some(&parent(1, "ot=th:c,a=1"))),
        dropped("a=1")
    );
    let on = decided(Sampler::AlwaysOn, Some(&parent(0, "a=1,ot=rv:00000000000001")));
    assert_eq!(on, kept("ot=th:0;rv:00000000000001,a=1", Some("0")));
}

#[test]
fn only_what_was_sampled_with_a_known_probability_has_a_count() {
    let count =
        |sampler: Sampler, parent: Option<&RemoteParent>| sampler.decide(id(), parent).adjusted_count();
    assert_eq!(count(Sampler::TraceIdRatio(rate("0.25")), None), Some(4.0));
    assert_eq!(count(Sampler::AlwaysOn, None), Some(1.0));
    assert_eq!(count(Sampler::AlwaysOff, None), None);
    assert_eq!(count(Sampler::default(), Some(&parent(1, ""))), None);
    assert_eq!(count(Sampler::default(), Some(&parent(0, "ot=th:f"))), None);
}

#[test]
fn randomness_is_presumed_only_where_an_id_decides_that_nobody_calls_random() {
    let ratio = Sampler::TraceIdRatio(rate("0.25"));
    assert!(ratio.presumes_randomness(Some(&parent(1, ""))));
    assert!(!ratio.presumes_randomness(Some(&parent(3, ""))));
    assert!(!ratio.presumes_randomness(Some(&parent(1, "ot=rv:00000000000001"))));
    assert!(!ratio.presumes_randomness(None));
    assert!(!Sampler::TraceIdRatio(SamplingRate::ALL).presumes_randomness(Some(&parent(1, ""))));
    assert!(!Sampler::TraceIdRatio(SamplingRate::NONE).presumes_randomness(Some(&parent(1, ""))));
    assert!(!Sampler::parent_based(rate("0.25")).presumes_randomness(Some(&parent(1, ""))));
}

fn setting(sampler: &str, argument: &str) -> SamplerSetting {
    Sampler::from_environment(|name| {
        let value = match name {
            SAMPLER => sampler,
            SAMPLER_ARG => argument,
            _ => return None,
        };
        Some(value.to_owned())
    })
}

#[test]
fn the_environment_names_the_sampler() {
    for (name, sampler) in [
        ("always_on", Sampler::AlwaysOn),
        ("always_off", Sampler::AlwaysOff),
        ("traceidratio", Sampler::TraceIdRatio(rate("0.25"))),
        ("parentbased_always_on", Sampler::ParentBasedAlwaysOn),
        ("parentbased_always_off", Sampler::ParentBasedAlwaysOff),
        (" ParentBased_TraceIdRatio ", Sampler::parent_based(rate("0.25"))),
    ] {
        let setting = setting(name, "0.25");
        assert_eq!(setting.sampler, Some(sampler));
        assert!(setting.warnings.is_empty(), "{:?}", setting.warnings);
    }
    assert_eq!(setting("", "0.25"), SamplerSetting::default());
    assert_eq!(
        setting("traceidratio", "").sampler,
        Some(Sampler::TraceIdRatio(SamplingRate::ALL))
    );
    assert!(setting("traceidratio", "").warnings.is_empty());
}

#[test]
fn what_the_environment_cannot_mean_is_told_with_what_is_used_instead() {
    let unknown = setting("jaeger_remote", "0.1");
    assert_eq!(unknown.sampler, None);
    assert_eq!(
        unknown.warnings,
        [
            "OTEL_TRACES_SAMPLER is `jaeger_remote`, which is no sampler of flowmeter's; using the default instead \
             (always_on, always_off, traceidratio, or one of these with parentbased_ before it)"
        ]
    );
    for argument in ["2", "-1", "nan", "ten", "10%", "1/10"] {
        let wrong = setting("traceidratio", argument);
        assert_eq!(
            wrong.sampler,
            Some(Sampler::TraceIdRatio(SamplingRate::ALL)),
            "{argument}"
        );
        let told = format!(
            "OTEL_TRACES_SAMPLER_ARG is `{argument}`, which is no number from 0 to 1; sampling with 1, as if it \
             were not set"
        );
        assert_eq!(wrong.warnings, [told]);
    }
}
