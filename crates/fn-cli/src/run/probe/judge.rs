//! `fnlm probe judge`: judges held against people.

use fn_core::files::write_atomic;
use fn_data::lexicon::{Relations, WordNet};
use fn_eval::table::Table;
use fn_study::exam::{self, EmbeddingCosine, Judge, LexiconTable, Report};

use crate::args::ProbeJudgeArgs;
use crate::error::{CliError, Outcome};
use crate::run::support;
use crate::term;

/// Runs it.
///
/// # Errors
/// Data, judges or WordNet that cannot be read or do not fit (3), a threshold out of range (2).
pub fn run(args: &ProbeJudgeArgs) -> Result<Outcome, CliError> {
    if !(args.threshold > 0.0 && args.threshold <= 1.0) {
        return Err(CliError::usage(format!("--threshold {}: must be above 0, at most 1", args.threshold)));
    }
    let Some(path) = args.tokenizer.as_ref().or(args.embeddings.first()) else {
        return Err(CliError::usage("give --tokenizer PATH"));
    };
    let tokenizer = support::tokenizer(path)?;
    let mut judges: Vec<Box<dyn Judge>> = Vec::new();
    for path in &args.lexicon {
        judges.push(Box::new(LexiconTable::open(path)?));
    }
    for path in &args.embeddings {
        judges.push(Box::new(EmbeddingCosine::open(path)?));
    }
    let relations = match &args.wordnet {
        Some(dict) => {
            let net = WordNet::open(dict).map_err(CliError::input_from)?;
            Some(Relations::new(&net, tokenizer.pieces()))
        }
        None => None,
    };
    let mut exams = Vec::new();
    for path in &args.data {
        exams.extend(exam::read(path)?);
    }
    let mut done: Vec<(exam::Prepared<'_>, Vec<Report>)> = Vec::new();
    for asked in &exams {
        // Whoever reads a model's errors saw real errors: traps belong to lists of substitutes.
        let traps = relations.as_ref().filter(|_| asked.lemmas);
        let prepared = asked.prepare(&tokenizer, traps)?;
        let mut reports = Vec::new();
        for judge in &judges {
            let grades = judge.grade(&prepared)?;
            let resampling = (args.resamples, 1);
            reports.push(exam::report(
                &prepared,
                &judge.name(),
                grades,
                args.threshold,
                resampling,
                args.worst,
            ));
        }
        done.push((prepared, reports));
    }
    if let Some(path) = &args.html {
        let page = exam::page(&done, &|id| tokenizer.piece(id))?;
        write_atomic(path, page.as_bytes()).map_err(|error| CliError::io("write", path, error))?;
        term::note(args.common.quiet, &format!("page: {}", path.display()));
    }
    if args.format.json {
        let reports: Vec<&Report> = done.iter().flat_map(|(_, reports)| reports).collect();
        let text = serde_json::to_string_pretty(&reports).map_err(CliError::failed_from)?;
        term::out(&format!("{text}\n"))?;
        return Ok(Outcome::Done);
    }
    let print = |table: &Table| if args.format.markdown { table.to_markdown() } else { table.to_text() };
    for (prepared, reports) in &done {
        let mut table = Table::new(Report::HEADINGS);
        reports.iter().for_each(|report| table.row(report.row()));
        let [operating, groups] = Report::tables(reports);
        let [antonyms, sisters, inflections] = reports.first().map_or([0; 3], |report| report.traps);
        let asked = prepared.pairs.iter().filter(|pair| pair.asked).count();
        term::out(&format!(
            "{}: {asked} pairs that people were asked about; traps: {antonyms} antonyms, {sisters} sisters, {inflections} inflections\n\
             {}\n\n{}\nat the configured threshold:\n{}\nby {}:\n{}\n",
            prepared.exam.name,
            prepared.left_out,
            print(&table),
            print(&operating),
            prepared.exam.grouped_by,
            print(&groups)
        ))?;
    }
    Ok(Outcome::Done)
}
