//! `flowmeter flush`: sends what runs could not send, and says what is left and why.
//!
//! Never removes anything that a receiver may still take.

use anyhow::{Context, Result};
use flowmeter::{FlushOutcome, FlushReport, FlushedRequests, OtlpConfig, Spool, SpooledRequest, flush_spool};
use flowmeter_model::TimestampNs;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::args::{BackendWish, ExportArgs, FlushArgs, ViewFormat};
use crate::config::Config;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::telemetry::{exports, variable};

/// Sends or lists what waits.
pub(super) fn run(args: &FlushArgs, home: &Home, output: &Output) -> Result<Exit> {
    let spool = Spool::new(home.spool());
    if args.list {
        list(&spool, args.format, output)?;
        return Ok(Exit::Success);
    }
    let config = super::settings(home)?;
    let configs = receivers(args, &config, home, output)?;
    let report = flush_spool(&spool, &configs, &variable, args.timeout).context("nothing could be sent")?;
    match args.format {
        ViewFormat::Json => output.json(&json_report(&report))?,
        ViewFormat::Human => output.text(&human_report(&report))?,
    }
    Ok(exit_of(&report))
}

/// The receivers that flags or settings name, whose headers are to be used.
fn receivers(args: &FlushArgs, config: &Config, home: &Home, output: &Output) -> Result<Vec<OtlpConfig>> {
    let export = ExportArgs::default();
    let settings_of = |wishes: &[BackendWish]| {
        let named: Vec<_> = wishes
            .iter()
            .filter_map(|wish| match wish {
                BackendWish::Otlp { name, endpoint } => Some((*name, endpoint.as_deref())),
                BackendWish::Console | BackendWish::File { .. } => None,
            })
            .collect();
        exports::otlp_configs(&named, &export, config, home, &variable)
    };
    if !args.backends.is_empty() {
        return settings_of(&args.backends);
    }
    // A receiver of the settings whose key is missing is no reason to send nothing to the others.
    Ok(settings_of(&config.export.backends).unwrap_or_else(|error| {
        output.warn(&format!("{error:#}"));
        Vec::new()
    }))
}

fn exit_of(report: &FlushReport) -> Exit {
    let is_refused = |flushed: &FlushedRequests| matches!(flushed.outcome, FlushOutcome::Refused(_));
    if !report.is_complete() {
        Exit::Missing
    } else if report.flushed.iter().any(is_refused) {
        Exit::Failed
    } else {
        Exit::Success
    }
}

fn list(spool: &Spool, format: ViewFormat, output: &Output) -> Result<()> {
    let requests = spool.requests()?;
    match format {
        ViewFormat::Json => output.json(&requests.iter().map(json_request).collect())?,
        ViewFormat::Human if requests.is_empty() => output.text("nothing waits to be sent")?,
        ViewFormat::Human => {
            let lines: Vec<String> = requests.iter().map(human_request).collect();
            output.text(&lines.join("\n"))?;
        }
    }
    Ok(())
}

/// When a request was kept, as other output has times.
fn shown_time(at: TimestampNs) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(at.0.into());
    let at = at.ok().and_then(|at| at.replace_nanosecond(0).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

fn human_request(request: &SpooledRequest) -> String {
    format!(
        "{}  {} {}, {} bytes, for {} ({})",
        shown_time(request.created),
        request.items,
        request.items_name(),
        request.bytes,
        request.name,
        request.endpoint,
    )
}

fn json_request(request: &SpooledRequest) -> Value {
    json!({
        "backend": request.name,
        "endpoint": request.endpoint,
        "protocol": request.protocol.as_str(),
        "signal": request.signal.as_str(),
        "items": request.items,
        "bytes": request.bytes,
        "created": shown_time(request.created),
    })
}

fn human_report(report: &FlushReport) -> String {
    let mut lines: Vec<String> = report.flushed.iter().map(human_line).collect();
    if report.expired.requests > 0 {
        let expired = &report.expired;
        let requests = counted(expired.requests, "request");
        lines.push(format!("gone: {requests} had waited for too long"));
    }
    if lines.is_empty() {
        "nothing waits to be sent".to_owned()
    } else {
        lines.join("\n")
    }
}

fn human_line(flushed: &FlushedRequests) -> String {
    let what = format!(
        "{} {} in {} for {} ({})",
        flushed.items,
        flushed.items_name(),
        counted(flushed.requests, "request"),
        flushed.name,
        flushed.endpoint,
    );
    match &flushed.outcome {
        FlushOutcome::Sent => format!("sent: {what}"),
        FlushOutcome::SentInPart { rejected, reason } => {
            format!("sent: {what}, of which the receiver rejected {rejected}: {reason}")
        }
        FlushOutcome::Left(reason) => format!("left: {what}: {reason}"),
        FlushOutcome::Refused(reason) => format!("gone: {what}: {reason}"),
    }
}

fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn json_report(report: &FlushReport) -> Value {
    let flushed: Vec<Value> = report
        .flushed
        .iter()
        .map(|flushed| {
            let (outcome, rejected, reason) = match &flushed.outcome {
                FlushOutcome::Sent => ("sent", 0, None),
                FlushOutcome::SentInPart { rejected, reason } => ("sent", *rejected, Some(reason)),
                FlushOutcome::Left(reason) => ("left", 0, Some(reason)),
                FlushOutcome::Refused(reason) => ("refused", 0, Some(reason)),
            };
            json!({
                "backend": flushed.name,
                "endpoint": flushed.endpoint,
                "signal": flushed.signal.as_str(),
                "requests": flushed.requests,
                "items": flushed.items,
                "outcome": outcome,
                "rejected": rejected,
                "reason": reason,
            })
        })
        .collect();
    json!({
        "flushed": flushed,
        "expired": { "requests": report.expired.requests, "items": report.expired.items },
        "complete": report.is_complete(),
    })
}
