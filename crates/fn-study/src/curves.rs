//! Draws curves of several runs into one SVG, with colours for light and dark mode.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::RecordError;
use crate::runs::RunRecord;

/// Curve colours: the colour-blind safe palette of Okabe and Ito, then more for large studies.
const COLOURS: [RGBColor; 18] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(128, 128, 128),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(188, 189, 34),
    RGBColor(214, 39, 40),
    RGBColor(23, 190, 207),
    RGBColor(0, 0, 139),
    RGBColor(0, 100, 0),
    RGBColor(255, 105, 180),
    RGBColor(210, 180, 140),
    RGBColor(75, 0, 130),
];

/// Colours that are illegible in dark mode, each with its replacement; the background is that of
/// [`fn_eval::page`].
const DARK: [(&str, &str); 8] = [
    ("#FFFFFF", "#161616"),
    ("#000000", "#E8E8E8"),
    ("#F5F5F5", "#202020"),
    ("#DCDCDC", "#383838"),
    ("#00008B", "#8C9EFF"),
    ("#006400", "#5FB35F"),
    ("#4B0082", "#B68CFF"),
    ("#8C564B", "#B98074"),
];

/// Width of a picture.
const WIDTH: u32 = 720;
/// Height of a picture without its legend.
const HEIGHT: u32 = 400;
/// Left end of the plot and of the legend.
const LEFT: u32 = 76;
/// Height of a row of the legend.
const ROW: u32 = 20;
/// Longest name in a legend, in characters.
const NAME: usize = 80;

/// Plots `metric` of every run against training steps into an SVG file, 720 pixels wide.
///
/// # Errors
/// [`RecordError::NoValues`] when no run has the metric; [`RecordError::Draw`] when the file cannot be written.
pub fn draw(runs: &[RunRecord], metric: &str, title: &str, path: &Path) -> Result<(), RecordError> {
    draw_over(runs, metric, title, "step", path)
}

/// Like [`draw`], with another x axis than steps; `x` is its label.
///
/// # Errors
/// As [`draw`].
pub fn draw_over(
    runs: &[RunRecord],
    metric: &str,
    title: &str,
    x: &str,
    path: &Path,
) -> Result<(), RecordError> {
    let lines: Vec<(&str, Vec<&RunRecord>)> = runs.iter().map(|run| (run.name.as_str(), vec![run])).collect();
    let (svg, _) = picture(&lines, metric, title, x)?;
    std::fs::write(path, with_dark(&svg))
        .map_err(|error| RecordError::Draw { path: path.to_owned(), message: error.to_string() })
}

/// Several runs of several arms as SVG text: the mean of each arm over steps, with a band from its lowest to its highest run.
/// The SVG scales to the width of its container.
///
/// # Errors
/// As [`draw`].
pub fn bands(arms: &[(&str, Vec<&RunRecord>)], metric: &str, title: &str) -> Result<String, RecordError> {
    let (svg, height) = picture(arms, metric, title, "step")?;
    // Fixed sizes would not shrink on a phone.
    Ok(with_dark(&svg.replacen(&format!("width=\"{WIDTH}\" height=\"{height}\" "), "", 1)))
}

/// One panel of [`panels`].
#[derive(Debug)]
pub struct Panel<'a> {
    /// Title above the panel.
    pub title: &'a str,
    /// Label of the x axis.
    pub x: &'a str,
    /// Runs of each arm, as in [`bands`].
    pub arms: Vec<(&'a str, Vec<&'a RunRecord>)>,
}

