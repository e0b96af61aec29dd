//! The presets: addresses, headers and needs, and what the specification's variables change.

use std::collections::HashMap;
use std::fmt::Write;

use flowmeter_otlp::Signal;

use super::Preset;
use crate::backends::otlp::config::{OtlpConfig, OtlpProtocol};
use crate::backends::otlp::environment::InvalidOtlpConfig;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn config(preset: Preset, variables: Pairs<'_>) -> Result<OtlpConfig, InvalidOtlpConfig> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    preset.config(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

/// Everything that a preset set, as text.
fn shown(preset: Preset, variables: Pairs<'_>) -> String {
    let config = config(preset, variables).unwrap();
    let mut text = String::new();
    for signal in Signal::ALL {
        let Some(to) = config.destination(signal) else {
            continue;
        };
        let _ = write!(
            text,
            "{} {} {:?}",
            to.protocol.as_str(),
            to.endpoint,
            to.compression
        );
        for (name, value) in to.headers.iter() {
            let _ = write!(text, " {name}={}", value.to_str().unwrap());
        }
        text.push('\n');
    }
    let _ = write!(text, "{:?}", config.temporality);
    for (key, _) in config.resource.iter() {
        let _ = write!(text, " {key}={}", config.resource.get_str(key).unwrap());
    }
    if config.encoder.openinference {
        text.push_str(" openinference");
    }
    text
}

#[test]
fn datadog() {
    expect_test::expect![[r#"
        http/protobuf https://otlp.datadoghq.com/v1/traces Gzip dd-api-key=k dd-otlp-source=llmobs
        http/protobuf https://otlp.datadoghq.com/v1/logs Gzip dd-api-key=k
        http/protobuf https://otlp.datadoghq.com/v1/metrics Gzip dd-api-key=k
        Delta"#]]
    .assert_eq(&shown(Preset::Datadog, &[("DD_API_KEY", "k")]));
    let tags = [
        ("DD_API_KEY", "k"),
        ("DD_SITE", "us5.datadoghq.com"),
        ("DD_ENV", "test"),
        ("DD_SERVICE", "s"),
        ("DD_VERSION", "2"),
    ];
    let text = shown(Preset::Datadog, &tags);
    assert!(
        text.contains("https://otlp.us5.datadoghq.com/v1/traces "),
        "{text}"
    );
    assert!(
        text.ends_with(
            "Delta service.name=s service.version=2 deployment.environment.name=test \
             deployment.environment=test"
        ),
        "{text}"
    );
}

#[test]
fn newrelic() {
    expect_test::expect![[r#"
        http/protobuf https://otlp.nr-data.net/v1/traces Gzip api-key=k
        http/protobuf https://otlp.nr-data.net/v1/logs Gzip api-key=k
        http/protobuf https://otlp.nr-data.net/v1/metrics Gzip api-key=k
        Delta"#]]
    .assert_eq(&shown(Preset::Newrelic, &[("NEW_RELIC_LICENSE_KEY", "k")]));
    let host = |variables: Pairs<'_>| {
        let config = config(Preset::Newrelic, variables).unwrap();
        config.traces.unwrap().endpoint.to_string()
    };
    let key = |key| ("NEW_RELIC_LICENSE_KEY", key);
    assert_eq!(
        host(&[key("eu01xx123")]),
        "https://otlp.eu01.nr-data.net/v1/traces"
    );
    assert_eq!(
        host(&[key("k"), ("NEW_RELIC_REGION", "EU")]),
        "https://otlp.eu01.nr-data.net/v1/traces"
    );
    assert_eq!(
        host(&[key("k"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
        "https://otlp.nr-data.net:4317/"
    );
}

#[test]
fn langfuse() {
    let keys = [
        ("LANGFUSE_PUBLIC_KEY", "pk-lf-1234567890"),
        ("LANGFUSE_SECRET_KEY", "sk-lf-1234567890"),
    ];
    expect_test::expect![[r#"
        http/protobuf https://cloud.langfuse.com/api/public/otel/v1/traces None authorization=Basic cGstbGYtMTIzNDU2Nzg5MDpzay1sZi0xMjM0NTY3ODkw x-langfuse-ingestion-version=4
        Cumulative"#]]
    .assert_eq(&shown(Preset::Langfuse, &keys));
    let own = [keys[0], keys[1], ("LANGFUSE_HOST", "http://localhost:3000/")];
    let text = shown(Preset::Langfuse, &own);
    assert!(
        text.contains(" http://localhost:3000/api/public/otel/v1/traces "),
        "{text}"
    );
}

#[test]
fn phoenix() {
    expect_test::expect![[r#"
        http/protobuf http://localhost:6006/v1/traces None
        Cumulative openinference.project.name=default openinference"#]]
    .assert_eq(&shown(Preset::Phoenix, &[]));
    let cloud = [
        (
            "PHOENIX_COLLECTOR_ENDPOINT",
            "https://app.phoenix.arize.com/s/me/v1/traces",
        ),
        ("PHOENIX_API_KEY", "k"),
        ("PHOENIX_CLIENT_HEADERS", "x-team=a%20b"),
        ("PHOENIX_PROJECT_NAME", "mine"),
    ];
    expect_test::expect![[r#"
        http/protobuf https://app.phoenix.arize.com/s/me/v1/traces None authorization=Bearer k x-team=a b
        Cumulative openinference.project.name=mine openinference"#]]
    .assert_eq(&shown(Preset::Phoenix, &cloud));
    let grpc = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("PHOENIX_COLLECTOR_ENDPOINT", "http://p:6006"),
    ];
    assert!(shown(Preset::Phoenix, &grpc).starts_with("grpc http://p:4317/ "));
}

#[test]
fn an_address_of_phoenix_that_is_given_leads_to_the_port_that_takes_the_protocol() {
    let sent_to = |variables: Pairs<'_>, given: &str| {
        let config = config(Preset::Phoenix, variables).unwrap();
        let config = config.with_endpoint(given).unwrap();
        config.traces.unwrap().endpoint.to_string()
    };
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_eq!(sent_to(&[], "http://p:6006"), "http://p:6006/v1/traces");
    assert_eq!(
        sent_to(&[], "http://p:6006/s/me/v1/traces/"),
        "http://p:6006/s/me/v1/traces"
    );
    assert_eq!(sent_to(&[grpc], "http://p:6006/v1/traces"), "http://p:4317/");
    // A port that is not that of the pages is meant.
    assert_eq!(sent_to(&[grpc], "http://p:5317"), "http://p:5317/");
    let moved = [grpc, ("PHOENIX_PORT", "7006"), ("PHOENIX_GRPC_PORT", "7317")];
    assert_eq!(sent_to(&moved, "http://p:7006"), "http://p:7317/");
    assert_eq!(sent_to(&moved, "http://p:6006"), "http://p:6006/");
}

#[test]
fn honeycomb() {
    let set = [
        ("HONEYCOMB_API_KEY", "k"),
        ("HONEYCOMB_DATASET", "d"),
        ("HONEYCOMB_METRICS_DATASET", "m"),
    ];
    expect_test::expect![[r#"
        http/protobuf https://api.honeycomb.io/v1/traces Gzip x-honeycomb-team=k x-honeycomb-dataset=d
        http/protobuf https://api.honeycomb.io/v1/logs Gzip x-honeycomb-team=k x-honeycomb-dataset=d
        http/protobuf https://api.honeycomb.io/v1/metrics Gzip x-honeycomb-team=k x-honeycomb-dataset=m
        Delta"#]]
    .assert_eq(&shown(Preset::Honeycomb, &set));
}

#[test]
fn grafana() {
    let set = [
        ("GRAFANA_CLOUD_ZONE", "prod-us-east-0"),
        ("GRAFANA_CLOUD_INSTANCE_ID", "123"),
        ("GRAFANA_CLOUD_API_KEY", "glc_x"),
    ];
    expect_test::expect![[r#"
        http/protobuf https://otlp-gateway-prod-us-east-0.grafana.net/otlp/v1/traces Gzip authorization=Basic MTIzOmdsY194
        http/protobuf https://otlp-gateway-prod-us-east-0.grafana.net/otlp/v1/logs Gzip authorization=Basic MTIzOmdsY194
        http/protobuf https://otlp-gateway-prod-us-east-0.grafana.net/otlp/v1/metrics Gzip authorization=Basic MTIzOmdsY194
        Cumulative"#]]
    .assert_eq(&shown(Preset::Grafana, &set));
}

#[test]
fn a_missing_key_names_its_variable() {
    let needs = [
        (Preset::Datadog, "DD_API_KEY"),
        (Preset::Newrelic, "NEW_RELIC_LICENSE_KEY"),
        (Preset::Langfuse, "LANGFUSE_PUBLIC_KEY"),
        (Preset::Honeycomb, "HONEYCOMB_API_KEY"),
        (Preset::Grafana, "GRAFANA_OTLP_ENDPOINT"),
    ];
    for (preset, variable) in needs {
        let error = config(preset, &[]).unwrap_err().to_string();
        assert!(
            error.contains(variable) && error.contains(preset.as_str()),
            "{error}"
        );
    }
    let half = [("LANGFUSE_PUBLIC_KEY", "pk")];
    assert!(
        config(Preset::Langfuse, &half)
            .unwrap_err()
            .to_string()
            .contains("LANGFUSE_SECRET_KEY")
    );
    let unusable = [("DD_API_KEY", "hu\nsh")];
    let error = config(Preset::Datadog, &unusable).unwrap_err().to_string();
    assert!(error.contains("DD_API_KEY") && !error.contains("hu\n"), "{error}");
}

#[test]
fn the_specifications_variables_win() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "dd-api-key=mine,x=1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
        ("OTEL_SERVICE_NAME", "mine"),
        ("DD_SERVICE", "theirs"),
    ];
    let config = config(Preset::Datadog, &variables).unwrap();
    let text = shown(Preset::Datadog, &variables);
    // The header is given, so that no key is needed; the intake takes no gRPC, so that it stays as it was.
    assert!(
        text.starts_with(
            "http/protobuf http://127.0.0.1:9/v1/traces None dd-otlp-source=llmobs dd-api-key=mine x=1\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("\nCumulative"), "{text}");
    assert_eq!(
        config.warnings,
        ["OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, but is `grpc`; ignored"]
    );
}

#[test]
fn several_backends_never_share_the_variables_of_one_receiver() {
    let variables: HashMap<&str, &str> = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x=1"),
        ("DD_API_KEY", "k"),
    ]
    .into();
    let variables = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let endpoints = |names: &[&str]| -> Vec<String> {
        let configs = OtlpConfig::of_backends(names, &variables).unwrap();
        configs
            .iter()
            .map(|config| config.traces.as_ref().unwrap().endpoint.to_string())
            .collect()
    };
    assert_eq!(endpoints(&["datadog"]), ["http://127.0.0.1:9/v1/traces"]);
    assert_eq!(
        endpoints(&["otlp", "datadog", "phoenix"]),
        [
            "http://127.0.0.1:9/v1/traces",
            "https://otlp.datadoghq.com/v1/traces",
            "http://localhost:6006/v1/traces",
        ]
    );
    let error = OtlpConfig::of_backends(&["splunk"], &variables)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "there is no preset `splunk`; the presets are datadog, newrelic, langfuse, phoenix, honeycomb, grafana"
    );
}

#[test]
fn every_preset_has_a_name_of_its_own_and_a_documentation() {
    for preset in Preset::ALL {
        assert_eq!(Preset::parse(preset.as_str()).unwrap(), preset);
        assert!(preset.documentation().starts_with("https://"));
        let protocols = preset.facts().protocols;
        assert_eq!(protocols.first(), Some(&OtlpProtocol::HttpProtobuf));
    }
}
