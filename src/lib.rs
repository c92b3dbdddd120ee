#![doc = include_str!("../README.md")]

pub use fn_cli as cli;
pub use fn_core as core;
pub use fn_data as data;
pub use fn_eval as eval;
pub use fn_models as models;
pub use fn_ops as ops;
pub use fn_study as study;
pub use fn_train as train;
