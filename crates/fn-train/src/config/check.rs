//! The ranges of the keys, and combinations of values that are refused.

use std::path::{Path, PathBuf};

use fn_core::correct::detection::DetectionKind;
use fn_core::correct::{CorrectionKind, HardConfig, Normalise, WeightConfig};
use fn_core::sample::Prediction;
use fn_data::synthetic::{SyntheticError, SyntheticKind};

use super::{ConfigError, CorrectionPreset, JudgeKind, Replacements, RunConfig, VerifierConfig, nearest};
use crate::heldout::selectable;

/// Most sizes that the batch grows through; each is looked up for each batch.
const MOST_LEVELS: usize = 4096;
/// Most tokens of a micro-batch: the activations of more would fill the memory of any device.
const MOST_TOKENS: usize = 1 << 24;
/// Most micro-batches of a step.
const MOST_MICRO_BATCHES: usize = 1 << 20;

fn check(ok: bool, key: &str, found: String, allowed: &str) -> Result<(), ConfigError> {
    match ok {
        true => Ok(()),
        false => Err(ConfigError::OutOfRange { key: key.to_string(), found, allowed: allowed.to_string() }),
    }
}

fn share(value: f64, key: &str) -> Result<(), ConfigError> {
    check((0.0..1.0).contains(&value), key, value.to_string(), "0 or more, below 1")
}

fn at_least_zero(value: f64, key: &str) -> Result<(), ConfigError> {
    check(value >= 0.0 && value.is_finite(), key, value.to_string(), "a finite number, 0 or more")
}

fn section(section: &'static str, message: String) -> ConfigError {
    ConfigError::Section { section, message }
}

