//! Where faces are in a picture: regions of a request, or what the face detector finds.

use super::super::area::View;
use super::super::crop::Rect;
use super::super::locate::{self, Locator};
use super::super::track::{Confidence, Observation};
use super::{Analyzer, Effort, LONGEST_PREDICTION, MOST_REGIONS};
use crate::model::Result;

/// From this share of the face detector's threshold on a face that was there before still is.
const FAINT: f32 = 0.4;
/// Of the pictures in which faces are looked for every Nth is searched as a whole, and at least one in
/// [`LONGEST_PREDICTION`].
/// The others are looked at where faces were, from near, which costs a fraction.
const WHOLE_EVERY: u32 = 5;

impl Analyzer {
    /// Takes the regions of a request for observations.
    pub(super) fn take(&mut self, view: &View, regions: &[Rect]) {
        self.observations.clear();
        self.regions.clear();
        let cut = |(index, region): (usize, &Rect)| Some((index, region.within(view.bounds())?));
        self.in_view.clear();
        self.in_view.extend(regions.iter().enumerate().filter_map(cut));
        keep_largest(&mut self.in_view, MOST_REGIONS);
        for &(index, rect) in &self.in_view {
            self.observations.push(Observation {
                rect,
                confidence: Confidence::High,
                landmarks: None,
                score: 1.0,
            });
            self.regions.push(index);
        }
        self.tracker.update(&self.observations, self.clock.now);
        // What the face detector saw before is no longer what tracks were seen at, and it may see nothing there.
        self.look_everywhere();
        self.tracker.doubt_faces();
    }

    /// Looks for faces.
    pub(super) fn locate(&mut self, view: &View) -> Result<()> {
        self.observations.clear();
        self.regions.clear();
        self.detections.clear();
        if let Some(mut locator) = self.locator.take() {
            let least = locator.threshold();
            let sure = least + self.settings.sure * (1.0 - least);
            locator
                .set_least_height(self.settings.least_height * view.full_height / view.part.bounds().height);
            let looked = self.look(&mut locator, view, FAINT * least);
            self.locator = Some(locator);
            looked?;
            self.observations.extend(self.detections.iter().map(|found| Observation {
                rect: view.back(found.rect),
                confidence: match found.score {
                    score if score >= sure => Confidence::High,
                    score if score >= least => Confidence::Medium,
                    _ => Confidence::Low,
                },
                landmarks: Some(found.landmarks.map(|point| view.back_point(point))),
                score: found.score,
            }));
            self.effort = Effort { inferred: true, fresh: true, located: true };
        }
        self.tracker.update(&self.observations, self.clock.now);
        Ok(())
    }

    /// Looks where faces should be, or, now and then and where one isn't there, everywhere.
    fn look(&mut self, locator: &mut Locator, view: &View, least: f32) -> Result<()> {
        if !self.whole.due(WHOLE_EVERY, LONGEST_PREDICTION, self.clock.now, false) {
            self.tracker.carry(self.clock.now);
            let places = || self.tracker.expected().map(|(rect, counts)| (view.within(rect), counts));
            self.expected.clear();
            self.expected.extend(places().map(|(rect, _)| rect));
            let near = !self.expected.is_empty()
                && locator.locate_near(&view.part, &self.expected, least, &mut self.detections)?;
            let found = &self.detections;
            let seen = |rect: Rect| found.iter().any(|face| face.rect.overlap(rect) >= locate::SAME);
            // What has been seen once may have been no face.
            if near && places().all(|(rect, counts)| !counts || seen(rect)) {
                return Ok(());
            }
            self.whole.restart(self.clock.now);
        }
        locator.locate_from(&view.part, least, &mut self.detections)
    }
}

/// Leaves the largest of some regions, in their order.
fn keep_largest(regions: &mut Vec<(usize, Rect)>, most: usize) {
    if regions.len() > most {
        regions.select_nth_unstable_by(most, |(a, x), (b, y)| y.area().total_cmp(&x.area()).then(a.cmp(b)));
        regions.truncate(most);
        regions.sort_unstable_by_key(|(index, _)| *index);
    }
}
