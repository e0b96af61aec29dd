//! A drawing as SVG: one file without scripts, fonts or anything from elsewhere.
//!
//! Never writes a text that is not escaped.

use std::fmt::Write as _;

use super::scene::{Anchor, Colour, Scene, Shape};

/// What is likely to be on a machine and is monospaced, as the layout assumes.
const FONTS: &str = "'Noto Sans Mono','DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace";

/// The file.
pub(super) fn write(scene: &Scene) -> String {
    let mut svg = String::new();
    let (width, height) = (scene.width, scene.height);
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONTS}\">\n\
         <title>{}</title>\n<desc>{}</desc>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        escaped(&scene.title),
        escaped(&scene.description),
    );
    for shape in &scene.shapes {
        write_shape(&mut svg, shape);
    }
    svg.push_str("</svg>\n");
    svg
}

fn write_shape(svg: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Rectangle {
            x,
            y,
            width,
            height,
            fill,
            hint,
        } => writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{}",
            place(*x),
            place(*y),
            place(*width),
            place(*height),
            colour(*fill),
            closing("rect", hint)
        ),
        Shape::Line {
            points,
            stroke,
            width,
        } => {
            let points: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{},{}", place(*x), place(*y)))
                .collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"/>",
                points.join(" "),
                colour(*stroke),
                place(*width)
            )
        }
        Shape::Dot {
            x,
            y,
            radius,
            fill,
            hint,
        } => writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"{}",
            place(*x),
            place(*y),
            place(*radius),
            colour(*fill),
            closing("circle", hint)
        ),
        Shape::Text {
            x,
            y,
            text,
            size,
            is_bold,
            anchor,
            fill,
        } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let weight = if *is_bold { " font-weight=\"bold\"" } else { "" };
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight}{anchor} fill=\"{}\">{}</text>",
                place(*x),
                place(*y),
                place(*size),
                colour(*fill),
                escaped(text)
            )
        }
    };
}

/// The end of an element, with its hint in it where there is one.
fn closing(element: &str, hint: &str) -> String {
    if hint.is_empty() {
        "/>".to_owned()
    } else {
        format!("><title>{}</title></{element}>", escaped(hint))
    }
}

/// Two places are finer than any screen.
fn place(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn colour(Colour(red, green, blue): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The text with XML's own characters escaped, and without those that XML cannot hold.
/// Source: XML 1.0, production `Char`.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}
