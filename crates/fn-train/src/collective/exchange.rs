//! Gradients of all ranks, summed bucket by bucket: after the backward pass, or behind it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::{
    Bucket, Buckets, Collective, CollectiveError, Meeting, Wire, gather_equal, gather_slices, sum_slices,
};
use crate::optim::{Backward, Gradients, Parameter, append};

/// Where the ranks meet after they have computed their gradients: who is there first waits for the slowest.
pub const ARRIVAL: Meeting = Meeting::step("the gradients");

/// Stack of the threads that compute, in bytes: that of a main thread.
const STACK: usize = 8 << 20;

/// The gradients of this rank.
pub enum Mine {
    /// All of them.
    Whole(Gradients),
    /// Those that are computed while others are under way.
    Coming(Box<Computation>),
}

/// Computes gradients: hands on those of each bucket, one after the other, until it is told false, and returns which parameters have one. See
/// [`Backward::run`].
pub type Computation = dyn FnOnce(&Buckets, &mut dyn FnMut(usize, Vec<f32>) -> bool) -> Vec<bool> + Send;

impl From<Backward> for Mine {
    fn from(backward: Backward) -> Self {
        Self::Coming(Box::new(move |buckets, ready| backward.run(buckets, ready)))
    }
}

impl From<Gradients> for Mine {
    fn from(gradients: Gradients) -> Self {
        Self::Whole(gradients)
    }
}

/// What every rank gets of the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of it (all-reduce): a rank sends and receives `2 (world - 1) / world` times the size of the gradients.
    All,
    /// Its slice of each bucket (reduce-scatter): half as much.
    Slice,
}

/// The sum of the gradients of all ranks.
#[derive(Debug)]
pub struct Summed {
    /// What is kept of each bucket.
    pub buckets: Vec<Vec<f32>>,
    /// Which parameters have a gradient on any rank.
    pub reached: Vec<bool>,
    /// Of gradients that were sent behind the backward pass.
    pub behind: Option<Behind>,
}

/// What was sent behind a backward pass.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    /// When this rank had ended the backward pass.
    pub computed: Instant,
    /// How long this rank had been sending or receiving by then, see [`Collective::exchanged`].
    pub hidden: Duration,
}

/// Sums the gradients of all ranks.
///
/// Each rank receives its slice of a bucket of all others, adds them in the [tree](super::tree) of the ranks and, if all is kept, sends the sum to
/// all. Sums are made element by element, so neither buckets nor slices nor the time at which a bucket is sent change their bits.
///
/// Gradients that are [coming](Mine::Coming) are computed by threads of their own. This one sends: MPI is used by the thread that started it.
///
/// # Errors
/// Ranks that did not answer in time or have ended.
pub fn sum_buckets(
    ranks: &dyn Collective,
    parameters: &[Parameter],
    buckets: &Buckets,
    mine: Mine,
    wire: Wire,
    kept: Kept,
) -> Result<Summed, CollectiveError> {
    let sums = vec![Vec::new(); buckets.all().len()];
    let mut exchange = Exchange { ranks, buckets, wire, kept, sums };
    match mine {
        Mine::Whole(mut gradients) => {
            let reached: Vec<bool> = parameters.iter().map(|p| gradients.get(&p.path).is_some()).collect();
            let reached = arrive(ranks, &reached)?;
            for (index, Bucket { parameters: members, .. }) in buckets.all().iter().enumerate() {
                let mut flat = Vec::new();
                for Parameter { path, elements, .. } in members.iter().map(|member| &parameters[*member]) {
                    append(gradients.take(path), *elements, &mut flat);
                }
                exchange.add(index, flat)?;
            }
            Ok(Summed { buckets: exchange.sums, reached, behind: None })
        }
        Mine::Coming(computation) => {
            let (reached, behind) = exchange.behind(computation)?;
            let reached = arrive(ranks, &reached)?;
            Ok(Summed { buckets: exchange.sums, reached, behind: Some(behind) })
        }
    }
}

