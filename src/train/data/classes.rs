//! What the folders of a data set are called that has one for each class.

use std::collections::BTreeMap;

use crate::train::error::{Error, Result};

/// What people call a folder of smiling faces, without blanks and hyphens.
const SMILING: [&str; 10] =
    ["smile", "smiles", "smiling", "smiley", "happy", "happiness", "joy", "laugh", "laughing", "laughter"];
/// And of others, where the name says that nobody smiles. Of fear, disgust or surprise it doesn't.
const NOT_SMILING: [&str; 17] = [
    "nosmile",
    "nosmiles",
    "nosmiling",
    "notsmile",
    "notsmiling",
    "nonsmile",
    "nonsmiles",
    "nonsmiling",
    "unsmiling",
    "neutral",
    "serious",
    "sad",
    "sadness",
    "angry",
    "anger",
    "unhappy",
    "nothappy",
];

/// What becomes of the pictures in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// People in it smile.
    Smiling,
    /// People in it don't smile.
    NotSmiling,
    /// They are left out.
    Ignored,
}

/// Which class each folder is: as told, or as usual names say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    told: BTreeMap<String, Class>,
}

impl Classes {
    /// Reads words such as `smile=happy,laughing`, `no-smile=sad` and `ignore=surprise`.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where a word is none of these, or a folder is told to be two things.
    pub fn told<S: AsRef<str>>(words: &[S]) -> Result<Self> {
        let failed = |reason: String| Error::Mismatch(format!("--classes: {reason}"));
        let mut told = BTreeMap::new();
        for word in words.iter().map(AsRef::as_ref) {
            let (class, folders) = word.split_once('=').unwrap_or((word, ""));
            let class = match class {
                "smile" => Class::Smiling,
                "no-smile" => Class::NotSmiling,
                "ignore" => Class::Ignored,
                _ => {
                    return Err(failed(format!(
                        "{word:?} is neither smile=…, no-smile=… nor ignore=… with names of folders"
                    )));
                }
            };
            for folder in folders.split(',').filter(|folder| !folder.is_empty()) {
                if told.insert(folder.to_string(), class).is_some_and(|before| before != class) {
                    return Err(failed(format!("{folder:?} can't be two classes")));
                }
            }
        }
        Ok(Self { told })
    }

    /// What a folder of this name is, if anything.
    pub fn of(&self, folder: &str) -> Option<Class> {
        let usual = || {
            let plain: String = folder.chars().filter(|c| !" -_.".contains(*c)).collect();
            let plain = plain.to_lowercase();
            match plain.as_str() {
                plain if SMILING.contains(&plain) => Some(Class::Smiling),
                plain if NOT_SMILING.contains(&plain) => Some(Class::NotSmiling),
                _ => None,
            }
        };
        self.told.get(folder).copied().or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_understood_however_they_are_written() {
        let usual = Classes::default();
        for name in ["smile", "Smiling", "HAPPY", "laughing"] {
            assert_eq!(usual.of(name), Some(Class::Smiling), "{name}");
        }
        for name in ["no-smile", "no_smile", "No Smile", "non-smiling", "not_smiling", "neutral", "Sad"] {
            assert_eq!(usual.of(name), Some(Class::NotSmiling), "{name}");
        }
        for name in ["surprise", "fear", "report", "1"] {
            assert_eq!(usual.of(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_told_outweighs_names_and_can_be_wrong() {
        let told = Classes::told(&["smile=a,sad", "no-smile=b", "ignore=surprise"]).unwrap();
        let expected = [
            ("a", Some(Class::Smiling)),
            ("sad", Some(Class::Smiling)),
            ("b", Some(Class::NotSmiling)),
            ("surprise", Some(Class::Ignored)),
            ("happy", Some(Class::Smiling)),
            ("c", None),
        ];
        for (name, class) in expected {
            assert_eq!(told.of(name), class, "{name}");
        }
        for (words, reason) in [(["grin=a", ""], "grin=a"), (["smile=a", "no-smile=a"], "two classes")] {
            let message = Classes::told(&words).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("--classes"), "{message}");
        }
    }
}
