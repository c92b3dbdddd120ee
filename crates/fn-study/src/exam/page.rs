//! A page of the reports of one exam: figures, curves, and the worst mistakes in their contexts.

use fn_eval::page::{CLOSE, escape, open};
use fn_eval::table::number;

use super::metrics::Point;
use super::{ExamError, Pair, Prepared, Report, TRAPS};
use crate::curves::{Panel, panels};
use crate::runs::RunRecord;

/// Characters of context on each side of a target.
const AROUND: usize = 160;

const STYLE: &str = ".place { border: 1px solid var(--line); border-radius: .2rem; padding: 0 .1rem; } .place b { color: var(--good); } blockquote { margin: .2rem 0 1rem; }
svg { width: 100%; height: auto; }";

/// The page of several judges in several exams; `tokens` spells ids.
///
/// # Errors
/// A picture that cannot be drawn.
pub fn page(
    exams: &[(Prepared<'_>, Vec<Report>)],
    spell: &dyn Fn(u32) -> String,
) -> Result<String, ExamError> {
    let mut out = open("Judges held against people", STYLE);
    out.push_str(
        "<p>A judge grades a word in the place of another. A pair is good if at least half of the people asked call it good. AP: average \
         precision; P at R .3: precision at the highest threshold that finds 30 % of the good pairs, which is also where acceptance of \
         traps (antonyms, sisters, inflections of the target) is measured. Intervals: 95 %, over targets drawn with repetition.</p>\n",
    );
    for (prepared, reports) in exams {
        out.push_str(&format!("<h2>{}</h2>\n", escape(&prepared.exam.name)));
        let traps: Vec<String> = TRAPS
            .iter()
            .zip(reports.first().map_or([0; 3], |report| report.traps))
            .map(|((trap, ..), count)| format!("{count} {}", trap.name()))
            .collect();
        let asked = prepared.pairs.iter().filter(|pair| pair.asked).count();
        out.push_str(&format!(
            "<p class=\"soft\">{asked} pairs that people were asked about; traps: {}; {}.</p>\n",
            traps.join(", "),
            escape(&prepared.left_out.to_string())
        ));
        let rows = reports.iter().map(|report| report.row().to_vec()).collect::<Vec<_>>();
        table(&mut out, &Report::HEADINGS, &rows);
        out.push_str(&figure(&prepared.exam.name, reports)?);
        for report in reports {
            out.push_str(&format!("<h2>{}: by {}</h2>\n", escape(&report.judge), report.grouped_by));
            let rows = report.groups.iter().map(|(group, scores)| {
                let precision = scores.at_recall[1].map(|point| point.precision);
                let figures = [Some(scores.base), Some(scores.average_precision), precision];
                let [base, average, precision] = figures.map(|value| number(value, 3));
                vec![group.clone(), scores.pairs.to_string(), base, average, precision]
            });
            table(&mut out, &["group", "pairs", "base", "AP", "P at R .3"], &rows.collect::<Vec<_>>());
            let titles = ["Errors with the highest grades", "Good substitutes with the lowest grades"];
            for (title, worst) in titles.iter().zip(&report.worst) {
                out.push_str(&format!("<h3>{title}</h3>\n"));
                for &at in worst {
                    out.push_str(&mistake(prepared, &prepared.pairs[at], report.grades.values[at], spell));
                }
            }
        }
    }
    out.push_str(CLOSE);
    Ok(out)
}

fn table(out: &mut String, headings: &[&str], rows: &[Vec<String>]) {
    let cells = |tag: &str, row: &mut dyn Iterator<Item = &str>| -> String {
        row.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    out.push_str(&format!(
        "<div class=\"wide\"><table><tr>{}</tr>\n",
        cells("th", &mut headings.iter().copied())
    ));
    for row in rows {
        out.push_str(&format!("<tr>{}</tr>\n", cells("td", &mut row.iter().map(String::as_str))));
    }
    out.push_str("</table></div>\n");
}

/// Precision over recall, in hundredths.
fn figure(title: &str, reports: &[Report]) -> Result<String, ExamError> {
    let record = |report: &Report| {
        let point = |point: &Point| ((100.0 * point.recall).round() as u64, point.precision);
        // The first percent rests on a handful of pairs.
        let mut points: Vec<(u64, f64)> = report.curve.iter().map(point).filter(|(x, _)| *x > 0).collect();
        points.dedup_by_key(|(x, _)| *x);
        RunRecord { name: report.judge.clone(), series: [("precision".to_owned(), points)].into() }
    };
    let records: Vec<RunRecord> = reports.iter().map(record).collect();
    if records.iter().all(|record| record.series.values().all(Vec::is_empty)) {
        return Ok(String::new());
    }
    let arms = records.iter().map(|record| (record.name.as_str(), vec![record])).collect();
    let title = format!("Precision over recall: {title}");
    Ok(panels(&[Panel { title: &title, x: "recall, %", arms }], "precision")?)
}

fn mistake(exam: &Prepared<'_>, pair: &Pair, grade: f64, spell: &dyn Fn(u32) -> String) -> String {
    let target = &exam.exam.targets[pair.target];
    let (before, rest) = target.context.split_at(target.start);
    let (_, after) = rest.split_at(target.word.len());
    let head = before.char_indices().rev().nth(AROUND).map_or(0, |(byte, _)| byte);
    let tail = after.char_indices().nth(AROUND).map_or(after.len(), |(byte, _)| byte);
    let mut notes: Vec<&str> =
        TRAPS.iter().filter(|(trap, ..)| pair.traps[*trap as usize]).map(|(trap, ..)| trap.name()).collect();
    if !pair.asked {
        notes.push("nobody was asked");
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!(
        "<blockquote><b>{}</b> for <b>{}</b>, grade {grade:.3}{notes}<br><span class=\"soft\">{}<span class=\"place\">{} \
         <b>{}</b></span>{}</span></blockquote>\n",
        escape(&spell(pair.substitute)),
        escape(&spell(pair.word)),
        escape(&before[head..]),
        escape(&target.word),
        escape(&spell(pair.substitute)),
        escape(&after[..tail])
    )
}
