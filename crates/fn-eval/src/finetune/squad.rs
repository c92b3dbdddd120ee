//! Fine-tunes on SQuAD 1.1 or 2.0 with one seed, and answers questions with a fine-tuned model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::task::squad::decode::{DecodeOptions, Decoded, SpanLogits, decode};
use fn_data::task::squad::{Problems, SquadData, Window, WindowOptions, read, text, windows};
use fn_data::tokenise::TextTokenizer;
use fn_models::hf::{self, LoadReport};
use fn_models::{Arch, TaskConfig, TokenModel};
use fn_train::collective::Collective;
use fn_train::stop::Stop;
use serde::{Deserialize, Serialize};

use super::alike::{same_examples, with_example};
use super::card::CARD;
use super::course::{self, Course, Measured, Shared};
use super::fit::{Ended, Job, Recipe, Sequence, find_spans, fit_spans};
use super::results;
use super::{Event, FinetuneError, SeedResult, Task, warnings};
use crate::squad::{ById, Dataset, NoAnswer, Question, Report, Version, score_v1, score_v2};
use crate::table::thousands;

/// Batch size of evaluation, in windows.
const BATCH: usize = 16;

/// How contexts are split into windows and how answers are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquadOptions {
    /// Maximum length of a window, in tokens; question and special tokens included.
    pub length: usize,
    /// Tokens from the start of a window to that of the next.
    pub stride: usize,
    /// Maximum length of a question, in tokens; longer ones are truncated.
    pub question: usize,
    /// Number of best answers that are kept for each question.
    pub n_best: usize,
    /// Maximum length of an answer, in tokens.
    pub max_answer: usize,
}

impl Default for SquadOptions {
    fn default() -> Self {
        let (windows, decode) = (WindowOptions::default(), DecodeOptions::v1());
        Self {
            length: windows.length,
            stride: windows.stride,
            question: windows.question,
            n_best: decode.n_best,
            max_answer: decode.max_answer,
        }
    }
}

impl SquadOptions {
    fn windows(&self) -> WindowOptions {
        WindowOptions { length: self.length, stride: self.stride, question: self.question }
    }

    fn decode(&self, null_threshold: Option<f64>) -> DecodeOptions {
        DecodeOptions { n_best: self.n_best, max_answer: self.max_answer, null_threshold }
    }
}

/// The settings with which a fine-tuned model answers questions, saved beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SquadCard {
    /// `SQuAD`.
    pub task: String,
    /// How contexts are split into windows and how answers are decoded.
    pub options: SquadOptions,
    /// For SQuAD 2.0: the no-answer score above which a question is taken to have no answer. None for SQuAD 1.1.
    pub null_threshold: Option<f64>,
}

impl SquadCard {
    /// Reads the card from a model's folder; None if there is none, or if it is of another task.
    ///
    /// # Errors
    /// A card that cannot be read.
    pub fn read(model: &Path) -> Result<Option<Self>, FinetuneError> {
        let value: Option<serde_json::Value> = results::read(&model.join(CARD))?;
        match value {
            Some(value) if value.get("task").is_some_and(|task| task == "SQuAD") => {
                results::read(&model.join(CARD))
            }
            _ => Ok(None),
        }
    }

    /// As [`SquadCard::read`], but a missing card is an error.
    ///
    /// # Errors
    /// No card, or one that cannot be read.
    pub fn require(model: &Path) -> Result<Self, FinetuneError> {
        Self::read(model)?.ok_or_else(|| FinetuneError::NotForSquad { path: model.to_owned() })
    }
}

/// The recipe of google-research/electra for SQuAD: that for a task of GLUE, but with two epochs.
pub fn squad_recipe(arch: Arch, hidden_size: usize) -> Recipe {
    let of_pairs = Task::Glue(fn_data::task::GlueTask::Qnli).recipe(arch, hidden_size);
    Recipe { epochs: 2.0, double_pairs: false, ..of_pairs }
}

/// Inputs that are the same for all seeds.
pub struct SquadSetup<'a> {
    /// The encoder, in the Hugging Face layout.
    pub model: &'a Path,
    /// Tokenizer of the encoder.
    pub tokenizer: &'a TextTokenizer,
    /// File of training questions.
    pub train: &'a Path,
    /// File of development questions.
    pub dev: &'a Path,
    /// Train only on this many questions, the first of the file.
    pub limit: Option<usize>,
    /// How contexts are split into windows and how answers are decoded.
    pub options: SquadOptions,
    /// The fine-tuning recipe.
    pub recipe: &'a Recipe,
    /// Device to train on, with autodiff.
    pub device: &'a Device,
    /// Polled before each step.
    pub stop: &'a Stop,
    /// Whether the fine-tuned model is saved.
    pub keep_model: bool,
    /// The processes that fine-tune together; a process alone is [`Single`](fn_train::collective::Single).
    pub ranks: &'a dyn Collective,
}

