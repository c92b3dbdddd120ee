//! Curves of several runs in one picture.

use std::collections::BTreeMap;
use std::path::Path;

use plotters::prelude::*;

use crate::EvalError;
use crate::runs::RunRecord;

/// Colours that stay apart for most readers (after Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
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
    let name = x;
    let finite = |run: &RunRecord| -> Vec<(f64, f64)> {
        let series = run.series.get(metric).map(Vec::as_slice).unwrap_or_default();
        series.iter().filter(|(_, v)| v.is_finite()).map(|&(s, v)| (s as f64, v)).collect()
    };
    let lines: Vec<(&str, Vec<(f64, f64)>)> = runs.iter().map(|r| (r.name.as_str(), finite(r))).collect();
    let points = || lines.iter().flat_map(|(_, line)| line.iter());
    if points().next().is_none() {
        let mut known: Vec<&str> = runs.iter().flat_map(|r| r.series.keys()).map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        return Err(EvalError::NoValues { metric: metric.to_owned(), known: known.join(", ") });
    }
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let (low, high) =
            points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
        (low - room, high + room)
    };
    let (x, y) = (range(|p| p.0), range(|p| p.1));
    plot(&lines, (x.0.max(0.0), x.1), y, (title, name), path)
        .map_err(|message| EvalError::Draw { path: path.to_owned(), message })
}

/// Several runs of several arms as SVG text: the mean of each arm over steps, with a band from its lowest to its highest run.
///
/// # Errors
/// As [`draw`].
pub fn bands(arms: &[(&str, Vec<&RunRecord>)], metric: &str, title: &str) -> Result<String, EvalError> {
    /// Step, mean, lowest, highest.
    type Point = (f64, f64, f64, f64);
    let of_arm = |runs: &[&RunRecord]| -> Vec<Point> {
        let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (step, value) in runs.iter().filter_map(|run| run.series.get(metric)).flatten() {
            if value.is_finite() {
                at.entry(*step).or_default().push(*value);
            }
        }
        let point = |(step, values): (u64, Vec<f64>)| {
            let (low, high) =
                values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            (step as f64, values.iter().sum::<f64>() / values.len() as f64, low, high)
        };
        at.into_iter().map(point).collect()
    };
    let lines: Vec<(&str, Vec<Point>)> = arms.iter().map(|(name, runs)| (*name, of_arm(runs))).collect();
    let points = || lines.iter().flat_map(|(_, line)| line.iter());
    if points().next().is_none() {
        return Err(EvalError::NoValues { metric: metric.to_owned(), known: String::new() });
    }
    let ends = |low: f64, high: f64| {
        let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
        (low - room, high + room)
    };
    let fold =
        |start: f64, pick: fn(f64, f64) -> f64, of: fn(&Point) -> f64| points().map(of).fold(start, pick);
    let x = ends(fold(f64::INFINITY, f64::min, |p| p.0), fold(f64::NEG_INFINITY, f64::max, |p| p.0));
    let y = ends(fold(f64::INFINITY, f64::min, |p| p.2), fold(f64::NEG_INFINITY, f64::max, |p| p.3));
    let mut svg = String::new();
    let mut run = || -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = SVGBackend::with_string(&mut svg, (720, 400)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(x.0.max(0.0)..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .x_label_formatter(&|step| format!("{step:.0}"))
            .max_light_lines(1)
            .light_line_style(RGBColor(245, 245, 245))
            .bold_line_style(RGBColor(220, 220, 220))
            .draw()?;
        for (index, (name, line)) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let up = line.iter().map(|p| (p.0, p.3));
            let band: Vec<(f64, f64)> = up.chain(line.iter().rev().map(|p| (p.0, p.2))).collect();
            chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.12))))?;
            chart
                .draw_series(LineSeries::new(line.iter().map(|p| (p.0, p.1)), colour.stroke_width(2)))?
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
    };
    let drawn = run().map_err(|e| e.to_string());
    drawn.map_err(|message| EvalError::Draw { path: metric.into(), message })?;
    // Fixed sizes would not shrink on a phone.
    Ok(svg.replacen("width=\"720\" height=\"400\" ", "", 1))
}

fn plot(
    lines: &[(&str, Vec<(f64, f64)>)],
    x: (f64, f64),
    y: (f64, f64),
    (title, name): (&str, &str),
    path: &Path,
) -> Result<(), String> {
    let root = SVGBackend::new(path, (720, 400)).into_drawing_area();
    let run = || -> Result<(), Box<dyn std::error::Error + '_>> {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .x_desc(name)
            .x_label_formatter(&|step| format!("{step:.0}"))
            .max_light_lines(1)
            .light_line_style(RGBColor(245, 245, 245))
            .bold_line_style(RGBColor(220, 220, 220))
            .draw()?;
        for (index, (name, line)) in lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            chart
                .draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?
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
    };
    run().map_err(|e| e.to_string())
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
