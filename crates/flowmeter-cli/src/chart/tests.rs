//! Charts of one point, of none, of many; their axes; and that what is written can be read.

use expect_test::{expect, expect_file};

use super::axis::{label, ticks};
use super::*;

const DAY_NS: u64 = 86_400_000_000_000;
/// 2026-11-21T10:30:00Z.
const MORNING: TimestampNs = TimestampNs(1_795_257_000_000_000_000);

fn later(nanos: u64) -> TimestampNs {
    TimestampNs(MORNING.0 + nanos)
}

fn series(name: &str, values: &[f64]) -> Series {
    Series {
        name: name.to_owned(),
        values: values.iter().map(|value| Some(*value)).collect(),
        is_rest: false,
    }
}

fn chart(kind: Kind, unit: Unit, steps: Steps, series: Vec<Series>) -> Chart {
    Chart {
        title: "Cost by model".to_owned(),
        subtitle: "three days · $12.50 in all".to_owned(),
        axis: "US dollars".to_owned(),
        unit,
        kind,
        steps,
        series,
    }
}

fn svg_of(chart: &Chart) -> String {
    String::from_utf8(render(chart, ImageFormat::Svg).unwrap()).unwrap()
}

/// Width and height, once the picture was decoded whole.
fn size_of_png(bytes: &[u8]) -> (u32, u32) {
    let picture = tiny_skia::Pixmap::decode_png(bytes).unwrap();
    (picture.width(), picture.height())
}

fn three_days() -> Steps {
    Steps::over(MORNING, later(2 * DAY_NS), Some(StepLength::Day), 3_600)
}

#[test]
fn a_chart_of_bars() {
    let rest = Series {
        is_rest: true,
        ..series("other (9,992)", &[0.25, 0.0, 1.0])
    };
    let of = vec![
        series("openai/gpt-4o", &[2.0, 0.0, 4.5]),
        series("anthropic/<b>&\"'", &[1.0, 0.5, 0.001]),
        rest,
    ];
    let chart = chart(Kind::Bars, Unit::Usd, three_days(), of);
    expect_file!["tests/bars.svg"].assert_eq(&svg_of(&chart));
    assert_eq!(
        size_of_png(&render(&chart, ImageFormat::Png).unwrap()),
        (1920, 1080)
    );
}

#[test]
fn lines_have_gaps_where_nothing_is_known() {
    let mut first = series("summarize", &[1.0, 2.0, 1.5, 0.0, 3.0]);
    first.values[3] = None;
    let steps = Steps::over(MORNING, later(4 * DAY_NS), Some(StepLength::Day), 0);
    let chart = chart(Kind::Lines, Unit::Seconds, steps, vec![first]);
    let svg = svg_of(&chart);
    // One line before the gap; the point after it stands alone.
    let strokes = svg.lines().filter(|line| line.contains("stroke=\"#0072b2\""));
    assert_eq!(strokes.count(), 1, "{svg}");
    assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
    assert!(svg.contains("summarize: 3.00s</title>"), "{svg}");
    size_of_png(&render(&chart, ImageFormat::Png).unwrap());
}

#[test]
fn one_point_and_none() {
    let hour = Steps::over(MORNING, MORNING, Some(StepLength::HOUR), 0);
    assert_eq!(hour.len(), 1);
    let one = chart(Kind::Bars, Unit::Count, hour.clone(), vec![series("", &[7.0])]);
    let svg = svg_of(&one);
    assert_eq!(
        svg.matches("<title>2026-11-21 10:00: 7</title>").count(),
        1,
        "{svg}"
    );
    assert!(!svg.contains("nothing was recorded"), "{svg}");
    for kind in [Kind::Bars, Kind::Lines] {
        let none = chart(kind, Unit::Usd, hour.clone(), Vec::new());
        assert!(svg_of(&none).contains("nothing was recorded in this time"));
        size_of_png(&render(&none, ImageFormat::Png).unwrap());
        let zero = chart(kind, Unit::Usd, hour.clone(), vec![series("free", &[0.0])]);
        assert!(!svg_of(&zero).contains("NaN") && !svg_of(&zero).contains("nothing was"));
        size_of_png(&render(&zero, ImageFormat::Png).unwrap());
    }
}

#[test]
fn texts_of_any_script_and_any_length_stay_inside() {
    let name = "摘要-工作流-".repeat(30);
    let chart = chart(
        Kind::Bars,
        Unit::Count,
        three_days(),
        vec![
            series(&name, &[1.0, 2.0, 3.0]),
            series("\u{1}\n", &[1.0, 1.0, 1.0]),
        ],
    );
    let svg = svg_of(&chart);
    assert!(svg.contains('…') && !svg.contains('\u{1}'), "{svg}");
    for line in svg.lines().filter(|line| line.starts_with("<text")) {
        let shown = line.split_once('>').unwrap().1.trim_end_matches("</text>");
        let x: f64 = line.split('"').nth(1).unwrap().parse().unwrap();
        if !line.contains("text-anchor") {
            assert!(x + scene::text_width(shown) <= 960.0 + 30.0, "{line}");
        }
    }
    size_of_png(&render(&chart, ImageFormat::Png).unwrap());
}

