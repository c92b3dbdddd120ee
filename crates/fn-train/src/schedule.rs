//! Learning-rate schedules.
//!
//! `at(step)` takes the number of updates **already made**, as TensorFlow's global step and PyTorch's schedulers do: the
//! first update uses `at(0)`, the last of n uses `at(n - 1)`. So with a warm-up the first rate is 0.

use fn_core::documented;
use serde::{Deserialize, Serialize};

use crate::error::RangeError;

/// How the learning rate decays after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// As in ELECTRA: linear decay from step 0, multiplied by the factor of the warm-up.
    #[default]
    Electra,
    /// Linear warm-up to the peak, then linear decay (`get_linear_schedule_with_warmup` of transformers).
    Linear,
    /// Linear warm-up to the peak, then decay along half a cosine.
    Cosine,
    /// Linear warm-up to the peak, then constant.
    Constant,
    /// Linear warm-up to the peak, constant, then a decay in the last `decay` steps (WSD; Hu et al. 2024, MiniCPM). A run in its constant
    /// phase does not depend on where the decay begins, so that several decays can start from its checkpoints.
    #[serde(alias = "wsd")]
    WarmupStableDecay,
}

/// The shape of the decay of `warmup-stable-decay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayShape {
    /// `1 - x`, where x is the part of the decay that is over.
    #[default]
    Linear,
    /// `(1 + cos(pi x)) / 2`.
    Cosine,
    /// `1 - sqrt(x)` (Haegele et al. 2024; ModernBERT).
    Sqrt,
}

impl DecayShape {
    /// What is left of the rate after the part `x`, 0 to 1, of the decay.
    fn left(self, x: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - x,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * x).cos()),
            Self::Sqrt => 1.0 - x.sqrt(),
        }
    }
}

documented! {
    /// Learning rate schedule. The defaults are ELECTRA-small's.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub struct ScheduleConfig {
        /// Shape: `electra` (warm-up times linear decay), `linear`, `cosine`, `constant` or `warmup-stable-decay` (`wsd`).
        pub kind: ScheduleKind,
        /// Peak learning rate. 5e-4 (ELECTRA-small), 2e-4 (base, large).
        pub lr: f64,
        /// Steps of linear warm-up from 0. 10,000 in every ELECTRA. 0: no warm-up.
        pub warmup: u64,
        /// Step at which the decay ends. 1,000,000 (ELECTRA-small), 766,000 (base). 0: `train.steps`.
        pub total: u64,
        /// Final learning rate, as a share of the peak. 0 in every ELECTRA.
        pub end_factor: f64,
        /// Steps of the decay at the end of `warmup-stable-decay`: it begins at `total` - `decay`. 0: no decay, the rate stays constant.
        pub decay: u64,
        /// Shape of that decay: `linear`, `cosine` or `sqrt` (1 - sqrt(x)).
        pub decay_shape: DecayShape,
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Electra,
            lr: 5e-4,
            warmup: 10_000,
            total: 0,
            end_factor: 0.0,
            decay: 0,
            decay_shape: DecayShape::Linear,
        }
    }
}

