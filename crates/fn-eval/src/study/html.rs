//! The report as one page: no network, no scripts, pictures inside; readable on a phone and in the dark.

use std::fmt::Write as _;

use super::{Run, Study, Table};
use crate::curves;
use crate::page::{CLOSE, escape, open};
use crate::runs::RunRecord;
use crate::table::number;

const STYLE: &str = "
th:nth-child(2), td:nth-child(2), td:last-child, th:last-child { text-align: left; }
tr.real td { color: var(--good); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
.plots svg { width: 100%; height: auto; background: #fff; border-radius: 6px; }
@media (max-width: 40rem) {
  .plots { overflow-x: auto; } .plots svg { min-width: 36rem; }
  .wide td:first-child, .wide th:first-child { white-space: normal; min-width: 6rem; }
}
";

/// Curves of the page: series and title.
const CURVES: &[(&str, &str)] = &[
    ("eval.masked_accuracy", "masked accuracy"),
    ("eval.false_negative_share", "false negatives, share of the wrong predictions"),
    ("eval.detector_auc", "detector AUC"),
    ("eval.masked_loss", "masked loss"),
];

/// The page.
pub fn page(study: &Study, runs: &[Run], table: &Table) -> String {
    let mut out = open(&study.name, STYLE);
    if !study.about.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escape(&study.about));
    }
    let planned = study.runs().len();
    let _ = writeln!(
        out,
        "<p class=\"soft\">{} arms, {} seeds; {} of {planned} runs are finished.{} Every arm is compared with <b>{}</b>, seed by seed: \
         mean difference, 95 % bootstrap interval over seeds, permutation test, corrected for all comparisons (Holm).</p>",
        study.arms.len(),
        study.seeds.len(),
        runs.len() + table.left_out,
        table.omission().map(|text| format!(" <b>{text}.</b>")).unwrap_or_default(),
        escape(&study.arms[0].name)
    );
    out.push_str("<h2>In words</h2>\n<ul>\n");
    for line in words(study, table) {
        let _ = writeln!(out, "<li>{}</li>", escape(&line));
    }
    out.push_str("</ul>\n<h2>Arms</h2>\n<ul>\n");
    for arm in &study.arms {
        let set = if arm.set.is_empty() { "as it is".to_owned() } else { arm.set.join(", ") };
        let about = if arm.about.is_empty() { String::new() } else { format!(": {}", escape(&arm.about)) };
        let _ = writeln!(
            out,
            "<li><b>{}</b>{about} <span class=\"soft\">({})</span></li>",
            escape(&arm.name),
            escape(&set)
        );
    }
    out.push_str("</ul>\n<h2>Figures</h2>\n<div class=\"wide\"><table>\n<tr>");
    for heading in
        ["figure", "arm", "mean", "sd", "seeds", "difference", "95 % interval", "p", "p (Holm)", "verdict"]
    {
        let _ = write!(out, "<th>{heading}</th>");
    }
    out.push_str("</tr>\n");
    rows(&mut out, study, table);
    out.push_str("</table></div>\n<h2>Curves</h2>\n<p class=\"soft\">Mean over seeds; the band is from the lowest to the highest seed.</p>\n<div class=\"plots\">\n");
    for (series, title) in CURVES {
        let arms: Vec<(&str, Vec<&RunRecord>)> = study
            .arms
            .iter()
            .enumerate()
            .map(|(n, arm)| {
                (arm.name.as_str(), runs.iter().filter(|r| r.arm == n).map(|r| &r.record).collect())
            })
            .collect();
        // A metric that no run has is not drawn.
        if let Ok(svg) = curves::bands(&arms, series, title) {
            out.push_str(&svg);
        }
    }
    out.push_str("</div>\n");
    out.push_str(CLOSE);
    out
}

/// What the table says, one sentence each; only real differences and the summary of all others.
fn words(study: &Study, table: &Table) -> Vec<String> {
    let mut out = Vec::new();
    let (mut compared, mut pairs) = (0, usize::MAX);
    for figure in table.figures.iter().filter(|f| f.name != "ms of a step") {
        for row in &figure.rows {
            let Some(effect) = row.effect else { continue };
            compared += 1;
            pairs = pairs.min(effect.pairs);
            if effect.verdict() == "a difference" {
                let side = match (figure.more_is_better, effect.difference > 0.0) {
                    (Some(better), more) if better == more => "better",
                    (Some(_), _) => "worse",
                    (None, _) => "other",
                };
                out.push(format!(
                    "{}: {} is {side} than {} by {:.2} ({:.2} to {:.2}).",
                    figure.name,
                    study.arms[row.arm].name,
                    study.arms[0].name,
                    effect.difference.abs(),
                    effect.low,
                    effect.high
                ));
            }
        }
    }
    let real = out.len();
    if compared == 0 {
        let baseline = study.arms.first().map_or("baseline", |arm| arm.name.as_str());
        out.push(format!("Nothing can be compared yet: no seed has been run in {baseline} and another arm."));
    } else {
        out.push(format!("{} of {compared} comparisons are within noise.", compared - real));
        let least = 2.0 / 2.0_f64.powi(pairs as i32);
        if least >= 0.05 {
            out.push(format!(
                "With {pairs} seeds the smallest possible p-value is {least:.2}: more seeds are needed to show any difference."
            ));
        } else if real == 0 && least * compared as f64 >= 0.05 {
            out.push(format!(
                "With {pairs} seeds and {compared} comparisons no single difference can be shown: the smallest possible p-value is \
                 {least:.3}, corrected {:.2}. More seeds or fewer arms would show more.",
                (least * compared as f64).min(1.0)
            ));
        }
    }
    out
}

fn rows(out: &mut String, study: &Study, table: &Table) {
    for figure in &table.figures {
        let digits = if figure.name.ends_with('%') || figure.name.starts_with("ms") { 2 } else { 4 };
        for row in &figure.rows {
            let Some(summary) = row.summary else { continue };
            let real = row.effect.is_some_and(|e| e.verdict() == "a difference");
            let _ = write!(
                out,
                "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                if real { " class=\"real\"" } else { "" },
                escape(&figure.name),
                escape(&study.arms[row.arm].name),
                number(Some(summary.mean), digits),
                number(Some(summary.standard_deviation), digits),
                summary.count
            );
            match row.effect {
                Some(e) => {
                    let _ = write!(
                        out,
                        "<td>{:+.digits$}</td><td>{:+.digits$} to {:+.digits$}</td><td>{:.3}</td><td>{:.3}</td><td>{}</td>",
                        e.difference,
                        e.low,
                        e.high,
                        e.p,
                        e.p_holm,
                        e.verdict()
                    );
                }
                None => out.push_str("<td></td><td></td><td></td><td></td><td></td>"),
            }
            out.push_str("</tr>\n");
        }
    }
}
