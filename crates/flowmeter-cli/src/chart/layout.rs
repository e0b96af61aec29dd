//! From a chart to a drawing: margins, axes, bars or lines, legend.
//!
//! Never leaves out a series: who makes the chart joins the small ones before.

use super::scene::{Anchor, Colour, Scene, Shape, TEXT_SIZE, TITLE_SIZE, fitted, text_width};
use super::{Chart, Kind, axis};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
const MARGIN: f64 = 24.0;
/// The plot begins here: above are title, subtitle and the axis' name.
const TOP: f64 = 92.0;
/// Below the plot are dates and the zone.
const BOTTOM: f64 = 62.0;
const LEGEND_WIDTH: f64 = 236.0;
const LEGEND_LINE: f64 = 20.0;
const SWATCH: f64 = 10.0;
/// A bar is not wider than this, be there as few as there may.
const BAR_WIDTH_MAX: f64 = 64.0;
/// Between two dates.
const LABEL_GAP: f64 = 18.0;
/// More points than this need no dots.
const DOTTED_MAX: usize = 45;

const INK: Colour = Colour(0x1f, 0x29, 0x37);
const FAINT: Colour = Colour(0x6b, 0x72, 0x80);
const GRID: Colour = Colour(0xe5, 0xe7, 0xeb);
const AXIS: Colour = Colour(0x9c, 0xa3, 0xaf);
const REST: Colour = Colour(0xb8, 0xbd, 0xc6);
/// Told apart by everybody, colour-blind or not. Source: Okabe and Ito, "Color Universal Design" (2008), without black.
/// The yellow is darkened to be seen on white.
const PALETTE: [Colour; 8] = [
    Colour(0x00, 0x72, 0xb2),
    Colour(0xe6, 0x9f, 0x00),
    Colour(0x00, 0x9e, 0x73),
    Colour(0xcc, 0x79, 0xa7),
    Colour(0xd5, 0x5e, 0x00),
    Colour(0x56, 0xb4, 0xe9),
    Colour(0xc4, 0xb0, 0x1e),
    Colour(0x6a, 0x51, 0xa3),
];

/// The part of the drawing that time and values span.
struct Plot {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// The value at the top.
    most: f64,
    steps: usize,
}

impl Plot {
    fn step_width(&self) -> f64 {
        (self.right - self.left) / self.steps.max(1) as f64
    }

    fn middle_of(&self, step: usize) -> f64 {
        self.left + (step as f64 + 0.5) * self.step_width()
    }