/// Draws panels into one SVG, two to a row, each with bands from the lowest to the highest run.
///
/// # Errors
/// As [`draw`].
pub fn panels(panels: &[Panel<'_>], metric: &str) -> Result<String, RecordError> {
    let draw = |panel: &Panel<'_>| picture(&panel.arms, metric, panel.title, panel.x);
    let drawn = panels.iter().map(draw).collect::<Result<Vec<_>, _>>()?;
    let row = drawn.iter().map(|(_, height)| *height).max().unwrap_or(HEIGHT);
    let (width, height) = (2 * WIDTH, row * drawn.len().div_ceil(2) as u32);
    let mut svg =
        with_dark(&format!("<svg viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n"));
    for (at, (panel, _)) in drawn.iter().enumerate() {
        let (x, y) = (WIDTH * (at as u32 % 2), row * (at as u32 / 2));
        svg.push_str(&panel.replacen("<svg ", &format!("<svg x=\"{x}\" y=\"{y}\" "), 1));
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Adds dark-mode colours to an SVG, given its beginning or all of it. A stand-alone file keeps its own background,
/// so that it can be read on any page.
fn with_dark(svg: &str) -> String {
    let rule = |(light, dark): &(&str, &str)| {
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let rules: String = DARK.iter().map(rule).collect();
    let style = format!(">\n<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n");
    svg.replacen(">\n", &style, 1)
}

/// Mean, lowest and highest value of an arm's runs at one step.
#[derive(Clone, Copy)]
struct Point {
    step: f64,
    mean: f64,
    low: f64,
    high: f64,
}

/// The points of one arm; non-finite values are skipped.
fn points(runs: &[&RunRecord], metric: &str) -> Vec<Point> {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, value) in runs.iter().filter_map(|run| run.series.get(metric)).flatten() {
        if value.is_finite() {
            at.entry(*step).or_default().push(*value);
        }
    }
    let point = |(step, values): (u64, Vec<f64>)| Point {
        step: step as f64,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    at.into_iter().map(point).collect()
}

/// Axis range: lowest and highest value with a margin.
fn range(low: impl Iterator<Item = f64>, high: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = (low.fold(f64::INFINITY, f64::min), high.fold(f64::NEG_INFINITY, f64::max));
    let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
    (low - room, high + room)
}

/// SVG text of a picture, and its height.
fn picture(
    arms: &[(&str, Vec<&RunRecord>)],
    metric: &str,
    title: &str,
    x_name: &str,
) -> Result<(String, u32), RecordError> {
    let lines: Vec<(&str, Vec<Point>)> =
        arms.iter().map(|(name, runs)| (*name, points(runs, metric))).collect();
    let all = || lines.iter().flat_map(|(_, line)| line.iter());
    if all().next().is_none() {
        let keys = arms.iter().flat_map(|(_, runs)| runs.iter().flat_map(|run| run.series.keys()));
        let known: BTreeSet<&str> = keys.map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(RecordError::NoValues { metric: metric.to_owned(), known });
    }
    let x = range(all().map(|p| p.step), all().map(|p| p.step));
    let y = range(all().map(|p| p.low), all().map(|p| p.high));
    let mut svg = String::new();
    let (entries, height) = legend(lines.iter().map(|(name, _)| *name));
    plot(&mut svg, &lines, (x.0.max(0.0), x.1), y, (title, x_name), (&entries, height))
        .map_err(|error| RecordError::Draw { path: metric.into(), message: error.to_string() })?;
    Ok((svg, height))
}

/// A legend entry and the x, y where it starts.
type Entry = (String, (i32, i32));

/// Lays the legend out in rows below the plot and returns the height of the whole picture. There is no font to measure
/// names with, so their widths are guessed.
fn legend<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<Entry>, u32) {
    let (mut x, mut y) = (LEFT, HEIGHT + ROW / 2);
    let mut entries = Vec::new();
    for name in names {
        let letters = name.chars().count();
        // The end of a path is more specific than its beginning.
        let name = match letters.checked_sub(NAME) {
            Some(over) if over > 0 => format!("...{}", name.chars().skip(over + 3).collect::<String>()),
            _ => name.to_owned(),
        };
        let width = 44 + 7 * letters.min(NAME) as u32;
        if x > LEFT && x + width > WIDTH {
            (x, y) = (LEFT, y + ROW);
        }
        entries.push((name, (x as i32, y as i32)));
        x += width;
    }
    (entries, y + ROW)
}

fn plot<'a>(
    svg: &'a mut String,
    lines: &[(&str, Vec<Point>)],
    x: (f64, f64),
    y: (f64, f64),
    (title, x_name): (&str, &str),
    (legend, height): (&[Entry], u32),
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, _) = root.split_vertically(HEIGHT);
    let mut chart = ChartBuilder::on(&upper)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .axis_desc_style(("sans-serif", 15))
        .label_style(("sans-serif", 14))
        .x_label_formatter(&|step| format!("{step:.0}"))
        .max_light_lines(1)
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(220, 220, 220))
        .draw()?;
    let label = ("sans-serif", 15).into_text_style(&root).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, ((_, line), (name, (x, y)))) in lines.iter().zip(legend).enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        if line.iter().any(|p| p.low < p.high) {
            let up = line.iter().map(|p| (p.step, p.high));
            let band: Vec<(f64, f64)> = up.chain(line.iter().rev().map(|p| (p.step, p.low))).collect();
            chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.12))))?;
        }
        let line = line.iter().map(|p| (p.step, p.mean));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        root.draw(&PathElement::new(vec![(*x, *y), (x + 18, *y)], colour.stroke_width(2)))?;
        root.draw_text(name, &label, (x + 24, *y))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[(u64, f64)]) -> RunRecord {
        RunRecord { name: "hard".into(), series: [("loss".to_owned(), values.to_vec())].into() }
    }

    #[test]
    fn a_picture_names_every_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loss.svg");
        draw(&[run(&[(0, 3.0), (10, f64::NAN), (20, 1.0)])], "loss", "Loss", &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.contains("hard") && svg.contains("Loss") && svg.contains("</svg>"));
    }

    /// The y coordinate of the text element that contains `name`.
    fn height_of(svg: &str, name: &str) -> u32 {
        let before = &svg[..svg.find(&format!("\n{name}\n")).unwrap()];
        let y = before.rsplit(" y=\"").next().unwrap();
        y.split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_legend_is_below_the_plot_in_as_many_rows_as_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loss.svg");
        let long = format!("runs/{}/last", "x".repeat(200));
        let names = ["one", "two", &"a-name-of-an-arm".repeat(4), &long];
        let runs: Vec<RunRecord> = names
            .iter()
            .map(|name| RunRecord { name: (*name).into(), ..run(&[(0, 3.0), (9, 1.0)]) })
            .collect();
        draw(&runs, "loss", "Loss", &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert_eq!(["one", "two", names[2]].map(|name| height_of(&svg, name)), [410, 410, 410]);
        assert!(
            svg.contains("height=\"450\"") && svg.contains("x/last\n") && !svg.contains("runs/xx"),
            "{svg}"
        );
        assert!(height_of(&svg, "step") < HEIGHT, "the plot ends above it");
    }

    /// WCAG 2 contrast of two colours `#RRGGBB`.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |colour: &str| -> f64 {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_curve_colour_has_enough_contrast_in_dark_mode() {
        let on_dark = |colour: &str| {
            let other = DARK.iter().find(|(light, _)| *light == colour).map(|(_, dark)| *dark);
            other.unwrap_or(colour).to_owned()
        };
        for RGBColor(r, g, b) in COLOURS {
            let colour = format!("#{r:02X}{g:02X}{b:02X}");
            let contrast = contrast(&on_dark(&colour), &on_dark("#FFFFFF"));
            assert!(contrast >= 3.0, "{colour}: {contrast}");
        }
        let arms = [("a", vec![])];
        let run = run(&[(0, 1.0), (1, 2.0)]);
        let svg = bands(&[("a", vec![&run])], "loss", "Loss").unwrap();
        assert!(svg.starts_with("<svg viewBox") && svg.contains("prefers-color-scheme: dark"), "{svg}");
        for (light, _) in &DARK[..4] {
            assert!(svg.contains(&format!("=\"{light}\"")), "{light} is no longer drawn");
        }
        assert!(bands(&arms, "loss", "").is_err());
    }

    #[test]
    fn one_constant_value_can_be_drawn() {
        let dir = tempfile::tempdir().unwrap();
        draw(&[run(&[(5, 2.0)])], "loss", "Loss", &dir.path().join("a.svg")).unwrap();
    }

    #[test]
    fn an_unknown_metric_names_the_known_ones() {
        let error = draw(&[run(&[(0, 1.0)])], "lost", "", Path::new("x.svg")).unwrap_err();
        assert!(error.to_string().contains("loss"), "{error}");
    }
}
