//! Tests with threads as ranks: sums, comparison, and ranks that are late or have ended.

use std::time::Duration;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `work` on `world` ranks and returns the results.
fn on_ranks<R: Send>(world: usize, limit: Duration, work: impl Fn(Threads) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            Threads::new(world, limit).into_iter().map(|rank| scope.spawn(move || work(rank))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn messages_of_all_ranks_reach_all_ranks() {
    let heard = on_ranks(3, LIMIT, |ranks| {
        let mine = format!("rank {}", "x".repeat(ranks.rank()));
        let all = gather(&ranks, Meeting::step("names"), mine.as_bytes()).unwrap();
        let first = tell(&ranks, Meeting::step("a name"), &mine).unwrap();
        (all, first)
    });
    for (all, first) in heard {
        assert_eq!(all, [b"rank ".to_vec(), b"rank x".to_vec(), b"rank xx".to_vec()]);
        assert_eq!(first, "rank ");
    }
}

#[test]
fn the_error_for_ranks_that_differ_is_the_same_on_all_ranks() {
    let errors = on_ranks(4, LIMIT, |ranks| {
        let data = if ranks.rank() == 2 { "b" } else { "a" };
        let same = [Agreement::new("the program", "1"), Agreement::new("the training text", data)];
        agree(&ranks, Meeting::step("checksums"), &same).unwrap_err().to_string()
    });
    for error in errors {
        assert!(
            error.starts_with("rank 2 and rank 0 differ in the training text: b, rank 0 has a"),
            "{error}"
        );
    }
}

#[test]
fn the_error_after_a_time_out_names_the_missing_rank() {
    // Rank 1 is there, says nothing, and ends after the others have given up.
    let done = std::sync::Barrier::new(3);
    let errors = on_ranks(3, Duration::from_secs(2), |ranks| {
        let error = match ranks.rank() {
            1 => String::new(),
            _ => gather(&ranks, Meeting::step("the gradients"), b"x").unwrap_err().to_string(),
        };
        done.wait();
        error
    });
    assert!(errors[0].contains("waited 2 s for the gradients of rank 1;"), "{}", errors[0]);
    assert!(errors[2].contains("of rank 1;"), "{}", errors[2]);
}

#[test]
fn a_rank_that_has_ended_is_reported_immediately() {
    let errors = on_ranks(2, LIMIT, |ranks| match ranks.rank() {
        1 => None,
        _ => gather(&ranks, Meeting::step("the losses"), b"x").err(),
    });
    assert_eq!(errors[0], Some(CollectiveError::Gone { rank: 0, what: "the losses", gone: vec![1] }));
}

#[test]
fn a_message_in_parts_of_any_size_arrives() {
    for length in [0, 1, 1000] {
        let sums = on_ranks(4, LIMIT, |ranks| {
            let send: Vec<Vec<u8>> = (0..4).map(|to| vec![(ranks.rank() * 4 + to) as u8; length]).collect();
            let mut receive = vec![vec![0; length]; 4];
            ranks
                .exchange(
                    Meeting::step("parts"),
                    &send.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                    &mut receive.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                )
                .unwrap();
            receive
        });
        for (rank, received) in sums.into_iter().enumerate() {
            let expected: Vec<Vec<u8>> = (0..4).map(|from| vec![(from * 4 + rank) as u8; length]).collect();
            assert_eq!(received, expected);
        }
    }
}

mod gradients {
    use burn::module::{Module, Param};
    use burn::tensor::{Device, Tensor, TensorData};
    use fn_core::noise::{Stream, Use};
    use fn_models::params::host;

    use super::*;
    use crate::optim::{Gradients, Parameter, append, parameters};

    #[derive(Module, Debug)]
    struct Weights {
        first: Param<Tensor<2>>,
        never: Param<Tensor<1>>,
        second: Param<Tensor<1>>,
    }

    fn weights() -> Weights {
        let device = Device::flex().autodiff();
        Weights {
            first: Param::from_tensor(Tensor::zeros([3, 5], &device)),
            never: Param::from_tensor(Tensor::zeros([4], &device)),
            second: Param::from_tensor(Tensor::zeros([7], &device)),
        }
    }

    /// Gradients of a micro-batch; only every third one has a gradient for `second`, and some elements are -0.
    fn of(micro_batch: u64) -> Gradients {
        let mut stream = Stream::new(3, micro_batch, 0, Use::Test);
        let mut gradient = |n: usize| {
            let scale = 10f32.powi(stream.below(9) as i32 - 4);
            let values: Vec<f32> =
                (0..n).map(|i| if i == 1 { -0.0 } else { (stream.unit() as f32 - 0.5) * scale }).collect();
            Tensor::from_data(TensorData::new(values, [n]), &Device::flex())
        };
        let mut gradients = Gradients::default();
        gradients.set("first", gradient(15));
        if micro_batch % 3 == 2 {
            gradients.set("second", gradient(7));
        }
        gradients
    }

    fn block(micro_batches: &[u64]) -> Gradients {
        let add = |mut a: Gradients, b: Gradients| {
            a.accumulate(b);
            a
        };
        tree::sum(micro_batches, |n| of(*n), add).unwrap()
    }

    fn bits(gradients: &Gradients) -> Vec<(String, Vec<u32>)> {
        let mut out = Vec::new();
        gradients.visit(|path, values| {
            out.push((path.to_owned(), host(values.clone()).iter().map(|v| v.to_bits()).collect()));
        });
        out
    }

    fn sum_of(ranks: &Threads, mine: impl Into<Mine>) -> Gradients {
        let parameters = parameters(&weights());
        let buckets = Buckets::of_at_least(0, &parameters, ranks.world());
        let summed = sum_buckets(ranks, &parameters, &buckets, mine.into(), Wire::F32, Kept::All).unwrap();
        summed.gradients(&parameters, &buckets)
    }

    #[test]
    fn any_number_of_ranks_that_is_a_power_of_two_gives_the_bits_of_one() {
        let all: Vec<u64> = (0..24).collect();
        let expected = bits(&block(&all));
        assert_eq!(expected.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        for world in [2, 4, 8] {
            let found = on_ranks(world, LIMIT, |ranks| {
                let count = all.len() / world;
                let mine = block(&all[ranks.rank() * count..][..count]);
                bits(&sum_of(&ranks, mine))
            });
            for found in found {
                assert_eq!(found, expected, "{world} ranks");
            }
        }
        // Three ranks have other subtrees, so sums agree up to rounding.
        let three = on_ranks(3, LIMIT, |ranks| {
            let mine = block(&all[ranks.rank() * 8..][..8]);
            bits(&sum_of(&ranks, mine))
        });
        assert_eq!(three[0], three[1]);
        for ((_, found), (_, expected)) in three[0].iter().zip(&expected) {
            for (found, expected) in found.iter().zip(expected) {
                let (found, expected) = (f32::from_bits(*found), f32::from_bits(*expected));
                assert!((found - expected).abs() <= 1e-3 * expected.abs().max(10.0), "{found} {expected}");
            }
        }
    }

    /// Two buckets, of which the second comes after the time that it takes to compute.
    fn coming(gradients: Gradients, takes: Duration) -> Mine {
        Mine::Coming(Box::new(move |buckets, ready| {
            let parameters = parameters(&weights());
            let mut reached = vec![false; parameters.len()];
            for (index, bucket) in buckets.all().iter().enumerate() {
                std::thread::sleep(takes);
                let mut flat = Vec::new();
                for member in &bucket.parameters {
                    let gradient = gradients.get(&parameters[*member].path).cloned();
                    reached[*member] = gradient.is_some();
                    append(gradient, parameters[*member].elements, &mut flat);
                }
                if !ready(index, flat) {
                    break;
                }
            }
            reached
        }))
    }

    #[test]
    fn gradients_that_are_sent_while_others_are_computed_have_the_same_sum() {
        let all: Vec<u64> = (0..4).collect();
        let expected = bits(&block(&all));
        for found in on_ranks(4, LIMIT, |ranks| {
            let mine = coming(of(ranks.rank() as u64), Duration::from_millis(1));
            bits(&sum_of(&ranks, mine))
        }) {
            assert_eq!(found, expected);
        }
    }

    /// The program trains in a thread of its pool, which may be the only one, and the backward pass needs a pool as well.
    #[test]
    fn the_only_thread_of_a_pool_sends_while_others_compute() {
        for found in on_ranks(2, LIMIT, |ranks| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
            let pool = pool.build().unwrap();
            let mine = Mine::Coming(Box::new(|buckets, ready| {
                for (index, bucket) in buckets.all().iter().enumerate() {
                    let (one, two) = rayon::join(|| 1.0, || 2.0);
                    assert_eq!(rayon::current_num_threads(), 1);
                    ready(index, vec![one + two; bucket.slices.len()]);
                }
                vec![true; 3]
            }));
            pool.install(|| host(sum_of(&ranks, mine).get("first").unwrap().clone()))
        }) {
            assert_eq!(found, [6.0; 15]);
        }
    }

    #[test]
    fn what_is_sent_while_others_are_computed_takes_no_time_of_its_own() {
        // Four buckets, each of which takes 100 ms to compute and twice 50 ms to send: 800 ms one after the other.
        let parameters: Vec<Parameter> = (0..4)
            .map(|i| Parameter { path: format!("layers.{i}.a"), elements: 10, device: Device::flex() })
            .collect();
        let buckets = Buckets::of_at_least(0, &parameters, 2);
        let link: Link = "1gbit,50ms".parse().unwrap();
        let (computes, sends) = (Duration::from_millis(100), Duration::from_millis(50));
        for (took, behind) in on_ranks(2, LIMIT, |ranks| {
            let ranks = Emulated::new(&ranks, link);
            meet(&ranks, Meeting::step("a test")).unwrap();
            let began = std::time::Instant::now();
            let mine = Mine::Coming(Box::new(move |buckets, ready| {
                for index in 0..buckets.all().len() {
                    std::thread::sleep(computes);
                    ready(index, vec![1.0; 10]);
                }
                vec![true; 4]
            }));
            let summed = sum_buckets(&ranks, &parameters, &buckets, mine, Wire::F32, Kept::All).unwrap();
            (began.elapsed(), summed.behind.unwrap())
        }) {
            // 400 ms to compute, 100 ms for the last bucket, 50 ms to compare what has gradients.
            assert!(took >= 4 * computes + 3 * sends && took < Duration::from_millis(750), "{took:?}");
            assert!(behind.hidden >= 4 * sends && behind.hidden <= 4 * computes, "{behind:?}");
        }
    }

    #[test]
    fn a_rank_that_ends_while_others_compute_is_named_and_they_compute_no_further() {
        let errors = on_ranks(3, LIMIT, |ranks| {
            if ranks.rank() == 1 {
                return None;
            }
            let parameters = parameters(&weights());
            let buckets = Buckets::of_at_least(0, &parameters, 3);
            let mine = coming(of(0), Duration::from_millis(10));
            sum_buckets(&ranks, &parameters, &buckets, mine, Wire::F32, Kept::Slice).err()
        });
        for rank in [0, 2] {
            // Whichever of the others ended first.
            let Some(CollectiveError::Gone { what: "its part of the gradients", gone, .. }) = &errors[rank]
            else {
                panic!("{:?}", errors[rank]);
            };
            assert!(gone.contains(&1), "{gone:?}");
        }
    }

    #[test]
    fn numbers_are_summed_like_gradients() {
        let value = |n: u64| {
            Tensor::<1>::from_floats([Stream::new(9, n, 0, Use::Test).unit() as f32], &Device::flex())
        };
        let all: Vec<u64> = (0..8).collect();
        let sum = |all: &[u64]| tree::sum(all, |n| value(*n), |a, b| a + b).unwrap();
        let expected = host(sum(&all))[0].to_bits();
        for found in on_ranks(4, LIMIT, |ranks| {
            let (mut mine, mut other) = (sum(&all[ranks.rank() * 2..][..2]), value(1));
            sum_values(&ranks, vec![&mut mine, &mut other], &[]).unwrap();
            host(mine)[0].to_bits()
        }) {
            assert_eq!(found, expected);
        }
    }
}
