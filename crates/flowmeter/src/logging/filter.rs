//! Which log lines are kept: a level, and levels of their own for some targets.
//!
//! Never asks for anything but target and level, so that a line that is not wanted costs next to nothing.

use std::str::FromStr;

use flowmeter_model::LogLevel;
use smol_str::SmolStr;
use thiserror::Error;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLogFilter {
    /// A piece is neither a level nor `target=level`.
    #[error(
        "`{0}` is no log level: trace, debug, info, warn, error or off is wanted, or a target with one of \
         them, such as `hyper=warn`"
    )]
    Level(String),
    /// A piece has a level and no target.
    #[error("`{0}` names no target before the `=`: write it as in `hyper=warn`")]
    NoTarget(String),
    /// A piece has a target and something else than a level.
    #[error("`{level}` in `{piece}` is no log level: trace, debug, info, warn, error or off is wanted")]
    TargetLevel {
        /// The piece.
        piece: String,
        /// What stands where the level should.
        level: String,
    },
}

/// From which level on lines are kept; `None` keeps none.
type Threshold = Option<LogLevel>;

/// Which log lines are kept.
///
/// A filter is a list such as `info,genai=debug,hyper=off`: a level for everything, and levels for targets that
/// begin with a name; the longest such name decides. Without a level for everything that is `info`.
///
/// ```
/// # use flowmeter::LogFilter;
/// # use flowmeter_model::LogLevel;
/// let filter = LogFilter::parse("warn,genai=debug").unwrap();
/// assert!(filter.keeps("genai::webc", LogLevel::Debug));
/// assert!(!filter.keeps("hyper", LogLevel::Info));
/// let problem = LogFilter::parse("warn,genai=loud").unwrap_err().to_string();
/// assert!(problem.starts_with("`loud` in `genai=loud` is no log level"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    general: Threshold,
    /// The same for lines that the nodes of a workflow write themselves.
    of_nodes: Threshold,
    /// The longest names first.
    targets: Vec<(SmolStr, Threshold)>,
}

impl Default for LogFilter {
    /// `info` for libraries; what nodes say of themselves is kept from `debug` on.
    fn default() -> Self {
        Self {
            general: Some(LogLevel::Info),
            of_nodes: Some(LogLevel::Debug),
            targets: Vec::new(),
        }
    }
}

fn threshold(text: &str) -> Option<Threshold> {
    if text.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    text.parse().ok().map(Some)
}

impl LogFilter {
    /// Reads a list of levels and of targets with levels.
    ///
    /// # Errors
    /// [`InvalidLogFilter`] names the piece that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidLogFilter> {
        let mut filter = Self::default();
        for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
            let Some((target, level)) = piece.split_once('=') else {
                filter.general = threshold(piece).ok_or_else(|| InvalidLogFilter::Level(piece.to_owned()))?;
                filter.of_nodes = filter.general;
                continue;
            };
            let (target, level) = (target.trim(), level.trim());
            if target.is_empty() {
                return Err(InvalidLogFilter::NoTarget(piece.to_owned()));
            }
            let threshold = threshold(level).ok_or_else(|| InvalidLogFilter::TargetLevel {
                piece: piece.to_owned(),
                level: level.to_owned(),
            })?;
            // The later of two pieces for one target counts.
            filter.targets.retain(|(other, _)| other != target);
            filter.targets.push((SmolStr::new(target), threshold));
        }
        filter
            .targets
            .sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        Ok(filter)
    }

    /// A filter that keeps everything from `level` on.
    #[must_use]
    pub fn from_level(level: LogLevel) -> Self {
        Self {
            general: Some(level),
            of_nodes: Some(level),
            targets: Vec::new(),
        }
    }

    /// Whether a line of this target and level is kept.
    #[inline]
    #[must_use]
    pub fn keeps(&self, target: &str, level: LogLevel) -> bool {
        self.decide(target, level, self.general)
    }

    /// The same for a line that a node writes itself.
    #[inline]
    pub(crate) fn keeps_of_node(&self, target: &str, level: LogLevel) -> bool {
        self.decide(target, level, self.of_nodes)
    }

    #[inline]
    fn decide(&self, target: &str, level: LogLevel, otherwise: Threshold) -> bool {
        let named = self
            .targets
            .iter()
            .find(|(name, _)| target.starts_with(name.as_str()));
        let threshold = named.map_or(otherwise, |(_, threshold)| *threshold);
        threshold.is_some_and(|threshold| level >= threshold)
    }

    /// The finest level that is kept of any target; `None` where nothing is.
    pub(crate) fn finest(&self) -> Option<LogLevel> {
        let named = self.targets.iter().filter_map(|(_, threshold)| *threshold);
        named.chain(self.general).min()
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests;