#[test]
fn steps_begin_where_people_expect_them() {
    let labels = |steps: &Steps| -> Vec<String> {
        let begins: Vec<TimestampNs> = steps.ranges().map(|(begin, _)| begin).collect();
        let previous = std::iter::once(None).chain(begins.iter().copied().map(Some));
        let pairs = begins.iter().zip(previous);
        pairs
            .map(|(begin, previous)| steps.tick(*begin, previous))
            .collect()
    };
    let days = Steps::over(MORNING, later(2 * DAY_NS), Some(StepLength::Day), -5 * 3_600);
    assert_eq!(labels(&days), ["Nov 21, 2026", "Nov 22", "Nov 23"]);
    assert_eq!(days.zone(), "UTC-05:00");
    let (begin, end) = days.ranges().next().unwrap();
    assert_eq!(begin.0 % DAY_NS, 5 * 3_600_000_000_000);
    assert_eq!(end.since(begin), DAY_NS);
    let hours = Steps::over(MORNING, later(DAY_NS / 2), None, 19_800);
    assert_eq!(hours.length().words(), "hour");
    assert_eq!(labels(&hours)[..3], ["Nov 21 16:00", "17:00", "18:00"]);
    assert!(labels(&hours).contains(&"Nov 22 00:00".to_owned()));
    let year = Steps::over(MORNING, later(400 * DAY_NS), None, 0);
    assert_eq!(year.length(), StepLength::Month);
    assert_eq!(labels(&year)[..3], ["Nov 2026", "Dec 2026", "Jan 2027"]);
    let weeks = Steps::over(MORNING, later(100 * DAY_NS), None, 0);
    assert_eq!(weeks.length(), StepLength::Week);
    assert_eq!(labels(&weeks)[0], "Nov 16, 2026");
}

#[test]
fn steps_hold_everything_without_gaps_and_are_not_too_many() {
    arbtest::arbtest(|u| {
        let first = TimestampNs(u.int_in_range(0..=4_000_000_000_000_000_000)?);
        let length = u.int_in_range(0..=60_u32)?;
        let last = TimestampNs(first.0 + u.int_in_range(0..=1_u64 << length)?);
        let wanted = *u.choose(&[None, Some(StepLength::HOUR), Some(StepLength::Day)])?;
        let offset = u.int_in_range(-14 * 3_600..=14 * 3_600)?;
        let steps = Steps::over(first, last, wanted, offset);
        let ranges: Vec<_> = steps.ranges().collect();
        assert!(!ranges.is_empty() && ranges.len() <= 130, "{}", ranges.len());
        assert!(ranges[0].0 <= first && ranges.last().unwrap().1 > last);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
            assert!(pair[0].0 < pair[0].1);
        }
        Ok(())
    });
}

#[test]
fn axes_have_round_numbers() {
    let shown = |most: f64, unit: Unit| -> String {
        let ticks = ticks(most, unit);
        let top = *ticks.last().unwrap();
        let labels: Vec<String> = ticks.iter().map(|tick| label(*tick, top, unit)).collect();
        labels.join(" ")
    };
    expect!["$0.00 $1.00 $2.00 $3.00 $4.00 $5.00"].assert_eq(&shown(4.51, Unit::Usd));
    expect!["$0.0000 $0.0005 $0.0010 $0.0015 $0.0020 $0.0025"].assert_eq(&shown(0.0023, Unit::Usd));
    expect!["$0 $25 $50 $75 $100 $125"].assert_eq(&shown(123.4, Unit::Usd));
    expect!["$0 $5k $10k $15k $20k"].assert_eq(&shown(18_000.0, Unit::Usd));
    expect!["0 1"].assert_eq(&shown(1.0, Unit::Count));
    expect!["0 1 2 3"].assert_eq(&shown(3.0, Unit::Count));
    expect!["0 2 4 6 8"].assert_eq(&shown(7.0, Unit::Count));
    expect!["0 500k 1M 1.5M"].assert_eq(&shown(1_400_000.0, Unit::Count));
    expect!["0 ms 50 ms 100 ms 150 ms 200 ms 250 ms"].assert_eq(&shown(0.231, Unit::Seconds));
    expect!["0 s 1 s 2 s 3 s 4 s 5 s"].assert_eq(&shown(4.8, Unit::Seconds));
    expect!["0 min 2 min 4 min 6 min 8 min 10 min"].assert_eq(&shown(580.0, Unit::Seconds));
    expect!["0 h 1 h 2 h 3 h 4 h"].assert_eq(&shown(13_000.0, Unit::Seconds));
    expect!["$0.00 $0.20 $0.40 $0.60 $0.80 $1.00"].assert_eq(&shown(0.0, Unit::Usd));
}

#[test]
fn an_axis_is_never_below_its_values_and_has_few_lines() {
    arbtest::arbtest(|u| {
        let most = f64::from(u.int_in_range(0..=u32::MAX)?) * 10_f64.powi(u.int_in_range(-15..=8)?);
        for unit in [Unit::Usd, Unit::Seconds, Unit::Count] {
            let ticks = ticks(most, unit);
            let top = *ticks.last().unwrap();
            assert!(
                top >= most * 0.999_999 && ticks.len() >= 2 && ticks.len() <= 8,
                "{most} {ticks:?}"
            );
        }
        Ok(())
    });
}

#[test]
fn the_name_decides_what_is_written() {
    assert_eq!(ImageFormat::of_path(Path::new("a/b.SVG")), Ok(ImageFormat::Svg));
    assert_eq!(ImageFormat::of_path(Path::new("b.png")), Ok(ImageFormat::Png));
    expect!["a chart is an SVG or a PNG: name a file that ends with .svg or .png, not `cost.pdf`"]
        .assert_eq(&ImageFormat::of_path(Path::new("cost.pdf")).unwrap_err());
    assert!(ImageFormat::of_path(Path::new("svg")).is_err());
}
