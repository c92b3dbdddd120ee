//! How layers are put together, and how their errors name the place.

use std::path::Path;

use fn_core::correct::CorrectionKind;
use fn_core::correct::detection::DetectionKind;

use crate::config::layers::Setting;
use crate::config::*;

fn args(file: Option<&Path>, preset: Option<&str>, set: &[&str]) -> Layers {
    Layers {
        file: file.map(Path::to_path_buf),
        preset: preset.map(ToString::to_string),
        set: set.iter().map(ToString::to_string).collect(),
        ..Layers::default()
    }
}

fn refused(set: &[&str]) -> String {
    let error = args(None, None, set).resolve().unwrap_err();
    assert!(!error.is_input());
    error.to_string()
}

#[test]
fn every_preset_is_valid_and_every_line_says_where_it_is_from() {
    for preset in presets::PRESETS {
        let resolved = args(None, Some(preset.name), &[]).resolve().unwrap();
        assert_eq!(resolved.preset(), Some(preset.name));
        for line in preset.text.lines().filter(|line| line.contains('=') && !line.starts_with('#')) {
            assert!(line.contains(" # "), "{}: no source beside: {line}", preset.name);
        }
    }
}

#[test]
fn every_file_of_configs_is_a_preset() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        assert!(presets::find(&name).is_some(), "configs/{name}.toml is not compiled in");
    }
}

#[test]
fn later_layers_win_and_each_value_knows_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("my.toml");
    std::fs::write(&file, "preset = \"electra-small\"\n[train]\nsteps = 7\nbatch = 9\n").unwrap();
    let mut args = args(Some(&file), None, &["train.batch=11", "train.batch=12"]);
    args.options = vec![Setting::option("--steps", "train.steps", 8)];
    let resolved = args.resolve().unwrap();
    assert_eq!((resolved.train.steps, resolved.train.batch), (8, 12));
    assert_eq!(resolved.origin("train.steps").to_string(), "--steps");
    assert_eq!(resolved.origin("train.batch").to_string(), "--set train.batch=12");
    assert_eq!(resolved.origin("model.hidden_size").to_string(), "preset electra-small");
    assert_eq!(resolved.origin("log.tensorboard").to_string(), "default");
}

#[test]
fn what_is_shown_can_be_read_again() {
    for set in [
        &["correction.preset=soft"][..],
        &["correction.masked_lm.kind=hard"],
        &["corruption.max_predictions=3"],
    ] {
        let resolved = args(None, Some("electra-tiny"), set).resolve().unwrap();
        let read: RunConfig = toml::from_str(&resolved.to_toml()).unwrap();
        assert_eq!(read, *resolved, "{}", resolved.to_toml());
        assert!(differences(&read, &resolved).is_empty());
    }
}

#[test]
fn templates_of_all_presets_can_be_used_as_they_are() {
    for preset in presets::PRESETS {
        let text = template(preset).unwrap();
        let settings = layers::parse(&text, preset.name, |_, _| Origin::Default).unwrap();
        assert!(!settings.is_empty());
        for line in text.lines().filter(|line| !line.is_empty()) {
            assert!(line.starts_with(['#', '[']) || line.contains('='), "{line}");
        }
    }
}

/// With the # removed, what the template offers is the default.
#[test]
fn the_comments_of_a_template_are_the_defaults() {
    for preset in presets::PRESETS {
        let text = template(preset).unwrap();
        let (_, offered) = text.split_once("# ---- Every other key").unwrap();
        let lines: Vec<&str> = offered
            .lines()
            .filter_map(|line| {
                line.strip_prefix('#').filter(|line| !line.starts_with(' ') && !line.ends_with('='))
            })
            .collect();
        // A section none of whose keys has a default stays away.
        let used =
            |at: usize| !lines[at].starts_with('[') || lines.get(at + 1).is_some_and(|l| !l.starts_with('['));
        let uncommented: String =
            (0..lines.len()).filter(|at| used(*at)).map(|at| format!("{}\n", lines[at])).collect();
        let read: RunConfig = toml::from_str(&uncommented).unwrap_or_else(|e| panic!("{e}\n{uncommented}"));
        assert_eq!(read, RunConfig::default(), "{}", preset.name);
        assert!(uncommented.lines().count() > 20, "{uncommented}");
    }
}

#[test]
fn what_belongs_to_another_kind_or_to_no_verifier_is_refused() {
    let error = refused(&["correction.masked_lm.kind=none", "correction.masked_lm.lambda=1"]);
    assert!(error.contains("`lambda`, this kind has no settings"), "{error}");
    assert!(refused(&["correction.discriminator.kind=banded"]).starts_with(
        "--set correction.discriminator.kind=banded: `correction.discriminator.kind` is banded"
    ));
    assert!(
        refused(&["correction.preset=hard", "correction.verifier.low=0.1"])
            .starts_with("--set correction.verifier.low=0.1: `correction.verifier.low` is 0.1; allowed: 0.5")
    );
}