/// Training and development questions, split into windows and tokenised.
pub struct SquadPrepared {
    /// Training sequences.
    train: Vec<Sequence>,
    /// First and last token of the answer in each training sequence.
    spans: Vec<(u32, u32)>,
    /// Development questions.
    dev: Questions,
    /// Number of windows that were left out of training because the answer could not be located in the context.
    pub left_out: usize,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl SquadPrepared {
    /// Compares the windows and answers of all ranks.
    ///
    /// # Errors
    /// Ranks that read other questions than the first one.
    pub fn agree(&self, ranks: &dyn Collective) -> Result<(), FinetuneError> {
        let learnt = self.train.iter().zip(&self.spans).map(|(window, span)| (window, format!("{span:?}")));
        let asked = self.dev.sequences.iter().map(|window| (window, String::new()));
        let each = |checksum, (window, rest): (&Sequence, String)| with_example(checksum, &window.ids, &rest);
        Ok(same_examples(ranks, || learnt.chain(asked).fold(0, each))?)
    }

    /// Number of windows and steps, in one line for the terminal.
    pub fn summary(&self, recipe: &Recipe) -> String {
        let number = |n: usize| thousands(n as u64);
        let (train, steps) = (number(self.train.len()), thousands(recipe.steps(self.train.len())));
        let dev = number(self.dev.windows.len());
        format!("SQuAD: {train} training windows, {steps} steps a seed; {dev} development windows")
    }
}

/// A file of questions and its windows.
struct Questions {
    data: SquadData,
    scored: Dataset,
    windows: Vec<Window>,
    sequences: Vec<Sequence>,
}

impl Questions {
    fn open(
        path: &Path,
        tokenizer: &TextTokenizer,
        options: &SquadOptions,
        limit: Option<usize>,
    ) -> Result<Self, FinetuneError> {
        let mut data = read(path, Problems::Count)?;
        if let Some(limit) = limit {
            first_questions(&mut data, limit);
        }
        let scored = Dataset::from_json(&text(path)?, path)?;
        let windows = windows(&data, tokenizer, &options.windows())?;
        let of = |w: &Window| Sequence { ids: w.ids.clone(), token_type: w.token_types.clone() };
        let sequences = windows.iter().map(of).collect();
        Ok(Self { data, scored, windows, sequences })
    }

    /// Best answers of all questions; the empty answer wins where its score is above `threshold`. None if a stop was requested.
    fn answer(
        &self,
        model: &TokenModel,
        options: &SquadOptions,
        threshold: Option<f64>,
        device: &Device,
        stop: &Stop,
    ) -> Result<Option<Decoded>, FinetuneError> {
        let Some(spans) = find_spans(model, &self.sequences, BATCH, device, stop) else {
            return Ok(None);
        };
        let logits: Vec<SpanLogits<'_>> =
            spans.iter().map(|(start, end)| SpanLogits { start, end }).collect();
        Ok(Some(decode(&self.data, &self.windows, &logits, &options.decode(threshold))?))
    }
}

fn first_questions(data: &mut SquadData, limit: usize) {
    let mut left = limit;
    for paragraph in &mut data.paragraphs {
        paragraph.questions.truncate(left);
        left -= paragraph.questions.len();
    }
    data.paragraphs.retain(|p| !p.questions.is_empty());
}

/// Reads both files and splits them into windows.
///
/// # Errors
/// A file that cannot be read; no usable training question.
pub fn prepare_squad(setup: &SquadSetup<'_>) -> Result<SquadPrepared, FinetuneError> {
    let learnt = Questions::open(setup.train, setup.tokenizer, &setup.options, setup.limit)?;
    let dev = Questions::open(setup.dev, setup.tokenizer, &setup.options, None)?;
    check_scoring(&dev.scored)?;
    let mut warnings = learnt.data.report.warnings();
    warnings.extend(dev.data.report.warnings());
    let (mut train, mut spans, mut left_out) = (Vec::new(), Vec::new(), 0);
    for (window, sequence) in learnt.windows.iter().zip(learnt.sequences) {
        match window.target {
            Some(target) => {
                train.push(sequence);
                spans.push((target.start as u32, target.end as u32));
            }
            None => left_out += 1,
        }
    }
    if left_out > 0 {
        warnings.push(format!(
            "{}: {left_out} windows of questions without a usable answer were left out of training",
            setup.train.display()
        ));
    }
    if train.is_empty() {
        return Err(fn_data::task::TaskError::NoRows { path: setup.train.to_owned() }.into());
    }
    let pieces = train.iter().flat_map(|sequence| &sequence.ids);
    warnings.extend(warnings::of_pieces(pieces, setup.tokenizer));
    let (arch, config) = hf::read_encoder(setup.model)?;
    warnings.extend(warnings::of_rate(setup.recipe, &squad_recipe(arch, config.hidden_size)));
    Ok(SquadPrepared { train, spans, dev, left_out, warnings })
}

/// Scores the first reference of each question as if it were predicted, so that errors of scoring are found before training.
fn check_scoring(data: &Dataset) -> Result<(), FinetuneError> {
    let first = |question: &Question| question.references().next().unwrap_or_default().to_owned();
    let answers = by_id(data.questions().map(|question| (question.id.clone(), first(question))).collect())?;
    match data.version() {
        Version::V1 => score_v1(data, &answers)?,
        Version::V2 => score_v2(data, &answers, None)?,
    };
    Ok(())
}

/// Fine-tunes, answers and scores with one seed, or reads the result of a finished run. None if a stop was requested.
///
/// # Errors
/// See [`FinetuneError`].
pub fn run_squad_seed(
    setup: &SquadSetup<'_>,
    prepared: &SquadPrepared,
    seed: u64,
    dir: &Path,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Option<SeedResult>, FinetuneError> {
    course::run(&Tuning { setup, prepared }, seed, dir, tell)
}

struct Tuning<'a> {
    setup: &'a SquadSetup<'a>,
    prepared: &'a SquadPrepared,
}

impl Tuning<'_> {
    fn assess(&self, model: &TokenModel) -> Result<Option<(Decoded, Scored)>, FinetuneError> {
        let SquadSetup { options, device, stop, .. } = self.setup;
        let dev = &self.prepared.dev;
        assess(dev, model, options, dev.scored.version(), device, stop)
    }
}

