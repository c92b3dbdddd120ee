//! Statistics against numpy and scipy (tests/golden/make_stats.py).
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use fn_eval::stats::{Summary, paired_bootstrap};
use fn_study::stats::{holm, permutation_test, student_quantile, visible_effect};
use serde_json::Value;

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stats.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn summaries_match_numpy() {
    for case in golden()["summaries"].as_array().unwrap() {
        let found = Summary::of(&numbers(&case["values"])).unwrap();
        for (name, value) in
            [("mean", found.mean), ("sd", found.standard_deviation), ("median", found.median)]
        {
            assert!((value - case[name].as_f64().unwrap()).abs() < 1e-14, "{name} {value}");
        }
    }
}

#[test]
fn permutation_tests_match_scipy() {
    let (mut exact, mut drawn) = (0, 0);
    for case in golden()["permutations"].as_array().unwrap() {
        let (differences, wanted) = (numbers(&case["differences"]), case["p"].as_f64().unwrap());
        if differences.len() <= 16 {
            exact += 1;
            let found = permutation_test(&differences, 0, 1);
            assert!((found - wanted).abs() < 1e-12, "{found} {case}");
        } else {
            drawn += 1;
            let found = permutation_test(&differences, 20_000, 1);
            // Four standard errors of a share estimated from 20,000 resamples.
            let allowed = 4.0 * (wanted * (1.0 - wanted) / 20_000.0).sqrt();
            assert!((found - wanted).abs() < allowed, "{found} {allowed} {case}");
        }
    }
    assert!(exact > 5 && drawn > 0, "{exact} {drawn}");
}

#[test]
fn bootstrap_intervals_match_scipy_up_to_sampling() {
    for case in golden()["bootstraps"].as_array().unwrap() {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let mean =
            |of: &[f64], chosen: &[usize]| chosen.iter().map(|&i| of[i]).sum::<f64>() / chosen.len() as f64;
        let found =
            paired_bootstrap(a.len(), 20_000, 1, &|chosen| (mean(&a, chosen), mean(&b, chosen))).unwrap();
        // The ends of an interval of 20,000 resamples vary by about 2 % of the standard error.
        let error = case["error"].as_f64().unwrap();
        for (name, value) in [("low", found.low), ("high", found.high)] {
            let wanted = case[name].as_f64().unwrap();
            assert!((value - wanted).abs() < 0.1 * error, "{name} {value} {wanted} {error}");
        }
    }
}

#[test]
fn holm_adjusts_as_defined() {
    let case = &golden()["holm"];
    let found = holm(&numbers(&case["p"]));
    for (found, wanted) in found.iter().zip(numbers(&case["adjusted"])) {
        assert!((found - wanted).abs() < 1e-15, "{found} {wanted}");
    }
    assert_eq!(holm(&[f64::NAN, 0.2])[1], 0.2);
}

#[test]
fn quantiles_of_student_are_those_of_scipy() {
    let golden = golden();
    let quantiles = golden["quantiles"].as_array().unwrap();
    assert_eq!(quantiles.len(), 24);
    for item in quantiles {
        let of = |name: &str| item[name].as_f64().unwrap();
        let (found, expected) = (student_quantile(of("p"), of("freedom")), of("t"));
        assert!((found - expected).abs() < 1e-9 * expected, "{item}: {found}");
    }
    // Eight pairs, ten tests: (t_{0.9975} + t_{0.8}) / sqrt(8), of scipy.stats.t.ppf with 7 degrees of freedom.
    let found = visible_effect(2.0, 8, 10);
    assert!((found - 2.0 * (4.0293 + 0.8960) / 8.0_f64.sqrt()).abs() < 1e-3, "{found}");
    assert!(visible_effect(1.0, 1, 3).is_nan());
}
