//! `tests/golden/metrics.json`, made by `make_metrics.py` beside it.

use std::path::Path;

use serde::de::DeserializeOwned;

/// The part of the fixture with the fields of `T`. Not parsed as a `Value`, which need not keep the order of ids.
pub fn fixture<T: DeserializeOwned>() -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Asserts equality within 1e-12; null in the fixture stands for NaN.
pub fn assert_close(what: &str, found: f64, expected: Option<f64>) {
    match expected {
        Some(expected) => assert!((found - expected).abs() < 1e-12, "{what}: {found}, expected {expected}"),
        None => assert!(found.is_nan(), "{what}: {found}, expected NaN"),
    }
}
