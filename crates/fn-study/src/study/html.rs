//! The report as one page: no network, no scripts, pictures inside; readable on a phone and in the dark.

use std::fmt::Write as _;

use fn_eval::page::{CLOSE, escape, open};

use super::{HEADINGS, Run, Study, Table, words};
use crate::curves;
use crate::runs::RunRecord;

const STYLE: &str = "
th:nth-child(2), td:nth-child(2), td:last-child, th:last-child { text-align: left; }
tr.real td { color: var(--good); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
.plots svg { width: 100%; height: auto; }
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
         mean difference, 95 % bootstrap interval over seeds (of fewer than four: their range), permutation test, corrected for all comparisons (Holm).</p>",
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
    for heading in HEADINGS {
        let _ = write!(out, "<th>{heading}</th>");
    }
    out.push_str("</tr>\n");
    for (real, cells) in table.cells(study) {
        out.push_str(if real { "<tr class=\"real\">" } else { "<tr>" });
        cells.iter().for_each(|cell| out.push_str(&format!("<td>{}</td>", escape(cell))));
        out.push_str("</tr>\n");
    }
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
