//! Which process runs which camera.

use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip::SipHasher13;

/// The part of the cameras that this process runs: part `index` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Whether a camera belongs to this part.
    ///
    /// Rendezvous hashing: every part draws a number from the camera's name and its own index, and the highest has the
    /// camera. A further part takes cameras only for itself, so that as few as possible move.
    pub fn has(self, camera: &str) -> bool {
        let draw = |index: u32| {
            // The same keys everywhere: all processes have to agree.
            let mut hasher = SipHasher13::new_with_keys(0, 0);
            hasher.write(camera.as_bytes());
            hasher.write(&index.to_le_bytes());
            // Ties are broken by the index.
            (hasher.finish(), index)
        };
        (1..=self.of).max_by_key(|&index| draw(index)) == Some(self.index)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// The most parts: each camera draws a number for each of them.
const MOST: u32 = 10_000;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shard = text.split_once('/').and_then(|(index, of)| {
            Some(Self { index: index.trim().parse().ok()?, of: of.trim().parse().ok()? })
        });
        shard.filter(|shard| shard.index >= 1 && shard.index <= shard.of && shard.of <= MOST).ok_or_else(
            || {
                format!(
                    "\"{text}\" is no shard; write which of how many, from 1/1 to {MOST}/{MOST}, such as 3/8"
                )
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(camera: &str, of: u32) -> u32 {
        let owners: Vec<u32> = (1..=of).filter(|&index| Shard { index, of }.has(camera)).collect();
        assert_eq!(owners.len(), 1, "{camera} of {of} has the owners {owners:?}");
        owners[0]
    }

    #[test]
    fn each_camera_is_in_exactly_one_shard_and_shards_are_alike() {
        let cameras: Vec<String> = (0..800).map(|number| format!("camera-{number}")).collect();
        let mut counts = [0; 8];
        for camera in &cameras {
            counts[owner(camera, 8) as usize - 1] += 1;
        }
        assert!(counts.iter().all(|&count| (60..=140).contains(&count)), "{counts:?}");
    }

    #[test]
    fn another_shard_takes_cameras_for_itself_only() {
        let cameras: Vec<String> = (0..800).map(|number| format!("door{number}")).collect();
        let mut moved = 0;
        for camera in &cameras {
            let (before, after) = (owner(camera, 8), owner(camera, 9));
            if before != after {
                assert_eq!(after, 9, "{camera} went from {before} to {after}");
                moved += 1;
            }
        }
        assert!((50..=130).contains(&moved), "{moved} of 800 moved, a ninth are 89");
    }

    #[test]
    fn owners_are_the_same_on_every_machine() {
        let owners = ["door", "hall", "lift", "yard"].map(|camera| owner(camera, 5));
        assert_eq!(owners, KNOWN, "processes of different versions would disagree");
    }

    /// Written down from the first version.
    const KNOWN: [u32; 4] = [2, 5, 2, 2];

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "3", "0/8", "9/8", "a/b", "1/0", "-1/2", "1/99999999"] {
            assert!(text.parse::<Shard>().unwrap_err().contains("3/8"), "{text}");
        }
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, of: 8 }));
    }
}
