//! The variables of the specification: which wins, what is appended, what is told.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use flowmeter_otlp::{Signal, Temporality};

use super::{ExporterSelection, InvalidOtlpConfig, sdk_disabled};
use crate::backends::otlp::config::{OtlpCompression, OtlpConfig, OtlpDestination, OtlpProtocol};

/// The settings from these variables.
fn from(variables: &[(&str, &str)]) -> Result<OtlpConfig, InvalidOtlpConfig> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    OtlpConfig::from_environment(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn endpoints(config: &OtlpConfig) -> [String; 3] {
    [&config.traces, &config.logs, &config.metrics].map(|to| to.as_ref().unwrap().endpoint.to_string())
}

fn traces(config: &OtlpConfig) -> &OtlpDestination {
    config.traces.as_ref().unwrap()
}

#[test]
fn nothing_set_means_the_defaults() {
    let config = from(&[]).unwrap();
    assert_eq!(
        endpoints(&config),
        [
            "http://localhost:4318/v1/traces",
            "http://localhost:4318/v1/logs",
            "http://localhost:4318/v1/metrics",
        ]
    );
    let to = traces(&config);
    assert_eq!(to.protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(to.timeout, Duration::from_secs(10));
    assert_eq!(to.compression, OtlpCompression::None);
    assert!(to.headers.is_empty() && to.certificate.is_none());
    assert_eq!(to, OtlpConfig::default().traces.as_ref().unwrap());
    assert_eq!(config.temporality, Temporality::Cumulative);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_general_endpoint_is_a_base_and_a_signals_own_is_complete() {
    let general = |base: &str| endpoints(&from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", base)]).unwrap())[0].clone();
    assert_eq!(general("http://c:4318"), "http://c:4318/v1/traces");
    assert_eq!(general("http://c:4318/"), "http://c:4318/v1/traces");
    assert_eq!(general("https://c/collector"), "https://c/collector/v1/traces");
    assert_eq!(general("https://c/collector/"), "https://c/collector/v1/traces");
    let config = from(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:9/taken/as/it/is"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://l"),
    ])
    .unwrap();
    assert_eq!(
        endpoints(&config),
        [
            "http://c:4318/v1/traces",
            "http://l/",
            "http://m:9/taken/as/it/is"
        ]
    );
}

#[test]
fn grpc_has_no_paths_and_its_scheme_or_insecure_decides_about_tls() {
    let grpc = |endpoint: &str, insecure: &str| {
        let config = from(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_INSECURE", insecure),
        ]);
        endpoints(&config.unwrap())[0].clone()
    };
    assert_eq!(grpc("", ""), "http://localhost:4317/");
    assert_eq!(grpc("http://c:4317/ignored", "false"), "http://c:4317/");
    assert_eq!(grpc("https://c:4317", "true"), "https://c:4317/");
    assert_eq!(grpc("c:4317", ""), "https://c:4317/");
    assert_eq!(grpc("c:4317", "true"), "http://c:4317/");
    assert_eq!(grpc("c:4317", "TRUE"), "http://c:4317/");
    assert_eq!(grpc("[::1]:4317", "true"), "http://[::1]:4317/");
    let config = from(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:1"),
        ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "true"),
        ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "yes"),
    ])
    .unwrap();
    assert_eq!(
        endpoints(&config),
        ["https://c:1/", "http://c:1/", "https://c:1/"]
    );
    assert_eq!(
        config.warnings,
        ["OTEL_EXPORTER_OTLP_METRICS_INSECURE must be true or false, but is `yes`; taken as false"]
    );
}

#[test]
fn an_endpoint_that_is_none_is_an_error_with_its_variable() {
    let refused = |value: &str| {
        let error = from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]).unwrap_err();
        let InvalidOtlpConfig::Endpoint { variable, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(variable, "OTEL_EXPORTER_OTLP_ENDPOINT");
        error.to_string()
    };
    expect_test::expect!["OTEL_EXPORTER_OTLP_ENDPOINT is no address of an OTLP receiver: it does not begin with http:// or https://; an address such as `http://localhost:4318` is wanted"]
        .assert_eq(&refused("localhost:4318"));
    expect_test::expect!["OTEL_EXPORTER_OTLP_ENDPOINT is no address of an OTLP receiver: `ftp` is no scheme of OTLP; an address such as `http://localhost:4318` is wanted"]
        .assert_eq(&refused("ftp://localhost"));
    refused("http://");
    refused("http://a b/");
}

