//! One frame in, its faces out.

mod search;

use std::time::Duration;

use super::Landmarks;
use super::answer::Answer;
use super::area::{Area, View};
use super::crop::{Cropper, Picture, Rect};
use super::locate::{self, Detection, Locator};
use super::pace::{Clock, Turn};
use super::scene::Scene;
use super::track::{self, Observation, Track, Tracker};
use crate::model::{Classifier, DeviceChoice, FaceWeights, Region, Result, Weights};

/// Which part of a picture is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// The regions of the request where it has any, else the faces that are found.
    #[default]
    Auto,
    /// The faces that are found.
    Faces,
    /// The regions of the request.
    Regions,
    /// The largest centred square.
    Center,
    /// The whole picture, squeezed.
    Full,
}

/// What is asked about a picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Where to look.
    pub search: Search,
    /// Where others found faces, in pixels of the picture. What lies outside of it is cut off;
    /// regions of which no pixel is left are passed over. Of more than [`MOST_REGIONS`], the largest count.
    pub regions: &'a [Rect],
    /// There is no time for a network: faces are carried to where they should be, and answers stay.
    pub skip: bool,
}

/// What is worth a look, and how it is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What of pictures is looked at; `None`: all. Faces and regions of a request are cut off at its edges, those
    /// outside are passed over, and [`Search::Center`] and [`Search::Full`] are of the area.
    pub area: Option<Area>,
    /// Of more faces, those with the largest area times score are looked at.
    pub most_faces: usize,
    /// The height of the smallest face that is looked at, as a share of the picture's: how large the picture has to be
    /// seen, so that time grows with the inverse of its square. A face looked at before may be a fifth smaller, so
    /// that none comes and goes at the limit. Regions of a request may have any size.
    pub least_height: f32,
    /// A face counts at once where its score is at least this far on the way from the face detector's
    /// threshold to 1, others with their second observation in a row.
    pub sure: f32,
    /// Faces are looked for in every Nth picture, and at least every 150 ms of the stream; between, their
    /// boxes are predicted. 0 is taken for 1.
    pub locate_every: u32,
    /// Every Nth picture is classified; a face without an answer at once. 0 is taken for 1.
    pub classify_every: u32,
    /// A face smiles from this probability on; `None`: as the weights say.
    pub threshold: Option<f32>,
    /// How faces are followed from frame to frame.
    pub track: track::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            area: None,
            most_faces: 8,
            least_height: locate::LEAST_HEIGHT,
            sure: 0.4,
            locate_every: 1,
            classify_every: 1,
            threshold: None,
            track: track::Settings::default(),
        }
    }
}

/// So many regions of a request are followed at most. Work grows with their square, and whoever sends frames
/// must not be able to stop the stream with more; no picture shows more faces of a size that can be judged.
pub const MOST_REGIONS: usize = 256;
/// Boxes are predicted for so long at most: with the default interval that changes nothing from 20 frames a
/// second on, and at few frames a second a face has moved too far after that for its crop to show it.
const LONGEST_PREDICTION: Duration = Duration::from_millis(150);
/// How much more than its area times score counts what was looked at in the last picture.
const STAYS: f32 = 1.25;

/// What was found at one place of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Whose face it is: the same number from frame to frame, from 1 on. 0 where no face was looked
    /// for ([`Search::Center`] and [`Search::Full`]).
    pub id: u32,
    /// Where it is, within the picture.
    pub rect: Rect,
    /// Of smiling, from 0 to 1, averaged over the last frames.
    pub probability: f32,
    /// Whether it smiles: `probability` has passed the weights' threshold by a margin.
    pub smiling: bool,
    /// The index of the request's region that this is.
    pub region: Option<usize>,
    /// Whether this is where it should be, by its motion, and not where it was seen in this very picture: nobody
    /// looked for faces there, or it wasn't found.
    pub predicted: bool,
    /// As the face detector saw them last, moved and scaled with the box. They may lie outside of the picture. `None` for
    /// regions of a request, and where no face was looked for.
    pub landmarks: Option<Landmarks>,
    /// How sure the face detector was when it saw the face last, from 0 to 1; 1 for regions of a request, and where no face
    /// was looked for.
    pub score: f32,
}

