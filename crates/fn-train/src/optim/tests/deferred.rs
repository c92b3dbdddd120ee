//! Tests of steps without waiting for the device: on Flex, but with the norm in a tensor as on asynchronous devices.

use fn_ops::adamw::{SquareSum, composed};

use super::*;

/// One step as on an asynchronous device, with `scale` times the gradients.
fn enqueue(toy: Toy, adam: &mut AdamW, scale: f64) -> Toy {
    let g = gradients(&toy).scale(scale);
    let mut all = Vec::new();
    g.visit(|_, g| all.push(g.clone()));
    let sum = composed::square_sum(&all).unwrap();
    adam.enqueue_by(SquareSum::Device(sum), toy, g, 1e-2)
}

#[test]
fn steps_that_are_read_back_later_are_the_same_steps() {
    let config = AdamWConfig { bias_correction: true, clip_norm: Some(0.05), ..AdamWConfig::default() };
    let (mut late, mut at_once) = (optimizer(config.clone()), optimizer(config));
    let (mut a, mut b) = (toy(20), toy(20));
    let mut told = Vec::new();
    for _ in 0..4 {
        a = enqueue(a, &mut late, 1.0);
        let g = gradients(&b);
        let update;
        (b, update) = at_once.step(b, g, 1e-2);
        told.push(update);
    }
    assert_eq!((late.pending(), at_once.pending()), ((4, true), (0, false)));
    for (late, at_once) in late.read_back().iter().zip(&told) {
        assert!((late.grad_norm / at_once.grad_norm - 1.0).abs() < 1e-5);
        assert!(late.finite && late.clipped && at_once.clipped);
    }
    assert_eq!((late.pending(), late.updates()), ((0, false), 4));
    for (a, b) in collect(&a).iter().zip(collect(&b)) {
        for (x, y) in a.data.iter().zip(b.data) {
            assert!((x - y).abs() < 1e-5, "{}: {x} instead of {y}", a.name);
        }
    }
}

#[test]
fn a_non_finite_step_changes_nothing_and_is_reported_in_order() {
    let mut adam = optimizer(AdamWConfig::default());
    let mut model = enqueue(toy(20), &mut adam, 1.0);
    let before = (bits(&collect(&model)), bits(&adam.state()));
    for bad in [f64::NAN, f64::INFINITY] {
        model = enqueue(model, &mut adam, bad);
    }
    assert_eq!((bits(&collect(&model)), bits(&adam.state())), before);
    let model = enqueue(model, &mut adam, 1.0);
    let finite: Vec<bool> = adam.read_back().iter().map(|update| update.finite).collect();
    assert_eq!(finite, [true, false, false, true]);
    assert_eq!(adam.updates(), 2);
    assert_ne!(bits(&collect(&model)), before.0);
}
