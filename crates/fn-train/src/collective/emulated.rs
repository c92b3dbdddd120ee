//! A network of given speed, emulated: for measuring what a slower network would cost, where there is only one machine.

use std::cell::Cell;
use std::str::FromStr;
use std::time::Duration;

use super::{Collective, CollectiveError, Meeting};

/// Bandwidth and latency of a machine's network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Bits a second in each direction (full duplex).
    pub bits_per_second: f64,
    /// Time from one machine to another, one way.
    pub latency: Duration,
}

impl Link {
    /// Time of an exchange in which this rank sends and receives so many bytes; none if it does neither.
    pub fn duration(&self, sent: usize, received: usize) -> Duration {
        let bytes = sent.max(received);
        if bytes == 0 {
            return Duration::ZERO;
        }
        self.latency + Duration::from_secs_f64(8.0 * bytes as f64 / self.bits_per_second)
    }
}

impl FromStr for Link {
    type Err = String;

    /// Reads `10gbit,0.1ms`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not bandwidth and latency: write for instance 1gbit,1ms or 100mbit,50us");
        let number = |text: &str, units: [(&str, f64); 2], smallest: f64| {
            let (number, scale) =
                units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
            let value = number.trim().parse::<f64>().ok()?;
            (value.is_finite() && value >= smallest && value < 1e6).then_some(value * scale)
        };
        let (rate, latency) = text.split_once(',').ok_or_else(wrong)?;
        let rate = number(rate.trim(), [("gbit", 1e9), ("mbit", 1e6)], 1e-3).ok_or_else(wrong)?;
        let latency = number(latency.trim(), [("ms", 1e-3), ("us", 1e-6)], 0.0).ok_or_else(wrong)?;
        Ok(Self { bits_per_second: rate, latency: Duration::from_secs_f64(latency) })
    }
}

/// Ranks of which each is on a machine of its own, behind a [`Link`]. The messages of `ranks` are exchanged, and then this thread sleeps for as
/// long as the link would have needed: no processor is used, as in a real transfer by the network card, and another thread may compute.
pub struct Emulated<'a> {
    ranks: &'a dyn Collective,
    link: Link,
    slept: Cell<Duration>,
}

impl<'a> Emulated<'a> {
    /// `ranks` behind `link`.
    pub fn new(ranks: &'a dyn Collective, link: Link) -> Self {
        Self { ranks, link, slept: Cell::default() }
    }
}

impl Collective for Emulated<'_> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn world(&self) -> usize {
        self.ranks.world()
    }

    fn exchange(
        &self,
        meeting: Meeting,
        send: &[&[u8]],
        receive: &mut [&mut [u8]],
    ) -> Result<(), CollectiveError> {
        self.ranks.exchange(meeting, send, receive)?;
        let others = |lengths: &mut dyn Iterator<Item = usize>| -> usize {
            lengths.enumerate().filter(|(other, _)| *other != self.rank()).map(|(_, length)| length).sum()
        };
        let sent = others(&mut send.iter().map(|part| part.len()));
        let received = others(&mut receive.iter().map(|part| part.len()));
        let duration = self.link.duration(sent, received);
        std::thread::sleep(duration);
        self.slept.set(self.slept.get() + duration);
        Ok(())
    }

    fn exchanged(&self) -> Duration {
        self.ranks.exchanged() + self.slept.get()
    }

    fn abort(&self, code: u8) {
        self.ranks.abort(code);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::collective::Threads;

    #[test]
    fn links_are_read_and_what_is_none_is_refused() {
        let link: Link = "10gbit,0.1ms".parse().unwrap();
        assert_eq!(link, Link { bits_per_second: 1e10, latency: Duration::from_micros(100) });
        assert_eq!("100mbit, 50us".parse::<Link>().unwrap().latency, Duration::from_micros(50));
        for wrong in
            ["", "1gbit", "1ms,1gbit", "0gbit,1ms", "NaNgbit,1ms", "1gbit,-1ms", "1gbit,infms", "1e9gbit,1ms"]
        {
            assert!(wrong.parse::<Link>().unwrap_err().contains("1gbit,1ms"), "{wrong}");
        }
    }

    #[test]
    fn an_exchange_takes_latency_and_bytes_over_bandwidth() {
        // 1 MB at 100 Mbit/s: 80 ms, and 20 ms of latency.
        let link: Link = "100mbit,20ms".parse().unwrap();
        assert_eq!(link.duration(0, 0), Duration::ZERO);
        assert_eq!(link.duration(1_000_000, 7), Duration::from_millis(100));
        std::thread::scope(|scope| {
            for ranks in Threads::new(2, Duration::from_secs(60)) {
                scope.spawn(move || {
                    let ranks = Emulated::new(&ranks, link);
                    let message = vec![ranks.rank() as u8; 1_000_000];
                    let (mut zero, mut one) = (vec![9; 1_000_000], vec![9; 1_000_000]);
                    let began = Instant::now();
                    ranks
                        .exchange(Meeting::step("a test"), &[&message, &message], &mut [&mut zero, &mut one])
                        .unwrap();
                    let took = began.elapsed();
                    assert!(zero.iter().all(|b| *b == 0) && one.iter().all(|b| *b == 1));
                    assert!(
                        took >= Duration::from_millis(100) && ranks.exchanged() >= Duration::from_millis(100)
                    );
                });
            }
        });
    }
}
