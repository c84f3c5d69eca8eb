//! FNV-1a, 64 bits: the same on every machine and version, which the standard library's hashers do not promise. Not for
//! security, and no secret goes in.

/// A running hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    /// The offset basis of FNV-1a.
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes a text in, and where it ends.
    pub(crate) fn field(&mut self, text: &str) -> &mut Self {
        for byte in text.as_bytes() {
            self.byte(*byte);
        }
        // A byte that no UTF-8 text has, so that "ab" + "c" and "a" + "bc" differ.
        self.byte(0xff);
        self
    }

    /// Takes a number in.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        for byte in number.to_le_bytes() {
            self.byte(byte);
        }
        self
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// The hash.
    pub(crate) fn finish(self) -> u64 {
        self.0
    }

    /// The hash in 32 bits.
    pub(crate) fn folded(self) -> u32 {
        let [a, b, c, d, e, f, g, h] = self.0.to_le_bytes();
        u32::from_le_bytes([a ^ e, b ^ f, c ^ g, d ^ h])
    }
}