impl RunConfig {
    /// Checks every value and their combinations; reads no file.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let least = |value: u64, least: u64, key: &str| {
            check(value >= least, key, value.to_string(), &format!("{least} or more"))
        };
        let positive = |value: f64, key: &str| {
            check(value > 0.0 && value.is_finite(), key, value.to_string(), "a finite number above 0")
        };

        check(self.seed < 1 << 63, "seed", self.seed.to_string(), "0 to 9223372036854775807")?;

        let m = &self.model;
        least(m.hidden_size as u64, 1, "model.hidden_size")?;
        least(m.embedding_size as u64, 1, "model.embedding_size")?;
        least(m.num_layers as u64, 1, "model.num_layers")?;
        least(m.num_heads as u64, 1, "model.num_heads")?;
        check(
            m.hidden_size.is_multiple_of(m.num_heads),
            "model.num_heads",
            m.num_heads.to_string(),
            &format!("a divisor of model.hidden_size = {}", m.hidden_size),
        )?;
        least(m.intermediate_size as u64, 1, "model.intermediate_size")?;
        least(m.max_positions as u64, 1, "model.max_positions")?;
        least(m.type_vocab as u64, 1, "model.type_vocab")?;
        share(m.hidden_dropout, "model.hidden_dropout")?;
        share(m.attention_dropout, "model.attention_dropout")?;
        for (value, key) in
            [(m.generator_width, "model.generator_width"), (m.generator_depth, "model.generator_depth")]
        {
            check(value > 0.0 && value <= 1.0, key, value.to_string(), "above 0, at most 1")?;
        }
        let detects = m.arch.has_discriminator();
        check(
            m.generator_width == 1.0 || m.init.is_some() || !(detects && m.arch.is_modern()),
            "model.generator_width",
            m.generator_width.to_string(),
            "1 with model.arch = modern-electra: ModernBERT has no projection between embeddings and layers; `model.generator_depth` makes \
             the generator smaller",
        )?;
        check(
            detects || m.embedding_sharing.is_tied(),
            "model.embedding_sharing",
            m.embedding_sharing.name().to_owned(),
            "tied (not set) without a discriminator: set model.arch = electra or modern-electra",
        )?;
        at_least_zero(m.init_std, "model.init_std")?;
        positive(m.layer_norm_eps, "model.layer_norm_eps")?;
        if let Some(size) = m.vocab_size {
            check(
                (5..=u32::MAX as usize).contains(&size),
                "model.vocab_size",
                size.to_string(),
                "5 (the special tokens) to 4294967295, and no fewer than the tokenizer has",
            )?;
        }

        let d = &self.data;
        check(
            (8..=m.max_positions).contains(&d.length) || (m.init.is_some() && d.length >= 8),
            "data.length",
            d.length.to_string(),
            &format!("8 to model.max_positions = {}", m.max_positions),
        )?;
        check(d.length <= u16::MAX as usize, "data.length", d.length.to_string(), "8 to 65535")?;
        check(!d.json_field.is_empty(), "data.json_field", "empty".into(), "the name of a field")?;
        check(!d.parquet_column.is_empty(), "data.parquet_column", "empty".into(), "the name of a column")?;
        check(d.workers <= 256, "data.workers", d.workers.to_string(), "0 to 256")?;

        super::mixture::check(self)?;

        let s = &d.synthetic;
        s.validate().map_err(|e| match e {
            SyntheticError::OutOfRange { field, found, expected } => ConfigError::OutOfRange {
                key: format!("data.synthetic.{field}"),
                found,
                allowed: expected.to_string(),
            },
            e => section("data.synthetic", e.to_string()),
        })?;
        let (good, allowed) = match s.kind {
            SyntheticKind::None => (s.steps == 0, "0 with data.synthetic.kind = none".to_string()),
            _ => (
                (1..self.train.steps).contains(&s.steps),
                format!("1 or more, and below train.steps = {}", self.train.steps),
            ),
        };
        check(good, "data.synthetic.steps", s.steps.to_string(), &allowed)?;
        self.corruption.validate().map_err(|e| section("corruption", e.to_string()))?;
        self.validate_correction()?;
        self.optimizer.validate().map_err(|e| section("optimizer", e.to_string()))?;
        self.schedule.validate().map_err(|e| section("schedule", e.to_string()))?;
        let resolved = self.schedule.clone().resolved(self.train.steps);
        check(
            self.schedule.decay <= resolved.total.saturating_sub(self.schedule.warmup),
            "schedule.decay",
            self.schedule.decay.to_string(),
            &format!(
                "at most {} steps, the run without its warm-up",
                resolved.total.saturating_sub(self.schedule.warmup)
            ),
        )?;

        if let Some(width) = self.lexicon.max_width {
            least(width as u64, 1, "lexicon.max_width")?;
        }

        let t = &self.train;
        least(t.steps, 1, "train.steps")?;
        let runs_out = self.schedule.runs_out();
        check(
            self.schedule.total == 0 || self.schedule.total >= t.steps || !runs_out,
            "schedule.total",
            self.schedule.total.to_string(),
            &format!(
                "0 (the length of the run), or at least train.steps = {}: the rate is 0 afterwards",
                t.steps
            ),
        )?;
        least(t.batch as u64, 1, "train.batch")?;
        least(t.accumulation as u64, 1, "train.accumulation")?;
        let most = MOST_TOKENS / d.length;
        check(
            t.batch <= most,
            "train.batch",
            t.batch.to_string(),
            &format!(
                "1 to {most} sequences of data.length = {}; a larger batch is divided into micro-batches by `train.accumulation`",
                d.length
            ),
        )?;
        check(
            t.accumulation <= MOST_MICRO_BATCHES,
            "train.accumulation",
            t.accumulation.to_string(),
            &format!("1 to {MOST_MICRO_BATCHES}"),
        )?;
        self.validate_batch_warmup()?;
        share(self.average.decay, "average.decay")?;
        check(
            self.average.start == 0 || self.average.decay > 0.0,
            "average.start",
            self.average.start.to_string(),
            "0 (not set) without an `average.decay`",
        )?;
        check(
            self.average.start < t.steps,
            "average.start",
            self.average.start.to_string(),
            &format!("below train.steps = {}", t.steps),
        )?;
        at_least_zero(t.discriminator_weight, "train.discriminator_weight")?;
        at_least_zero(t.masked_lm_weight, "train.masked_lm_weight")?;
        positive(t.temperature, "train.temperature")?;
        check(!t.device.is_empty(), "train.device", "empty".into(), "flex, vulkan, vulkan:0, cuda:1, ...")?;
        if let Some(threads) = t.threads {
            check((1..=1024).contains(&threads), "train.threads", threads.to_string(), "1 to 1024")?;
        }
        least(u64::from(t.max_skipped), 1, "train.max_skipped")?;
        check(
            (1..=86_400).contains(&t.rank_timeout),
            "train.rank_timeout",
            t.rank_timeout.to_string(),
            "1 to 86400 seconds",
        )?;

        least(self.checkpoint.every, 1, "checkpoint.every")?;
        least(self.checkpoint.keep_last as u64, 1, "checkpoint.keep_last")?;
        self.check_metric()?;
        least(self.log.every, 1, "log.every")?;
        Ok(())
    }

    /// Checks the batch warm-up.
    fn validate_batch_warmup(&self) -> Result<(), ConfigError> {
        let t = &self.train;
        let (first, last, tokens) = (t.accumulation_start, t.accumulation, t.batch_warmup_tokens);
        check(
            (first == 0) == (tokens == 0),
            "train.batch_warmup_tokens",
            tokens.to_string(),
            "set together with `train.accumulation_start`, or neither of them",
        )?;
        let divides =
            first == 0 || (last.is_multiple_of(first) && (2..=MOST_LEVELS).contains(&(last / first)));
        let allowed = format!(
            "0 (no warm-up), or a number of which train.accumulation = {last} is a multiple, 2 to {MOST_LEVELS} times as much"
        );
        check(divides, "train.accumulation_start", first.to_string(), &allowed)
    }

    fn check_metric(&self) -> Result<(), ConfigError> {
        let lexicon =
            [&self.eval.lexicon, &self.lexicon.path, &self.lexicon.wordnet].iter().any(|path| path.is_some());
        let known: Vec<&str> = selectable(self.model.arch.has_discriminator(), lexicon).collect();
        let metric = &self.eval.metric;
        let meant = nearest(metric, known.iter().copied());
        let meant = meant.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let allowed = format!("a held-out metric of this run: {}{meant}", known.join(", "));
        check(known.contains(&metric.as_str()), "eval.metric", format!("`{metric}`"), &allowed)
    }

    fn validate_correction(&self) -> Result<(), ConfigError> {
        self.correction.masked_lm.validate().map_err(|e| section("correction.masked_lm", e.to_string()))?;
        self.correction
            .discriminator
            .validate()
            .map_err(|e| section("correction.discriminator", e.to_string()))?;
        at_least_zero(self.correction.hard_negatives, "correction.hard_negatives")?;
        check(
            self.correction.hard_negatives <= 50.0,
            "correction.hard_negatives",
            self.correction.hard_negatives.to_string(),
            "0 to 50",
        )?;
        share(self.correction.verifier.decay, "correction.verifier.decay")?;
        check(
            self.correction.verifier.decay == 0.0 || self.correction.verifier.model.is_none(),
            "correction.verifier.decay",
            self.correction.verifier.decay.to_string(),
            "0 together with `correction.verifier.model`: the judge is either that model or an average of the trained one",
        )?;
        self.correction
            .verifier
            .bands()
            .validate()
            .map_err(|e| section("correction.verifier", e.to_string()))?;
        check(
            self.correction.prediction != Prediction::Expected,
            "correction.prediction",
            "expected".into(),
            "argmax or sample (a judge needs a single token; `expected` is for soft regularisation)",
        )?;
        let threshold = self.correction.threshold;
        check(
            threshold > 0.0 && threshold <= 1.0,
            "correction.threshold",
            threshold.to_string(),
            "above 0 to 1",
        )?;
        let electra = self.model.arch.has_discriminator();
        check(
            !(self.train.disallow_correct
                && matches!(self.correction.discriminator, DetectionKind::RaoBlackwell(_))),
            "train.disallow_correct",
            "true".into(),
            "false with correction.discriminator.kind = rao-blackwell, whose labels hold for words that are drawn without regard to the \
             original",
        )?;
        if let Some(judge) = &self.correction.judge {
            judge.validate().map_err(|e| section("correction.judge", e.to_string()))?;
            check(
                self.correction.verifier.is_none() || self.correction.asks_verifier(electra),
                "correction.verifier",
                "set".into(),
                "not set together with `correction.judge`, unless a correction learns from it: write it as a judge of kind `verifier`",
            )?;
            let averaged = judge.verifiers().into_iter().any(|verifier| verifier.decay > 0.0);
            check(
                !averaged || self.correction.verifier.decay == 0.0,
                "correction.verifier.decay",
                self.correction.verifier.decay.to_string(),
                "0 beside a `correction.judge` that reads with a moving average: there is one at most",
            )?;
        }
        self.validate_guards()?;
        self.refuse_accumulation()?;
        self.refuse_idle()
    }

    /// Checks cap and warm-up of false negatives, and sampling of replacements that do not fit.
    fn validate_guards(&self) -> Result<(), ConfigError> {
        let c = &self.correction;
        let electra = self.model.arch.has_discriminator();
        if let Some(cap) = c.cap {
            check(cap > 0.0 && cap <= 1.0, "correction.cap", cap.to_string(), "above 0 to 1")?;
        }
        if let Some(warmup) = c.warmup_steps {
            let allowed = format!("below train.steps = {}", self.train.steps);
            check(warmup < self.train.steps, "correction.warmup_steps", warmup.to_string(), &allowed)?;
        }
        for (set, key) in
            [(c.cap.is_some(), "correction.cap"), (c.warmup_steps.is_some(), "correction.warmup_steps")]
        {
            check(
                !set || c.asks_judge(electra),
                key,
                "set".into(),
                "not set where no correction uses a judge",
            )?;
        }
        check(
            c.preset != CorrectionPreset::SoftLabel || electra,
            "correction.preset",
            "soft-label".into(),
            "none, hard or soft with a masked LM (model.arch = bert, roberta, ...): soft-label corrects a discriminator, which only an ELECTRA has",
        )?;
        let labels = matches!(c.discriminator, DetectionKind::RaoBlackwell(_));
        check(
            c.replacements == Replacements::Any || (electra && !labels && c.judge != Some(JudgeKind::None)),
            "correction.replacements",
            "errors".into(),
            "any with a masked LM (model.arch = bert, roberta, ...), which replaces nothing; with a judge of kind none, which grades nothing; and with \
             correction.discriminator.kind = rao-blackwell, whose labels hold for words that are drawn without regard to the original",
        )
    }

    /// Refuses gradient accumulation with terms that are normalised by a count over the whole step: each micro-batch would be divided by
    /// its own count, which is another objective.
    fn refuse_accumulation(&self) -> Result<(), ConfigError> {
        let c = &self.correction;
        let kept = match &c.masked_lm {
            CorrectionKind::Hard(HardConfig { normalise })
            | CorrectionKind::Weight(WeightConfig { normalise }) => *normalise == Normalise::Kept,
            _ => false,
        };
        let soft = self.model.arch.has_discriminator() && matches!(c.discriminator, DetectionKind::Soft(_));
        for (set, key) in [
            (kept, "correction.masked_lm.normalise = kept"),
            (soft, "correction.discriminator.kind = soft"),
            (c.hard_negatives > 0.0, "correction.hard_negatives"),
        ] {
            check(
                !set || self.train.accumulation == 1,
                "train.accumulation",
                self.train.accumulation.to_string(),
                &format!(
                    "1 with {key}, which is normalised over the whole step; raise `train.batch` instead"
                ),
            )?;
        }
        Ok(())
    }

    /// Refuses settings that would have no effect.
    fn refuse_idle(&self) -> Result<(), ConfigError> {
        let c = &self.correction;
        let electra = self.model.arch.has_discriminator();
        let unset = c.verifier.is_none();
        let judge = c.judge_or_default();
        // A lexicon file may be a graded one.
        let graded = judge.is_graded() || (judge.reads_lexicon() && self.lexicon.path.is_some());
        check(
            !matches!(c.discriminator, DetectionKind::Banded(_)) || graded,
            "correction.discriminator.kind",
            "banded".into(),
            "drop or relabel; banded needs a judge that grades: a `lexicon.path` with grades, a `correction.verifier.model` or \
             `correction.verifier.decay`, or the judge `generator`",
        )?;
        check(
            electra || c.discriminator == DetectionKind::None || c.masked_lm != CorrectionKind::None,
            "correction.discriminator.kind",
            c.discriminator.name().to_owned(),
            &format!(
                "none with model.arch = {}, as a {} has no discriminator: set `correction.masked_lm.kind`",
                self.model.arch.model_type(),
                self.model.arch.name()
            ),
        )?;
        let default = VerifierConfig::default();
        for (value, usual, key) in [
            (c.verifier.low, default.low, "correction.verifier.low"),
            (c.verifier.high, default.high, "correction.verifier.high"),
        ] {
            check(
                !unset || value == usual,
                key,
                value.to_string(),
                &format!(
                    "{usual} (not set) without a verifier; set `correction.verifier.model` or `correction.verifier.decay`"
                ),
            )?;
        }
        let (key, found) = match &c.verifier.model {
            Some(model) => ("correction.verifier.model", model.display().to_string()),
            None => ("correction.verifier.decay", c.verifier.decay.to_string()),
        };
        check(
            unset || c.asks_judge(electra) || c.asks_verifier(electra),
            key,
            found,
            "not set where no correction uses it: as a judge it needs `correction.preset=hard`, `correction.masked_lm.kind` hard, weight, \
             prediction-target or random-shield, or (ELECTRA) `correction.discriminator.kind` drop, relabel, banded, weight or soft-label; \
             as a teacher `correction.masked_lm.kind` verifier-target, or `correction.discriminator` of kind rao-blackwell with \
             teacher = verifier",
        )
    }

    /// The files and folders that a run reads, with the keys that name them.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        fn one<'a>(key: &'static str, path: &'a Option<PathBuf>) -> Option<(&'static str, &'a Path)> {
            path.as_deref().map(|path| (key, path))
        }
        let mut files: Vec<(&'static str, &Path)> = Vec::new();
        files.extend(self.data.train.iter().map(|path| ("data.train", path.as_path())));
        let mixed = self.data.mixture.iter().flat_map(|source| source.paths());
        files.extend(mixed.map(|path| ("data.mixture", path)));
        files.extend(self.data.held_out.iter().map(|path| ("data.held_out", path.as_path())));
        files.push(("data.tokenizer", &self.data.tokenizer));
        files.extend(one("model.init", &self.model.init));
        files.extend(one("lexicon.path", &self.lexicon.path));
        files.extend(one("lexicon.wordnet", &self.lexicon.wordnet).filter(|_| self.lexicon.path.is_none()));
        files.extend(one("eval.lexicon", &self.eval.lexicon));
        files.extend(one("train.branch", &self.train.branch));
        files.extend(one("correction.verifier.model", &self.correction.verifier.model));
        let verifiers = self.correction.judge.iter().flat_map(JudgeKind::verifiers);
        files.extend(verifiers.filter_map(|verifier| one("correction.judge", &verifier.model)));
        let encoders = self.correction.judge.iter().flat_map(JudgeKind::encoders);
        files.extend(encoders.flat_map(|encoder| encoder.files()).map(|path| ("correction.judge", path)));
        files
    }

    /// The model folders that it names.
    pub(super) fn models_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let judge = self.correction.judge.iter_mut().flat_map(JudgeKind::models_mut);
        self.model.init.iter_mut().chain(self.correction.verifier.model.iter_mut()).chain(judge)
    }

    /// Checks that there are text and a tokenizer.
    pub(super) fn require_text(&self) -> Result<(), ConfigError> {
        if self.data.train.is_empty() && self.data.mixture.is_empty() {
            return Err(ConfigError::Missing {
                key: "data.train",
                what: "there is no text to train on",
                example: "[\"corpus.txt\"]",
            });
        }
        if self.data.tokenizer.as_os_str().is_empty() {
            return Err(ConfigError::Missing {
                key: "data.tokenizer",
                what: "text cannot be tokenised without one (train it with `fnlm tokenizer train`)",
                example: "\"tokenizer.json\"",
            });
        }
        Ok(())
    }

    /// Checks that there is a lexicon where the correction looks words up.
    pub(super) fn require_lexicon(&self) -> Result<(), ConfigError> {
        if self.correction.needs_lexicon() && self.lexicon.path.is_none() && self.lexicon.wordnet.is_none() {
            return Err(ConfigError::Missing {
                key: "lexicon.path",
                what: "this correction looks words up in a lexicon (build one with `fnlm lexicon build`, or set lexicon.wordnet)",
                example: "\"lexicon.safetensors\"",
            });
        }
        Ok(())
    }
}
