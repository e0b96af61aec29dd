//! Receivers that many have: their addresses, their headers, what they take and what they need.
//!
//! One [`PresetFacts`] describes one vendor. To add a vendor: write its facts in `vendors`, add its variant to
//! [`Preset`], to `ALL` and to `facts`, and a case to the tests.
//! Never holds a key: keys come from the vendor's usual variables, through a lookup.

mod vendors;

use flowmeter_model::Attributes;
use flowmeter_otlp::Signal;

use super::config::{OtlpCompression, OtlpConfig, OtlpEndpoint, OtlpProtocol};
use super::environment::{
    DestinationDefaults, InvalidOtlpConfig, Variables, destination, endpoint_at, temporality, value_of,
    without_repetitions,
};
use super::headers::OtlpHeaders;
use vendors::{DATADOG, GRAFANA, HONEYCOMB, LANGFUSE, NEWRELIC, PHOENIX, PresetFacts};

/// A receiver whose address, headers and needs are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Datadog's OTLP intake.
    Datadog,
    /// New Relic.
    Newrelic,
    /// Langfuse, in the cloud or of one's own.
    Langfuse,
    /// Arize Phoenix, in the cloud or of one's own.
    Phoenix,
    /// Honeycomb.
    Honeycomb,
    /// Grafana Cloud's OTLP gateway.
    Grafana,
}

/// Attributes that a receiver wants beside those of the conventions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// None.
    #[default]
    Plain,
    /// `openinference.span.kind`, `llm.…`, `input.value` and so on.
    OpenInference,
    /// `langfuse.…`.
    Langfuse,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Datadog,
        Self::Newrelic,
        Self::Langfuse,
        Self::Phoenix,
        Self::Honeycomb,
        Self::Grafana,
    ];

    /// Its name, as in `--export NAME`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// All names.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.into_iter().map(Self::as_str).collect()
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// [`InvalidOtlpConfig::UnknownPreset`].
    pub fn parse(name: &str) -> Result<Self, InvalidOtlpConfig> {
        let found = Self::ALL.into_iter().find(|preset| preset.as_str() == name);
        found.ok_or_else(|| InvalidOtlpConfig::UnknownPreset(name.to_owned()))
    }

    /// Where the vendor describes its OTLP intake.
    #[must_use]
    pub fn documentation(self) -> &'static str {
        self.facts().documentation
    }

    fn facts(self) -> &'static PresetFacts {
        match self {
            Self::Datadog => &DATADOG,
            Self::Newrelic => &NEWRELIC,
            Self::Langfuse => &LANGFUSE,
            Self::Phoenix => &PHOENIX,
            Self::Honeycomb => &HONEYCOMB,
            Self::Grafana => &GRAFANA,
        }
    }

    /// The settings of a backend for this receiver, from the vendor's variables.
    ///
    /// OTEL_EXPORTER_OTLP_… wins over what the preset says; its headers are added to the preset's.
    ///
    /// # Errors
    /// [`InvalidOtlpConfig`] for a key that is not set or cannot be sent, and for an address that is none.
    pub fn config(self, variables: Variables<'_>) -> Result<OtlpConfig, InvalidOtlpConfig> {
        let facts = self.facts();
        let mut config = OtlpConfig {
            name: facts.name.to_owned(),
            temporality: facts.temporality,
            dialect: facts.dialect,
            ports: facts.ports.map(|ports| ports(variables)),
            ..OtlpConfig::default()
        };
        config.encoder.openinference = facts.dialect == Dialect::OpenInference;
        let mut warnings = Vec::new();
        let defaults = PresetDefaults { facts, variables };
        for signal in Signal::ALL {
            *config.destination_mut(signal) = if facts.signals.contains(&signal) {
                Some(destination(variables, signal, &defaults, &mut warnings)?)
            } else {
                None
            };
        }
        if let Some(temporality) = temporality(variables, &mut warnings) {
            config.temporality = temporality;
        }
        let mut resource = Attributes::new();
        for (key, value) in (facts.resource)(variables) {
            // The specification's own variable says it more plainly than a vendor's.
            if key != "service.name" || value_of(variables, "OTEL_SERVICE_NAME").is_none() {
                resource.set(key, value);
            }
        }
        config.resource = resource;
        config.warnings = without_repetitions(warnings);
        Ok(config)
    }
}

/// What a vendor's entry and variables say of a destination.
struct PresetDefaults<'a> {
    facts: &'static PresetFacts,
    variables: Variables<'a>,
}

impl DestinationDefaults for PresetDefaults<'_> {
    fn protocols(&self) -> &[OtlpProtocol] {
        self.facts.protocols
    }

    fn endpoint(&self, protocol: OtlpProtocol) -> Result<OtlpEndpoint, InvalidOtlpConfig> {
        let (variable, base) = (self.facts.endpoint)(self.variables, protocol)?;
        endpoint_at(variable, &base, protocol)
    }

    fn headers(&self, signal: Signal, given: OtlpHeaders) -> Result<OtlpHeaders, InvalidOtlpConfig> {
        let mut headers = OtlpHeaders::new();
        for header in (self.facts.headers)(self.variables, signal) {
            // A header that is given needs no variable of the vendor's.
            if given
                .iter()
                .any(|(name, _)| name.as_str().eq_ignore_ascii_case(&header.name))
            {
                continue;
            }
            headers.set(&header.name, &header.value?).map_err(|reason| {
                InvalidOtlpConfig::UnusableVariable {
                    preset: self.facts.name,
                    variable: header.variable,
                    reason,
                }
            })?;
        }
        headers.overlay(&given);
        Ok(headers)
    }

    fn compression(&self) -> OtlpCompression {
        self.facts.compression
    }
}

#[cfg(test)]
mod tests;
