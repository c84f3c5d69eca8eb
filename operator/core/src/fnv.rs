//! A small hash that is the same on every machine and version, which the standard library's hashers do not promise: it
//! stands in status. Not for security, and no secret goes in.
//!
//! FNV-1a over words of eight bytes, each rotated in, with a last mixing round so that all bits of a short text count.

/// A running hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

/// The prime of 64-bit FNV.
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Fnv {
    /// The offset basis of FNV-1a.
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes a text in, and where it ends.
    pub(crate) fn field(&mut self, text: &str) -> &mut Self {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // With the length, so that "ab" + "c" and "a" + "bc" differ.
        self.number(u64::from_le_bytes(last))
            .number(text.len() as u64)
    }

    /// Takes a number in.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.0 = (self.0 ^ number).wrapping_mul(PRIME).rotate_left(29);
        self
    }

    /// The hash.
    pub(crate) fn finish(self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    /// The hash in 32 bits.
    pub(crate) fn folded(self) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.finish().to_le_bytes();
        u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
    }
}

/// For maps that are asked by name and never listed: no flooding is to be feared from names of a catalogue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameHasher(Fnv);

impl Default for NameHasher {
    fn default() -> Self {
        Self(Fnv::new())
    }
}

impl std::hash::Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.0.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.0.number(u64::from_le_bytes(last));
    }

    // The mark that `str` sets at its end; lengths are told apart by comparing.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(fields: &[&str]) -> Fnv {
        let mut hash = Fnv::new();
        for field in fields {
            hash.field(field);
        }
        hash
    }

    #[test]
    fn where_a_field_ends_counts() {
        assert_ne!(of(&["ab", "c"]).finish(), of(&["a", "bc"]).finish());
        assert_ne!(of(&["a", ""]).finish(), of(&["a"]).finish());
        assert_ne!(of(&["a\0"]).finish(), of(&["a"]).finish());
    }

    #[test]
    fn numbers_that_follow_one_another_spread() {
        let hashes: BTreeSet<u32> = (0..10_000)
            .map(|number| of(&["Key", &number.to_string()]).folded())
            .collect();
        assert!(hashes.len() > 9_998, "{}", hashes.len());
    }
}
