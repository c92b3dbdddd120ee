//! The presets, compiled in from `configs/` so that the binary needs no files beside it.

/// A named configuration.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name, as `--preset` takes it.
    pub name: &'static str,
    /// One line on what it is for.
    pub about: &'static str,
    /// The file, comments included.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal, $about:literal;)*) => {
        /// All of them, ELECTRA before BERT, small before large.
        pub const PRESETS: &[Preset] = &[$(Preset {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../../../configs/", $name, ".toml")),
        }),*];
    };
}

presets! {
    "electra-tiny", "2 layers of 128: minutes on a laptop, to see that a pipeline works";
    "electra-mini", "2 layers of 128 on scripts/get-real-data.sh: 3,000 steps in about 10 minutes on two cores";
    "electra-small", "12 layers of 256, as in the ELECTRA paper";
    "electra-base", "12 layers of 768, as in the ELECTRA paper";
    "electra-large", "24 layers of 1024, as in the ELECTRA paper";
    "bert-tiny", "2 layers of 128: minutes on a laptop, to see that a pipeline works";
    "bert-tiny-continued", "goes on with the BERT-tiny of scripts/get-real-data.sh: 4,000 steps in about 10 minutes on two cores";
    "bert-small", "4 layers of 512, as in Google's small BERTs";
    "bert-base", "12 layers of 768, as in the BERT paper";
    "bert-large", "24 layers of 1024, as in the BERT paper";
    "quickstart", "what `fnlm quickstart` trains on its generated language";
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
