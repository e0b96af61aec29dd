//! The settings: what can be set, where it was set, and what holds.
//!
//! One table describes every setting. Later sources win: default, `config.toml`, environment, flag. Never
//! fails for an unknown key (that is a warning), always for a value that cannot be meant.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use flowmeter::{CaptureLevel, CaptureLimits, LogFilter, Rotation, SamplingRate, TailRules};
use thiserror::Error;

use crate::amounts;
use crate::args::{BackendWish, CaptureArg, LogFormatArg, OutputFormat, RunOutputArgs, SemconvArg};

/// The prefix of the environment variables.
const VARIABLE_PREFIX: &str = "FLOWMETER_";
/// Variables of that prefix that are no settings.
const OTHER_VARIABLES: &[&str] = &["FLOWMETER_HOME"];

/// A setting.
pub(crate) struct Setting {
    /// Its place in `config.toml`.
    pub(crate) key: &'static str,
    /// What it does, in one line.
    pub(crate) description: &'static str,
    /// Takes a text over, or says what would be welcome.
    apply: fn(&mut Config, &str) -> Result<(), String>,
    /// The value that holds, as a text.
    pub(crate) show: fn(&Config) -> String,
}

impl Setting {
    /// Its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// Every setting.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "model",
        description: "the model of llm nodes that name none",
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
];

/// Whether progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressSetting {
    /// Where standard error is a terminal.
    #[default]
    Auto,
    /// Nowhere.
    Never,
}

/// Which log lines are kept, and how they are shown.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// Default: info of libraries and debug of nodes.
    pub(crate) filter: LogFilter,
    /// The filter as it was written.
    level: String,
    /// Default: human.
    pub(crate) format: LogFormatArg,
    /// Default: 1,000.
    pub(crate) lines_per_span: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: LogFilter::default(),
            level: String::new(),
            format: LogFormatArg::default(),
            lines_per_span: 1_000,
        }
    }
}

/// Where telemetry goes beside the trace file.
#[derive(Clone, Debug)]
pub(crate) struct ExportSettings {
    /// Default: none.
    pub(crate) backends: Vec<BackendWish>,
    /// Default: the newest.
    pub(crate) semconv: SemconvArg,
    /// Default: 5 s.
    pub(crate) exit_timeout: Duration,
    /// Default: files are not rotated by size.
    pub(crate) rotate_size: Option<u64>,
    /// Default: nor by age.
    pub(crate) rotate_age: Option<Duration>,
    /// Default: 5.
    pub(crate) rotate_keep: usize,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            semconv: SemconvArg::default(),
            exit_timeout: Duration::from_secs(5),
            rotate_size: None,
            rotate_age: None,
            rotate_keep: Rotation::default().keep,
        }
    }
}