#[test]
fn a_section_that_stands_twice_is_explained() {
    let text = "[train]\nsteps = 5\n[data]\nlength = 64\n[train]\nbatch = 2\n";
    let error = layers::parse(text, "a.toml", |_, _| unreachable!()).unwrap_err().to_string();
    assert!(
        error.contains("a.toml:5:") && error.contains("put all keys of a section under one header"),
        "{error}"
    );
}

#[test]
fn wrong_types_and_ranges_are_blamed_on_the_setting() {
    assert!(
        refused(&["train.steps=many"])
            .starts_with("--set train.steps=many: `train.steps` cannot be \"many\"")
    );
    assert!(refused(&["train.steps=-3"]).contains("`train.steps` cannot be -3"));
    assert!(
        refused(&["train.batch=0"])
            .starts_with("--set train.batch=0: `train.batch` is 0; allowed: 1 or more")
    );
    assert!(refused(&["train.dtype=f8"]).contains("f32"));
    assert!(refused(&["correction.preset=medium"]).contains("correction.preset"));
    assert!(refused(&["correction.masked_lm={kind=\"soft\"}"]).contains("one by one"));
    assert!(refused(&["train.batch"]).contains("KEY=VALUE"));
    assert!(refused(&["train.bach=3"]).contains("did you mean `train.batch`?"));
}

#[test]
fn text_needs_no_quotes_and_one_path_no_brackets() {
    let run =
        args(None, None, &["train.device=vulkan:0", "data.train=a.txt", "data.held_out=[\"b\", \"c\"]"])
            .resolve()
            .unwrap();
    assert_eq!(run.train.device, "vulkan:0");
    assert_eq!(run.data.train, [PathBuf::from("a.txt")]);
    assert_eq!(run.data.held_out.len(), 2);
}

#[test]
fn a_synthetic_stage_is_set_by_key_and_shown() {
    let resolved =
        args(None, None, &["data.synthetic.kind=linear-rnn", "data.synthetic.steps=10"]).resolve().unwrap();
    assert_eq!(resolved.data.synthetic.kind, SyntheticKind::LinearRnn);
    assert_eq!(resolved.data.synthetic.steps, 10);
    let text = resolved.to_toml();
    assert!(text.contains("[data.synthetic]\nkind = \"linear-rnn\""), "{text}");
    assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), *resolved);
    assert!(refused(&["data.synthetic.knid=none"]).contains("did you mean `data.synthetic.kind`?"));
    assert!(refused(&["data.synthetic.kind=dyck"]).contains("shuffle-dyck"));
    assert!(refused(&["data.synthetic.kind=shuffle-dyck"]).starts_with("`data.synthetic.steps` is 0;"));
    assert!(
        refused(&["data.synthetic.p=1.5"])
            .starts_with("--set data.synthetic.p=1.5: `data.synthetic.p` is 1.5")
    );
}

#[test]
fn a_correction_named_later_replaces_all_of_the_one_before() {
    let run = args(None, None, &["correction.preset=soft", "correction.preset=hard"]).resolve().unwrap();
    assert!(matches!(run.correction.masked_lm, CorrectionKind::Hard(_)));
    assert!(matches!(run.correction.discriminator, DetectionKind::Drop));
    let run =
        args(None, None, &["correction.masked_lm.kind=hard", "correction.preset=none"]).resolve().unwrap();
    assert!(matches!(run.correction.masked_lm, CorrectionKind::None));
    let run = args(None, None, &["correction.preset=hard", "correction.discriminator.kind=relabel"])
        .resolve()
        .unwrap();
    assert!(matches!(run.correction.masked_lm, CorrectionKind::Hard(_)));
    assert!(matches!(run.correction.discriminator, DetectionKind::Relabel));
}

#[test]
fn former_names_of_keys_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("old.toml");
    let text = "[train]\ngenerator_weight = 2\n[correction.generator]\nkind = \"soft\"\nlambda = 3\n";
    std::fs::write(&file, text).unwrap();
    let old = args(Some(&file), None, &["correction.generator.level=sentence"]).resolve().unwrap();
    let new = ["train.masked_lm_weight=2", "correction.masked_lm.kind=soft", "correction.masked_lm.lambda=3"];
    let new =
        args(None, None, &[&new[..], &["correction.masked_lm.level=sentence"]].concat()).resolve().unwrap();
    assert_eq!(*old, *new);
    assert!(old.origin("train.masked_lm_weight").to_string().ends_with("old.toml:2"));
    assert!(matches!(old.correction.masked_lm, CorrectionKind::Soft(_)));

    std::fs::write(&file, "[train]\ngenerator_weight = 2\nmasked_lm_weight = 2\n").unwrap();
    let error = args(Some(&file), None, &[]).resolve().unwrap_err().to_string();
    assert!(error.contains("old.toml:3:1: `train.masked_lm_weight` is set twice"), "{error}");
}

