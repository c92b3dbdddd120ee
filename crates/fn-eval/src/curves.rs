//! Curves of several runs in one picture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plotters::prelude::*;

use crate::EvalError;
use crate::runs::RunRecord;

/// Colours that stay apart for most readers (after Okabe and Ito), and more for large studies.
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

/// Draws `metric` of every run over training steps as an SVG file of 720 x 400 pixels.
///
/// # Errors
/// [`EvalError::NoValues`] when no run has the metric; [`EvalError::Draw`] when the file cannot be written.
pub fn draw(runs: &[RunRecord], metric: &str, title: &str, path: &Path) -> Result<(), EvalError> {
    draw_over(runs, metric, title, "step", path)
}

/// [`draw`] over something else than steps: `x` names it.
///
/// # Errors
/// As [`draw`].
pub fn draw_over(
    runs: &[RunRecord],
    metric: &str,
    title: &str,
    x: &str,
    path: &Path,
) -> Result<(), EvalError> {
    let lines: Vec<(&str, Vec<&RunRecord>)> = runs.iter().map(|run| (run.name.as_str(), vec![run])).collect();
    let svg = picture(&lines, metric, title, x)?;
    std::fs::write(path, svg)
        .map_err(|error| EvalError::Draw { path: path.to_owned(), message: error.to_string() })
}

/// Several runs of several arms as SVG text: the mean of each arm over steps, with a band from its lowest to its highest run.
/// It takes the width that it is given.
///
/// # Errors
/// As [`draw`].
pub fn bands(arms: &[(&str, Vec<&RunRecord>)], metric: &str, title: &str) -> Result<String, EvalError> {
    let svg = picture(arms, metric, title, "step")?;
    // Fixed sizes would not shrink on a phone.
    Ok(svg.replacen("width=\"720\" height=\"400\" ", "", 1))
}

/// A panel of a figure of several.
#[derive(Debug)]
pub struct Panel<'a> {
    /// Above it.
    pub title: &'a str,
    /// Below it.
    pub x: &'a str,
    /// Its series of `metric`, as in [`bands`].
    pub arms: Vec<(&'a str, Vec<&'a RunRecord>)>,
}

/// Panels two by two in one SVG, each with bands from its lowest to its highest run.
///
/// # Errors
/// As [`draw`].
pub fn panels(panels: &[Panel<'_>], metric: &str) -> Result<String, EvalError> {
    let height = 400 * panels.len().div_ceil(2);
    let mut svg = format!("<svg viewBox=\"0 0 1440 {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n");
    for (at, panel) in panels.iter().enumerate() {
        let place = format!("<svg x=\"{}\" y=\"{}\" ", 720 * (at % 2), 400 * (at / 2));
        svg.push_str(&picture(&panel.arms, metric, panel.title, panel.x)?.replacen("<svg ", &place, 1));
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Mean and ends of the runs of an arm at a step.
#[derive(Clone, Copy)]
struct Point {
    step: f64,
    mean: f64,
    low: f64,
    high: f64,
}

/// Every arm's points, where a value is finite.
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

/// Lowest and highest value with a little room.
fn range(low: impl Iterator<Item = f64>, high: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = (low.fold(f64::INFINITY, f64::min), high.fold(f64::NEG_INFINITY, f64::max));
    let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
    (low - room, high + room)
}

fn picture(
    arms: &[(&str, Vec<&RunRecord>)],
    metric: &str,
    title: &str,
    x_name: &str,
) -> Result<String, EvalError> {
    let lines: Vec<(&str, Vec<Point>)> =
        arms.iter().map(|(name, runs)| (*name, points(runs, metric))).collect();
    let all = || lines.iter().flat_map(|(_, line)| line.iter());
    if all().next().is_none() {
        let keys = arms.iter().flat_map(|(_, runs)| runs.iter().flat_map(|run| run.series.keys()));
        let known: BTreeSet<&str> = keys.map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(EvalError::NoValues { metric: metric.to_owned(), known });
    }
    let x = range(all().map(|p| p.step), all().map(|p| p.step));
    let y = range(all().map(|p| p.low), all().map(|p| p.high));
    let mut svg = String::new();
    plot(&mut svg, &lines, (x.0.max(0.0), x.1), y, (title, x_name))
        .map_err(|error| EvalError::Draw { path: metric.into(), message: error.to_string() })?;
    Ok(svg)
}

fn plot<'a>(
    svg: &'a mut String,
    lines: &[(&str, Vec<Point>)],
    x: (f64, f64),
    y: (f64, f64),
    (title, x_name): (&str, &str),
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let root = SVGBackend::with_string(svg, (720, 400)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .max_light_lines(1)
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(220, 220, 220))
        .draw()?;
    for (index, (name, line)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        if line.iter().any(|p| p.low < p.high) {
            let up = line.iter().map(|p| (p.step, p.high));
            let band: Vec<(f64, f64)> = up.chain(line.iter().rev().map(|p| (p.step, p.low))).collect();
            chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.12))))?;
        }
        chart
            .draw_series(LineSeries::new(line.iter().map(|p| (p.step, p.mean)), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
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
