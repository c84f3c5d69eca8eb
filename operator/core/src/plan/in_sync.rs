//! Which keys were in sync, with which value: sorted 32-bit digests, so that memory of a station at rest stays small.
//!
//! A digest stands for a key and the canonical form of its value. Two different pairs share one in four milliards of
//! cases, and then a drift is told as ChangedOutside that was never in sync: harmless.

use crate::catalogue::Definition;
use crate::fnv::Fnv;
use crate::layer::SettingValue;
use crate::memory::Memory;
use crate::validate::DesiredSetting;
use crate::value;
use crate::words::Key;

/// Was the key in sync with this very desired value when the station was last read?
pub fn was_in_sync(memory: &Memory, setting: &DesiredSetting) -> bool {
    setting
        .digest()
        .is_some_and(|digest| decode(&memory.in_sync).binary_search(&digest).is_ok())
}

/// The digest of a setting; `None` for secrets, of which nothing is kept here.
pub(crate) fn digest_of(key: &Key, definition: &Definition, value: &SettingValue) -> Option<u32> {
    let value = match value {
        SettingValue::Plain(value) if !definition.is_secret() => value,
        SettingValue::Plain(_)
        | SettingValue::Secret { .. }
        | SettingValue::SecretMissing { .. } => return None,
    };
    let mut hash = Fnv::new();
    hash.field(key.as_str())
        .field(&value::normalise(definition, value));
    Some(hash.folded())
}

/// The alphabet of base64 (RFC 4648, section 4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Digests as text: 32 bits each, the lowest byte first, base64 without padding.
pub(super) fn encode(digests: &[u32]) -> String {
    let bytes: Vec<u8> = digests
        .iter()
        .flat_map(|digest| digest.to_le_bytes())
        .collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// The digests in a text. What is not ours (an edited status) is as good as no digest.
pub(super) fn decode(text: &str) -> Vec<u32> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let Some(sextet) = sextet(letter) else {
            return Vec::new();
        };
        bits = (bits << 6) | sextet;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    let (whole, _) = bytes.as_chunks::<4>();
    let mut digests: Vec<u32> = whole.iter().map(|four| u32::from_le_bytes(*four)).collect();
    if !digests.is_sorted() {
        digests.sort_unstable();
    }
    digests
}

fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_survive_the_text() {
        for count in 0..40 {
            let digests: Vec<u32> = (0..count)
                .map(|i: u32| i.wrapping_mul(104_729) << (i % 7))
                .collect();
            let mut sorted = digests.clone();
            sorted.sort_unstable();
            assert_eq!(decode(&encode(&sorted)), sorted);
        }
    }

    #[test]
    fn text_that_is_not_ours_is_no_digest() {
        assert_eq!(decode("äöü"), Vec::<u32>::new());
        assert_eq!(decode("!!!!"), Vec::<u32>::new());
        assert_eq!(decode("AAA"), Vec::<u32>::new(), "two bytes are no digest");
    }
}
