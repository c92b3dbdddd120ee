//! Tests of saving and loading the optimiser state, and of determinism.

use super::*;

#[test]
fn a_restored_optimiser_continues_bit_for_bit() {
    for bias_correction in [false, true] {
        let config = AdamWConfig { bias_correction, ..AdamWConfig::default() };
        let mut adam = optimizer(config.clone());
        let model = run(toy(200), &mut adam, 4);
        let (state, updates) = (adam.state(), adam.updates());
        assert_eq!(state.len(), 10);
        assert_eq!(state[0].name, "m.layers.0.bias");
        assert_eq!(state[1].shape, [100, 200]);
        let mut other = optimizer(config);
        other.load_state(&model, state.clone(), updates).unwrap();
        assert_eq!(bits(&other.state()), bits(&state));
        let (a, b) = (run(model.clone(), &mut adam, 3), run(model, &mut other, 3));
        assert_eq!(bits(&collect(&a)), bits(&collect(&b)));
        assert_eq!(bits(&adam.state()), bits(&other.state()));
    }
}

#[test]
fn state_of_another_model_is_an_error_that_names_the_tensor() {
    let model = toy(20);
    let mut adam = optimizer(AdamWConfig::default());
    let model = run(model, &mut adam, 1);
    let good = adam.state();
    let mut load = |change: fn(&mut Vec<NamedTensor>), updates| {
        let mut state = good.clone();
        change(&mut state);
        adam.load_state(&model, state, updates)
    };
    load(|_| (), 1).unwrap();
    let unknown = load(|s| s[0].name = "m.layers.7.bias".into(), 1).unwrap_err();
    assert_eq!(unknown, OptimError::Unknown { name: "m.layers.7.bias".into() });
    assert!(matches!(load(|s| s[0].name = "layers.0.bias".into(), 1), Err(OptimError::Unknown { .. })));
    assert!(matches!(load(|s| s[1].shape = vec![20, 100], 1), Err(OptimError::Shape { .. })));
    assert!(matches!(load(|s| s[1].data.truncate(5), 1), Err(OptimError::Shape { .. })));
    assert!(matches!(load(|s| drop(s.remove(0)), 1), Err(OptimError::Half { .. })));
    assert_eq!(load(Vec::clear, 1), Err(OptimError::Count { tensors: 0, updates: 1 }));
    assert_eq!(load(|_| (), 0), Err(OptimError::Count { tensors: 10, updates: 0 }));
    assert_eq!(bits(&adam.state()), bits(&good), "an error leaves the optimiser unchanged");
}

#[test]
fn the_number_of_threads_changes_not_a_bit() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        // The gradients are computed beforehand, because only the optimiser is tested.
        let mut model = toy(200);
        let mut adam = optimizer(AdamWConfig { clip_norm: Some(0.01), ..AdamWConfig::default() });
        let mut norms = Vec::new();
        for seed in 0..3 {
            let mut g = gradients(&model);
            let values = TensorData::new(noise(20_000, 50 + seed), [20_000]);
            g.set("layers.0.weight", Tensor::from_data(values, &Device::flex()));
            g.set("layers.0.bias", Tensor::from_data(TensorData::new(noise(200, 7), [200]), &Device::flex()));
            g.set(
                "layers.1.weight",
                Tensor::from_data(TensorData::new(noise(600, 8), [600]), &Device::flex()),
            );
            g.set("layers.1.bias", Tensor::from_data(TensorData::new(noise(3, 9), [3]), &Device::flex()));
            g.set("norm.gamma", Tensor::from_data(TensorData::new(noise(3, 10), [3]), &Device::flex()));
            let (next, update) = pool.install(|| adam.step(model, g, 1e-2));
            model = next;
            norms.push(update.grad_norm.to_bits());
        }
        (bits(&collect(&model)), bits(&adam.state()), norms)
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(4));
}

#[test]
fn a_configuration_is_checked_and_zero_means_no_clipping() {
    type Change = fn(&mut AdamWConfig);
    let read = |text: &str| serde_json::from_str::<AdamWConfig>(text);
    assert_eq!(read("{}").unwrap(), AdamWConfig::default());
    assert_eq!(read(r#"{"clip_norm": 0}"#).unwrap().clip_norm, None);
    let none = AdamWConfig { clip_norm: None, ..AdamWConfig::default() };
    assert_eq!(read(&serde_json::to_string(&none).unwrap()).unwrap(), none);
    assert!(read(r#"{"beta_1": 0.9}"#).is_err());
    AdamWConfig::default().validate().unwrap();
    none.validate().unwrap();
    let wrong: [(&str, Change); 5] = [
        ("beta1", |c| c.beta1 = 1.0),
        ("beta2", |c| c.beta2 = f64::NAN),
        ("epsilon", |c| c.epsilon = 0.0),
        ("weight_decay", |c| c.weight_decay = -0.1),
        ("clip_norm", |c| c.clip_norm = Some(f64::INFINITY)),
    ];
    for (field, change) in wrong {
        let mut config = AdamWConfig::default();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    }
}