impl ScheduleConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), RangeError> {
        RangeError::unless(self.lr > 0.0 && self.lr <= 1.0, "lr", self.lr, "above 0, at most 1")?;
        RangeError::unless(
            (0.0..=1.0).contains(&self.end_factor),
            "end_factor",
            self.end_factor,
            "0 to 1, a share of `lr`",
        )?;
        RangeError::unless(
            self.total == 0 || self.warmup <= self.total,
            "warmup",
            self.warmup as f64,
            "at most `total`",
        )?;
        let stable = self.kind == ScheduleKind::WarmupStableDecay;
        RangeError::unless(
            self.decay == 0 || stable,
            "decay",
            self.decay as f64,
            "0 (not set) unless `kind` is `warmup-stable-decay`: the other shapes decay by `total`",
        )?;
        RangeError::unless(
            self.decay_shape == DecayShape::Linear || self.decay > 0,
            "decay",
            self.decay as f64,
            "1 or more with a `decay_shape`, which has no effect without a decay",
        )?;
        RangeError::unless(
            self.total == 0 || self.decay <= self.total - self.warmup,
            "decay",
            self.decay as f64,
            "at most `total` - `warmup`: the decay begins after the warm-up",
        )
    }

    /// Whether the rate reaches 0 at `total`, so that nothing is learnt afterwards.
    pub fn runs_out(&self) -> bool {
        let decays = match self.kind {
            ScheduleKind::Constant => false,
            ScheduleKind::WarmupStableDecay => self.decay > 0,
            _ => true,
        };
        decays && self.end_factor == 0.0
    }

    /// The same schedule with `total` filled in from the length of the run, if it was left at 0.
    pub fn resolved(mut self, steps: u64) -> Self {
        if self.total == 0 {
            self.total = steps;
        }
        self
    }

    /// The learning rate of the update that follows `step` updates.
    ///
    /// ```text
    /// electra   lr [e + (1 - e)(1 - s/T)] min(1, s/W)
    /// linear    lr s/W  while s < W;  then lr [e + (1 - e)(1 - (s - W)/(T - W))]
    /// cosine    lr s/W  while s < W;  then lr [e + (1 - e)(1 + cos(pi (s - W)/(T - W)))/2]
    /// constant  lr min(1, s/W)
    /// warmup-stable-decay
    ///           lr min(1, s/W)  while s <= T - D;  then lr [e + (1 - e) f((s - (T - D))/D)]
    /// ```
    /// with s = min(step, T), W = `warmup`, T = `total`, e = `end_factor`, D = `decay`, f = `decay_shape`. If `total` is 0 (see
    /// [`resolved`](Self::resolved)), there is no decay.
    pub fn at(&self, step: u64) -> f64 {
        let warm = if step < self.warmup { step as f64 / self.warmup as f64 } else { 1.0 };
        let falls = |part: f64| self.end_factor + (1.0 - self.end_factor) * part;
        let after_warmup = || {
            let length = self.total.saturating_sub(self.warmup).max(1) as f64;
            (step.saturating_sub(self.warmup) as f64 / length).min(1.0)
        };
        match self.kind {
            _ if self.total == 0 => self.lr * warm,
            ScheduleKind::Electra => {
                let done = (step as f64 / self.total as f64).min(1.0);
                self.lr * falls(1.0 - done) * warm
            }
            ScheduleKind::Constant => self.lr * warm,
            ScheduleKind::WarmupStableDecay => {
                let begin = self.total.saturating_sub(self.decay);
                match step > begin && self.decay > 0 {
                    true => {
                        let over = ((step - begin) as f64 / self.decay as f64).min(1.0);
                        self.lr * falls(self.decay_shape.left(over))
                    }
                    false => self.lr * warm,
                }
            }
            ScheduleKind::Linear | ScheduleKind::Cosine if step < self.warmup => self.lr * warm,
            ScheduleKind::Linear => self.lr * falls(1.0 - after_warmup()),
            ScheduleKind::Cosine => {
                self.lr * falls(0.5 * (1.0 + (std::f64::consts::PI * after_warmup()).cos()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind) -> ScheduleConfig {
        ScheduleConfig { kind, lr: 1e-3, warmup: 10, total: 110, ..ScheduleConfig::default() }
    }

    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() <= 1e-15, "{got} instead of {expected}");
    }

    #[test]
    fn electra_multiplies_the_warmup_with_a_decay_that_starts_at_step_zero() {
        let s = schedule(ScheduleKind::Electra);
        close(s.at(0), 0.0);
        close(s.at(5), 1e-3 * (105.0 / 110.0) * 0.5);
        close(s.at(10), 1e-3 * 100.0 / 110.0); // never the full peak
        close(s.at(55), 5e-4);
        close(s.at(109), 1e-3 / 110.0); // the last update
        close(s.at(110), 0.0);
        close(s.at(1_000), 0.0);
    }

    #[test]
    fn electra_small_has_the_learning_rates_of_the_paper() {
        let s = ScheduleConfig::default().resolved(1_000_000);
        close(s.at(5_000), 5e-4 * 0.995 * 0.5);
        close(s.at(500_000), 2.5e-4);
    }

    #[test]
    fn linear_reaches_its_peak_and_falls_from_there() {
        let s = schedule(ScheduleKind::Linear);
        close(s.at(0), 0.0);
        close(s.at(9), 9e-4);
        close(s.at(10), 1e-3);
        close(s.at(60), 5e-4);
        close(s.at(109), 1e-5);
        close(s.at(200), 0.0);
    }

    #[test]
    fn cosine_is_half_way_down_in_the_middle() {
        let s = schedule(ScheduleKind::Cosine);
        close(s.at(10), 1e-3);
        close(s.at(60), 5e-4);
        close(s.at(35), 1e-3 * 0.5 * (1.0 + std::f64::consts::FRAC_1_SQRT_2));
        close(s.at(110), 0.0);
        close(s.at(111), 0.0);
    }

    #[test]
    fn constant_stays_at_its_peak() {
        let s = schedule(ScheduleKind::Constant);
        close(s.at(1), 1e-4);
        close(s.at(10), 1e-3);
        close(s.at(1 << 40), 1e-3);
    }

    #[test]
    fn a_decay_does_not_change_the_steps_before_it() {
        let wsd = |total, decay, decay_shape| ScheduleConfig {
            total,
            decay,
            decay_shape,
            ..schedule(ScheduleKind::WarmupStableDecay)
        };
        let stable = wsd(1 << 40, 0, DecayShape::Linear);
        for shape in [DecayShape::Linear, DecayShape::Cosine, DecayShape::Sqrt] {
            let s = wsd(110, 40, shape);
            for step in 0..=70 {
                assert_eq!(s.at(step).to_bits(), stable.at(step).to_bits(), "{shape:?} at {step}");
            }
            assert!(s.at(71) < 1e-3, "{shape:?}");
            close(s.at(110), 0.0);
            close(s.at(111), 0.0);
        }
        close(wsd(110, 40, DecayShape::Linear).at(80), 7.5e-4);
        close(wsd(110, 40, DecayShape::Cosine).at(90), 5e-4);
        close(wsd(110, 40, DecayShape::Sqrt).at(80), 5e-4);
    }

    #[test]
    fn a_decay_belongs_to_one_kind_and_fits_behind_the_warm_up() {
        let s = ScheduleConfig { decay: 20, ..schedule(ScheduleKind::WarmupStableDecay) };
        assert!(s.validate().is_ok() && s.runs_out());
        assert!(!ScheduleConfig { end_factor: 0.1, ..s.clone() }.runs_out());
        assert!(!ScheduleConfig { decay: 0, ..s.clone() }.runs_out());
        assert_eq!(ScheduleConfig { decay: 101, ..s.clone() }.validate().unwrap_err().field, "decay");
        assert_eq!(
            ScheduleConfig { kind: ScheduleKind::Linear, ..s.clone() }.validate().unwrap_err().field,
            "decay"
        );
        let idle = ScheduleConfig { decay: 0, decay_shape: DecayShape::Sqrt, ..s };
        assert_eq!(idle.validate().unwrap_err().field, "decay");
    }

    #[test]
    fn no_warmup_starts_at_the_peak() {
        for kind in
            [ScheduleKind::Electra, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::Constant]
        {
            close(ScheduleConfig { warmup: 0, ..schedule(kind) }.at(0), 1e-3);
        }
    }

    #[test]
    fn a_total_of_zero_becomes_the_length_of_the_run() {
        let s = ScheduleConfig { total: 0, ..schedule(ScheduleKind::Electra) };
        assert_eq!(s.clone().resolved(110), schedule(ScheduleKind::Electra));
        assert_eq!(schedule(ScheduleKind::Electra).resolved(7).total, 110);
        close(s.at(50), 1e-3);
    }

    #[test]
    fn the_final_rate_is_end_factor_times_the_peak() {
        for kind in [ScheduleKind::Electra, ScheduleKind::Linear, ScheduleKind::Cosine] {
            close(ScheduleConfig { end_factor: 0.1, ..schedule(kind) }.at(110), 1e-4);
        }
    }

    #[test]
    fn no_rate_is_ever_negative_or_above_the_peak() {
        for kind in
            [ScheduleKind::Electra, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::Constant]
        {
            for (warmup, total) in [(0, 0), (0, 1), (1, 1), (10, 10), (7, 3), (3, 50)] {
                let s = ScheduleConfig { warmup, total, ..schedule(kind) };
                for step in (0..60).chain([u64::MAX]) {
                    let rate = s.at(step);
                    assert!((0.0..=s.lr).contains(&rate), "{s:?} at {step}: {rate}");
                }
            }
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let with = |f: fn(&mut ScheduleConfig)| {
            let mut s = schedule(ScheduleKind::Linear);
            f(&mut s);
            s.validate()
        };
        assert!(with(|_| ()).is_ok());
        assert_eq!(with(|s| s.lr = f64::NAN).unwrap_err().field, "lr");
        assert_eq!(with(|s| s.lr = 0.0).unwrap_err().field, "lr");
        assert_eq!(with(|s| s.end_factor = 1.5).unwrap_err().field, "end_factor");
        assert_eq!(with(|s| s.warmup = 111).unwrap_err().field, "warmup");
    }

    #[test]
    fn kinds_are_written_in_kebab_case_and_unknown_keys_are_errors() {
        let s: ScheduleConfig = serde_json::from_str(r#"{"kind": "cosine", "lr": 0.1}"#).unwrap();
        assert_eq!((s.kind, s.warmup), (ScheduleKind::Cosine, 10_000));
        assert!(serde_json::from_str::<ScheduleConfig>(r#"{"learning_rate": 0.1}"#).is_err());
    }
}
