//! From files to figures: everything of `fnlm probe judge` but arguments and printing.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_core::files::write_atomic;
use fn_core::judge::{Bands, Verifier};
use fn_data::lexicon::{CalibratedOptions, Calibration, Relations, WordNet, build_calibrated_lexicon};
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::Table;
use fn_train::objective::{EncoderCalibration, EncoderError, EncoderJudge};

use super::context::masked_lm;
use super::{
    EmbeddingCosine, ExamError, Filled, Grades, InContext, Judge, LexiconTable, Recorded, Report, Scale,
    cross_validated, fit, fit_encoder, page, read, report, token_vectors,
};

/// Folds of the combination.
const FOLDS: usize = 10;
/// Seed of folds and of resamples.
const SEED: u64 = 1;

/// What is asked, and who.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Files of what people said.
    pub data: Vec<PathBuf>,
    /// Lexicons.
    pub lexicons: Vec<PathBuf>,
    /// WordNet whose lexicon is built as a run with `lexicon.wordnet` builds it.
    pub built_from: Option<PathBuf>,
    /// Encoder folders whose token tables are compared.
    pub embeddings: Vec<PathBuf>,
    /// Folder of an encoder that reads contexts.
    pub encoder: Option<PathBuf>,
    /// Its layers.
    pub layers: usize,
    /// Its calibration: read, or written where `fit` is given. None: only where `fit` is given.
    pub calibration: Option<PathBuf>,
    /// What the encoder is fitted to.
    pub fit: Option<PathBuf>,
    /// Masked language models that verify.
    pub verifiers: Vec<PathBuf>,
    /// A masked LM that fills 15 % of the other places; judges of contexts are asked with and without.
    pub student: Option<PathBuf>,
    /// WordNet: traps, and relations of the encoder.
    pub wordnet: Option<PathBuf>,
    /// Whether all judges are also asked together, by a cross-validated regression.
    pub combine: bool,
    /// The configured threshold.
    pub threshold: f64,
    /// Resamples of the intervals.
    pub resamples: usize,
    /// Mistakes that are shown of each kind.
    pub worst: usize,
}

/// What all judges scored in all exams.
#[derive(Debug)]
pub struct Examined {
    /// One for each exam and judge.
    pub reports: Vec<Report>,
    /// Curves and mistakes, to be opened in a browser.
    pub page: String,
    /// By exam: what was asked, and three tables.
    exams: Vec<(String, [Table; 3])>,
}

impl Examined {
    /// The tables as text or Markdown.
    pub fn text(&self, markdown: bool) -> String {
        let print = |table: &Table| if markdown { table.to_markdown() } else { table.to_text() };
        let mut out = String::new();
        for (heading, [figures, operating, groups]) in &self.exams {
            out.push_str(&format!(
                "{heading}\n{}\n\nat the configured threshold:\n{}\nby group:\n{}\n",
                print(figures),
                print(operating),
                print(groups)
            ));
        }
        out
    }

    /// All figures, as JSON.
    ///
    /// # Errors
    /// None in practice: figures are numbers and names.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&self.reports)
    }
}

/// Reads files and judges, asks, compares. `say` hears of fitted figures.
///
/// # Errors
/// Files that cannot be read or do not fit together; nobody to ask.
pub fn examine(
    asked: &Asked,
    tokenizer: &TextTokenizer,
    device: &Device,
    say: &mut dyn FnMut(String),
) -> Result<Examined, ExamError> {
    let relations = relations(asked.wordnet.as_deref(), tokenizer)?;
    let exams = asked.data.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let exams: Vec<_> = exams.into_iter().flatten().collect();
    let filled =
        asked.student.as_deref().map(|folder| Filled::open(folder, tokenizer, device)).transpose()?;
    let judges = judges(asked, (tokenizer, device), relations.as_ref(), filled.as_ref(), say)?;
    let recorded = exams.iter().any(|exam| exam.recorded.is_some() || !exam.scores.is_empty());
    if judges.is_empty() && !recorded {
        return Err(ExamError::NoJudge);
    }
    let (mut done, mut tables) = (Vec::new(), Vec::new());
    for exam in &exams {
        // Whoever reads a model's errors saw real errors: traps belong to lists of substitutes.
        let prepared = exam.prepare(tokenizer, relations.as_ref().filter(|_| exam.lemmas))?;
        let own = exam.recorded.iter().flat_map(|_| [Recorded::Probability, Recorded::Ratio]);
        let scored = exam.scores.iter().map(|(name, _)| Recorded::Score(name.clone()));
        let own: Vec<Box<dyn Judge>> =
            own.chain(scored).map(|judge| Box::new(judge) as Box<dyn Judge>).collect();
        let mut graded: Vec<(String, Grades)> = Vec::new();
        for judge in judges.iter().chain(&own) {
            graded.push((judge.name(), judge.grade(&prepared)?));
        }
        if asked.combine && graded.len() > 1 {
            let all: Vec<Grades> = graded.iter().map(|(_, grades)| grades.clone()).collect();
            let name = format!("all of these, cross-validated ({FOLDS} folds)");
            graded.push((name, cross_validated(&prepared, &all, FOLDS, SEED)?));
        }
        let of = |(name, grades): (String, Grades)| {
            report(&prepared, &name, grades, asked.threshold, (asked.resamples, SEED), asked.worst)
        };
        let reports: Vec<Report> = graded.into_iter().map(of).collect();
        let [antonyms, sisters, inflections] = reports.first().map_or([0; 3], |report| report.traps);
        let people = prepared.pairs.iter().filter(|pair| pair.asked).count();
        let heading = format!(
            "{}: {people} pairs that were labelled; traps: {antonyms} antonyms, {sisters} sisters, {inflections} inflections\n{}",
            exam.name, prepared.left_out
        );
        let mut figures = Table::new(Report::HEADINGS);
        reports.iter().for_each(|report| figures.row(report.row()));
        let [operating, groups] = Report::tables(&reports);
        tables.push((heading, [figures, operating, groups]));
        done.push((prepared, reports));
    }
    let page = page(&done, &|id| tokenizer.piece(id))?;
    Ok(Examined { reports: done.into_iter().flat_map(|(_, reports)| reports).collect(), page, exams: tables })
}

