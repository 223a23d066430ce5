//! What differs from one frame's faces to the next one's.

use super::Event;
use crate::analysis::Face;

/// A change, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub event: Event,
    pub identity: u32,
    /// Of smiling, from 0 to 1.
    pub probability: f32,
}

/// The faces that were told of last.
#[derive(Debug, Default)]
pub struct Known {
    faces: Vec<(u32, bool)>,
}

impl Known {
    /// Takes in a frame's faces, and lists what has changed with them: those lost first.
    pub fn update(&mut self, faces: &[Face]) -> Vec<Change> {
        let of = |face: &Face, event| Change { event, identity: face.id, probability: face.probability };
        let lost = self.faces.iter().filter(|(id, _)| faces.iter().all(|face| face.id != *id));
        let end = |&(identity, smiling): &(u32, bool)| {
            let event = match (identity, smiling) {
                // No face, which can't be lost.
                (0, false) => return None,
                (0, true) => Event::SmileEnded,
                _ => Event::FaceLost,
            };
            Some(Change { event, identity, probability: 0.0 })
        };
        let mut changes: Vec<Change> = lost.filter_map(end).collect();
        for face in faces {
            let before = self.faces.iter().find(|(id, _)| *id == face.id).map(|(_, smiling)| *smiling);
            if before.is_none() && face.id > 0 {
                changes.push(of(face, Event::FaceAppeared));
            }
            match (before.unwrap_or(false), face.smiling) {
                (false, true) => changes.push(of(face, Event::SmileStarted)),
                (true, false) => changes.push(of(face, Event::SmileEnded)),
                _ => {}
            }
        }
        self.faces.clear();
        self.faces.extend(faces.iter().map(|face| (face.id, face.smiling)));
        changes
    }

    /// Whether anybody smiles.
    pub fn smiling(&self) -> bool {
        self.faces.iter().any(|(_, smiling)| *smiling)
    }

    /// How many faces there are.
    pub fn count(&self) -> u32 {
        self.faces.iter().filter(|(id, _)| *id > 0).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Rect;

    fn events(known: &mut Known, faces: &[(u32, bool)]) -> Vec<(Event, u32)> {
        let face = |&(id, smiling): &(u32, bool)| Face {
            id,
            rect: Rect::default(),
            probability: 0.5,
            smiling,
            region: None,
            predicted: false,
            landmarks: None,
            score: 1.0,
        };
        let changes = known.update(&faces.iter().map(face).collect::<Vec<_>>());
        changes.iter().map(|change| (change.event, change.identity)).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        use Event::*;
        let mut known = Known::default();
        assert_eq!(events(&mut known, &[]), []);
        assert_eq!(events(&mut known, &[(1, false)]), [(FaceAppeared, 1)]);
        assert_eq!(events(&mut known, &[(1, false)]), []);
        assert_eq!(
            events(&mut known, &[(1, true), (2, true)]),
            [(SmileStarted, 1), (FaceAppeared, 2), (SmileStarted, 2)]
        );
        assert_eq!((known.smiling(), known.count()), (true, 2));
        assert_eq!(events(&mut known, &[(2, false)]), [(FaceLost, 1), (SmileEnded, 2)]);
        assert_eq!((known.smiling(), known.count()), (false, 1));
    }

    #[test]
    fn what_is_no_face_only_smiles_or_does_not() {
        let mut known = Known::default();
        assert_eq!(events(&mut known, &[(0, true)]), [(Event::SmileStarted, 0)]);
        assert_eq!((known.smiling(), known.count()), (true, 0));
        assert_eq!(events(&mut known, &[(0, false)]), [(Event::SmileEnded, 0)]);
        assert_eq!(events(&mut known, &[]), []);
        events(&mut known, &[(0, true)]);
        assert_eq!(events(&mut known, &[]), [(Event::SmileEnded, 0)]);
    }
}
