//! How sequences are corrupted.

use serde::{Deserialize, Serialize};

use super::{bert, electra};
use crate::documented;
use crate::error::{CoreError, check_range, config_error};

/// Which paper's shares of `[MASK]`, random and unchanged tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// 80 % `[MASK]`, 10 % random word, 10 % unchanged.
    Bert,
    /// 85 % `[MASK]`, 15 % unchanged.
    #[default]
    Electra,
}

/// The unit of masking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Single tokens.
    #[default]
    Token,
    /// Whole words: a piece with all `##` pieces that continue it.
    WholeWord,
    /// Runs of tokens of random length (SpanBERT).
    Span,
}

documented! {
    /// What replaces the masked tokens, as three shares that add up to 1.
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Shares {
        /// Share of the masked tokens that become `[MASK]`.
        pub mask: f64,
        /// Share of the masked tokens that become a random word.
        pub random: f64,
        /// Share of the masked tokens that stay as they are (and still are predicted).
        pub keep: f64,
    }
}

impl Shares {
    /// Checks that each share is a share and that they add up to 1.
    pub fn validate(&self) -> Result<(), CoreError> {
        check_range("shares.mask", self.mask, 0.0, 1.0)?;
        check_range("shares.random", self.random, 0.0, 1.0)?;
        check_range("shares.keep", self.keep, 0.0, 1.0)?;
        let sum = self.mask + self.random + self.keep;
        if (sum - 1.0).abs() > 1e-6 {
            let found = format!("{} + {} + {} = {sum}", self.mask, self.random, self.keep);
            return Err(config_error("shares", found, "three shares that add up to 1"));
        }
        Ok(())
    }
}

documented! {
    /// Which tokens are masked, and what replaces them.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct CorruptionConfig {
        /// Shares of `[MASK]`, random word and unchanged token: `electra` (85/0/15, default) or `bert` (80/10/10).
        pub scheme: Scheme,
        /// Unit of masking: `token` (default), `whole-word` or `span`.
        pub unit: Unit,
        /// Share of the tokens that are masked. Default 0.15 (ELECTRA-large 0.25).
        pub rate: f64,
        /// Share of the tokens that are masked at the end of a mask-rate schedule: it changes linearly from `rate` to this value (such as
        /// 0.30 to 0.15; Ankner et al. 2024). Held-out text is masked with this rate. Not set: `rate` throughout.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub final_rate: Option<f64>,
        /// Optimiser steps after which the mask-rate schedule has reached `final_rate`. 0: `schedule.total`, else the length of the run.
        #[serde(skip_serializing_if = "is_zero")]
        pub rate_steps: u64,
        /// The most masked tokens of one sequence. Not set: `int((rate + 0.005) * length)`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_predictions: Option<usize>,
        /// Mean length of a span: that of the geometric distribution, before clipping (`unit = "span"`). Default 3.
        pub span_mean: f64,
        /// Length of the longest span (`unit = "span"`). Default 10.
        pub span_max: usize,
        /// Shares in place of those of `scheme`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shares: Option<Shares>,
    }
}

impl Default for CorruptionConfig {
    fn default() -> Self {
        Self {
            scheme: Scheme::default(),
            unit: Unit::default(),
            rate: 0.15,
            final_rate: None,
            rate_steps: 0,
            max_predictions: None,
            span_mean: 3.0,
            span_max: 10,
            shares: None,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A share of masked tokens that changes linearly over the first steps, and then stays.
///
/// ```text
/// rate(s) = from + (to - from) min(1, s / steps)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskRate {
    /// Share of the first step.
    pub from: f64,
    /// Share from step `steps` on.
    pub to: f64,
    /// Steps of the change, at least 1.
    pub steps: u64,
}

impl MaskRate {
    /// The share in the step after `step` steps.
    pub fn at(&self, step: u64) -> f64 {
        match step < self.steps {
            true => self.from + (self.to - self.from) * (step as f64 / self.steps as f64),
            false => self.to,
        }
    }
}

impl CorruptionConfig {
    /// The mask-rate schedule, if there is one; `steps` is its length where `rate_steps` is 0.
    pub fn mask_rate(&self, steps: u64) -> Option<MaskRate> {
        let steps = if self.rate_steps > 0 { self.rate_steps } else { steps };
        self.final_rate.map(|to| MaskRate { from: self.rate, to, steps: steps.max(1) })
    }

    /// The shares in force: those given, else those of the scheme.
    pub fn shares(&self) -> Shares {
        self.shares.unwrap_or(match self.scheme {
            Scheme::Bert => bert::SHARES,
            Scheme::Electra => electra::SHARES,
        })
    }

    /// Checks every range.
    pub fn validate(&self) -> Result<(), CoreError> {
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(config_error("rate", self.rate, "above 0 and at most 1"));
        }
        if let Some(rate) = self.final_rate.filter(|rate| !(*rate > 0.0 && *rate <= 1.0)) {
            return Err(config_error("final_rate", rate, "above 0 and at most 1"));
        }
        if self.rate_steps > 0 && self.final_rate.is_none() {
            return Err(config_error("rate_steps", self.rate_steps, "0 (not set) without `final_rate`"));
        }
        if self.max_predictions == Some(0) {
            return Err(config_error("max_predictions", 0, "at least 1"));
        }
        check_range("span_mean", self.span_mean, 1.0, 1000.0)?;
        if self.span_max == 0 {
            return Err(config_error("span_max", 0, "at least 1"));
        }
        self.shares().validate()
    }
}
