//! Every setting: its place, what it does, how a text becomes its value and how its value is shown.
//!
//! Never decides which source wins: [`super::Config`] does.

use std::time::Duration;

use clap::ValueEnum;
use flowmeter::{LogFilter, SamplingRate};
use flowmeter_workflow::response_cache::Ttl;

use super::Config;
use crate::amounts;
use crate::args::CaptureArg;

/// The prefix of the environment variables.
pub(super) const VARIABLE_PREFIX: &str = "FLOWMETER_";

/// What switches the history off and on; its key would make a longer name than one wants to type.
const HISTORY_VARIABLE: &str = "FLOWMETER_HISTORY";

/// A setting.
pub(crate) struct Setting {
    /// Its place in `config.toml`.
    pub(crate) key: &'static str,
    /// What it does, in one line.
    pub(crate) description: &'static str,
    /// Takes a text over, or says what would be welcome.
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
    /// The value that holds, as a text.
    pub(crate) show: fn(&Config) -> String,
}

impl Setting {
    /// Whether this environment variable sets it: its own, or the longer name of one that has a short one.
    pub(super) fn is_set_by(&self, variable: &str) -> bool {
        let by_key = || format!("{VARIABLE_PREFIX}{}", self.key.replace('.', "_").to_uppercase());
        self.variable() == variable || by_key() == variable
    }

    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        match self.key {
            "history.enabled" => HISTORY_VARIABLE.to_owned(),
            key => format!("{VARIABLE_PREFIX}{}", key.replace('.', "_").to_uppercase()),
        }
    }
}

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "model",
        description: "the model of the planner, and of llm nodes that name none",
        apply: |config, text| {
            config.model = Some(text.to_owned()).filter(|model| !model.trim().is_empty());
            Ok(())
        },
        show: |config| config.model.clone().unwrap_or_default(),
    },
    Setting {
        key: "output_format",
        description: "how results are printed: text or json",
        apply: |config, text| choose(&mut config.output_format, text),
        show: |config| shown(config.output_format),
    },
    Setting {
        key: "progress",
        description: "whether progress is shown on a terminal: auto or never",
        apply: |config, text| choose(&mut config.progress, text),
        show: |config| shown(config.progress),
    },
    Setting {
        key: "warn_cost",
        description: "a run that may cost more dollars than this is asked about before it starts, such as 1.00",
        apply: |config, text| {
            config.warn_cost = unless_empty(text, amounts::usd)?;
            Ok(())
        },
        show: |config| {
            config
                .warn_cost
                .map_or_else(String::new, |cost| cost.to_usd().to_string())
        },
    },
    Setting {
        key: "planner.timeout",
        description: "the longest that an LLM call of the planner may take, such as 60s",
        apply: |config, text| {
            config.planner_timeout = amounts::duration(text)?;
            if config.planner_timeout.is_zero() {
                return Err("must be longer than nothing, such as 60s".to_owned());
            }
            Ok(())
        },
        show: |config| format!("{}s", config.planner_timeout.as_secs_f64()),
    },
    Setting {
        key: "budget.max_cost",
        description: "what a run may cost, in dollars, such as 0.50; a call that might break the limit is not made",
        apply: |config, text| {
            config.budget.max_cost = unless_empty(text, amounts::usd)?;
            Ok(())
        },
        show: |config| {
            let limit = config.budget.max_cost;
            limit.map_or_else(String::new, |limit| limit.to_usd().to_string())
        },
    },
    Setting {
        key: "budget.max_tokens",
        description: "how many tokens a run may use, input and output together, such as 50k",
        apply: |config, text| {
            config.budget.max_tokens = unless_empty(text, amounts::count)?;
            Ok(())
        },
        show: |config| {
            let limit = config.budget.max_tokens;
            limit.map_or_else(String::new, |limit| limit.to_string())
        },
    },
    Setting {
        key: "budget.max_llm_calls",
        description: "how many LLM calls a run may make, further attempts included",
        apply: |config, text| {
            config.budget.max_llm_calls = unless_empty(text, amounts::count)?;
            Ok(())
        },
        show: |config| {
            let limit = config.budget.max_llm_calls;
            limit.map_or_else(String::new, |limit| limit.to_string())
        },
    },
    Setting {
        key: "budget.allow_unpriced",
        description: "whether models without a price may be called although there is a limit on money",
        apply: |config, text| flag(&mut config.budget.allow_unpriced, text),
        show: |config| config.budget.allow_unpriced.to_string(),
    },
    Setting {
        key: "capture.level",
        description: "how much content a trace holds: full, limited, metadata or off",
        apply: |config, text| {
            let mut level = CaptureArg::Limited;
            choose(&mut level, text)?;
            config.capture = level.into();
            Ok(())
        },
        show: |config| shown(CaptureArg::from(config.capture)),
    },
    Setting {
        key: "capture.prompt_chars",
        description: "where prompts are cut, in characters",
        apply: |config, text| count(&mut config.limits.prompt_chars_max, text),
        show: |config| config.limits.prompt_chars_max.to_string(),
    },
    Setting {
        key: "capture.response_chars",
        description: "where responses are cut, in characters",
        apply: |config, text| count(&mut config.limits.response_chars_max, text),
        show: |config| config.limits.response_chars_max.to_string(),
    },
    Setting {
        key: "capture.value_chars",
        description: "where parameters and store values are cut, in characters",
        apply: |config, text| count(&mut config.limits.value_chars_max, text),
        show: |config| config.limits.value_chars_max.to_string(),
    },
    Setting {
        key: "redact.patterns",
        description: "regular expressions of what is masked, one a line in the variable",
        apply: |config, text| {
            let patterns = text.lines().filter(|pattern| !pattern.is_empty());
            config.redact_patterns = patterns.map(str::to_owned).collect();
            Ok(())
        },
        show: |config| config.redact_patterns.join("\n"),
    },
    Setting {
        key: "sampling.rate",
        description: "the share of traces that are kept whole, such as 0.1 or 10%",
        apply: |config, text| {
            let rate =
                SamplingRate::parse(text).map_err(|_| "must be from 0 to 1, such as 0.1, 10% or 1/10")?;
            config.sampling.rate = Some(rate);
            Ok(())
        },
        show: |config| {
            config
                .sampling
                .rate
                .map_or_else(String::new, |rate| rate.to_string())
        },
    },
    Setting {
        key: "sampling.keep_errors",
        description: "whether the whole trace of a run that failed is kept in any case",
        apply: |config, text| flag(&mut config.sampling.tail.keep_errors, text),
        show: |config| config.sampling.tail.keep_errors.to_string(),
    },
    Setting {
        key: "sampling.keep_slower_than",
        description: "the whole trace of a run that took longer than this is kept, such as 2s",
        apply: |config, text| {
            config.sampling.tail.slower_than = unless_empty(text, amounts::duration)?;
            Ok(())
        },
        show: |config| {
            let limit = config.sampling.tail.slower_than;
            limit.map_or_else(String::new, |limit| format!("{}s", limit.as_secs_f64()))
        },
    },
    Setting {
        key: "sampling.keep_dearer_than",
        description: "the whole trace of a run that cost more than this is kept, in dollars",
        apply: |config, text| {
            config.sampling.tail.dearer_than = unless_empty(text, amounts::usd)?;
            Ok(())
        },
        show: |config| {
            let limit = config.sampling.tail.dearer_than;
            limit.map_or_else(String::new, |limit| limit.to_usd().to_string())
        },
    },
    Setting {
        key: "export.backends",
        description: "where telemetry goes too, as --export names it, one a line in the variable",
        apply: |config, text| {
            let backends = text.lines().filter(|backend| !backend.trim().is_empty());
            config.export.backends = backends.map(str::parse).collect::<Result<_, String>>()?;
            Ok(())
        },
        show: |config| {
            let backends: Vec<String> = config.export.backends.iter().map(ToString::to_string).collect();
            backends.join("\n")
        },
    },
    Setting {
        key: "export.semconv",
        description: "the names of exported attributes: latest, 1.41 or both",
        apply: |config, text| choose(&mut config.export.semconv, text),
        show: |config| shown(config.export.semconv),
    },
    Setting {
        key: "export.exit_timeout",
        description: "how long backends may take when a run has ended, such as 5s; the rest is kept and sent later",
        apply: |config, text| {
            config.export.exit_timeout = amounts::duration(text)?;
            Ok(())
        },
        show: |config| format!("{}s", config.export.exit_timeout.as_secs_f64()),
    },
    Setting {
        key: "export.rotate_size",
        description: "files of --export are rotated before they grow beyond this, such as 100MB",
        apply: |config, text| {
            config.export.rotate_size = unless_empty(text, amounts::size)?;
            Ok(())
        },
        show: |config| {
            config
                .export
                .rotate_size
                .map_or_else(String::new, |size| size.to_string())
        },
    },
    Setting {
        key: "export.rotate_age",
        description: "files of --export are rotated when they are older than this, such as 7d",
        apply: |config, text| {
            config.export.rotate_age = unless_empty(text, amounts::duration)?;
            Ok(())
        },
        show: |config| {
            let age = config.export.rotate_age;
            age.map_or_else(String::new, |age| format!("{}s", age.as_secs_f64()))
        },
    },
    Setting {
        key: "export.rotate_keep",
        description: "how many rotated files stay; the oldest go first",
        apply: |config, text| count(&mut config.export.rotate_keep, text),
        show: |config| config.export.rotate_keep.to_string(),
    },
    Setting {
        key: "log.level",
        description: "which log lines are kept: a level and levels for targets, such as info,genai=debug,hyper=off; \
                      from the variable or the flag they are shown on stderr as well",
        apply: |config, text| {
            config.logs.filter = LogFilter::parse(text).map_err(|error| format!("is no filter: {error}"))?;
            config.logs.level = text.trim().to_owned();
            Ok(())
        },
        show: |config| config.logs.level.clone(),
    },
    Setting {
        key: "log.format",
        description: "how log lines are shown on stderr: human or json",
        apply: |config, text| choose(&mut config.logs.format, text),
        show: |config| shown(config.logs.format),
    },
    Setting {
        key: "log.lines_per_span",
        description: "how many log lines a node, an attempt or an item may have; more are counted",
        apply: |config, text| count(&mut config.logs.lines_per_span, text),
        show: |config| config.logs.lines_per_span.to_string(),
    },
    Setting {
        key: "traces.keep",
        description: "how many saved traces are kept; the oldest go first",
        apply: |config, text| count(&mut config.traces_keep, text),
        show: |config| config.traces_keep.to_string(),
    },
    Setting {
        key: "history.enabled",
        description: "whether runs are kept in the history, in ~/.flowmeter/flowmeter.db",
        apply: |config, text| flag(&mut config.history.enabled, text),
        show: |config| config.history.enabled.to_string(),
    },
    Setting {
        key: "retention.payloads",
        description: "how long prompts, answers, attributes and logs stay in the history, such as 30d",
        apply: |config, text| age(&mut config.history.retention.payloads, text),
        show: |config| seconds(config.history.retention.payloads),
    },
    Setting {
        key: "retention.runs",
        description: "how long runs and their figures stay in the history, such as 400d",
        apply: |config, text| age(&mut config.history.retention.runs, text),
        show: |config| seconds(config.history.retention.runs),
    },
    Setting {
        key: "retention.max_size",
        description: "how large the history may be, such as 5GB; the oldest payloads go first, then the oldest runs",
        apply: |config, text| {
            config.history.retention.size_bytes_max = unless_empty(text, amounts::size)?;
            Ok(())
        },
        show: |config| {
            let limit = config.history.retention.size_bytes_max;
            limit.map_or_else(String::new, |limit| limit.to_string())
        },
    },
    Setting {
        key: "cache.enabled",
        description: "whether every llm node uses earlier answers to the same request again, as with --cache",
        apply: |config, text| flag(&mut config.cache.enabled, text),
        show: |config| config.cache.enabled.to_string(),
    },
    Setting {
        key: "cache.ttl",
        description: "how long answers are used again unless the node says otherwise, such as 7d",
        apply: |config, text| {
            config.cache.ttl = Ttl::parse(text).map_err(|error| error.to_string())?.duration();
            Ok(())
        },
        show: |config| format!("{}s", config.cache.ttl.as_secs_f64()),
    },
    Setting {
        key: "cache.max_size",
        description: "how large all kept answers may be together, such as 256MiB; the least recently used go first",
        apply: |config, text| {
            config.cache.max_size = amounts::size(text)?;
            Ok(())
        },
        show: |config| config.cache.max_size.to_string(),
    },
];