impl Course for Tuning<'_> {
    type Model = TokenModel;

    fn shared(&self) -> Shared<'_> {
        let SquadSetup { model, tokenizer, options, recipe, device, stop, keep_model, ranks, .. } =
            *self.setup;
        Shared {
            task: "SQuAD",
            kind: None,
            model,
            tokenizer,
            recipe,
            length: options.length,
            train_examples: self.prepared.train.len(),
            warnings: &self.prepared.warnings,
            device,
            stop,
            keep_model,
            ranks,
        }
    }

    fn load(&self, seed: u64) -> Result<(TokenModel, TaskConfig, LoadReport), FinetuneError> {
        Ok(hf::load_spans(self.setup.model, seed, self.setup.device)?)
    }

    fn fit(&self, model: TokenModel, job: &mut Job<'_>) -> Result<Ended<TokenModel>, FinetuneError> {
        let measure = |model: &TokenModel| {
            let found = self.assess(model);
            found.ok().flatten().map(|(_, scored)| scored.f1())
        };
        Ok(fit_spans(model, job, &self.prepared.train, &self.prepared.spans, Some(&measure))?)
    }

    fn measure(
        &self,
        model: &TokenModel,
        dir: &Path,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<Measured>, FinetuneError> {
        tell(Event::Predicting("SQuAD"));
        let Some((decoded, scored)) = self.assess(model)? else {
            return Ok(None);
        };
        write_answers(dir, &decoded)?;
        Ok(Some(Measured {
            main: scored.f1(),
            metric: "f1".to_owned(),
            scores: BTreeMap::from([("dev".to_owned(), scored.figures())]),
            null_threshold: scored.threshold,
            warnings: Vec::new(),
        }))
    }

    fn save(
        &self,
        model: &TokenModel,
        config: &TaskConfig,
        null_threshold: Option<f64>,
        folder: &Path,
    ) -> Result<(), FinetuneError> {
        hf::save_spans(folder, model, config)?;
        let card = SquadCard { task: "SQuAD".to_owned(), options: self.setup.options, null_threshold };
        results::write(&folder.join(CARD), &card)
    }
}

/// Scores on the development questions, by the rules of the file's version of SQuAD.
struct Scored {
    report: Report,
    /// No-answer threshold; chosen on the same file, as in the official script. None for SQuAD 1.1.
    threshold: Option<f64>,
}

impl Scored {
    fn f1(&self) -> f64 {
        self.report.total.f1
    }

