//! What applications are told of a frame.

use glib::prelude::*;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::changes::Change;
use super::element::{CAT, SmileFilter, State};
use super::properties::{FrameSettings, Labels};
use super::results::Face;
use super::utc::clock_time;
use super::worker::Outcome;
use super::{Event, Results, Updates};

impl SmileFilter {
    /// How things are with a frame of which `times` are the times.
    pub fn results(&self, outcome: &Outcome, settings: &FrameSettings, times: &Results) -> Results {
        let labels = labels(outcome, settings);
        let fresh = outcome.effort.fresh;
        let age = times.time().zip(outcome.time).and_then(|(now, then)| now.checked_sub(then));
        let source = settings.source_id.as_deref().map_or_else(|| self.obj().name().into(), String::from);
        Results {
            source,
            sequence: self.state().sequence,
            faces: outcome
                .faces
                .iter()
                .map(|face| Face::new(face, &labels[usize::from(face.smiling)]))
                .collect(),
            inference_time: clock_time(outcome.took),
            stale: !fresh,
            age: if fresh { gst::ClockTime::ZERO } else { clock_time(age.unwrap_or_default()) },
            ..times.clone()
        }
    }

    /// Tells applications what there is and what has changed: `results`, where they were made already.
    pub fn announce(
        &self,
        outcome: &Outcome,
        settings: &FrameSettings,
        times: &Results,
        results: Option<Results>,
    ) {
        let (changes, first, before, now) = {
            let mut state = self.state();
            let presence = |state: &State| (state.known.smiling(), state.known.count());
            let before = presence(&state);
            let changes = state.known.update(&outcome.faces);
            let first = !std::mem::replace(&mut state.told, true);
            let now = presence(&state);
            (changes, first, before, now)
        };
        // No lock is held from here on: handlers may do with the element what they like.
        if settings.post_messages {
            let results = || results.unwrap_or_else(|| self.results(outcome, settings, times));
            self.post(&changes, first && changes.is_empty(), outcome, settings.updates, results);
        }
        let obj = self.obj();
        if before.1 != now.1 {
            obj.notify("num-faces");
        }
        if before.0 != now.0 {
            obj.notify("smiling");
        }
        for Change { event, identity, probability } in changes {
            if let Event::SmileStarted | Event::SmileEnded = event {
                let smiling = event == Event::SmileStarted;
                obj.emit_by_name::<()>("smile-changed", &[&identity, &smiling, &f64::from(probability)]);
            }
        }
    }

    /// Posts the results with each change, and once more where an update is due, as `first` says that it is.
    fn post(
        &self,
        changes: &[Change],
        first: bool,
        outcome: &Outcome,
        updates: Updates,
        results: impl FnOnce() -> Results,
    ) {
        let update = match updates {
            Updates::None => return,
            Updates::OnChange => first,
            Updates::OnFace => first || !outcome.faces.is_empty(),
            Updates::EveryFrame => true,
        };
        if changes.is_empty() && !update {
            return;
        }
        let mut results = results();
        let changes = changes.iter().map(|change| (change.event, change.identity));
        for (event, identity) in changes.chain(update.then_some((Event::Update, 0))) {
            (results.event, results.identity) = (event, identity);
            results.sequence = {
                let mut state = self.state();
                state.sequence += 1;
                state.sequence
            };
            let message = gst::message::Element::builder(gst::Structure::from(&results)).src(&*self.obj());
            if self.obj().post_message(message.build()).is_err() {
                gst::log!(CAT, imp = self, "Nobody listens to the results");
            }
        }
    }
}

/// What to call the answers.
pub fn labels<'a>(outcome: &'a Outcome, settings: &'a FrameSettings) -> &'a Labels {
    settings.labels.as_ref().unwrap_or(&outcome.labels)
}
