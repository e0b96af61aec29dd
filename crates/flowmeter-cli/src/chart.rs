//! Charts over time as files: SVG or PNG, by the name's extension.
//!
//! A chart is laid out once, as a [`scene::Scene`] of a few kinds of shapes, and written in either form; no font of the
//! system is asked for. Never asks the store and never computes a figure.

mod axis;
mod layout;
mod png;
mod scene;
mod steps;
mod svg;

use std::path::Path;

use flowmeter_model::TimestampNs;

pub(crate) use steps::{StepLength, Steps};

/// Shown apart at most; what is smaller is shown together.
pub(crate) const SERIES_MAX: usize = 8;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Dollars.
    Usd,
    /// Seconds.
    Seconds,
    /// So many of something.
    Count,
    /// Shares of one.
    Share,
}

/// How the values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What can be added up: bars, one series on top of the other.
    Bars,
    /// What cannot: a line for each series; a value that is not known leaves a gap.
    Lines,
}

/// One of the things that are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: String,
    /// One value for each step.
    pub(crate) values: Vec<Option<f64>>,
    /// Whether it is the rest, shown together in grey.
    pub(crate) is_rest: bool,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// The first line.
    pub(crate) title: String,
    /// The second line: of what, from when to when.
    pub(crate) subtitle: String,
    /// What the vertical axis counts, such as `cost, USD`.
    pub(crate) axis: String,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
    /// The steps of time.
    pub(crate) steps: Steps,
    /// The largest first.
    pub(crate) series: Vec<Series>,
}

/// Which kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    Svg,
    Png,
}

impl ImageFormat {
    /// By the extension of a file's name.
    ///
    /// # Errors
    /// What would be welcome.
    pub(crate) fn of_path(path: &Path) -> Result<Self, String> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(format!(
                "a chart is an SVG or a PNG: name a file that ends with .svg or .png, not `{}`",
                path.display()
            )),
        }
    }
}

/// The chart as the bytes of a file.
///
/// # Errors
/// When the image cannot be made.
pub(crate) fn render(chart: &Chart, format: ImageFormat) -> Result<Vec<u8>, png::PngError> {
    let scene = layout::lay_out(chart);
    match format {
        ImageFormat::Svg => Ok(svg::write(&scene).into_bytes()),
        ImageFormat::Png => png::write(&scene),
    }
}

/// A value for the eye, with its unit.
pub(crate) fn value_text(value: f64, unit: Unit) -> String {
    axis::exact(value, unit)
}

/// The beginning of a step for the eye.
pub(crate) fn step_text(at: TimestampNs, steps: &Steps) -> String {
    steps.label_of(at)
}

#[cfg(test)]
mod tests;
