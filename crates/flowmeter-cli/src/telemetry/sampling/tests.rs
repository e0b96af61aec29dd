//! Unit tests of which sampler wins.

use std::time::Duration;

use flowmeter::IncomingContext;
use flowmeter_model::UsdNanos;

use super::*;

fn rate(text: &str) -> SamplingRate {
    SamplingRate::parse(text).unwrap()
}

fn config(file: &str, variable: Option<&str>) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    let variables = variable.map(|value| ("FLOWMETER_SAMPLING_RATE".to_owned(), value.to_owned()));
    Config::load(&path, variables.into_iter()).unwrap()
}

fn parent(traceparent: &str) -> RemoteParent {
    IncomingContext::from_headers([("traceparent", traceparent)])
        .parent
        .unwrap()
}

fn chosen(args: &SamplingArgs, config: &Config, otel: &str) -> (Sampler, Vec<String>) {
    let mut warnings = Vec::new();
    let variable = |name: &str| (name == "OTEL_TRACES_SAMPLER").then(|| otel.to_owned());
    let sampler = sampler(args, config, None, variable, &mut warnings);
    (sampler, warnings)
}

#[test]
fn what_is_nearest_to_the_run_wins() {
    let none = SamplingArgs::default();
    let flag = SamplingArgs {
        sample: Some(rate("0.5")),
        ..SamplingArgs::default()
    };
    let file = "[sampling]\nrate = 0.1";
    let both = config(file, Some("20%"));
    assert_eq!(
        chosen(&flag, &both, "always_off").0,
        Sampler::parent_based(rate("0.5"))
    );
    assert_eq!(
        chosen(&none, &both, "always_off").0,
        Sampler::parent_based(rate("0.2"))
    );
    let file = config(file, None);
    assert_eq!(chosen(&none, &file, "always_off").0, Sampler::AlwaysOff);
    assert_eq!(chosen(&none, &file, "").0, Sampler::parent_based(rate("0.1")));
    assert_eq!(
        chosen(&none, &config("", None), ""),
        (Sampler::default(), Vec::new())
    );
    let (sampler, warnings) = chosen(&none, &file, "sometimes");
    assert_eq!((sampler, warnings.len()), (Sampler::parent_based(rate("0.1")), 1));
    assert_eq!(
        chosen(&flag, &file, "sometimes").1,
        [""; 0],
        "what is not used is not looked at"
    );
}

#[test]
fn rules_that_change_nothing_are_told() {
    let args = |sample: Option<&str>| SamplingArgs {
        sample: sample.map(rate),
        keep_slower_than: Some(Duration::from_secs(2)),
        ..SamplingArgs::default()
    };
    let told = |args: &SamplingArgs, parent: Option<&RemoteParent>| {
        let mut warnings = Vec::new();
        sampler(args, &config("", None), parent, |_| None, &mut warnings);
        warnings.join("\n")
    };
    let nothing =
        "--keep-slower-than changes nothing, for every trace is kept; add --sample with a RATE below 1";
    assert_eq!(told(&args(None), None), nothing);
    assert_eq!(told(&args(Some("1")), None), nothing);
    assert_eq!(told(&args(Some("0.1")), None), "");
    let kept = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
    let dropped = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02");
    assert_eq!(told(&args(Some("0.1")), Some(&kept)), nothing);
    assert_eq!(told(&args(None), Some(&dropped)), "");
}

#[test]
fn an_id_that_nobody_calls_random_is_told() {
    let mut warnings = Vec::new();
    let variable = |name: &str| {
        let value = match name {
            "OTEL_TRACES_SAMPLER" => "traceidratio",
            _ => "0.5",
        };
        Some(value.to_owned())
    };
    let caller = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    sampler(
        &SamplingArgs::default(),
        &config("", None),
        Some(&caller),
        variable,
        &mut warnings,
    );
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("parentbased_traceidratio"), "{warnings:?}");
}

#[test]
fn a_rule_on_the_command_line_stands_before_the_setting() {
    let settings = "[sampling]\nkeep_errors = true\nkeep_slower_than = \"2s\"\nkeep_dearer_than = 0.05";
    let args = SamplingArgs {
        keep_slower_than: Some(Duration::from_secs(9)),
        ..SamplingArgs::default()
    };
    assert_eq!(
        tail_rules(&args, &config(settings, None)),
        TailRules {
            keep_errors: true,
            slower_than: Some(Duration::from_secs(9)),
            dearer_than: Some(UsdNanos(50_000_000)),
        }
    );
    assert!(tail_rules(&SamplingArgs::default(), &config("", None)).is_empty());
}
