//! What works on this machine: processor, memory, disk, and each backend, measured.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fn_data::tokenise::TextTokenizer;
use fn_eval::table::bytes;
use fn_train::config::RunConfig;
use fn_train::device::{Backend, DeviceSpec, Which, quietly};
use fn_train::machine::{self, Disk, matmul_gflops, train_step_seconds};
use fn_train::parity::Agreement;
use serde::Serialize;

use crate::exam::{self, ExamError, examine};

/// All results, as printed by `--json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of fnlm.
    pub version: &'static str,
    /// Operating system and processor family.
    pub platform: String,
    /// Backends that are compiled in.
    pub features: Vec<&'static str>,
    /// The processor.
    pub processor: Processor,
    /// The disk of the given folder.
    pub disk: Disk,
    /// One entry for each backend, or for the given device.
    pub devices: Vec<DeviceReport>,
    /// How well the judges of a configuration agree with people, where that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<exam::Report>,
    /// The same as tables.
    #[serde(skip)]
    judged: String,
}

/// The processor, and a setting of the allocator.
#[derive(Debug, Clone, Serialize)]
pub struct Processor {
    /// What the system reports.
    #[serde(flatten)]
    pub found: machine::Processor,
    /// mimalloc's purge delay in milliseconds; -1: freed pages are kept.
    pub purge_delay_ms: i64,
}

/// A backend or a device.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceReport {
    /// Name for `--device`.
    pub device: String,
    /// Whether this binary contains the backend.
    pub compiled: bool,
    /// Whether a computation on it succeeded.
    pub usable: bool,
    /// Why it is not usable, or how to compile it in.
    pub reason: Option<String>,
    /// Billions of floating-point operations a second in f32 matrix products, over about a second.
    pub matmul_gflops: Option<f64>,
    /// Seconds of a forward and backward pass of a tiny BERT, after one pass as warm-up.
    pub train_step_seconds: Option<f64>,
    /// Differences of its losses and gradients from those of flex; None for flex itself, or if flex is not compiled in.
    pub agreement: Option<Agreement>,
}

/// The program that examines the machine.
pub struct Examiner<'a> {
    /// Its version.
    pub version: &'static str,
    /// The processor, and the setting of its allocator.
    pub processor: Processor,
    /// Whether it contains a backend.
    pub compiled: &'a dyn Fn(Backend) -> bool,
    /// Opens a device, without autodiff; the error says why it cannot be used.
    pub open: &'a dyn Fn(&DeviceSpec) -> Result<Device, String>,
}

impl Examiner<'_> {
    /// Names of the backends that are compiled in.
    pub fn features(&self) -> Vec<&'static str> {
        Backend::ALL.into_iter().filter(|backend| (self.compiled)(*backend)).map(Backend::name).collect()
    }

    /// The machine in one line, for error reports and model cards.
    pub fn one_line(&self) -> String {
        format!(
            "fnlm {} ({}) on {} {}, {} threads, {}",
            self.version,
            self.features().join(", "),
            std::env::consts::OS,
            std::env::consts::ARCH,
            self.processor.found.threads,
            self.processor.found.vectors
        )
    }

    /// Runs all measurements: of one device or of each backend, and of the disk of `dir`.
    pub fn examine(&self, asked: Option<DeviceSpec>, dir: &Path) -> Report {
        let devices = match asked {
            Some(spec) => vec![self.device(spec)],
            None => Backend::ALL
                .into_iter()
                .map(|backend| self.device(DeviceSpec { backend, which: Which::Default }))
                .collect(),
        };
        Report {
            version: self.version,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            features: self.features(),
            processor: self.processor.clone(),
            disk: Disk::examine(dir),
            devices,
            judges: Vec::new(),
            judged: String::new(),
        }
    }

    fn device(&self, spec: DeviceSpec) -> DeviceReport {
        let mut report = DeviceReport {
            device: spec.to_string(),
            compiled: (self.compiled)(spec.backend),
            usable: false,
            reason: None,
            matmul_gflops: None,
            train_step_seconds: None,
            agreement: None,
        };
        if !report.compiled {
            report.reason = Some(format!("cargo build --release --features {}", spec.backend.name()));
            return report;
        }
        let device = match (self.open)(&spec) {
            Ok(device) => device,
            Err(error) => {
                report.reason = Some(error);
                return report;
            }
        };
        report.usable = true;
        match quietly(|| matmul_gflops(&device)) {
            Ok(speed) => report.matmul_gflops = Some(speed),
            Err(cause) => report.reason = Some(format!("matrix product: {cause}")),
        }
        match quietly(|| train_step_seconds(&device)) {
            Ok(seconds) => report.train_step_seconds = Some(seconds),
            Err(cause) => report.reason = Some(format!("training step: {cause}")),
        }
        if spec.backend != Backend::Flex
            && let Ok(flex) = (self.open)(&DeviceSpec { backend: Backend::Flex, which: Which::Default })
        {
            match quietly(|| Agreement::measure(&device, &flex)) {
                Ok(agreement) => {
                    if !agreement.good() {
                        report.usable = false;
                        report.reason = Some(format!(
                            "it computes wrongly: loss off by {:.1e}, gradient of `{}` by {:.1e} of flex's; do not train on it",
                            agreement.loss, agreement.worst, agreement.gradient
                        ));
                    }
                    report.agreement = Some(agreement);
                }
                Err(cause) => report.reason = Some(format!("comparison with flex: {cause}")),
            }
        }
        report
    }
}

