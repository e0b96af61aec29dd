//! The variables of the OpenTelemetry specification that say where OTLP goes.
//!
//! Never reads the environment itself: a lookup is handed in. Empty values count as unset. A value that cannot be
//! meant is told as a warning and ignored, as the specification wants it, but for an endpoint: telemetry must not
//! go somewhere else than where it was sent.
//! Source: OpenTelemetry specification, OTLP exporter and environment variables.

use std::path::PathBuf;
use std::time::Duration;

use flowmeter_otlp::{Signal, Temporality};
use thiserror::Error;

use super::config::{
    DEFAULT_TIMEOUT, InvalidOtlpEndpoint, OtlpCompression, OtlpConfig, OtlpDestination, OtlpEndpoint,
    OtlpProtocol,
};
use super::headers::OtlpHeaders;
use super::presets::Preset;

/// Finds the value of an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why there are no settings for an OTLP backend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidOtlpConfig {
    /// The address of a receiver is none.
    #[error("{variable} is no address of an OTLP receiver: {reason}")]
    Endpoint {
        /// The variable that gave it.
        variable: String,
        /// What is wrong with it.
        #[source]
        reason: InvalidOtlpEndpoint,
    },
    /// A preset's key is not set.
    #[error("{preset} needs {variable}: {purpose}")]
    MissingVariable {
        /// The preset.
        preset: &'static str,
        /// The variable, or the variables, one of which is needed.
        variable: &'static str,
        /// What it holds, and where it is found.
        purpose: &'static str,
    },
    /// A preset's key cannot be sent.
    #[error("{preset} cannot use {variable}: {reason}")]
    UnusableVariable {
        /// The preset.
        preset: &'static str,
        /// The variable.
        variable: &'static str,
        /// What is wrong with it; the value is not repeated.
        reason: String,
    },
    /// There is no such preset.
    #[error("there is no preset `{0}`; the presets are {names}", names = Preset::names().join(", "))]
    UnknownPreset(String),
}

/// The value of a variable, unless it is empty.
pub(super) fn value_of(variables: Variables<'_>, name: &str) -> Option<String> {
    let value = variables(name)?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Reads a boolean: only `true`, in any case, is true. Anything else that is not `false` is worth a warning.
fn flag(variables: Variables<'_>, name: &str, warnings: &mut Vec<String>) -> Option<bool> {
    let value = value_of(variables, name)?;
    if value.eq_ignore_ascii_case("true") {
        return Some(true);
    }
    if !value.eq_ignore_ascii_case("false") {
        warnings.push(format!(
            "{name} must be true or false, but is `{value}`; taken as false"
        ));
    }
    Some(false)
}

/// Whether OTEL_SDK_DISABLED turns all OpenTelemetry output off, and what looks wrong.
#[must_use]
pub fn sdk_disabled(variables: Variables<'_>) -> (bool, Vec<String>) {
    let mut warnings = Vec::new();
    let disabled = flag(variables, "OTEL_SDK_DISABLED", &mut warnings).unwrap_or(false);
    (disabled, warnings)
}

/// Where OTEL_TRACES_EXPORTER and its like send a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExporterSelection {
    /// To an OTLP receiver.
    pub otlp: bool,
    /// To the console.
    pub console: bool,
}

impl ExporterSelection {
    /// What the variable of a signal says; `None` where it says nothing.
    #[must_use]
    pub fn of(variables: Variables<'_>, signal: Signal) -> (Option<Self>, Vec<String>) {
        let mut warnings = Vec::new();
        let name = format!("OTEL_{}_EXPORTER", variable_part(signal));
        let Some(value) = value_of(variables, &name) else {
            return (None, warnings);
        };
        let mut selection = None;
        for exporter in value
            .split(',')
            .map(str::trim)
            .filter(|exporter| !exporter.is_empty())
        {
            match exporter {
                "otlp" => selection.get_or_insert_with(Self::default).otlp = true,
                "console" | "logging" => selection.get_or_insert_with(Self::default).console = true,
                "none" => {
                    selection.get_or_insert_with(Self::default);
                }
                other => warnings.push(format!(
                    "{name}: there is no exporter `{other}` here; otlp, console and none are"
                )),
            }
        }
        (selection, warnings)
    }
}

/// The part of a variable's name that stands for a signal.
fn variable_part(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "TRACES",
        Signal::Logs => "LOGS",
        Signal::Metrics => "METRICS",
    }
}

/// The variables about one option of one signal, the more specific first.
fn names(signal: Signal, option: &str) -> [String; 2] {
    [
        format!("OTEL_EXPORTER_OTLP_{}_{option}", variable_part(signal)),
        format!("OTEL_EXPORTER_OTLP_{option}"),
    ]
}