impl Face {
    /// The probability of the answer given, from 0 to 1.
    pub fn confidence(&self) -> f32 {
        if self.smiling { self.probability } else { 1.0 - self.probability }
    }
}

/// A face that is worth a look.
struct Chosen {
    id: u32,
    rank: f32,
    rect: Rect,
    /// Whether it has an answer.
    known: bool,
}

/// How much was done for a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// A network has run.
    pub inferred: bool,
    /// Something of what is said is of this very picture: a network saw it, or the request has its regions.
    pub fresh: bool,
    /// Whether faces are where they were seen in this picture, by the face detector or the request.
    pub located: bool,
}

/// Everything between a frame and its faces, with all buffers kept from frame to frame.
pub struct Analyzer {
    classifier: Classifier,
    locator: Option<Locator>,
    settings: Settings,
    tracker: Tracker,
    scene: Scene,
    clock: Clock,
    /// The search and the area of the last frame.
    search: Search,
    area: Option<Area>,
    locating: Turn,
    /// Whether the next look for faces is at the whole picture.
    whole: Turn,
    classifying: Turn,
    effort: Effort,
    /// The answer to a region that is no face.
    answer: Option<Answer>,
    cropper: Cropper,
    crops: Vec<u8>,
    probabilities: Vec<f32>,
    detections: Vec<Detection>,
    /// Where faces should be.
    expected: Vec<Rect>,
    observations: Vec<Observation>,
    /// For each observation that is a region of the request its index there.
    regions: Vec<usize>,
    /// Regions of which something is in view, with their index in the request.
    in_view: Vec<(usize, Rect)>,
    chosen: Vec<Chosen>,
    /// Those of the last picture.
    chosen_before: Vec<Chosen>,
    faces: Vec<Face>,
}

impl Analyzer {
    /// Puts the networks onto their devices and tries the one for smiles once, so that neither
    /// broken weights nor a slow first run show up in the stream. Without weights of a face detector no
    /// faces are found, but regions can be looked at.
    ///
    /// # Errors
    /// Where the device can't be had, or the weights lack a tensor or give no probability.
    pub fn new(weights: &Weights, faces: Option<&FaceWeights>, device: DeviceChoice) -> Result<Self> {
        let mut classifier = Classifier::new(weights, &device.open()?)?;
        classifier.try_out()?;
        Ok(Self::with_networks(classifier, faces.map(Locator::new).transpose()?))
    }

    /// As [`Analyzer::new`], with networks that are ready.
    pub fn with_networks(classifier: Classifier, locator: Option<Locator>) -> Self {
        let [_, height, width] = classifier.metadata().architecture.input;
        Self {
            classifier,
            locator,
            settings: Settings::default(),
            tracker: Tracker::default(),
            scene: Scene::default(),
            clock: Clock::default(),
            search: Search::default(),
            area: None,
            locating: Turn::default(),
            whole: Turn::default(),
            classifying: Turn::default(),
            effort: Effort::default(),
            answer: None,
            cropper: Cropper::new(width, height),
            crops: Vec::new(),
            probabilities: Vec::new(),
            detections: Vec::new(),
            expected: Vec::new(),
            observations: Vec::new(),
            regions: Vec::new(),
            in_view: Vec::new(),
            chosen: Vec::new(),
            chosen_before: Vec::new(),
            faces: Vec::new(),
        }
    }

    /// Takes another network for smiles from the next picture on. Faces stay who they are; their answers
    /// begin anew.
    pub fn set_classifier(&mut self, classifier: Classifier) {
        let [_, height, width] = classifier.metadata().architecture.input;
        self.cropper = Cropper::new(width, height);
        self.classifier = classifier;
        self.answer = None;
        self.tracker.forget_answers();
    }

    /// Takes another face detector from the next picture on.
    pub fn set_locator(&mut self, locator: Locator) {
        self.locator = Some(locator);
        self.look_everywhere();
        self.tracker.doubt_faces();
    }

    /// Takes other settings from the next picture on.
    pub fn configure(&mut self, settings: Settings) {
        self.tracker.settings = settings.track;
        self.settings = settings;
    }