fn choose<T: ValueEnum>(place: &mut T, text: &str) -> Result<(), String> {
    match T::from_str(text, true) {
        Ok(value) => *place = value,
        Err(_) => {
            let names: Vec<String> = T::value_variants()
                .iter()
                .map(|variant| shown(variant.clone()))
                .collect();
            return Err(format!("must be one of {}", names.join(", ")));
        }
    }
    Ok(())
}

fn shown(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn count(place: &mut usize, text: &str) -> Result<(), String> {
    *place = text
        .trim()
        .replace('_', "")
        .parse()
        .map_err(|_| "must be a whole number".to_owned())?;
    Ok(())
}

fn flag(place: &mut bool, text: &str) -> Result<(), String> {
    *place = match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => true,
        "false" | "no" | "off" | "0" => false,
        _ => return Err("must be true or false".to_owned()),
    };
    Ok(())
}

/// A time after which something goes: nothing is meant to go at once.
fn age(place: &mut Option<Duration>, text: &str) -> Result<(), String> {
    let age = unless_empty(text, amounts::duration)?;
    if age.is_some_and(|age| age.is_zero()) {
        return Err("must be longer than nothing, such as 30d".to_owned());
    }
    *place = age;
    Ok(())
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| format!("{}s", time.as_secs_f64()))
}

/// What an empty text takes back, so that a file can show the setting without setting it.
fn unless_empty<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.trim().is_empty() {
        Ok(None)
    } else {
        read(text).map(Some)
    }
}
