//! Which sampler a run gets and what keeps its trace all the same: flags, then settings, then the environment.
//!
//! Never decides about a trace itself.

use flowmeter::{RemoteParent, Sampler, SamplingRate, TailRules};

use crate::args::SamplingArgs;
use crate::config::{Config, Origin};

/// The sampler: `--sample`, FLOWMETER_SAMPLING_RATE, OTEL_TRACES_SAMPLER, `sampling.rate` of config.toml, the default.
pub(super) fn sampler(
    args: &SamplingArgs,
    config: &Config,
    parent: Option<&RemoteParent>,
    variable: impl Fn(&str) -> Option<String>,
    warnings: &mut Vec<String>,
) -> Sampler {
    let setting = config.sampling.rate.map(Sampler::parent_based);
    let in_file = config.origin_of("sampling.rate") == Origin::File;
    let wanted = args.sample.map(Sampler::parent_based);
    let sampler = wanted.or(setting.filter(|_| !in_file)).unwrap_or_else(|| {
        let environment = Sampler::from_environment(variable);
        warnings.extend(environment.warnings);
        environment.sampler.or(setting).unwrap_or_default()
    });
    if sampler.presumes_randomness(parent) {
        warnings.push(
            "the caller does not say that its trace id is random, and sampling by it takes it to be: such traces \
             may be kept or dropped in bulk; use OTEL_TRACES_SAMPLER=parentbased_traceidratio to do as the caller does"
                .to_owned(),
        );
    }
    let keeps = [
        (args.keep_errors, "--keep-errors"),
        (args.keep_slower_than.is_some(), "--keep-slower-than"),
        (args.keep_dearer_than.is_some(), "--keep-dearer-than"),
    ];
    if let Some((_, flag)) = keeps.iter().find(|(is_given, _)| *is_given)
        && keeps_all(sampler, parent)
    {
        warnings.push(format!(
            "{flag} changes nothing, for every trace is kept; add --sample with a RATE below 1"
        ));
    }
    sampler
}

/// Whether the trace is kept in any case.
fn keeps_all(sampler: Sampler, parent: Option<&RemoteParent>) -> bool {
    match (sampler, parent) {
        (Sampler::AlwaysOn, _) => true,
        (Sampler::AlwaysOff, _) => false,
        (Sampler::TraceIdRatio(rate), _) => rate == SamplingRate::ALL,
        (_, Some(parent)) => parent.flags.is_sampled(),
        (Sampler::ParentBasedAlwaysOn, None) => true,
        (Sampler::ParentBasedAlwaysOff, None) => false,
        (Sampler::ParentBasedTraceIdRatio(rate), None) => rate == SamplingRate::ALL,
    }
}

/// What keeps a trace that was not sampled; a flag stands before a setting.
pub(super) fn tail_rules(args: &SamplingArgs, config: &Config) -> TailRules {
    let settings = config.sampling.tail;
    TailRules {
        keep_errors: args.keep_errors || settings.keep_errors,
        slower_than: args.keep_slower_than.or(settings.slower_than),
        dearer_than: args.keep_dearer_than.or(settings.dearer_than),
    }
}

#[cfg(test)]
mod tests;