impl Report {
    /// Adds how well the judges that a configuration names (its lexicon, be it a file or built from WordNet at the start, verifiers and encoder,
    /// each for itself) agree with people: the exam of `fnlm probe judge` on these files, at the threshold of the configuration, with traps where it names WordNet.
    ///
    /// # Errors
    /// Files that cannot be read or do not fit together; a configuration that names no such judge.
    pub fn examine_judges(
        &mut self,
        config: &RunConfig,
        data: &[PathBuf],
        device: &Device,
    ) -> Result<(), ExamError> {
        let tokenizer = TextTokenizer::load(&config.data.tokenizer)?;
        let examined = examine(&asked(config, data), &tokenizer, device, &mut |_| ())?;
        self.judged = examined.text(false);
        self.judges = examined.reports;
        Ok(())
    }

    /// Why the first device cannot be used; None if it can.
    pub fn unusable(&self) -> Option<String> {
        let device = self.devices.first().filter(|device| !device.usable)?;
        let reason = device.reason.as_deref().unwrap_or("no reason given");
        Some(format!("device `{}` cannot be used: {reason}", device.device))
    }

    /// As the terminal shows it.
    pub fn text(&self) -> String {
        let mut out = format!("fnlm {} on {}\n", self.version, self.platform);
        let p = &self.processor.found;
        let memory = match (p.memory_available, p.memory_total) {
            (Some(free), Some(total)) => {
                format!("{} of {} memory free", bytes(free), bytes(total))
            }
            _ => "memory unknown".to_string(),
        };
        out.push_str(&format!(
            "processor  {}, {} threads ({} for flex), {}, {memory}\n",
            p.name.as_deref().unwrap_or("unknown"),
            p.threads,
            p.pool,
            p.vectors
        ));
        let kept = if self.processor.purge_delay_ms < 0 { "keeps pages" } else { "returns pages: slower" };
        out.push_str(&format!("allocator  mimalloc, {kept}\n"));
        let d = &self.disk;
        out.push_str(&format!(
            "disk       {}: {} free, {}\n",
            d.path,
            d.free.map_or("unknown".to_string(), bytes),
            match (d.fsync_seconds, &d.error) {
                (Some(seconds), _) => format!("4 MiB written and synced in {:.0} ms", seconds * 1e3),
                (None, Some(error)) => format!("NOT WRITABLE: {error}"),
                (None, None) => "not measured".to_string(),
            }
        ));
        for device in &self.devices {
            let state = match (device.compiled, device.usable) {
                (false, _) => "not compiled in",
                (true, false) => "DOES NOT WORK",
                (true, true) => "works",
            };
            out.push_str(&format!("device     {:<8} {state}", device.device));
            if let Some(speed) = device.matmul_gflops {
                out.push_str(&format!(", {speed:.0} GFLOP/s"));
            }
            if let Some(seconds) = device.train_step_seconds {
                out.push_str(&format!(", forward and backward of a tiny BERT {:.1} ms", seconds * 1e3));
            }
            if let Some(agreement) = device.agreement.as_ref().filter(|a| a.good()) {
                out.push_str(&format!(
                    ", agrees with flex (loss to {:.0e}, gradients to {:.0e})",
                    agreement.loss, agreement.gradient
                ));
            }
            if let Some(reason) = &device.reason {
                out.push_str(&format!(": {reason}"));
            }
            out.push('\n');
        }
        if !self.judged.is_empty() {
            out.push_str(&format!("\njudges against people:\n{}", self.judged));
        }
        out
    }
}

