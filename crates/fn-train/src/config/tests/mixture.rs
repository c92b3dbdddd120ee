//! `data.mixture`: several texts with weights.

use crate::config::*;

fn resolve(file: &str, set: &[&str]) -> Result<Resolved, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    std::fs::write(&path, file).unwrap();
    let set = set.iter().map(|&text| text.to_owned()).collect();
    Layers { file: Some(path), set, ..Layers::default() }.resolve().map_err(|error| error.to_string())
}

const FILE: &str = r#"
[data]
tokenizer = "t"
[[data.mixture]]
train = ["wiki", "books"]
weight = 3
[[data.mixture]]
shards = "cache/0123"
weight = 0.5
"#;

#[test]
fn a_file_and_an_option_name_the_texts_of_a_mixture() {
    let found = resolve(FILE, &[]).unwrap();
    let expected = [
        MixtureSource { train: vec!["wiki".into(), "books".into()], shards: None, weight: 3.0 },
        MixtureSource { train: Vec::new(), shards: Some("cache/0123".into()), weight: 0.5 },
    ];
    assert_eq!(found.data.mixture, expected);
    assert_eq!(found.data.mixture[0].name(), "wiki and 1 more");
    found.clone().runnable().unwrap();
    // As a run directory keeps it.
    let again = resolve(&found.to_toml(), &[]).unwrap();
    assert_eq!(again.data.mixture, expected);
    let set = resolve("", &[r#"data.mixture=[{train=["a"], weight=1}, {train=["b"], weight=2.5}]"#]).unwrap();
    assert_eq!(set.data.mixture[1].weight, 2.5);
    assert!(resolve(FILE, &["data.mixture=[]", "data.train=a"]).unwrap().data.mixture.is_empty());
}

#[test]
fn wrong_mixtures_are_refused_by_name() {
    let refused = |set: &str, part: &str| {
        let error = resolve("", &[&format!("data.mixture={set}")]).unwrap_err();
        assert!(error.contains("data.mixture") && error.contains(part), "{set}: {error}");
    };
    refused(r#"[{train=["a"], weight=1}, {train=["b"], weight=0}]"#, "weight 0 of source 2 (b)");
    refused(r#"[{train=["a"], weight=-2}]"#, "weight -2 of source 1");
    refused(r#"[{train=["a"], weight=nan}]"#, "a finite number above 0");
    refused(r#"[{train=["a"], weight=1e-9}, {train=["b"], weight=1}]"#, "a millionth");
    refused(r#"[{train=["a"]}]"#, "weight");
    refused(r#"[{train=["a"], wieght=1, weight=1}]"#, "wieght");
    refused(r#"[{weight=1}]"#, "source 1 with neither");
    refused(r#"[{train=["a"], shards="b", weight=1}]"#, "source 1 with both");
    refused("a.txt", "invalid type");
    assert!(resolve(FILE, &["data.train=a"]).unwrap_err().contains("not set together with `data.train`"));
    let missing =
        resolve(FILE, &["data.tokenizer=Cargo.toml"]).unwrap().require_files(|_| false).unwrap_err();
    assert!(missing.to_string().contains("`data.mixture`: wiki does not exist"), "{missing}");
}
