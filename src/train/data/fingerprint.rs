//! What tells content apart from other content of the same name.

/// FNV-1a of 64 bits (Fowler, Noll and Vo): against mistakes, not against people who want two contents to look alike.
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of bytes that are there at once.
    pub fn of(bytes: &[u8]) -> String {
        let mut all = Self::default();
        all.add(bytes);
        all.text()
    }

    /// Takes the next bytes; where they are cut makes a difference.
    pub fn add(&mut self, bytes: &[u8]) {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        self.0 = bytes.iter().fold(self.0, mix);
    }

    /// In hexadecimal digits.
    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_others_compute() {
        assert_eq!(Fingerprint::of(b""), "cbf29ce484222325");
        assert_eq!(Fingerprint::of(b"a"), "af63dc4c8601ec8c");
    }
}