#[test]
fn a_run_directory_is_a_layer() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = RunConfig::default();
    run.train.batch = 7;
    write(&dir.path().join(crate::rundir::CONFIG), &run).unwrap();
    let layers =
        |preset: Option<&str>| Layers { run: Some(dir.path().to_owned()), ..args(None, preset, &["seed=3"]) };
    let resolved = layers(None).resolve().unwrap();
    assert_eq!((resolved.train.batch, resolved.seed), (7, 3));
    assert_eq!(resolved.origin("train.batch").to_string(), format!("run {}", dir.path().display()));
    assert!(
        layers(Some("bert-base"))
            .resolve()
            .unwrap_err()
            .to_string()
            .contains("beside the configuration of a run")
    );
    let nowhere = Layers { run: Some("nowhere".into()), ..Layers::default() };
    assert!(nowhere.resolve().unwrap_err().is_input());
}

#[test]
fn a_run_directory_in_place_of_a_model_is_its_model_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (run, model) = (dir.path().join("a"), dir.path().join("a/model"));
    std::fs::create_dir_all(&model).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    let (run, file) = (run.display(), dir.path().join("my.toml"));
    let text = format!(
        "[model]\ninit = \"{run}\"\n[correction]\npreset = \"hard\"\n[correction.judge]\nkind = \"any\"\njudges = [\n\
         {{ kind = \"encoder\", model = \"{run}\", calibration = \"c.json\" }},\n\
         {{ kind = \"mean\", judges = [{{ kind = \"verifier\", model = \"{run}\" }}] }},\n]\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = args(Some(&file), Some("electra-small"), &[]).resolve().unwrap().into_config();
    let kind = config.correction.judge.unwrap();
    assert_eq!(kind.encoders()[0].model.as_deref(), Some(model.as_path()));
    assert_eq!(kind.verifiers()[0].model.as_deref(), Some(model.as_path()));
    assert_eq!(config.model.init.as_deref(), Some(model.as_path()));
    let verifier = format!("correction.verifier.model={run}");
    let resolved = args(None, Some("electra-small"), &["correction.preset=hard", &verifier]).resolve();
    assert_eq!(resolved.unwrap().correction.verifier.model.as_deref(), Some(model.as_path()));
    // A folder of whatever else stays as it is: reading it says what is missing.
    let init = format!("model.init={}", dir.path().display());
    let resolved = args(None, Some("electra-small"), &[&init]).resolve().unwrap();
    assert_eq!(resolved.model.init.as_deref(), Some(dir.path()));
}

#[test]
fn changes_are_checked_again_and_remembered() {
    let resolved = args(None, None, &[]).resolve().unwrap();
    let changed = resolved.clone().change(|run| run.train.batch = 7).unwrap();
    assert_eq!(changed.train.batch, 7);
    assert_eq!(changed.origin("train.batch"), Origin::Program);
    assert_eq!(changed.origin("train.steps"), Origin::Default);
    assert!(resolved.change(|run| run.train.batch = 0).is_err());
    let mut wrong = RunConfig::default();
    wrong.model.num_heads = 3;
    assert!(Resolved::of(wrong).is_err());
}

#[test]
fn files_that_do_not_exist_are_named_with_key_and_place() {
    let set = ["data.train=no-such.txt", "data.tokenizer=-", "lexicon.path=later/lexicon"];
    let config = args(None, None, &set).resolve().unwrap().runnable().unwrap();
    let error = config.require_files(|_| false).unwrap_err();
    assert!(error.is_input());
    assert!(
        error
            .to_string()
            .starts_with("--set data.train=no-such.txt: `data.train`: no-such.txt does not exist")
    );
    let config = config.change(|run| run.data.train = vec!["Cargo.toml".into()]).unwrap();
    assert!(config.require_files(|_| false).unwrap_err().to_string().contains("`lexicon.path`"));
    config.require_files(|path| path.starts_with("later")).unwrap();
}

#[test]
fn a_file_that_is_missing_or_is_no_toml_is_refused_with_its_place() {
    let error = args(Some(Path::new("no-such.toml")), None, &[]).resolve().unwrap_err();
    assert!(error.to_string().contains("fnlm config new"), "{error}");
    let error = args(Some(Path::new("electra-small")), None, &[]).resolve().unwrap_err();
    assert!(error.to_string().contains("--preset electra-small"), "{error}");
    let error = args(None, Some("electra-smal"), &[]).resolve().unwrap_err();
    assert!(error.to_string().contains("did you mean `electra-small`?"), "{error}");
}

#[test]
fn differences_name_the_key_and_both_values() {
    let old = RunConfig::default();
    let mut new = old.clone();
    new.train.batch = 3;
    new.train.threads = Some(2);
    let found = differences(&old, &new);
    assert_eq!(
        found,
        [
            ("train.batch".to_string(), old.train.batch.to_string(), "3".to_string()),
            ("train.threads".to_string(), "-".to_string(), "2".to_string())
        ]
    );
}