impl ExportSettings {
    /// When files make way for new ones; `None` where nobody said.
    pub(crate) fn rotation(&self) -> Option<Rotation> {
        let rotation = Rotation {
            bytes_max: self.rotate_size,
            age_max: self.rotate_age,
            keep: self.rotate_keep,
        };
        (rotation.bytes_max.is_some() || rotation.age_max.is_some()).then_some(rotation)
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    #[default]
    Default,
    /// `config.toml`.
    File,
    /// The environment variable of this name.
    Variable(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("config.toml"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// Which traces are kept whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SamplingSettings {
    /// The share of traces; `None` where nobody set it.
    pub(crate) rate: Option<SamplingRate>,
    /// What keeps the others.
    pub(crate) tail: TailRules,
}

/// A setting whose value cannot be meant.
#[derive(Debug, Error)]
#[error("{place}: {problem}")]
pub(crate) struct InvalidSetting {
    place: String,
    problem: String,
}

/// The settings that hold.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The model of `llm` nodes that name none. Default: none.
    pub(crate) model: Option<String>,
    /// Default: text.
    pub(crate) output_format: OutputFormat,
    /// Default: auto.
    pub(crate) progress: ProgressSetting,
    /// Default: limited.
    pub(crate) capture: CaptureLevel,
    /// Default: prompts 50,000, responses 20,000, values 10,000 characters.
    pub(crate) limits: CaptureLimits,
    /// Default: none beyond the well-known.
    pub(crate) redact_patterns: Vec<String>,
    /// Default: every trace is kept, unless the environment says otherwise.
    pub(crate) sampling: SamplingSettings,
    /// Default: nowhere, unless the environment names an OTLP receiver.
    pub(crate) export: ExportSettings,
    /// Default: kept, and not shown.
    pub(crate) logs: LogSettings,
    /// Default: 200.
    pub(crate) traces_keep: usize,
    /// Inputs for workflows that get them from nowhere else: the table `inputs`, which takes any key.
    pub(crate) inputs: serde_json::Map<String, serde_json::Value>,
    /// Where the values come from that nobody left at their default, by key.
    origins: BTreeMap<&'static str, Origin>,
    /// What looks wrong, though it does no harm.
    pub(crate) warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            output_format: OutputFormat::default(),
            progress: ProgressSetting::default(),
            capture: CaptureLevel::default(),
            limits: CaptureLimits::default(),
            redact_patterns: Vec::new(),
            sampling: SamplingSettings::default(),
            export: ExportSettings::default(),
            logs: LogSettings::default(),
            traces_keep: 200,
            inputs: serde_json::Map::new(),
            origins: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// The settings from `file`, where there is one, and from these environment variables.
    ///
    /// # Errors
    /// [`InvalidSetting`] for a file that is no TOML and for values that cannot be meant.
    pub(crate) fn load(
        file: &Path,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, InvalidSetting> {
        let mut config = Self::default();
        config.take_file(file)?;
        config.take_variables(variables)?;
        Ok(config)
    }

    /// The same with the flags of a run on top.
    pub(crate) fn with_flags(mut self, flags: &RunOutputArgs) -> Self {
        if let Some(format) = flags.output_format {
            self.output_format = format;
            self.origins.insert("output_format", Origin::Flag);
        }
        if let Some(level) = flags.capture {
            self.capture = level.into();
            self.origins.insert("capture.level", Origin::Flag);
        }
        if let Some(model) = &flags.model {
            self.model = Some(model.clone());
            self.origins.insert("model", Origin::Flag);
        }
        if flags.no_progress {
            self.progress = ProgressSetting::Never;
            self.origins.insert("progress", Origin::Flag);
        }
        self
    }

    /// Where the value of this setting comes from.
    pub(crate) fn origin(&self, setting: &Setting) -> Origin {
        self.origin_of(setting.key)
    }

    /// The same for the setting with this key.
    pub(crate) fn origin_of(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    fn take_file(&mut self, path: &Path) -> Result<(), InvalidSetting> {
        let invalid = |problem: String| InvalidSetting {
            place: path.display().to_string(),
            problem,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let absent = [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory];
                if !absent.contains(&error.kind()) {
                    self.warnings.push(format!(
                        "{} cannot be read ({error}); using the defaults",
                        path.display()
                    ));
                }
                return Ok(());
            }
        };
        let mut table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| invalid(error.to_string().trim_end().to_owned()))?;
        if let Some(inputs) = table.remove("inputs") {
            let inputs = serde_json::to_value(inputs).map_err(|error| invalid(error.to_string()))?;
            self.inputs = match inputs {
                serde_json::Value::Object(inputs) => inputs,
                other => return Err(invalid(format!("`inputs` must be a table, but is {other}"))),
            };
        }
        for (key, value) in flat("", table) {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                let known = SETTINGS.iter().map(|setting| setting.key);
                self.warnings.push(format!(
                    "{}: there is no setting `{key}`{}",
                    path.display(),
                    did_you_mean(&key, known)
                ));
                continue;
            };
            let applied = text_of(&value).and_then(|text| (setting.apply)(self, &text));
            applied.map_err(|problem| invalid(format!("`{key}` {problem}, but is {value}")))?;
            self.origins.insert(setting.key, Origin::File);
        }
        Ok(())
    }

    fn take_variables(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), InvalidSetting> {
        for (name, value) in variables.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) else {
                let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                let near = did_you_mean(&name, known.iter().map(String::as_str));
                // Others may use the prefix for something of their own: only what looks misspelt is named.
                if !near.is_empty() && !OTHER_VARIABLES.contains(&name.as_str()) {
                    self.warnings.push(format!("{name} is no setting{near}"));
                }
                continue;
            };
            if value.is_empty() {
                continue;
            }
            (setting.apply)(self, &value).map_err(|problem| InvalidSetting {
                place: name.clone(),
                problem: format!("{problem}, but is `{value}`"),
            })?;
            self.origins.insert(setting.key, Origin::Variable(name));
        }
        Ok(())
    }
}

/// The values of nested tables under dotted keys.
fn flat(prefix: &str, table: toml::Table) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(inner) => found.extend(flat(&key, inner)),
            value => found.push((key, value)),
        }
    }
    found
}

/// A value of `config.toml` as the environment would give it.
fn text_of(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        toml::Value::Array(elements) => {
            let texts: Option<Vec<&str>> = elements.iter().map(toml::Value::as_str).collect();
            texts
                .map(|texts| texts.join("\n"))
                .ok_or_else(|| "takes a list of texts".to_owned())
        }
        _ => Err("takes a text, a number, true or false, or a list of texts".to_owned()),
    }
}

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

/// What an empty text takes back, so that a file can show the setting without setting it.
fn unless_empty<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.trim().is_empty() {
        Ok(None)
    } else {
        read(text).map(Some)
    }
}

/// `; did you mean …?` where a name is near.
pub(crate) fn did_you_mean<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> String {
    flowmeter_workflow::nearest_name(wanted, known)
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

impl From<CaptureArg> for CaptureLevel {
    fn from(level: CaptureArg) -> Self {
        match level {
            CaptureArg::Full => Self::Full,
            CaptureArg::Limited => Self::Limited,
            CaptureArg::Metadata => Self::Metadata,
            CaptureArg::Off => Self::Off,
        }
    }
}

impl From<CaptureLevel> for CaptureArg {
    fn from(level: CaptureLevel) -> Self {
        match level {
            CaptureLevel::Full => Self::Full,
            CaptureLevel::Limited => Self::Limited,
            CaptureLevel::Metadata => Self::Metadata,
            CaptureLevel::Off => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests;
