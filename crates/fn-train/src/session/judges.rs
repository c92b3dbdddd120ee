//! The judges of a session, from its configuration.

use std::rc::Rc;
use std::sync::Arc;

use fn_core::correct::registry::{JUDGES, Resources};
use fn_core::judge::{
    All, Any, DeviceLexicon, Judge, LexiconJudge, NoJudge, Reading, Shuffled, Teacher, Verifier, WeightedMean,
};
use fn_core::lexicon::Lexicon;

use super::Session;
use crate::config::{JudgeKind, VerifierConfig};
use crate::error::TrainError;
use crate::objective::{EncoderJudge, Judging, MovingAverage, Reader};

impl Session {
    /// The resources from which judges and corrections are built. A moving average that is among it has to follow the model.
    pub(super) fn resources(
        &self,
        average: &mut Option<Arc<MovingAverage>>,
    ) -> Result<Resources, TrainError> {
        let verifier = &self.config.correction.verifier;
        Ok(Resources {
            lexicon: self.lexicon.as_ref().map(|lexicon| self.on_device(lexicon)),
            verifier: match verifier.is_none() {
                true => None,
                false => Some(self.reader(verifier, average)?),
            },
        })
    }

    fn on_device(&self, lexicon: &Lexicon) -> DeviceLexicon {
        DeviceLexicon::new(lexicon, self.config.lexicon.max_width, &self.device)
    }

    /// The judge of the corrections, and the judge of held-out metrics.
    pub(super) fn judging(
        &self,
        resources: &Resources,
        mut average: Option<Arc<MovingAverage>>,
    ) -> Result<Judging, TrainError> {
        let correction = &self.config.correction;
        let judge = self.judge(&correction.judge_or_default(), resources, &mut average)?;
        let by = |lexicon| -> Box<dyn Judge> { Box::new(LexiconJudge::new(lexicon)) };
        let measured_by = match (&self.measured_by, &resources.lexicon, &correction.judge) {
            (Some(lexicon), _, _) => Some(by(self.on_device(lexicon))),
            (None, Some(lexicon), _) => Some(by(lexicon.clone())),
            // There is no lexicon for held-out metrics.
            (None, None, Some(JudgeKind::Registered(settings))) => Some(JUDGES.build(settings, resources)?),
            (None, None, _) => None,
        };
        let (train, schedule) = (&self.config.train, &self.config.schedule);
        let length = schedule.clone().resolved(train.steps).total;
        Ok(Judging {
            judge,
            threshold: correction.threshold,
            cap: correction.cap_or_default(),
            warmup: self.config.micro_batches().before(correction.warmup_or_default(length)),
            average,
            measured_by,
        })
    }

    fn judge(
        &self,
        kind: &JudgeKind,
        resources: &Resources,
        average: &mut Option<Arc<MovingAverage>>,
    ) -> Result<Box<dyn Judge>, TrainError> {
        let mut inner = |kind: &JudgeKind| self.judge(kind, resources, average);
        Ok(match kind {
            JudgeKind::None => Box::new(NoJudge),
            JudgeKind::Lexicon => match &resources.lexicon {
                Some(lexicon) => Box::new(LexiconJudge::new(lexicon.clone())),
                // Without a judge, the configuration check has excluded corrections that need one.
                None => Box::new(NoJudge),
            },
            JudgeKind::Verifier(config) => {
                let reader = match (&self.config.correction.judge, &resources.verifier) {
                    (None, Some(verifier)) => verifier.clone(),
                    _ => self.reader(config, average)?,
                };
                Box::new(Verifier::of(reader, config.bands()))
            }
            JudgeKind::Encoder(config) => {
                Box::new(EncoderJudge::open(config, &self.tokenizer, self.config.data.length, &self.device)?)
            }
            JudgeKind::Generator(config) => Box::new(config.init()?),
            JudgeKind::All(judges) => Box::new(All(judges.iter().map(inner).collect::<Result<_, _>>()?)),
            JudgeKind::Any(judges) => Box::new(Any(judges.iter().map(inner).collect::<Result<_, _>>()?)),
            JudgeKind::Mean(judges) => {
                let weighted = judges.iter().map(|(weight, judge)| Ok((*weight, inner(judge)?)));
                Box::new(WeightedMean(weighted.collect::<Result<_, TrainError>>()?))
            }
            JudgeKind::Shuffled(judge) => Box::new(Shuffled(inner(judge)?)),
            JudgeKind::Registered(settings) => JUDGES.build(settings, resources)?,
        })
    }

    /// The masked LM of a verifier.
    fn reader(
        &self,
        config: &VerifierConfig,
        average: &mut Option<Arc<MovingAverage>>,
    ) -> Result<Rc<dyn Teacher>, TrainError> {
        let mask = self.tokenizer.special().mask;
        let Some(folder) = &config.model else {
            let model = Arc::new(MovingAverage::new(config.decay));
            *average = Some(model.clone());
            return Ok(Rc::new(Reading::new(model, mask)));
        };
        let model = Reader::load(folder, &self.device)?;
        let (found, tokenizer) = (model.vocab_size(), self.tokenizer.size());
        if found != tokenizer {
            return Err(TrainError::VerifierVocabulary { path: folder.clone(), model: found, tokenizer });
        }
        Ok(Rc::new(Reading::new(model, mask)))
    }
}