    fn height_of(&self, value: f64) -> f64 {
        (value / self.most).clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

/// The drawing of a chart.
pub(super) fn lay_out(chart: &Chart) -> Scene {
    let mut scene = Scene {
        width: WIDTH,
        height: HEIGHT,
        title: chart.title.clone(),
        description: chart.subtitle.clone(),
        shapes: Vec::new(),
    };
    let width = WIDTH - 2.0 * MARGIN;
    let title = fitted(&chart.title, width * TEXT_SIZE / TITLE_SIZE);
    scene.text_of(MARGIN, 34.0, title, TITLE_SIZE, true, Anchor::Start, INK);
    let subtitle = fitted(&chart.subtitle, width);
    scene.text(MARGIN, 54.0, subtitle, Anchor::Start, FAINT);

    let has_values = chart
        .series
        .iter()
        .any(|series| series.values.iter().any(Option::is_some));
    let ticks = axis::ticks(largest(chart), chart.unit);
    let most = ticks.last().copied().unwrap_or(1.0);
    let labels: Vec<String> = ticks
        .iter()
        .map(|tick| axis::label(*tick, most, chart.unit))
        .collect();
    let label_width = labels.iter().map(|label| text_width(label)).fold(0.0, f64::max);
    let has_legend = has_values && !(chart.series.len() == 1 && chart.series[0].name.is_empty());
    let plot = Plot {
        left: MARGIN + label_width + 10.0,
        right: WIDTH - MARGIN - if has_legend { LEGEND_WIDTH } else { 0.0 },
        top: TOP,
        bottom: HEIGHT - BOTTOM,
        most,
        steps: chart.steps.len(),
    };
    scene.text(MARGIN, TOP - 16.0, chart.axis.clone(), Anchor::Start, FAINT);
    for (tick, label) in ticks.iter().zip(labels) {
        let y = plot.bottom - plot.height_of(*tick);
        scene.line(vec![(plot.left, y), (plot.right, y)], GRID, 1.0);
        scene.text(plot.left - 8.0, y + 4.0, label, Anchor::End, FAINT);
    }
    match chart.kind {
        Kind::Bars => scene.bars(chart, &plot),
        Kind::Lines => scene.lines(chart, &plot),
    }
    scene.line(
        vec![(plot.left, plot.bottom), (plot.right, plot.bottom)],
        AXIS,
        1.0,
    );
    scene.dates(chart, &plot);
    if has_legend {
        scene.legend(chart, &plot);
    }
    if !has_values {
        let (x, y) = (
            f64::midpoint(plot.left, plot.right),
            f64::midpoint(plot.top, plot.bottom),
        );
        let text = "nothing was recorded in this time".to_owned();
        scene.text(x, y, text, Anchor::Middle, FAINT);
    }
    scene
}

/// The top of the highest stack, or the highest point.
fn largest(chart: &Chart) -> f64 {
    let at = |step: usize| {
        let values = chart
            .series
            .iter()
            .filter_map(move |series| series.values.get(step).copied().flatten());
        match chart.kind {
            Kind::Bars => values.sum(),
            Kind::Lines => values.fold(0.0, f64::max),
        }
    };
    (0..chart.steps.len()).map(at).fold(0.0, f64::max)
}

fn colour_of(chart: &Chart, index: usize) -> Colour {
    if chart.series.get(index).is_some_and(|series| series.is_rest) {
        REST
    } else {
        PALETTE[index % PALETTE.len()]
    }
}

/// What is said of one value.
fn hint(chart: &Chart, series: usize, step: usize, value: f64) -> String {
    let begins = chart.steps.ranges().nth(step).map(|(begin, _)| begin);
    let when = begins.map_or_else(String::new, |begin| super::step_text(begin, &chart.steps));
    let value = super::value_text(value, chart.unit);
    match chart.series.get(series).map(|series| series.name.as_str()) {
        Some(name) if !name.is_empty() => format!("{when} · {name}: {value}"),
        _ => format!("{when}: {value}"),
    }
}

impl Scene {
    fn text(&mut self, x: f64, y: f64, text: String, anchor: Anchor, fill: Colour) {
        self.text_of(x, y, text, TEXT_SIZE, false, anchor, fill);
    }

    #[allow(clippy::too_many_arguments, reason = "a text has all of these")]
    fn text_of(
        &mut self,
        x: f64,
        y: f64,
        text: String,
        size: f64,
        is_bold: bool,
        anchor: Anchor,
        fill: Colour,
    ) {
        self.shapes.push(Shape::Text {
            x,
            y,
            text,
            size,
            is_bold,
            anchor,
            fill,
        });
    }

    fn line(&mut self, points: Vec<(f64, f64)>, stroke: Colour, width: f64) {
        self.shapes.push(Shape::Line {
            points,
            stroke,
            width,
        });
    }

    /// The largest series stands at the bottom of each bar.
    fn bars(&mut self, chart: &Chart, plot: &Plot) {
        let width = (plot.step_width() * 0.8).min(BAR_WIDTH_MAX);
        for step in 0..plot.steps {
            let mut below = plot.bottom;
            for (index, series) in chart.series.iter().enumerate() {
                let Some(value) = series.values.get(step).copied().flatten().filter(|v| *v > 0.0) else {
                    continue;
                };
                let height = plot.height_of(value);
                below -= height;
                self.shapes.push(Shape::Rectangle {
                    x: plot.middle_of(step) - width / 2.0,
                    y: below,
                    width,
                    // What is there is seen, be it ever so small.
                    height: height.max(0.5),
                    fill: colour_of(chart, index),
                    hint: hint(chart, index, step, value),
                });
            }
        }
    }

    fn lines(&mut self, chart: &Chart, plot: &Plot) {
        // The first series is the most important one: it is drawn last, above the others.
        for (index, series) in chart.series.iter().enumerate().rev() {
            let colour = colour_of(chart, index);
            let mut stretch: Vec<(f64, f64)> = Vec::new();
            let mut dots = Vec::new();
            for step in 0..plot.steps {
                match series.values.get(step).copied().flatten() {
                    Some(value) => {
                        let place = (plot.middle_of(step), plot.bottom - plot.height_of(value));
                        stretch.push(place);
                        dots.push((place, hint(chart, index, step, value)));
                    }
                    None => self.stretch(&mut stretch, colour),
                }
            }
            self.stretch(&mut stretch, colour);
            let radius = if plot.steps <= DOTTED_MAX { 3.0 } else { 1.6 };
            for ((x, y), hint) in dots {
                self.shapes.push(Shape::Dot {
                    x,
                    y,
                    radius,
                    fill: colour,
                    hint,
                });
            }
        }
    }

    /// A line through points without a gap; one point alone has its dot.
    fn stretch(&mut self, points: &mut Vec<(f64, f64)>, colour: Colour) {
        if points.len() > 1 {
            self.line(std::mem::take(points), colour, 2.0);
        }
        points.clear();
    }

    /// As many dates as have room, each under the beginning of its step; bars stand over theirs.
    fn dates(&mut self, chart: &Chart, plot: &Plot) {
        let begins: Vec<_> = chart.steps.ranges().map(|(begin, _)| begin).collect();
        let widths = begins.iter().map(|begin| {
            // As long as a label can be that names its year or its day.
            text_width(&chart.steps.tick(*begin, None))
        });
        let widest = widths.fold(1.0, f64::max);
        let every = (((widest + LABEL_GAP) / plot.step_width()).ceil() as usize).max(1);
        let mut previous = None;
        for (index, begin) in begins.iter().enumerate().step_by(every) {
            let x = plot.middle_of(index);
            let text = chart.steps.tick(*begin, previous.replace(*begin));
            let half = text_width(&text) / 2.0;
            // Neither end runs out of the picture.
            let shown = x.clamp(MARGIN + half, (plot.right + 20.0 - half).max(MARGIN + half));
            self.line(vec![(x, plot.bottom), (x, plot.bottom + 5.0)], AXIS, 1.0);
            self.text(shown, plot.bottom + 20.0, text, Anchor::Middle, FAINT);
        }
        let text = format!(
            "time, {} · each {}",
            chart.steps.zone(),
            chart.steps.length().words()
        );
        self.text(
            f64::midpoint(plot.left, plot.right),
            plot.bottom + 44.0,
            text,
            Anchor::Middle,
            FAINT,
        );
    }

    fn legend(&mut self, chart: &Chart, plot: &Plot) {
        let left = plot.right + 26.0;
        let count = chart.series.len();
        for (index, series) in chart.series.iter().enumerate() {
            // In the order in which the parts of a bar stand on each other.
            let line = match chart.kind {
                Kind::Bars => count - 1 - index,
                Kind::Lines => index,
            };
            let y = plot.top + line as f64 * LEGEND_LINE;
            self.shapes.push(Shape::Rectangle {
                x: left,
                y,
                width: SWATCH,
                height: SWATCH,
                fill: colour_of(chart, index),
                hint: series.name.clone(),
            });
            let name = fitted(&series.name, WIDTH - MARGIN - left - SWATCH - 8.0);
            self.text(left + SWATCH + 8.0, y + SWATCH - 1.0, name, Anchor::Start, INK);
        }
    }
}
