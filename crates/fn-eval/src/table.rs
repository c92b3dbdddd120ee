//! Formats a table of numbers for a terminal or as Markdown.

use std::fmt::Write as _;

/// Rows of text under column headings; the first column is left-aligned, the others are right-aligned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. Missing cells are empty, cells beyond the last column are dropped.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// The table for a terminal: columns separated by two blanks, a line under the headings.
    pub fn to_text(&self) -> String {
        let widths = self.widths();
        let mut out = String::new();
        line(&mut out, &self.headings, &widths);
        let rules: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
        line(&mut out, &rules, &widths);
        for row in &self.rows {
            line(&mut out, row, &widths);
        }
        out
    }

    /// The table as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let mut push = |cells: &[String]| {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        push(&self.headings);
        let rules: Vec<String> =
            (0..self.headings.len()).map(|i| if i == 0 { "---" } else { "---:" }.to_owned()).collect();
        push(&rules);
        self.rows.iter().for_each(|row| push(row));
        out
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn line(out: &mut String, cells: &[String], widths: &[usize]) {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (cell, &w))| if i == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") })
        .collect();
    out.push_str(padded.join("  ").trim_end());
    out.push('\n');
}

/// `0.1234` as `12.3 %`; None as `-`.
pub fn percent(value: Option<f64>) -> String {
    number(value.map(|v| v * 100.0), 1) + if value.is_some_and(f64::is_finite) { " %" } else { "" }
}

/// A number with `decimals` decimals; None as `-`.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    match value {
        Some(v) if v.is_finite() => format!("{v:.decimals$}"),
        _ => "-".to_owned(),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with a unit: `1.5 KiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("B");
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// Seconds as `1:02:03` or `2:03`.
pub fn clock(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!(clock(62.4), "1:02");
        assert_eq!(clock(3_723.0), "1:02:03");
        assert_eq!(clock(f64::NAN), "0:00");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234), "1,234");
        assert_eq!(thousands(123_456), "123,456");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    fn sample() -> Table {
        let mut table = Table::new(["arm", "accuracy"]);
        table.row(["baseline", "9.5 %"]);
        table.row(["hard"]);
        table
    }

    #[test]
    fn numbers_are_flush_right_and_missing_cells_empty() {
        assert_eq!(sample().to_text(), "arm       accuracy\n--------  --------\nbaseline     9.5 %\nhard\n");
    }

    #[test]
    fn markdown_has_a_rule_under_the_headings() {
        assert_eq!(
            sample().to_markdown(),
            "| arm | accuracy |\n| --- | ---: |\n| baseline | 9.5 % |\n| hard |  |\n"
        );
    }

    #[test]
    fn none_is_a_dash() {
        assert_eq!(percent(Some(0.1234)), "12.3 %");
        assert_eq!(percent(Some(f64::NAN)), "-");
        assert_eq!(number(None, 2), "-");
    }
}