    fn figures(&self) -> BTreeMap<String, Option<f64>> {
        let report = &self.report;
        let mut out = BTreeMap::from([
            ("exact".to_owned(), Some(report.total.exact)),
            ("f1".to_owned(), Some(report.total.f1)),
        ]);
        for (name, part) in [("has_answer", report.has_answer), ("no_answer", report.no_answer)] {
            if let Some(part) = part.filter(|_| self.threshold.is_some()) {
                out.insert(format!("{name}_exact"), Some(part.exact));
                out.insert(format!("{name}_f1"), Some(part.f1));
            }
        }
        if let Some(threshold) = self.threshold {
            out.insert("null_threshold".to_owned(), Some(threshold));
        }
        out
    }
}

/// Answers the questions and scores the answers; for SQuAD 2.0 with the threshold that gives the best F1 on these questions.
fn assess(
    questions: &Questions,
    model: &TokenModel,
    options: &SquadOptions,
    version: Version,
    device: &Device,
    stop: &Stop,
) -> Result<Option<(Decoded, Scored)>, FinetuneError> {
    if version == Version::V1 {
        let Some(decoded) = questions.answer(model, options, None, device, stop)? else {
            return Ok(None);
        };
        let report = score_v1(&questions.scored, &by_id(decoded.predictions.clone())?)?;
        return Ok(Some((decoded, Scored { report, threshold: None })));
    }
    // An infinite threshold: the search for the best one needs the best non-empty answer of each question.
    let Some(raw) = questions.answer(model, options, Some(f64::INFINITY), device, stop)? else {
        return Ok(None);
    };
    let (predictions, odds) = (by_id(raw.predictions.clone())?, by_id(raw.null_odds.clone())?);
    let searched =
        score_v2(&questions.scored, &predictions, Some(NoAnswer { scores: &odds, threshold: 0.0 }))?;
    let threshold = searched.best.map_or(0.0, |best| best.f1.threshold);
    let decoded = refuse(raw, threshold);
    let report = score_v2(&questions.scored, &by_id(decoded.predictions.clone())?, None)?;
    Ok(Some((decoded, Scored { report, threshold: Some(threshold) })))
}

/// Replaces answers whose no-answer score is above the threshold by the empty answer.
fn refuse(mut decoded: Decoded, threshold: f64) -> Decoded {
    for (id, text) in &mut decoded.predictions {
        if decoded.null_odds.get(id).is_some_and(|&odds| odds > threshold) {
            text.clear();
        }
    }
    decoded
}

fn by_id<T>(values: BTreeMap<String, T>) -> Result<ById<T>, FinetuneError> {
    Ok(ById::new(values)?)
}

/// Answers the questions of a file with a fine-tuned model and writes the official prediction files into `out`. None if a stop
/// was requested.
///
/// # Errors
/// See [`FinetuneError`].
pub fn predict_squad(
    model: &Path,
    tokenizer: &TextTokenizer,
    card: &SquadCard,
    questions: &Path,
    out: &Path,
    device: &Device,
    stop: &Stop,
) -> Result<Option<Vec<PathBuf>>, FinetuneError> {
    let (loaded, _, report) = hf::load_spans(model, 0, device)?;
    if !report.missing.is_empty() {
        return Err(FinetuneError::WrongModel {
            path: model.to_owned(),
            found: format!("no {}", report.missing.join(", ")),
            expected: "a model that was fine-tuned on SQuAD".to_owned(),
            remedy: "give the model/ folder that `fnlm squad` wrote",
        });
    }
    hf::check_fit(model, tokenizer.size(), card.options.length)?;
    hf::check_padding(model, tokenizer.special().pad)?;
    let questions = Questions::open(questions, tokenizer, &card.options, None)?;
    let found = questions.answer(&loaded, &card.options, card.null_threshold, device, stop)?;
    found.map(|decoded| write_answers(out, &decoded)).transpose()
}

/// Writes `predictions.json`, `nbest_predictions.json` and, where a question may have no answer, `null_odds.json` (differences
/// of logits) and `na_prob.json` (their sigmoid: what the official script takes).
fn write_answers(dir: &Path, decoded: &Decoded) -> Result<Vec<PathBuf>, FinetuneError> {
    std::fs::create_dir_all(dir).map_err(FinetuneError::io(dir, "create"))?;
    let path = |name: &str| dir.join(name);
    results::write(&path("predictions.json"), &decoded.predictions)?;
    results::write(&path("nbest_predictions.json"), &decoded.nbest)?;
    let mut written = vec![path("predictions.json"), path("nbest_predictions.json")];
    if !decoded.null_odds.is_empty() {
        let probability: BTreeMap<&String, f64> =
            decoded.null_odds.iter().map(|(id, odds)| (id, 1.0 / (1.0 + (-odds).exp()))).collect();
        results::write(&path("null_odds.json"), &decoded.null_odds)?;
        results::write(&path("na_prob.json"), &probability)?;
        written.extend([path("null_odds.json"), path("na_prob.json")]);
    }
    Ok(written)
}