/// The judges of a configuration, as the exam is asked about them.
fn asked(config: &RunConfig, data: &[PathBuf]) -> exam::Asked {
    let correction = &config.correction;
    let inner = correction.judge.iter().flat_map(|judge| judge.verifiers());
    let verifiers = inner.chain([&correction.verifier]).filter_map(|verifier| verifier.model.clone());
    let encoder = correction.judge.iter().flat_map(|judge| judge.encoders()).next();
    let dict = encoder.and_then(|encoder| encoder.wordnet.clone());
    exam::Asked {
        data: data.to_vec(),
        lexicons: config.lexicon.path.iter().cloned().collect(),
        built_from: config.lexicon.wordnet.clone().filter(|_| config.lexicon.path.is_none()),
        encoder: encoder.and_then(|encoder| encoder.model.clone()),
        layers: encoder.map_or(0, |encoder| encoder.layers),
        calibration: encoder.and_then(|encoder| encoder.calibration.clone()),
        verifiers: verifiers.collect(),
        wordnet: dict.or_else(|| config.lexicon.wordnet.clone()),
        threshold: correction.threshold,
        resamples: 1000,
        ..exam::Asked::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judges_of_a_configuration_are_asked_each_for_itself() {
        let text = "[lexicon]\npath = \"l.safetensors\"\nwordnet = \"dict\"\n[correction]\nthreshold = 0.25\n\
                    [correction.judge]\nkind = \"any\"\njudges = [{ kind = \"lexicon\" }, { kind = \"verifier\", model = \"v\" }, \
                    { kind = \"encoder\", model = \"e\", layers = 2, calibration = \"c.json\" }]\n";
        let asked = asked(&toml::from_str(text).unwrap(), &["swords.json".into()]);
        assert_eq!(asked.lexicons, [PathBuf::from("l.safetensors")]);
        assert_eq!(asked.verifiers, [PathBuf::from("v")]);
        assert_eq!((asked.encoder, asked.layers), (Some("e".into()), 2));
        assert_eq!((asked.calibration, asked.wordnet), (Some("c.json".into()), Some("dict".into())));
        assert_eq!((asked.threshold, asked.data), (0.25, vec![PathBuf::from("swords.json")]));
        assert_eq!(asked.built_from, None, "a file takes precedence");
    }

    #[test]
    fn a_lexicon_that_a_run_builds_at_its_start_is_examined() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] boat tub box vessel the went";
        std::fs::write(at("vocab.txt"), pieces.replace(' ', "\n") + "\n").unwrap();
        let pairs = "the boat went\t4\tboat\ttub\tTRUE\nthe boat went\t4\tboat\tbox\tFALSE\n";
        std::fs::write(at("pairs.tsv"), pairs).unwrap();
        let dict = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fn-data/tests/wordnet_tiny");
        let mut config = RunConfig::default();
        config.data.tokenizer = at("vocab.txt");
        config.lexicon.wordnet = Some(dict.clone());
        let tokenizer = TextTokenizer::load(&config.data.tokenizer).unwrap();
        let asked = asked(&config, &[at("pairs.tsv")]);
        assert_eq!(asked.built_from, Some(dict));
        let examined = examine(&asked, &tokenizer, &Device::flex(), &mut |_| ()).unwrap();
        // *tub* is in the synset of *boat*, *box* is not: the one good pair is ranked first.
        assert!(examined.reports.len() == 1 && examined.reports[0].judge.contains("wordnet_tiny"));
        assert_eq!(examined.reports[0].with_traps.average_precision, 1.0);
    }
}
