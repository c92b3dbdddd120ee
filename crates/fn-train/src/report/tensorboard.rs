//! TensorBoard event files.
//!
//! The format is written directly: records with their length and masked CRC-32C, each a protobuf `Event` with a wall time, a
//! step and scalars. So there is no writer thread that could panic on a full disk, and no further dependency.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Meter, ReportError, Reporter, StepReport};

/// Writes `events.out.tfevents.<seconds>.fnlm.<pid>` into a folder.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    meter: Meter,
}

impl TensorBoard {
    /// Creates an event file in `dir`. TensorBoard shows all event files of a folder as one run.
    ///
    /// # Errors
    /// An error of the operating system.
    pub fn create(dir: &Path) -> Result<Self, ReportError> {
        std::fs::create_dir_all(dir).map_err(ReportError::io(dir, "create the folder"))?;
        let name = format!("events.out.tfevents.{:010}.fnlm.{}", now() as u64, std::process::id());
        let path = dir.join(name);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(ReportError::io(&path, "create the event file"))?;
        let mut board = Self { path, file, meter: Meter::default() };
        let mut event = Message::default();
        event.double(1, now());
        event.bytes(3, b"brain.Event:2");
        board.write(&event)?;
        Ok(board)
    }

    fn write(&mut self, event: &Message) -> Result<(), ReportError> {
        self.file.write_all(&frame(&event.0)).map_err(ReportError::io(&self.path, "append to the event file"))
    }

    fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (String, f64)> + 'a,
    ) -> Result<(), ReportError> {
        let mut summary = Message::default();
        for (tag, value) in values {
            let mut one = Message::default();
            one.bytes(1, tag.as_bytes());
            one.float(2, value as f32);
            summary.bytes(1, &one.0);
        }
        let mut event = Message::default();
        event.double(1, now());
        event.integer(2, step);
        event.bytes(5, &summary.0);
        self.write(&event)
    }
}

impl Reporter for TensorBoard {
    fn step(&mut self, r: &StepReport) -> Result<(), ReportError> {
        let (tokens_per_second, _) = self.meter.read(r);
        let named = |name: &str, value: f64| (name.to_owned(), value);
        let mut values = vec![
            named("train/loss", r.loss),
            named("train/learning_rate", r.learning_rate),
            named("train/grad_norm", r.grad_norm),
            named("train/skipped", f64::from(u8::from(r.skipped))),
            named("train/tokens_seen", r.tokens_seen as f64),
            named("train/tokens_per_second", tokens_per_second),
        ];
        values.extend(r.terms.iter().map(|(name, value)| (format!("train/loss_{name}"), *value)));
        if r.counts.rows > 0.0 {
            values.push(named("train/wrong_share", r.counts.wrong / r.counts.rows));
        }
        if r.counts.wrong > 0.0 {
            values.push(named("train/false_negative_share", r.counts.false_negative / r.counts.wrong));
        }
        self.scalars(r.step, values)
    }

    fn tick(&mut self, _: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.scalars(step, metrics.iter().map(|(name, value)| (format!("held_out/{name}"), *value)))
    }

    /// Writes a `SessionLog.START`, so that TensorBoard discards later steps of earlier files.
    fn resumed(&mut self, step: u64, _: &Path) -> Result<(), ReportError> {
        const START: u64 = 1;
        let mut session = Message::default();
        session.integer(1, START);
        let mut event = Message::default();
        event.double(1, now());
        event.integer(2, step + 1);
        event.bytes(7, &session.0);
        self.write(&event)
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A protobuf message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

/// A record: length, checksum of the length, bytes, checksum of the bytes.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked_crc(bytes).to_le_bytes());
    record
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), computed bit by bit, which suffices for a few hundred bytes per report.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use fn_core::stats::FalseNegativeStats;

    /// The fields of a message: number and either an integer or bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let (byte, rest) = bytes.split_first().unwrap();
                *bytes = rest;
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            value
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (number, content) = match key & 7 {
                0 => (varint(&mut bytes), Vec::new()),
                wire => {
                    let length = match wire {
                        1 => 8,
                        5 => 4,
                        2 => varint(&mut bytes) as usize,
                        other => panic!("wire type {other}"),
                    };
                    let (content, rest) = bytes.split_at(length);
                    bytes = rest;
                    (0, content.to_vec())
                }
            };
            found.push((key >> 3, number, content));
        }
        found
    }

    fn events(path: &Path) -> Vec<Vec<(u64, u64, Vec<u8>)>> {
        let all = std::fs::read(path).unwrap();
        let mut rest = &all[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let (body, tail) = rest[12..].split_at(length);
            assert_eq!(tail[..4], masked_crc(body).to_le_bytes());
            events.push(fields(body));
            rest = &tail[4..];
        }
        events
    }

    #[test]
    fn the_checksum_is_crc_32c_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn scalars_are_written_by_name_and_a_resumed_run_discards_later_steps() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(dir.path()).unwrap();
        board.resumed(300, Path::new("")).unwrap();
        let report = StepReport {
            step: 301,
            loss: 2.5,
            terms: vec![("generator".into(), 2.0)],
            counts: FalseNegativeStats { rows: 10.0, wrong: 4.0, false_negative: 1.0, shielded: 1.0 },
            learning_rate: 1e-3,
            grad_norm: f64::NAN,
            skipped: true,
            tokens: 10,
            tokens_seen: 10,
            seconds: 1.0,
            waited: 0.0,
        };
        board.step(&report).unwrap();
        board.evaluation(301, &[("masked_loss".into(), 1.5)]).unwrap();
        let name = board.path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("events.out.tfevents."), "{name}");

        let events = events(&board.path);
        assert_eq!(events.len(), 4);
        assert_eq!(events[0][1], (3, 0, b"brain.Event:2".to_vec()));
        assert_eq!((events[1][1].0, events[1][1].1), (2, 301));
        assert_eq!(fields(&events[1][2].2), [(1, 1, Vec::new())]); // SessionLog.START
        let scalars = |event: &[(u64, u64, Vec<u8>)]| -> Vec<(String, f32)> {
            assert_eq!((event[1].0, event[1].1), (2, 301));
            let value = |content: &[u8]| {
                let one = fields(content);
                let value = f32::from_le_bytes(one[1].2[..].try_into().unwrap());
                (String::from_utf8(one[0].2.clone()).unwrap(), value)
            };
            fields(&event[2].2).iter().map(|(_, _, content)| value(content)).collect()
        };
        let step = scalars(&events[2]);
        assert_eq!(step[0], ("train/loss".to_owned(), 2.5));
        assert!(step.contains(&("train/loss_generator".to_owned(), 2.0)));
        assert!(step.contains(&("train/false_negative_share".to_owned(), 0.25)));
        assert!(step.iter().any(|(name, value)| name == "train/grad_norm" && value.is_nan()));
        assert_eq!(scalars(&events[3]), [("held_out/masked_loss".to_owned(), 1.5)]);
    }
}