/// The first value that can be meant, the more specific variable first.
fn option<T>(
    variables: Variables<'_>,
    signal: Signal,
    option: &str,
    warnings: &mut Vec<String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    for name in names(signal, option) {
        if let Some(value) = value_of(variables, &name) {
            match parse(&value) {
                Ok(value) => return Some(value),
                Err(wanted) => warnings.push(format!("{name} must be {wanted}, but is `{value}`; ignored")),
            }
        }
    }
    None
}

fn parse_compression(text: &str) -> Result<OtlpCompression, String> {
    match text {
        "gzip" => Ok(OtlpCompression::Gzip),
        "none" => Ok(OtlpCompression::None),
        _ => Err("gzip or none".to_owned()),
    }
}

/// Milliseconds; 0 stands for no limit, for which a very long time is as good.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(0) => Ok(Duration::from_millis(u32::MAX.into())),
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds.into())),
        Err(_) => Err("a whole number of milliseconds".to_owned()),
    }
}

/// The endpoint that the variables give for a signal, if they do.
fn endpoint(
    variables: Variables<'_>,
    signal: Signal,
    protocol: OtlpProtocol,
    warnings: &mut Vec<String>,
) -> Result<Option<OtlpEndpoint>, InvalidOtlpConfig> {
    let [of_signal, of_all] = names(signal, "INSECURE");
    let insecure = flag(variables, &of_signal, warnings)
        .or_else(|| flag(variables, &of_all, warnings))
        .unwrap_or(false);
    let [of_signal, of_all] = names(signal, "ENDPOINT");
    let read = |variable: &str| -> Result<Option<OtlpEndpoint>, InvalidOtlpConfig> {
        let Some(value) = value_of(variables, variable) else {
            return Ok(None);
        };
        let parsed = OtlpEndpoint::parse(&value, protocol, insecure);
        parsed.map(Some).map_err(|reason| InvalidOtlpConfig::Endpoint {
            variable: variable.to_owned(),
            reason,
        })
    };
    // A signal's own endpoint is used as it is, the general one is a base.
    Ok(match read(&of_signal)? {
        Some(complete) => Some(complete),
        None => read(&of_all)?.map(|base| base.for_signal(signal, protocol)),
    })
}

/// What holds where no variable says otherwise.
pub(super) trait DestinationDefaults {
    /// The protocols that the receiver takes, the best first.
    fn protocols(&self) -> &[OtlpProtocol];
    /// The base of the receiver.
    fn endpoint(&self, protocol: OtlpProtocol) -> Result<OtlpEndpoint, InvalidOtlpConfig>;
    /// The receiver's own headers; those in `given` come on top.
    fn headers(&self, signal: Signal, given: OtlpHeaders) -> Result<OtlpHeaders, InvalidOtlpConfig>;
    fn compression(&self) -> OtlpCompression;
}

/// The specification's own defaults.
struct Specification;

impl DestinationDefaults for Specification {
    fn protocols(&self) -> &[OtlpProtocol] {
        &OtlpProtocol::ALL
    }

    fn endpoint(&self, protocol: OtlpProtocol) -> Result<OtlpEndpoint, InvalidOtlpConfig> {
        endpoint_at("the default", protocol.default_endpoint(), protocol)
    }

    fn headers(&self, _: Signal, given: OtlpHeaders) -> Result<OtlpHeaders, InvalidOtlpConfig> {
        Ok(given)
    }

    fn compression(&self) -> OtlpCompression {
        OtlpCompression::None
    }
}

/// The endpoint that a variable gives.
pub(super) fn endpoint_at(
    variable: &str,
    text: &str,
    protocol: OtlpProtocol,
) -> Result<OtlpEndpoint, InvalidOtlpConfig> {
    OtlpEndpoint::parse(text, protocol, false).map_err(|reason| InvalidOtlpConfig::Endpoint {
        variable: variable.to_owned(),
        reason,
    })
}

