//! A drawing as PNG, at twice its size so that it is sharp on today's screens.
//!
//! Letters are those of Noto Sans Mono (SIL Open Font License), which the program carries as pictures of Latin letters;
//! of other scripts it has none, and an empty box stands for each letter. Never asks the system for a font.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster};
use thiserror::Error;
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Stroke, Transform,
};
use unicode_width::UnicodeWidthChar;

use super::scene::{Anchor, Colour, Scene, Shape, TEXT_ADVANCE, TEXT_SIZE};

/// Pixels of the picture for each of the drawing.
const SCALE: f64 = 2.0;
/// Of the raster's height the letters stand on this line.
const BASELINE: f64 = 0.795;

/// Why there is no picture.
#[derive(Debug, Error)]
pub(crate) enum PngError {
    /// The drawing has no size.
    #[error("a chart of {width} by {height} pixels cannot be drawn")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// It could not be encoded.
    #[error("the chart cannot be written as PNG: {0}")]
    Encode(String),
}

/// The file.
///
/// # Errors
/// When there is no memory for it, or it cannot be encoded.
pub(super) fn write(scene: &Scene) -> Result<Vec<u8>, PngError> {
    let (width, height) = ((scene.width * SCALE) as u32, (scene.height * SCALE) as u32);
    let mut picture = Pixmap::new(width, height).ok_or(PngError::Size { width, height })?;
    picture.fill(Color::WHITE);
    for shape in &scene.shapes {
        draw(&mut picture, shape);
    }
    picture
        .encode_png()
        .map_err(|error| PngError::Encode(error.to_string()))
}

fn draw(picture: &mut Pixmap, shape: &Shape) {
    let scale = Transform::from_scale(SCALE as f32, SCALE as f32);
    match shape {
        Shape::Rectangle {
            x,
            y,
            width,
            height,
            fill,
            ..
        } => {
            if let Some(rectangle) = Rect::from_xywh(*x as f32, *y as f32, *width as f32, *height as f32) {
                picture.fill_rect(rectangle, &paint(*fill), scale, None);
            }
        }
        Shape::Line {
            points,
            stroke,
            width,
        } => {
            let mut builder = PathBuilder::new();
            for (index, (x, y)) in points.iter().enumerate() {
                if index == 0 {
                    builder.move_to(*x as f32, *y as f32);
                } else {
                    builder.line_to(*x as f32, *y as f32);
                }
            }
            let pen = Stroke {
                width: *width as f32,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = builder.finish() {
                picture.stroke_path(&path, &paint(*stroke), &pen, scale, None);
            }
        }
        Shape::Dot {
            x, y, radius, fill, ..
        } => {
            if let Some(circle) = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32) {
                picture.fill_path(&circle, &paint(*fill), FillRule::Winding, scale, None);
            }
        }
        Shape::Text {
            x,
            y,
            text,
            size,
            is_bold,
            anchor,
            fill,
        } => {
            let size = size / TEXT_SIZE;
            let weight = if *is_bold {
                FontWeight::Bold
            } else {
                FontWeight::Regular
            };
            let advance = TEXT_ADVANCE * size;
            let cells: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
            let width = cells as f64 * advance;
            let mut x = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            for letter in text.chars() {
                let cells = letter.width().unwrap_or(0);
                if cells == 0 {
                    continue;
                }
                match get_raster(letter, weight, RasterHeight::Size32) {
                    Some(raster) => draw_letter(picture, &raster, (x * SCALE, y * SCALE), size, *fill),
                    None => draw_box(picture, (x, *y), (cells as f64 * advance, size), *fill),
                }
                x += cells as f64 * advance;
            }
        }
    }
}

fn paint(Colour(red, green, blue): Colour) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, 255);
    paint.anti_alias = true;
    paint
}

/// Draws a letter whose left end stands at a place on its line.
fn draw_letter(
    picture: &mut Pixmap,
    raster: &RasterizedChar,
    (left, line): (f64, f64),
    size: f64,
    colour: Colour,
) {
    let top = (line - raster.height() as f64 * size * BASELINE).round();
    let left = left.round();
    let (width, height) = (raster.width() as f64 * size, raster.height() as f64 * size);
    for down in 0..height.ceil() as u32 {
        for right in 0..width.ceil() as u32 {
            let ink = ink_at(raster, f64::from(right) / size, f64::from(down) / size);
            if ink > 0.0 {
                blend(
                    picture,
                    left + f64::from(right),
                    top + f64::from(down),
                    colour,
                    ink,
                );
            }
        }
    }
}

/// How much ink is at a place between the raster's pixels.
fn ink_at(raster: &RasterizedChar, x: f64, y: f64) -> f64 {
    let at = |x: usize, y: usize| f64::from(raster.pixel(x, y).unwrap_or(0)) / 255.0;
    let (left, top) = (x as usize, y as usize);
    let (right, down) = (x.fract(), y.fract());
    if right == 0.0 && down == 0.0 {
        return at(left, top);
    }
    let upper = at(left, top) * (1.0 - right) + at(left + 1, top) * right;
    let lower = at(left, top + 1) * (1.0 - right) + at(left + 1, top + 1) * right;
    upper * (1.0 - down) + lower * down
}

fn blend(picture: &mut Pixmap, x: f64, y: f64, Colour(red, green, blue): Colour, ink: f64) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    if !(0.0..width).contains(&x) || !(0.0..height).contains(&y) {
        return;
    }
    let place = y as usize * picture.width() as usize + x as usize;
    if let Some(pixel) = picture.pixels_mut().get_mut(place) {
        let mix =
            |below: u8, above: u8| (f64::from(below) * (1.0 - ink) + f64::from(above) * ink).round() as u8;
        let mixed = PremultipliedColorU8::from_rgba(
            mix(pixel.red(), red),
            mix(pixel.green(), green),
            mix(pixel.blue(), blue),
            255,
        );
        *pixel = mixed.unwrap_or(*pixel);
    }
}

/// What stands for a letter that there is no picture of.
fn draw_box(picture: &mut Pixmap, (x, y): (f64, f64), (width, size): (f64, f64), colour: Colour) {
    let (left, right) = (x + 1.0, x + width - 1.0);
    let (top, bottom) = (y - TEXT_SIZE * size * 0.7, y);
    draw(
        picture,
        &Shape::Line {
            points: vec![
                (left, top),
                (right, top),
                (right, bottom),
                (left, bottom),
                (left, top),
            ],
            stroke: colour,
            width: 0.75,
        },
    );
}
