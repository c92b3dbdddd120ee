//! Losses that know that a "wrong" prediction may be right.
//!
//! A masked language model is trained to give back the one original word, so every other prediction counts as an error.
//! Some are none: where the text said *happy*, a model that says *glad* has understood it. Such **false negatives** push
//! words of like meaning apart. This crate finds them and decides what they may teach.
//!
//! The centre is [`Judge`](judge::Judge): given gold and predicted ids it says which rows are false negatives. Everything
//! else either makes rows ([`corrupt`], [`sample`]) or spends the verdict ([`correct`], [`loss`]).
//!
//! # The one decision
//! We judge *ids*, not texts. A look-up set `V(w)` ([`lexicon`]) is a table on the device, so a verdict costs one gather and
//! one comparison, and a training step never waits for the host. The price is that a synonym must be one piece of the
//! vocabulary. Turned down: judging decoded text on the host (a round trip per step), and a second model as the only judge
//! (it can be one, [`Judge`](judge::Judge) is a trait, but the method should be testable without).
//!
//! # The way of the data
//! 1. [`corrupt`]: which positions are hidden, what replaces them. Host ids, seeded by (seed, step, row), see [`noise`].
//! 2. [`sample`]: what the model predicts there: the most probable word, or one drawn from its distribution.
//! 3. [`judge`]: which wrong predictions are false negatives.
//! 4. [`correct`]: what to do about them: shield, regularise, soften the target, drop, relabel; and the controls.
//! 5. [`loss`]: masked-LM and replaced-token losses as named terms; only masked rows are ever scored.
//! 6. [`stats`]: how many there were, counted on the device.
//!
//! # Example: one step of Hard Correction
//! ```
//! use burn::tensor::{Device, Tensor};
//! use fn_core::correct::{Correction, Normalise};
//! use fn_core::judge::{DeviceLexicon, LexiconJudge};
//! use fn_core::lexicon::{Lexicon, LexiconInfo};
//! use fn_core::{ids::Rows, loss::MaskedLm, sample::argmax_ids};
//!
//! let device = Device::flex().autodiff();
//! let synonyms = Lexicon::from_rows(100, [(7, vec![9])], LexiconInfo::default())?.symmetric();
//! let judge = LexiconJudge::new(DeviceLexicon::new(&synonyms, None, &device));
//! # let embedding = Tensor::<2>::random([100, 8], burn::tensor::Distribution::Default, &device).require_grad();
//! # let hidden = Tensor::<2>::random([3, 8], burn::tensor::Distribution::Default, &device);
//! let logits = hidden.matmul(embedding.clone().transpose()); // at the masked rows: [P, V]
//! let rows = Rows {
//!     gold: Tensor::from_ints([7, 9, 11], &device),
//!     predicted: argmax_ids(logits.clone()),
//!     weight: Tensor::ones([3], &device),
//! };
//! let correction = Correction::Hard { normalise: Normalise::All };
//! let masked = MaskedLm { correction: &correction, judge: &judge, lexicon: None, hard_negatives: 0.0 };
//! let out = masked.loss(logits, rows, embedding, None);
//! let gradients = out.parts.total().backward();
//! println!("{} false negatives", out.counts.read().false_negative);
//! # let _ = gradients;
//! # Ok::<(), fn_core::lexicon::LexiconError>(())
//! ```
//!
//! # Features
//! `tensor` (default): everything on Burn tensors. Without it the crate is plain Rust: [`corrupt`], [`lexicon`], [`noise`],
//! [`vocab`].
//!
//! # Shapes
//! B batch, L length, P masked rows of the whole batch (fixed; padding rows have weight 0), V vocabulary, H width of the
//! embedding, K width of the look-up table.
#![deny(missing_docs)]

pub mod corrupt;
pub mod documented;
pub mod error;
pub mod lexicon;
pub mod noise;
pub mod vocab;

#[cfg(feature = "tensor")]
pub mod correct;
#[cfg(feature = "tensor")]
pub mod ids;
#[cfg(feature = "tensor")]
pub mod judge;
#[cfg(feature = "tensor")]
pub mod loss;
#[cfg(feature = "tensor")]
pub mod sample;
#[cfg(feature = "tensor")]
pub mod stats;

pub use error::{CoreError, config_error};