#[test]
fn a_signals_own_value_wins_for_every_option() {
    let config = from(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=general,b=general"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=own"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/own.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/chain.pem"),
    ])
    .unwrap();
    let to = traces(&config);
    assert_eq!(to.timeout, Duration::from_millis(2500));
    assert_eq!(to.compression, OtlpCompression::None);
    assert_eq!(to.protocol, OtlpProtocol::Grpc);
    assert_eq!(to.endpoint.to_string(), "http://localhost:4317/");
    let names: Vec<_> = to
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(names, [("a", "own")]);
    assert_eq!(to.certificate.as_deref(), Some(Path::new("/own.pem")));
    assert_eq!(to.client_key.as_deref(), Some(Path::new("/key.pem")));
    assert_eq!(to.client_certificate.as_deref(), Some(Path::new("/chain.pem")));
    let logs = config.logs.as_ref().unwrap();
    assert_eq!(logs.timeout, Duration::from_secs(1));
    assert_eq!(logs.compression, OtlpCompression::Gzip);
    assert_eq!(logs.protocol, OtlpProtocol::HttpJson);
    assert_eq!(logs.headers.iter().count(), 2);
    assert_eq!(logs.certificate.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(logs.client_certificate, None);
}

#[test]
fn what_cannot_be_meant_is_told_once_and_ignored() {
    let config = from(&[
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,secret"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ("OTEL_LOGS_EXPORTER", "otlp,kafka"),
    ])
    .unwrap();
    let to = traces(&config);
    assert_eq!(to.timeout, Duration::from_secs(10));
    assert_eq!(to.compression, OtlpCompression::None);
    // The general value holds where a signal's own cannot be meant.
    assert_eq!(to.protocol, OtlpProtocol::HttpJson);
    assert_eq!(to.headers.iter().count(), 1);
    let mut warnings = config.warnings.clone();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_COMPRESSION must be gzip or none, but is `zstd`; ignored",
            "OTEL_EXPORTER_OTLP_HEADERS: entry 2 has no `=`; left out",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE must be cumulative, delta or lowmemory, but is `sometimes`; ignored",
            "OTEL_EXPORTER_OTLP_TIMEOUT must be a whole number of milliseconds, but is `10s`; ignored",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL must be http/protobuf or http/json or grpc, but is `http`; ignored",
            "OTEL_LOGS_EXPORTER: there is no exporter `kafka` here; otlp, console and none are",
        ]
    );
}

#[test]
fn a_timeout_of_zero_is_none() {
    let config = from(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).unwrap();
    assert!(traces(&config).timeout > Duration::from_secs(86_400));
}

#[test]
fn empty_counts_as_unset() {
    let config = from(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", " "),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", ""),
    ])
    .unwrap();
    assert_eq!(traces(&config), OtlpConfig::default().traces.as_ref().unwrap());
    assert!(config.warnings.is_empty());
}

#[test]
fn exporters_are_chosen_by_signal() {
    let config = from(&[
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "console"),
    ])
    .unwrap();
    assert!(config.traces.is_none() && config.logs.is_none() && config.metrics.is_some());
    let of = |value: &str| ExporterSelection::of(&|_| Some(value.to_owned()), Signal::Traces).0;
    let selected = |otlp, console| Some(ExporterSelection { otlp, console });
    assert_eq!(of("otlp, console"), selected(true, true));
    assert_eq!(of("none"), selected(false, false));
    assert_eq!(of(""), None);
    assert_eq!(of("zipkin"), None);
}

#[test]
fn the_environment_may_ask_for_otlp() {
    let asks = |variables: &[(&str, &str)]| {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        OtlpConfig::is_asked_for_by(&|name| variables.get(name).map(|value| (*value).to_owned()))
    };
    assert!(!asks(&[]));
    assert!(!asks(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=1")]));
    assert!(asks(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")]));
    assert!(asks(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c")]));
    assert!(asks(&[("OTEL_TRACES_EXPORTER", "otlp")]));
    assert!(!asks(&[("OTEL_TRACES_EXPORTER", "none")]));
    assert!(!asks(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ("OTEL_SDK_DISABLED", "True")
    ]));
}

#[test]
fn only_true_disables() {
    let of = |value: &str| sdk_disabled(&|_| Some(value.to_owned()));
    assert_eq!(of("true"), (true, Vec::new()));
    assert_eq!(of("False"), (false, Vec::new()));
    assert_eq!(of(""), (false, Vec::new()));
    let (disabled, warnings) = of("1");
    assert!(!disabled && warnings.len() == 1);
}

#[test]
fn secrets_in_an_endpoint_are_no_part_of_its_identity() {
    let config = from(&[(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "https://user:hush@c/v1/traces?key=hush#x",
    )])
    .unwrap();
    let endpoint = &traces(&config).endpoint;
    assert_eq!(endpoint.identity(), "https://c/v1/traces");
    assert!(!format!("{config:?}").contains("hush"), "{config:?}");
    assert_eq!(endpoint.url().as_str(), "https://user:hush@c/v1/traces?key=hush");
}