    /// The weights' names for the two answers: not smiling, smiling.
    pub fn labels(&self) -> &[String; 2] {
        &self.classifier.metadata().labels
    }

    /// The part of pictures that the weights were trained on.
    pub fn trained_on(&self) -> Region {
        self.classifier.metadata().region
    }

    /// The network for smiles.
    pub fn classifier(&mut self) -> &mut Classifier {
        &mut self.classifier
    }

    /// What was done for the last picture.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Begins anew: the next picture has nothing to do with those before. Identities go on counting.
    pub fn forget(&mut self) {
        self.scene = Scene::default();
        self.forget_faces();
    }

    fn forget_faces(&mut self) {
        self.tracker.forget();
        self.answer = None;
        self.look_everywhere();
        self.classifying.force();
    }

    /// Has the next picture searched for faces, as a whole.
    fn look_everywhere(&mut self) {
        self.locating.force();
        self.whole.force();
    }

    /// Looks at the next picture of a stream. `time` is its place there; where it isn't known,
    /// or is that of the last picture, a 30th of a second is taken to have passed. Where it goes
    /// backwards or more than two seconds on, and where the scene changes, nothing before counts.
    ///
    /// The faces come in the order in which they were first seen. Those without an observation in this
    /// picture are among them for a short while ([`track::Settings::max_coast`]), unless they were a
    /// request's regions.
    ///
    /// # Errors
    /// Where a network fails on its device.
    pub fn analyze(
        &mut self,
        picture: &Picture,
        time: Option<Duration>,
        request: &Request,
    ) -> Result<&[Face]> {
        let follows = self.clock.tick(time);
        if self.settings.area != self.area {
            self.area = self.settings.area;
            self.look_elsewhere();
        }
        let view = &View::new(picture, self.area);
        let cut = self.scene.cut(&view.part, self.clock.step);
        if !follows || cut || request.search != self.search {
            self.forget_faces();
        }
        self.search = request.search;
        self.effort = Effort::default();
        self.faces.clear();
        match request.search {
            Search::Center => self.look_at(view, Region::Center, request.skip)?,
            Search::Full => self.look_at(view, Region::Full, request.skip)?,
            Search::Auto | Search::Faces | Search::Regions => self.follow(view, request)?,
        }
        Ok(&self.faces)
    }

    /// What was seen of another area is no measure of cuts, nor an answer to this one; faces may be in both.
    fn look_elsewhere(&mut self) {
        self.scene = Scene::default();
        self.answer = None;
        self.look_everywhere();
    }

    /// One answer for a part of the picture, whatever is there.
    fn look_at(&mut self, view: &View, region: Region, skip: bool) -> Result<()> {
        let rect = locate::region(&view.part, region);
        let due = self.classifying.due(self.settings.classify_every, Duration::MAX, self.clock.now, skip);
        if due || self.answer.is_none() && !skip {
            self.crops.resize(self.classifier.metadata().architecture.input_len(), 0);
            self.cropper.crop(&view.part, rect, &mut self.crops);
            self.classify()?;
            let (probability, threshold) = (self.probabilities[0], self.threshold());
            let (now, settings) = (self.clock.now, &self.settings.track.answer);
            self.answer = Some(Answer::after(self.answer, probability, 1.0, threshold, now, settings));
        }
        if let Some(Answer { probability, smiling, .. }) = self.answer {
            let rect = view.back(rect);
            self.faces.push(Face {
                id: 0,
                rect,
                probability,
                smiling,
                region: None,
                predicted: false,
                landmarks: None,
                score: 1.0,
            });
        }
        Ok(())
    }

    fn threshold(&self) -> f32 {
        self.settings.threshold.unwrap_or(self.classifier.metadata().threshold)
    }

