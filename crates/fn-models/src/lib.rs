#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod activation;
pub mod arch;
pub mod bert;
pub mod config;
pub mod cuts;
pub mod electra;
pub mod embeddings;
pub mod encoder;
pub mod fit;
pub mod heads;
pub mod hf;
pub mod inputs;
pub mod layers;
pub mod modern;
pub mod params;
pub mod pretrained;
pub mod task;

mod init;

pub use activation::Activation;
pub use arch::{Arch, Family, Objective};
pub use bert::BertForPreTraining;
pub use config::{BertConfig, ConfigError, ElectraConfig, EncoderConfig};
pub use cuts::{Cut, Cuts};
pub use electra::{Electra, EmbeddingSharing};
pub use embeddings::Embeddings;
pub use encoder::Encoder;
pub use fit::FitError;
pub use inputs::{Inputs, Pooling};
pub use modern::ModernConfig;
pub use pretrained::{GeneratorSettings, Pretrained};
pub use task::{Classifier, TaskConfig, TokenModel};
