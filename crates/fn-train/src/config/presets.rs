//! The presets: the files of `configs/`, compiled in. (The folder is linked into this crate, so that its package has them.)

/// A named configuration.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name, as `--preset` takes it.
    pub name: &'static str,
    /// Its purpose in one line.
    pub about: &'static str,
    /// Its TOML, with comments.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal, $about:literal;)*) => {
        /// All of them, ELECTRA before BERT, small before large.
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../configs/", $name, ".toml")),
        }),*];
    };
}

presets! {
    "electra-tiny", "2 layers of width 128: minutes on a laptop, to test a pipeline";
    "electra-mini", "2 layers of width 128, for the data of scripts/get-real-data.sh: 3,000 steps in about 10 minutes on two cores";
    "electra-small", "12 layers of width 256, as in the ELECTRA paper";
    "electra-base", "12 layers of width 768, as in the ELECTRA paper";
    "electra-large", "24 layers of width 1024, as in the ELECTRA paper";
    "bert-tiny", "2 layers of width 128: minutes on a laptop, to test a pipeline";
    "bert-tiny-continued", "continued pre-training of the BERT-tiny of scripts/get-real-data.sh: 4,000 steps in about 10 minutes on two cores";
    "bert-small", "4 layers of width 512, as in Google's small BERTs";
    "bert-base", "12 layers of width 768, as in the BERT paper";
    "bert-large", "24 layers of width 1024, as in the BERT paper";
    "continued", "what `fnlm pretrain --from FOLDER` sets: 2,000 steps of 2,048 tokens at a rate of 1e-4";
    "roberta-tiny", "2 layers of width 128: minutes on a laptop, to test a pipeline";
    "modern-tiny", "ModernBERT with 4 layers of width 128: minutes on a laptop, to test a pipeline";
    "modern-small", "ModernBERT with 12 layers of width 256";
    "modern-base", "22 layers of width 768, as in the ModernBERT paper";
    "modern-electra-tiny", "replaced-token detection with 4 layers of ModernBERT of width 128: minutes on a laptop, to test a pipeline";
    "modern-electra-small", "replaced-token detection with 12 layers of ModernBERT of width 256";
    "modern-electra-base", "replaced-token detection with 22 layers of ModernBERT of width 768";
    "quickstart", "what `fnlm quickstart` trains on its generated language";
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// Names and purposes, one preset a line.
pub fn text() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    PRESETS.iter().map(|preset| format!("{:width$}  {}\n", preset.name, preset.about)).collect()
}

/// Names and purposes as JSON.
pub fn json() -> serde_json::Value {
    PRESETS.iter().map(|preset| serde_json::json!({"name": preset.name, "about": preset.about})).collect()
}