    /// The faces of this picture and those that went before it.
    fn follow(&mut self, view: &View, request: &Request) -> Result<()> {
        let marked = request.search != Search::Faces
            && request.regions.iter().any(|region| region.within(view.bounds()).is_some());
        let found = request.search != Search::Regions && !marked;
        if !found {
            self.take(view, request.regions);
            (self.effort.fresh, self.effort.located) = (!request.skip, true);
        } else if self.locating.due(
            self.settings.locate_every,
            LONGEST_PREDICTION,
            self.clock.now,
            request.skip,
        ) {
            self.locate(view)?;
        } else if self.regions.is_empty() {
            self.tracker.carry(self.clock.now);
        } else {
            // Regions of an earlier request say nothing of this one's.
            self.take(view, &[]);
        }
        self.choose(view);
        self.ask(view, request.skip)?;
        self.report(view, found);
        Ok(())
    }

    /// Picks the faces that are worth a look.
    fn choose(&mut self, view: &View) {
        let least = self.settings.least_height * view.full_height;
        std::mem::swap(&mut self.chosen, &mut self.chosen_before);
        self.chosen.clear();
        for track in self.tracker.tracks() {
            let Some(observation) = track.observation else { continue };
            let rect = self.place(track);
            let known = track.answer.is_some();
            let least = if known { 0.8 * least } else { least };
            let large = rect.height >= least || !self.regions.is_empty();
            if large && rect.within(view.bounds()).is_some() {
                let score = if self.regions.is_empty() { self.detections[observation].score } else { 1.0 };
                let rank = rect.width * rect.height * score;
                let stays = self.chosen_before.iter().any(|before| before.id == track.id);
                let rank = if stays { STAYS * rank } else { rank };
                self.chosen.push(Chosen { id: track.id, rank, rect, known });
            }
        }
        self.chosen.sort_unstable_by(|a, b| b.rank.total_cmp(&a.rank).then(a.id.cmp(&b.id)));
        self.chosen.truncate(self.settings.most_faces);
    }

    /// Where a track is: what the request says of it counts as it stands.
    fn place(&self, track: &Track) -> Rect {
        match track.observation {
            Some(index) if !self.regions.is_empty() => self.observations[index].rect,
            _ => track.rect,
        }
    }

    /// Has the network look at all chosen faces whose turn it is, at once.
    fn ask(&mut self, view: &View, skip: bool) -> Result<()> {
        let due = self.classifying.due(self.settings.classify_every, Duration::MAX, self.clock.now, skip);
        let asked = |chosen: &&Chosen| due || !chosen.known && !skip;
        let metadata = self.classifier.metadata();
        let (len, margin) = (metadata.architecture.input_len(), metadata.margin);
        let threshold = self.threshold();
        self.crops.resize(self.chosen.iter().filter(asked).count() * len, 0);
        for (chosen, crop) in self.chosen.iter().filter(asked).zip(self.crops.chunks_exact_mut(len)) {
            let square = locate::face_square(chosen.rect, margin, view.part.pixel_aspect);
            self.cropper.crop(&view.part, view.within(square), crop);
        }
        self.classify()?;
        for (chosen, &probability) in self.chosen.iter().filter(asked).zip(&self.probabilities) {
            self.tracker.answer(chosen.id, probability, threshold);
        }
        Ok(())
    }

    /// Lists the faces looked at and, where the face detector is at work, those that coast.
    fn report(&mut self, view: &View, found: bool) {
        for track in self.tracker.tracks() {
            let coasting = track.observation.is_none();
            let counts =
                if coasting { found } else { self.chosen.iter().any(|chosen| chosen.id == track.id) };
            let rect = self.place(track).within(view.bounds());
            if let (true, Some(answer), Some(rect)) = (counts, track.answer, rect) {
                let Answer { probability, smiling, .. } = answer;
                let region = track.observation.and_then(|index| self.regions.get(index).copied());
                let predicted = coasting || !self.effort.located;
                let (id, landmarks, score) = (track.id, track.landmarks(), track.score);
                self.faces.push(Face { id, rect, probability, smiling, region, predicted, landmarks, score });
            }
        }
    }

    fn classify(&mut self) -> Result<()> {
        if !self.crops.is_empty() {
            (self.effort.inferred, self.effort.fresh) = (true, true);
        }
        self.classifier.probabilities(&self.crops, &mut self.probabilities)?;
        Classifier::check(&self.probabilities)
    }
}
