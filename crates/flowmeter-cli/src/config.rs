//! The settings: what can be set, where it was set, and what holds.
//!
//! One table describes every setting. Later sources win: default, `config.toml`, environment, flag. Never
//! fails for an unknown key (that is a warning), always for a value that cannot be meant.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use flowmeter::{Budget, CaptureLevel, CaptureLimits, LogFilter, Rotation, SamplingRate, TailRules};
use flowmeter_model::UsdNanos;
use flowmeter_store::Retention;
use flowmeter_workflow::response_cache::ResponseCacheConfig;
use thiserror::Error;

use table::VARIABLE_PREFIX;
pub(crate) use table::{SETTINGS, Setting};

use crate::args::{BackendWish, CaptureArg, LogFormatArg, OutputFormat, RunOutputArgs, SemconvArg};

/// Variables of the settings' prefix that are none.
const OTHER_VARIABLES: &[&str] = &["FLOWMETER_HOME"];

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
    /// Default: info of libraries, errors of the model client, and debug of nodes.
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
            // The client library warns of every last chunk of a stream; what matters of it is told by us.
            filter: "genai=error".parse().unwrap_or_default(),
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

/// Whether runs are kept in the history, and how long.
#[derive(Clone, Debug)]
pub(crate) struct HistorySettings {
    /// Default: yes.
    pub(crate) enabled: bool,
    /// Default: for ever.
    pub(crate) retention: Retention,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            retention: Retention::default(),
        }
    }
}

/// How answers of models are used again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheSettings {
    /// Default: only nodes that say `cache: true` do.
    pub(crate) enabled: bool,
    /// Default: 7 days.
    pub(crate) ttl: Duration,
    /// Default: 256 MiB.
    pub(crate) max_size: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let defaults = ResponseCacheConfig::in_folder("");
        Self {
            enabled: false,
            ttl: defaults.ttl,
            max_size: defaults.bytes_max,
        }
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
    /// Default: no run is asked about.
    pub(crate) warn_cost: Option<UsdNanos>,
    /// The longest that an LLM call of the planner may take. Default: 120 s.
    pub(crate) planner_timeout: Duration,
    /// Default: no limit.
    pub(crate) budget: Budget,
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
    /// Default: every run is kept, for ever.
    pub(crate) history: HistorySettings,
    /// Default: only where nodes want it.
    pub(crate) cache: CacheSettings,
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
            warn_cost: None,
            planner_timeout: Duration::from_secs(120),
            budget: Budget::default(),
            capture: CaptureLevel::default(),
            limits: CaptureLimits::default(),
            redact_patterns: Vec::new(),
            sampling: SamplingSettings::default(),
            export: ExportSettings::default(),
            logs: LogSettings::default(),
            traces_keep: 200,
            history: HistorySettings::default(),
            cache: CacheSettings::default(),
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
            let Some(setting) = SETTINGS.iter().find(|setting| setting.is_set_by(&name)) else {
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
