//! The backends of a run: from flags, settings and the environment to what the meter takes.
//!
//! Never sends anything itself.

use std::time::Duration;

use anyhow::{Context, Result};
use flowmeter::{
    Backend, ConsoleBackend, ConsoleConfig, ExporterSelection, FileBackend, FileConfig, FileFormat,
    OtlpBackend, OtlpConfig, OtlpSignal, Spool, Variables, resource_from_environment, sdk_disabled,
};
use flowmeter_model::Attributes;

use crate::args::{BackendWish, ExportArgs, FileKind};
use crate::config::Config;
use crate::exit::BadUsage;
use crate::home::Home;
use crate::output::Output;

/// What a run's telemetry is called and where it goes.
pub(super) struct Exports {
    pub(super) backends: Vec<Box<dyn Backend>>,
    /// What describes the process.
    pub(super) service: Attributes,
    pub(super) exit_timeout: Duration,
}

/// The wishes that hold: the flags', else the settings', else what the environment asks for.
pub(crate) fn wishes(args: &ExportArgs, config: &Config, variables: Variables<'_>) -> Vec<BackendWish> {
    if args.no_export {
        return Vec::new();
    }
    if !args.backends.is_empty() {
        return args.backends.clone();
    }
    if !config.export.backends.is_empty() {
        return config.export.backends.clone();
    }
    let mut wishes = Vec::new();
    if OtlpConfig::is_asked_for_by(variables) {
        wishes.push(BackendWish::Otlp {
            name: "otlp",
            endpoint: None,
        });
    }
    // Spans and their logs are one tree on the console.
    let (selection, _) = ExporterSelection::of(variables, OtlpSignal::Traces);
    if selection.is_some_and(|selection| selection.console) && !sdk_disabled(variables).0 {
        wishes.push(BackendWish::Console);
    }
    wishes
}

/// What describes the process (OpenTelemetry: resource), and what looks wrong about it. What the environment says
/// wins. Source: OpenTelemetry specification, resource SDK.
pub(crate) fn service(variables: Variables<'_>) -> (Attributes, Vec<String>) {
    let (mut service, problems) = resource_from_environment(variables);
    for (key, value) in [
        ("service.name", "flowmeter"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.name", "flowmeter"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        if service.get(key).is_none() {
            service.set(key, value);
        }
    }
    (service, problems)
}

/// Makes the backends.
///
/// # Errors
/// When one of them lacks something, such as a key.
pub(super) fn exports(
    args: &ExportArgs,
    config: &Config,
    home: &Home,
    output: &Output,
    variables: Variables<'_>,
    warnings: &mut Vec<String>,
) -> Result<Exports> {
    let (disabled, problems) = sdk_disabled(variables);
    warnings.extend(problems);
    let wishes = wishes(args, config, variables);
    let (service, problems) = service(variables);
    if !wishes.is_empty() {
        warnings.extend(problems);
    }
    let mut backends: Vec<Box<dyn Backend>> = Vec::new();
    let receivers: Vec<(&'static str, Option<&str>)> = wishes
        .iter()
        .filter_map(|wish| match wish {
            BackendWish::Otlp { name, endpoint } => Some((*name, endpoint.as_deref())),
            _ => None,
        })
        .collect();
    if disabled && !receivers.is_empty() {
        warnings.push("OTEL_SDK_DISABLED is set: nothing is sent to OTLP receivers".to_owned());
    } else {
        for otlp in otlp_configs(&receivers, args, config, home, variables)? {
            warnings.extend(otlp.warnings.iter().cloned());
            backends.push(Box::new(OtlpBackend::new(otlp)));
        }
    }
    for wish in &wishes {
        match wish {
            BackendWish::Otlp { .. } => {}
            BackendWish::Console => backends.push(Box::new(console(output))),
            BackendWish::File { format, path } => {
                let mut file = FileConfig::new(path, format_of(*format));
                file.otlp.content = true;
                file.otlp.conventions = args.semconv.unwrap_or(config.export.semconv).into();
                if *format != FileKind::Json {
                    file.rotation = config.export.rotation();
                }
                let file =
                    FileBackend::new(file).map_err(|error| BadUsage(format!("--export {wish}: {error}")))?;
                backends.push(Box::new(file));
            }
        }
    }
    Ok(Exports {
        backends,
        service,
        exit_timeout: config.export.exit_timeout,
    })
}

/// The settings of the OTLP receivers with these names and addresses.
///
/// # Errors
/// For a missing key, and for an address that is none.
pub(crate) fn otlp_configs(
    receivers: &[(&'static str, Option<&str>)],
    args: &ExportArgs,
    config: &Config,
    home: &Home,
    variables: Variables<'_>,
) -> Result<Vec<OtlpConfig>> {
    let names: Vec<&str> = receivers.iter().map(|(name, _)| *name).collect();
    let configs = OtlpConfig::of_backends(&names, variables)
        .map_err(|error| BadUsage(crate::report::with_causes(&error)))
        .context("telemetry cannot be exported")?;
    let spool = Spool::new(home.spool());
    let mut ready = Vec::with_capacity(configs.len());
    for (mut otlp, (name, endpoint)) in configs.into_iter().zip(receivers) {
        if let Some(endpoint) = endpoint {
            otlp = otlp
                .with_endpoint(endpoint)
                .map_err(|error| BadUsage(format!("--export {name}={endpoint}: {error}")))?;
        }
        otlp.encoder.conventions = args.semconv.unwrap_or(config.export.semconv).into();
        // What is captured is what may leave: the level of the capture says how much that is.
        otlp.encoder.content = true;
        ready.push(otlp.with_spool(spool.clone()));
    }
    Ok(ready)
}

fn console(output: &Output) -> ConsoleBackend {
    let config = ConsoleConfig {
        colour: output.colour_err(),
        width: output.width_err(),
        utc_offset_seconds: crate::commands::show::local_offset_seconds(),
    };
    ConsoleBackend::new(Box::new(std::io::stderr()), config)
}

fn format_of(kind: FileKind) -> FileFormat {
    match kind {
        FileKind::Json => FileFormat::Json,
        FileKind::JsonLines => FileFormat::JsonLines,
        FileKind::Otlp => FileFormat::Otlp,
    }
}
