//! The vendors' facts, one after the other; the vendors' own documentation is their source.
//!
//! Never holds a key: keys come from the vendor's usual variables, through a lookup.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowmeter_otlp::{Signal, Temporality};

use super::{Dialect, Preset};
use crate::backends::otlp::config::{OtlpCompression, OtlpProtocol, Ports};
use crate::backends::otlp::environment::{InvalidOtlpConfig, Variables, endpoint_at, value_of};
use crate::backends::otlp::headers::OtlpHeaders;

/// What is known of a vendor.
pub(super) struct PresetFacts {
    /// As in `--export NAME`.
    pub(super) name: &'static str,
    /// Where the vendor describes its OTLP intake.
    pub(super) documentation: &'static str,
    pub(super) signals: &'static [Signal],
    /// The best first.
    pub(super) protocols: &'static [OtlpProtocol],
    pub(super) compression: OtlpCompression,
    pub(super) temporality: Temporality,
    pub(super) dialect: Dialect,
    pub(super) endpoint: fn(Variables<'_>, OtlpProtocol) -> Result<Base, InvalidOtlpConfig>,
    /// `None` where all protocols share a port, or where the address says which.
    pub(super) ports: Option<fn(Variables<'_>) -> Ports>,
    pub(super) headers: fn(Variables<'_>, Signal) -> Vec<PresetHeader>,
    /// What is set in the resource.
    pub(super) resource: fn(Variables<'_>) -> Vec<(&'static str, String)>,
}

/// A base address, behind the variable that gives it.
pub(super) type Base = (&'static str, String);

/// A header that a vendor wants.
pub(super) struct PresetHeader {
    pub(super) name: Cow<'static, str>,
    /// The variable that its value comes from, for messages.
    pub(super) variable: &'static str,
    pub(super) value: Result<String, InvalidOtlpConfig>,
}

const HTTP: &[OtlpProtocol] = &[OtlpProtocol::HttpProtobuf, OtlpProtocol::HttpJson];
const HTTP_AND_GRPC: &[OtlpProtocol] = &[
    OtlpProtocol::HttpProtobuf,
    OtlpProtocol::HttpJson,
    OtlpProtocol::Grpc,
];

pub(super) const DATADOG: PresetFacts = PresetFacts {
    name: "datadog",
    documentation: "https://docs.datadoghq.com/opentelemetry/setup/agentless",
    signals: &Signal::ALL,
    protocols: &[OtlpProtocol::HttpProtobuf],
    compression: OtlpCompression::Gzip,
    // The intake refuses cumulative sums.
    temporality: Temporality::Delta,
    dialect: Dialect::Plain,
    endpoint: |variables, _| {
        let site = value_of(variables, "DD_SITE");
        let site = site.as_deref().unwrap_or("datadoghq.com");
        Ok(("DD_SITE", format!("https://otlp.{site}")))
    },
    ports: None,
    headers: |variables, signal| {
        let purpose = "an API key of your organization, from Organization Settings > API Keys";
        let mut headers = vec![needed(
            variables,
            Preset::Datadog,
            "dd-api-key",
            "DD_API_KEY",
            purpose,
        )];
        if signal == Signal::Traces {
            // Spans of the GenAI conventions go to LLM Observability by this.
            headers.push(constant("dd-otlp-source", "llmobs"));
        }
        headers
    },
    resource: |variables| {
        let mut attributes = Vec::new();
        let tags: [(&str, &[&str]); 3] = [
            ("DD_SERVICE", &["service.name"]),
            ("DD_VERSION", &["service.version"]),
            // The second is the name that the conventions had until 1.27, which agents still read.
            (
                "DD_ENV",
                &["deployment.environment.name", "deployment.environment"],
            ),
        ];
        for (variable, keys) in tags {
            if let Some(value) = value_of(variables, variable) {
                attributes.extend(keys.iter().map(|key| (*key, value.clone())));
            }
        }
        attributes
    },
};

pub(super) const NEWRELIC: PresetFacts = PresetFacts {
    name: "newrelic",
    documentation: "https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp",
    signals: &Signal::ALL,
    protocols: HTTP_AND_GRPC,
    compression: OtlpCompression::Gzip,
    temporality: Temporality::Delta,
    dialect: Dialect::Plain,
    endpoint: |variables, protocol| {
        let region = value_of(variables, "NEW_RELIC_REGION").map(|region| region.to_ascii_lowercase());
        // Keys of the region EU say so at their beginning.
        let key = value_of(variables, "NEW_RELIC_LICENSE_KEY").unwrap_or_default();
        let host = match region.as_deref() {
            Some("eu" | "eu01") => "otlp.eu01.nr-data.net",
            Some("gov" | "gov01" | "fedramp") => "gov-otlp.nr-data.net",
            None if key.starts_with("eu01") => "otlp.eu01.nr-data.net",
            _ => "otlp.nr-data.net",
        };
        let port = if protocol == OtlpProtocol::Grpc {
            ":4317"
        } else {
            ""
        };
        Ok(("NEW_RELIC_REGION", format!("https://{host}{port}")))
    },
    ports: None,
    headers: |variables, _| {
        let purpose = "a license key of your account, from the page API keys";
        vec![needed(
            variables,
            Preset::Newrelic,
            "api-key",
            "NEW_RELIC_LICENSE_KEY",
            purpose,
        )]
    },
    resource: |_| Vec::new(),
};

pub(super) const LANGFUSE: PresetFacts = PresetFacts {
    name: "langfuse",
    documentation: "https://langfuse.com/integrations/native/opentelemetry",
    signals: &[Signal::Traces],
    protocols: HTTP,
    compression: OtlpCompression::None,
    temporality: Temporality::Cumulative,
    dialect: Dialect::Langfuse,
    endpoint: |variables, _| {
        let given = first_of(variables, &["LANGFUSE_HOST", "LANGFUSE_BASE_URL"]);
        let (variable, host) = given.unwrap_or(("LANGFUSE_HOST", "https://cloud.langfuse.com".to_owned()));
        Ok((
            variable,
            format!("{}/api/public/otel", host.trim_end_matches('/')),
        ))
    },
    ports: None,
    headers: |variables, _| {
        let public = variable(
            variables,
            Preset::Langfuse,
            "LANGFUSE_PUBLIC_KEY",
            "the public key of your project, from its settings",
        );
        let secret = variable(
            variables,
            Preset::Langfuse,
            "LANGFUSE_SECRET_KEY",
            "the secret key of your project, from its settings",
        );
        vec![
            PresetHeader {
                name: "authorization".into(),
                variable: "LANGFUSE_SECRET_KEY",
                value: public.and_then(|public| Ok(basic(&public, &secret?))),
            },
            // Without it what was sent is shown only minutes later.
            constant("x-langfuse-ingestion-version", "4"),
        ]
    },
    resource: |variables| {
        let environment = value_of(variables, "LANGFUSE_TRACING_ENVIRONMENT");
        let release = value_of(variables, "LANGFUSE_RELEASE");
        let environment = environment.map(|value| ("langfuse.environment", value));
        environment
            .into_iter()
            .chain(release.map(|value| ("langfuse.release", value)))
            .collect()
    },
};

pub(super) const PHOENIX: PresetFacts = PresetFacts {
    name: "phoenix",
    documentation: "https://arize.com/docs/phoenix/tracing/how-to-tracing/setup-tracing",
    signals: &[Signal::Traces],
    protocols: &[OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc],
    compression: OtlpCompression::None,
    temporality: Temporality::Cumulative,
    dialect: Dialect::OpenInference,
    endpoint: |variables, protocol| {
        const VARIABLE: &str = "PHOENIX_COLLECTOR_ENDPOINT";
        let given = value_of(variables, VARIABLE);
        let given = given.unwrap_or_else(|| "http://localhost:6006".to_owned());
        if protocol != OtlpProtocol::Grpc {
            // Some write the address of the spans, some the base.
            let base = given.trim_end_matches('/').trim_end_matches("/v1/traces");
            return Ok((VARIABLE, base.to_owned()));
        }
        let port = phoenix_ports(variables).grpc;
        let endpoint = endpoint_at(VARIABLE, &given, protocol)?;
        let url = endpoint.url();
        let host = url.host_str().unwrap_or_default();
        Ok((VARIABLE, format!("{}://{host}:{port}", url.scheme())))
    },
    ports: Some(phoenix_ports),
    headers: |variables, _| {
        let mut headers = Vec::new();
        // A Phoenix of one's own needs no key.
        if let Some(key) = value_of(variables, "PHOENIX_API_KEY") {
            headers.push(PresetHeader {
                name: "authorization".into(),
                variable: "PHOENIX_API_KEY",
                value: Ok(format!("Bearer {key}")),
            });
        }
        headers.extend(listed(variables, Preset::Phoenix, "PHOENIX_CLIENT_HEADERS"));
        headers
    },
    resource: |variables| {
        let project = first_of(variables, &["PHOENIX_PROJECT", "PHOENIX_PROJECT_NAME"]);
        let project = project.map_or_else(|| "default".to_owned(), |(_, project)| project);
        vec![("openinference.project.name", project)]
    },
};

/// Phoenix's own variables say where it listens; it takes HTTP where its pages are.
fn phoenix_ports(variables: Variables<'_>) -> Ports {
    let port = |variable, usual| {
        let given = value_of(variables, variable);
        given.and_then(|port| port.parse().ok()).unwrap_or(usual)
    };
    Ports {
        http: port("PHOENIX_PORT", 6006),
        grpc: port("PHOENIX_GRPC_PORT", 4317),
    }
}

pub(super) const HONEYCOMB: PresetFacts = PresetFacts {
    name: "honeycomb",
    documentation: "https://docs.honeycomb.io/send-data/opentelemetry/",
    signals: &Signal::ALL,
    protocols: HTTP_AND_GRPC,
    compression: OtlpCompression::Gzip,
    temporality: Temporality::Delta,
    dialect: Dialect::Plain,
    endpoint: |variables, _| {
        let endpoint = value_of(variables, "HONEYCOMB_API_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| "https://api.honeycomb.io".to_owned());
        Ok(("HONEYCOMB_API_ENDPOINT", endpoint))
    },
    ports: None,
    headers: |variables, signal| {
        let purpose = "an ingest key of your environment, from its settings";
        let team = needed(
            variables,
            Preset::Honeycomb,
            "x-honeycomb-team",
            "HONEYCOMB_API_KEY",
            purpose,
        );
        let of_metrics: &[&str] = &["HONEYCOMB_METRICS_DATASET", "HONEYCOMB_DATASET"];
        let names = if signal == Signal::Metrics {
            of_metrics
        } else {
            &of_metrics[1..]
        };
        // Only old keys need it for spans; metrics without it have a set of their own.
        let dataset = first_of(variables, names).map(|(variable, dataset)| PresetHeader {
            name: "x-honeycomb-dataset".into(),
            variable,
            value: Ok(dataset),
        });
        [team].into_iter().chain(dataset).collect()
    },
    resource: |_| Vec::new(),
};

pub(super) const GRAFANA: PresetFacts = PresetFacts {
    name: "grafana",
    documentation: "https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
    signals: &Signal::ALL,
    protocols: HTTP,
    compression: OtlpCompression::Gzip,
    temporality: Temporality::Cumulative,
    dialect: Dialect::Plain,
    endpoint: |variables, _| {
        let names = ["GRAFANA_OTLP_ENDPOINT", "GRAFANA_CLOUD_OTLP_ENDPOINT"];
        if let Some((variable, endpoint)) = first_of(variables, &names) {
            // Data sources' pages show the address of one signal, with which a base is as well meant.
            return Ok((variable, endpoint.trim_end_matches('/').to_owned()));
        }
        let zone = value_of(variables, "GRAFANA_CLOUD_ZONE");
        let zone = zone.ok_or(InvalidOtlpConfig::MissingVariable {
            preset: "grafana",
            variable: "GRAFANA_OTLP_ENDPOINT (or GRAFANA_CLOUD_ZONE)",
            purpose: "the OTLP endpoint of your stack, from its page OpenTelemetry, such as \
                      https://otlp-gateway-prod-us-east-0.grafana.net/otlp (or the zone in it, prod-us-east-0)",
        })?;
        Ok((
            "GRAFANA_CLOUD_ZONE",
            format!("https://otlp-gateway-{zone}.grafana.net/otlp"),
        ))
    },
    ports: None,
    headers: |variables, _| {
        let user = first_of(
            variables,
            &["GRAFANA_CLOUD_INSTANCE_ID", "GRAFANA_OTLP_INSTANCE_ID"],
        );
        let user = user.ok_or(InvalidOtlpConfig::MissingVariable {
            preset: "grafana",
            variable: "GRAFANA_CLOUD_INSTANCE_ID",
            purpose: "the numeric instance id of your stack, from its page OpenTelemetry",
        });
        let names = [
            "GRAFANA_CLOUD_API_KEY",
            "GRAFANA_CLOUD_API_TOKEN",
            "GRAFANA_OTLP_TOKEN",
        ];
        let token = first_of(variables, &names);
        let token = token.ok_or(InvalidOtlpConfig::MissingVariable {
            preset: "grafana",
            variable: "GRAFANA_CLOUD_API_KEY",
            purpose: "a token of a Cloud access policy that may write metrics, logs and traces",
        });
        vec![PresetHeader {
            name: "authorization".into(),
            variable: "GRAFANA_CLOUD_API_KEY",
            value: user.and_then(|(_, user)| Ok(basic(&user, &token?.1))),
        }]
    },
    resource: |_| Vec::new(),
};

/// The first of these variables that is set, with its value.
fn first_of<'a>(variables: Variables<'_>, names: &[&'a str]) -> Option<(&'a str, String)> {
    names
        .iter()
        .find_map(|name| Some((*name, value_of(variables, name)?)))
}

/// The value of a variable that a preset cannot do without.
fn variable(
    variables: Variables<'_>,
    preset: Preset,
    variable: &'static str,
    purpose: &'static str,
) -> Result<String, InvalidOtlpConfig> {
    value_of(variables, variable).ok_or(InvalidOtlpConfig::MissingVariable {
        preset: preset.as_str(),
        variable,
        purpose,
    })
}

/// A header whose value is that of a variable.
fn needed(
    variables: Variables<'_>,
    preset: Preset,
    name: &'static str,
    from: &'static str,
    purpose: &'static str,
) -> PresetHeader {
    PresetHeader {
        name: name.into(),
        variable: from,
        value: variable(variables, preset, from, purpose),
    }
}

/// A header that is always the same.
fn constant(name: &'static str, value: &str) -> PresetHeader {
    PresetHeader {
        name: name.into(),
        variable: "",
        value: Ok(value.to_owned()),
    }
}

/// The headers that a variable lists in the form of OTEL_EXPORTER_OTLP_HEADERS.
fn listed(variables: Variables<'_>, preset: Preset, variable: &'static str) -> Vec<PresetHeader> {
    let list = value_of(variables, variable).unwrap_or_default();
    let (headers, problems) = OtlpHeaders::parse(&list);
    let readable = headers.iter().map(|(name, value)| {
        let value = value.to_str().map(str::to_owned);
        (name.to_string(), value.map_err(|error| error.to_string()))
    });
    let unreadable = problems.into_iter().map(|problem| (String::new(), Err(problem)));
    let all = readable.chain(unreadable).map(|(name, value)| PresetHeader {
        name: name.into(),
        variable,
        value: value.map_err(|reason| InvalidOtlpConfig::UnusableVariable {
            preset: preset.as_str(),
            variable,
            reason,
        }),
    });
    all.collect()
}

/// Source: RFC 7617.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