/// Where a signal goes.
pub(super) fn destination(
    variables: Variables<'_>,
    signal: Signal,
    defaults: &dyn DestinationDefaults,
    warnings: &mut Vec<String>,
) -> Result<OtlpDestination, InvalidOtlpConfig> {
    let taken = defaults.protocols();
    let protocol = option(variables, signal, "PROTOCOL", warnings, |text| {
        let known = OtlpProtocol::parse(text).filter(|protocol| taken.contains(protocol));
        known.ok_or_else(|| {
            let names: Vec<&str> = taken.iter().map(|protocol| protocol.as_str()).collect();
            names.join(" or ")
        })
    });
    let protocol = protocol.or(taken.first().copied()).unwrap_or_default();
    let endpoint = match endpoint(variables, signal, protocol, warnings)? {
        Some(endpoint) => endpoint,
        None => defaults.endpoint(protocol)?.for_signal(signal, protocol),
    };
    let given = names(signal, "HEADERS").iter().find_map(|name| {
        let (headers, problems) = OtlpHeaders::parse(&value_of(variables, name)?);
        warnings.extend(
            problems
                .into_iter()
                .map(|problem| format!("{name}: {problem}; left out")),
        );
        Some(headers)
    });
    let headers = defaults.headers(signal, given.unwrap_or_default())?;
    let timeout = option(variables, signal, "TIMEOUT", warnings, parse_timeout);
    let compression = option(variables, signal, "COMPRESSION", warnings, parse_compression);
    let file = |option: &str| -> Option<PathBuf> {
        let found = names(signal, option)
            .iter()
            .find_map(|name| value_of(variables, name));
        found.map(PathBuf::from)
    };
    Ok(OtlpDestination {
        endpoint,
        protocol,
        headers,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        compression: compression.unwrap_or_else(|| defaults.compression()),
        certificate: file("CERTIFICATE"),
        client_certificate: file("CLIENT_CERTIFICATE"),
        client_key: file("CLIENT_KEY"),
    })
}

/// The temporality that OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE asks for.
pub(super) fn temporality(variables: Variables<'_>, warnings: &mut Vec<String>) -> Option<Temporality> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let value = value_of(variables, NAME)?;
    match value.to_ascii_lowercase().as_str() {
        "cumulative" => Some(Temporality::Cumulative),
        "delta" | "lowmemory" => Some(Temporality::Delta),
        _ => {
            warnings.push(format!(
                "{NAME} must be cumulative, delta or lowmemory, but is `{value}`; ignored"
            ));
            None
        }
    }
}

impl OtlpConfig {
    /// The settings that the environment gives, with the specification's defaults for the rest.
    ///
    /// A signal whose OTEL_…_EXPORTER names other exporters than `otlp` goes nowhere. What looks wrong is in
    /// [`OtlpConfig::warnings`].
    ///
    /// # Errors
    /// [`InvalidOtlpConfig::Endpoint`] for an address that is none.
    pub fn from_environment(variables: Variables<'_>) -> Result<Self, InvalidOtlpConfig> {
        let mut config = Self::default();
        let mut warnings = Vec::new();
        for signal in Signal::ALL {
            let (selection, problems) = ExporterSelection::of(variables, signal);
            warnings.extend(problems);
            *config.destination_mut(signal) = match selection {
                Some(selection) if !selection.otlp => None,
                _ => Some(destination(variables, signal, &Specification, &mut warnings)?),
            };
        }
        if let Some(temporality) = temporality(variables, &mut warnings) {
            config.temporality = temporality;
        }
        config.warnings = without_repetitions(warnings);
        Ok(config)
    }

    /// Whether the environment asks for OTLP without any flag: it names a receiver or the exporter `otlp`.
    #[must_use]
    pub fn is_asked_for_by(variables: Variables<'_>) -> bool {
        if sdk_disabled(variables).0 {
            return false;
        }
        Signal::ALL.into_iter().any(|signal| {
            let selected = ExporterSelection::of(variables, signal).0;
            let named = names(signal, "ENDPOINT");
            let has_endpoint = || named.iter().any(|name| value_of(variables, name).is_some());
            selected.map_or_else(has_endpoint, |selection| selection.otlp)
        })
    }

    /// The settings of several backends by their names: `otlp`, or a preset's name.
    ///
    /// The variables OTEL_EXPORTER_OTLP_… describe one receiver: that of `otlp` where it is among the names, else
    /// that of the preset where there is only one. They never lead a preset's keys to another backend's receiver.
    ///
    /// # Errors
    /// As [`OtlpConfig::from_environment`] and [`Preset::config`], and for a name that is none.
    pub fn of_backends(names: &[&str], variables: Variables<'_>) -> Result<Vec<Self>, InvalidOtlpConfig> {
        let nothing = |name: &str| {
            let is_general = name.starts_with("OTEL_EXPORTER_OTLP_");
            if is_general { None } else { variables(name) }
        };
        let shared = names.len() > 1;
        let configs = names.iter().map(|name| {
            if *name == "otlp" {
                return Self::from_environment(variables);
            }
            let preset = Preset::parse(name)?;
            preset.config(if shared { &nothing } else { variables })
        });
        configs.collect()
    }
}

/// Each text once; the variables for all signals are looked at once for each.
pub(super) fn without_repetitions(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
