//! BERT and ELECTRA as `transformers` computes them, on Burn, in and out of the Hugging Face format.
//!
//! The centre is [`Encoder`]: a stack of post-LN Transformer layers over hidden vectors. [`Embeddings`] stand before it and
//! heads behind it; [`BertForPreTraining`] and [`Electra`] put them together.
//!
//! The decision that shapes the crate: **the token table has one owner**, [`Embeddings`]. Heads that need it (the tied
//! output layer) are handed the tensor, never a second parameter: a parameter that exists twice would be trained twice and
//! drift apart. The other one: **vocabulary logits exist only at the rows that are asked for**; nothing of size
//! `[batch, length, vocabulary]` is ever made.
//!
//! Initial weights are a function of (seed, name of the parameter, index), so they depend neither on the order in which
//! modules are built nor on the device's own generator.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use fn_models::{Electra, ElectraConfig, Inputs};
//! use fn_ops::Noise;
//!
//! let device = Device::flex();
//! let config = ElectraConfig::electra_tiny().with_vocab_size(100);
//! let model = Electra::init(&config, 7, &device);
//! let inputs = Inputs::plain(Tensor::<2, Int>::from_data([[1, 5, 9, 2], [1, 7, 8, 2]], &device));
//! let rows = Tensor::<1, Int>::from_data([1, 6], &device); // flat index b * L + l
//! assert_eq!(model.generator_logits(&inputs, rows, &Noise::none()).dims(), [2, 100]);
//! assert_eq!(model.discriminator_logits(&inputs, &Noise::none()).dims(), [2, 4]);
//! ```
#![deny(missing_docs)]

pub mod arch;
pub mod bert;
pub mod config;
pub mod electra;
pub mod embeddings;
pub mod encoder;
pub mod fit;
pub mod heads;
pub mod hf;
pub mod inputs;
pub mod layers;
pub mod params;
pub mod pretrained;
pub mod task;

mod init;

pub use arch::Arch;
pub use bert::BertForPreTraining;
pub use config::{BertConfig, ConfigError, ElectraConfig, EncoderConfig};
pub use electra::Electra;
pub use embeddings::Embeddings;
pub use encoder::Encoder;
pub use fit::FitError;
pub use inputs::{Inputs, Pooling};
pub use pretrained::{GeneratorSize, Pretrained};
pub use task::{Classifier, TaskConfig, TokenModel};
