//! Unit tests of the settings.

use expect_test::expect;

use super::*;

fn load(file: Option<&str>, variables: &[(&str, &str)]) -> Result<Config, InvalidSetting> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut config = Config::load(&path, variables)?;
    for warning in &mut config.warnings {
        *warning = warning.replace(&folder.path().display().to_string(), "~");
    }
    Ok(config)
}

#[test]
fn later_sources_win() {
    let file = "model = \"a\"\n[traces]\nkeep = 7\n[capture]\nlevel = \"full\"\nprompt_chars = 1_000";
    let config = load(
        Some(file),
        &[("FLOWMETER_MODEL", "b"), ("FLOWMETER_CAPTURE_VALUE_CHARS", "9")],
    )
    .unwrap();
    let flags = RunOutputArgs {
        capture: Some(CaptureArg::Metadata),
        ..RunOutputArgs::default()
    };
    let config = config.with_flags(&flags);
    assert_eq!(config.model.as_deref(), Some("b"));
    assert_eq!(config.traces_keep, 7);
    assert_eq!(config.capture, CaptureLevel::Metadata);
    assert_eq!(config.limits.prompt_chars_max, 1000);
    assert_eq!(config.limits.response_chars_max, 20_000);
    assert_eq!(config.limits.value_chars_max, 9);
    let origins: Vec<String> = SETTINGS
        .iter()
        .map(|setting| format!("{}: {}", setting.key, config.origin(setting)))
        .collect();
    expect![[r#"
        model: FLOWMETER_MODEL
        output_format: default
        progress: default
        warn_cost: default
        planner.timeout: default
        budget.max_cost: default
        budget.max_tokens: default
        budget.max_llm_calls: default
        budget.allow_unpriced: default
        capture.level: command line
        capture.prompt_chars: config.toml
        capture.response_chars: default
        capture.value_chars: FLOWMETER_CAPTURE_VALUE_CHARS
        redact.patterns: default
        sampling.rate: default
        sampling.keep_errors: default
        sampling.keep_slower_than: default
        sampling.keep_dearer_than: default
        export.backends: default
        export.semconv: default
        export.exit_timeout: default
        export.rotate_size: default
        export.rotate_age: default
        export.rotate_keep: default
        log.level: default
        log.format: default
        log.lines_per_span: default
        traces.keep: config.toml
        history.enabled: default
        retention.payloads: default
        retention.runs: default
        retention.max_size: default
        cache.enabled: default
        cache.ttl: default
        cache.max_size: default"#]]
    .assert_eq(&origins.join("\n"));
}

#[test]
fn unknown_keys_are_warnings_with_the_nearest_key() {
    let config = load(
        Some("modle = \"a\"\n[trace]\nkeep = 3\n[colours]\nred = 1"),
        &[
            ("FLOWMETER_MODLE", "x"),
            ("FLOWMETER_HOME", "/"),
            ("FLOWMETER_OTHER_THING", "1"),
        ],
    )
    .unwrap();
    expect![[r#"
        ~/config.toml: there is no setting `colours.red`
        ~/config.toml: there is no setting `modle`; did you mean `model`?
        ~/config.toml: there is no setting `trace.keep`; did you mean `traces.keep`?
        FLOWMETER_MODLE is no setting; did you mean `FLOWMETER_MODEL`?"#]]
    .assert_eq(&config.warnings.join("\n"));
}

#[test]
fn what_cannot_be_meant_is_an_error_that_names_key_and_value() {
    let problem = |file: &str| load(Some(file), &[]).unwrap_err().problem;
    expect!["`traces.keep` must be a whole number, but is \"many\""]
        .assert_eq(&problem("[traces]\nkeep = \"many\""));
    expect!["`capture.level` must be one of full, limited, metadata, off, but is \"none\""]
        .assert_eq(&problem("[capture]\nlevel = \"none\""));
    expect!["`model` takes a text, a number, true or false, or a list of texts, but is 2025-01-15"]
        .assert_eq(&problem("model = 2025-01-15"));
    expect!["`sampling.rate` must be from 0 to 1, such as 0.1, 10% or 1/10, but is 1.5"]
        .assert_eq(&problem("[sampling]\nrate = 1.5"));
    expect!["`sampling.keep_errors` must be true or false, but is 2"]
        .assert_eq(&problem("[sampling]\nkeep_errors = 2"));
    expect![[
        r#"`sampling.keep_slower_than` must be a time such as 2s, 500ms, 1.5m, 1h or 7d, but is "soon""#
    ]]
    .assert_eq(&problem("[sampling]\nkeep_slower_than = \"soon\""));
    assert!(problem("model = ").contains("line 1"), "{}", problem("model = "));
    let variable = load(None, &[("FLOWMETER_TRACES_KEEP", "-1")]).unwrap_err();
    expect!["FLOWMETER_TRACES_KEEP: must be a whole number, but is `-1`"].assert_eq(&variable.to_string());
}

#[test]
fn patterns_come_as_a_list() {
    let config = load(Some("[redact]\npatterns = [\"ACME-[0-9]+\", \"x{3}\"]"), &[]).unwrap();
    assert_eq!(config.redact_patterns, ["ACME-[0-9]+", "x{3}"]);
}

#[test]
fn the_history_is_on_and_kept_for_ever_unless_somebody_says_otherwise() {
    let config = load(None, &[]).unwrap();
    assert!(config.history.enabled);
    assert_eq!(config.history.retention, Retention::default());
    let file =
        "[history]\nenabled = true\n[retention]\npayloads = \"30d\"\nruns = \"400d\"\nmax_size = \"5GB\"";
    let config = load(Some(file), &[("FLOWMETER_HISTORY", "0")]).unwrap();
    assert!(!config.history.enabled);
    let day = Duration::from_secs(86_400);
    let wanted = Retention {
        payloads: Some(day * 30),
        runs: Some(day * 400),
        size_bytes_max: Some(5_000_000_000),
    };
    assert_eq!(config.history.retention, wanted);
    let config = load(Some(file), &[("FLOWMETER_RETENTION_RUNS", "12h")]).unwrap();
    assert_eq!(config.history.retention.runs, Some(day / 2));
    assert!(load(None, &[("FLOWMETER_RETENTION_RUNS", "0")]).is_err());
    assert!(load(None, &[("FLOWMETER_RETENTION_MAX_SIZE", "lots")]).is_err());
}
