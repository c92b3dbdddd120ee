//! TensorBoard event files.
//!
//! The format is small enough to write by hand: records framed by their length and masked CRC-32C, each a protobuf `Event`
//! with a wall time, a step and scalars. So there is no thread that can panic on a full disk, and no further dependency.

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
    /// A new event file in `dir`. TensorBoard shows all event files of a folder as one run.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn create(dir: &Path) -> Result<Self, ReportError> {
        std::fs::create_dir_all(dir).map_err(ReportError::io(dir, "create the folder"))?;
        let name = format!(
            "events.out.tfevents.{:010}.fnlm.{}",
            now() as u64,
            std::process::id()
        );
        let path = dir.join(name);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(ReportError::io(&path, "create the event file"))?;
        let mut board = Self {
            path,
            file,
            meter: Meter::default(),
        };
        let mut event = Message::default();
        event.double(1, now());
        event.bytes(3, b"brain.Event:2");
        board.write(&event)?;
        Ok(board)
    }

    fn write(&mut self, event: &Message) -> Result<(), ReportError> {
        self.file
            .write_all(&frame(&event.0))
            .map_err(ReportError::io(&self.path, "append to the event file"))
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
        values.extend(
            r.terms
                .iter()
                .map(|(name, value)| (format!("train/loss_{name}"), *value)),
        );
        if r.counts.rows > 0.0 {
            values.push(named("train/wrong_share", r.counts.wrong / r.counts.rows));
        }
        if r.counts.wrong > 0.0 {
            values.push(named(
                "train/false_negative_share",
                r.counts.false_negative / r.counts.wrong,
            ));
        }
        self.scalars(r.step, values)
    }

    fn tick(&mut self, _: u64, tokens: u64, seconds: f64) -> Result<(), ReportError> {
        self.meter.tick(tokens, seconds);
        Ok(())
    }

    fn evaluation(&mut self, step: u64, metrics: &[(String, f64)]) -> Result<(), ReportError> {
        self.scalars(
            step,
            metrics
                .iter()
                .map(|(name, value)| (format!("held_out/{name}"), *value)),
        )
    }

    /// Tells TensorBoard to forget what earlier files say about later steps.
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
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
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

/// Length, its checksum, the bytes, their checksum.
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

/// CRC-32C (Castagnoli), bit by bit: a few hundred bytes per report.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}