impl Summed {
    /// The gradients on their devices, of a sum that was kept whole.
    pub fn gradients(self, parameters: &[Parameter], buckets: &Buckets) -> Gradients {
        let mut gradients = Gradients::default();
        for (flat, Bucket { parameters: members, slices }) in self.buckets.iter().zip(buckets.all()) {
            let reached = members.iter().enumerate().filter(|(_, member)| self.reached[**member]);
            for (place, Parameter { path, elements, device }) in reached.map(|(i, m)| (i, &parameters[*m])) {
                let data = TensorData::new(flat[slices.tensor(place)].to_vec(), [*elements]);
                gradients.set(path, Tensor::from_data(data, device));
            }
        }
        gradients
    }
}

/// Waits until all ranks have their gradients, and tells which parameters have one on any rank.
fn arrive(ranks: &dyn Collective, mine: &[bool]) -> Result<Vec<bool>, CollectiveError> {
    let mine: Vec<u8> = mine.iter().map(|reached| u8::from(*reached)).collect();
    let by_rank = gather_equal(ranks, ARRIVAL, &mine)?;
    Ok((0..mine.len()).map(|index| by_rank.iter().any(|rank| rank.get(index) == Some(&1))).collect())
}

/// Buckets under way.
struct Exchange<'a> {
    ranks: &'a dyn Collective,
    buckets: &'a Buckets,
    wire: Wire,
    kept: Kept,
    /// What is kept of each bucket.
    sums: Vec<Vec<f32>>,
}

impl Exchange<'_> {
    /// Sums a bucket over the ranks; `flat` are this rank's gradients.
    fn add(&mut self, index: usize, mut flat: Vec<f32>) -> Result<(), CollectiveError> {
        let (ranks, slices) = (self.ranks, &self.buckets.all()[index].slices);
        sum_slices(ranks, &mut flat, slices, self.wire)?;
        self.sums[index] = match self.kept {
            Kept::All => {
                gather_slices(
                    ranks,
                    Meeting::step("the sum of the gradients"),
                    &mut flat,
                    slices,
                    self.wire,
                )?;
                flat
            }
            Kept::Slice => flat[slices.of(ranks.rank())].to_vec(),
        };
        Ok(())
    }

    /// Sums each bucket while the next ones are computed. Returns which parameters have a gradient on this rank.
    fn behind(&mut self, computation: Box<Computation>) -> Result<(Vec<bool>, Behind), CollectiveError> {
        let failed = |message: String| CollectiveError::Failed {
            other: self.ranks.rank(),
            what: "starting threads for the backward pass",
            message,
        };
        let threads = computing().map_err(|error| failed(error.to_string()))?;
        let ended = failed("it ended without a result".to_owned());
        let (sender, receiver) = mpsc::channel();
        let (done, result) = mpsc::channel();
        let buckets = self.buckets;
        let mut times = Vec::new();
        threads.in_place_scope(|scope| {
            scope.spawn(move |_| {
                let reached = computation(buckets, &mut |index, flat| sender.send((index, flat)).is_ok());
                // Not received after an error only.
                let _ = done.send((reached, Instant::now()));
            });
            // An error ends the computation, too: nobody receives what it sends next.
            for (index, flat) in receiver {
                let (began, before) = (Instant::now(), self.ranks.exchanged());
                self.add(index, flat)?;
                times.push((began, self.ranks.exchanged().saturating_sub(before)));
            }
            Ok::<(), CollectiveError>(())
        })?;
        let (reached, computed) = result.recv().map_err(|_| ended)?;
        let until =
            |(began, took): &(Instant, Duration)| (*took).min(computed.saturating_duration_since(*began));
        Ok((reached, Behind { computed, hidden: times.iter().map(until).sum() }))
    }
}

/// Threads that compute while this one sends: as many as it has for itself. They are others, because this one may be one of its pool, and the only
/// one; they wait from one step to the next.
fn computing() -> Result<Rc<ThreadPool>, ThreadPoolBuildError> {
    thread_local! {
        static THREADS: RefCell<Option<Rc<ThreadPool>>> = const { RefCell::new(None) };
    }
    if let Some(threads) = THREADS.with_borrow(Clone::clone) {
        return Ok(threads);
    }
    let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).stack_size(STACK);
    let threads = Rc::new(pool.thread_name(|index| format!("backward {index}")).build()?);
    THREADS.set(Some(threads.clone()));
    Ok(threads)
}