fn judges<'a>(
    asked: &Asked,
    (tokenizer, device): (&'a TextTokenizer, &Device),
    relations: Option<&Relations>,
    filled: Option<&'a Filled>,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Box<dyn Judge + 'a>>, ExamError> {
    let mut judges: Vec<Box<dyn Judge + 'a>> = Vec::new();
    for path in &asked.lexicons {
        judges.push(Box::new(LexiconTable::open(path)?));
    }
    if let Some(dict) = &asked.built_from {
        judges.push(Box::new(LexiconTable::at_start(dict, tokenizer)?));
    }
    for path in &asked.embeddings {
        judges.push(Box::new(EmbeddingCosine::open(path, device)?));
    }
    let ways: Vec<Option<&'a Filled>> = match filled {
        Some(filled) => vec![None, Some(filled)],
        None => vec![None],
    };
    if let Some(folder) = &asked.encoder {
        let calibration = encoder_calibration(asked, folder, (tokenizer, device), relations)?;
        say(format!("encoder after {} layers: {}", calibration.layers, calibration.regression));
        for filled in &ways {
            let length = super::context::LONGEST;
            let judge =
                EncoderJudge::with(folder, calibration.clone(), relations, tokenizer, length, device)?;
            judges.push(Box::new(InContext {
                name: format!("encoder {}, {} layers", folder.display(), calibration.layers),
                judge: Box::new(judge),
                tokenizer,
                device: device.clone(),
                filled: *filled,
                scale: Scale::Probability,
            }));
        }
    }
    for folder in &asked.verifiers {
        for filled in &ways {
            // Bands so wide that nearly every ratio has a grade of its own.
            let bands = Bands { low: 1e-3, high: 1e6 };
            let judge = Verifier::new(masked_lm(folder, tokenizer, device)?, tokenizer.special().mask, bands);
            judges.push(Box::new(InContext {
                name: format!("verifier {}", folder.display()),
                judge: Box::new(judge),
                tokenizer,
                device: device.clone(),
                filled: *filled,
                scale: Scale::Plain,
            }));
        }
    }
    Ok(judges)
}

/// Fitted and written, or read.
fn encoder_calibration(
    asked: &Asked,
    folder: &Path,
    (tokenizer, device): (&TextTokenizer, &Device),
    relations: Option<&Relations>,
) -> Result<EncoderCalibration, ExamError> {
    match (&asked.fit, &asked.calibration) {
        (Some(path), written) => {
            let exam = first(path)?;
            let prepared = exam.prepare(tokenizer, relations)?;
            let fitted = fit_encoder(&prepared, folder, asked.layers, relations, tokenizer, device)?;
            if let Some(path) = written {
                let text = serde_json::to_string_pretty(&fitted).unwrap_or_default();
                let io = |source| ExamError::Write { path: path.to_owned(), source };
                write_atomic(path, format!("{text}\n").as_bytes()).map_err(io)?;
            }
            Ok(fitted)
        }
        (None, Some(path)) => Ok(EncoderCalibration::load(path)?),
        (None, None) => Err(EncoderError::NoCalibration { layers: asked.layers }.into()),
    }
}

/// The first exam of a file; readings of errors have two.
fn first(path: &Path) -> Result<super::Exam, ExamError> {
    let exams = read(path)?;
    exams.into_iter().next().ok_or_else(|| ExamError::Nothing {
        name: path.display().to_string(),
        opinions: 0,
        left_out: "the file is empty".to_owned(),
    })
}

fn relations(dict: Option<&Path>, tokenizer: &TextTokenizer) -> Result<Option<Relations>, ExamError> {
    let Some(dict) = dict else { return Ok(None) };
    Ok(Some(Relations::new(&WordNet::open(dict)?, tokenizer.spelled())))
}

/// The lexicon of `fnlm lexicon build --embeddings`: the token table of the encoder in `folder`, WordNet's relations if `wordnet` is given,
/// and the labels of `labels` or the figures that come with the program. `say` hears of the figures, and of what cannot be told.
///
/// # Errors
/// Files that cannot be read or do not fit together; options out of range; labels that nothing can be fitted to.
pub fn calibrated_lexicon(
    folder: &Path,
    wordnet: Option<&Path>,
    labels: Option<&Path>,
    (tokenizer, device): (&TextTokenizer, &Device),
    options: &CalibratedOptions,
    say: &mut dyn FnMut(String),
) -> Result<fn_core::lexicon::Lexicon, ExamError> {
    options.validate()?;
    let relations = relations(wordnet, tokenizer)?;
    let relations = relations.as_ref();
    let vectors = token_vectors(folder, tokenizer, device)?;
    let calibration = match labels {
        Some(path) => fit(&first(path)?.prepare(tokenizer, relations)?, &vectors, relations)?,
        None => Calibration::shipped(relations.is_some()),
    };
    say(calibration.to_string());
    if relations.is_none() {
        say("without --wordnet, antonyms, words of one topic and other forms of a word cannot be told from synonyms, and stay in".into());
    }
    let (pieces, sha256) = (tokenizer.spelled(), tokenizer.sha256());
    Ok(build_calibrated_lexicon(&vectors, relations, pieces, sha256, &calibration, options)?)
}
