//! Small things about JSON text that the other modules share.

use serde_json::value::RawValue;

/// `{}`.
pub(crate) fn empty_object<'a>() -> &'a RawValue {
    serde_json::from_str("{}").expect("an empty object is JSON")
}

/// An object as it is, null as the empty one (OCPP-J 1.6, section 4.2.1), anything else as `None`.
pub(crate) fn object_or_empty(raw: &RawValue) -> Option<&RawValue> {
    match raw.get() {
        text if text.starts_with('{') => Some(raw),
        "null" => Some(empty_object()),
        _ => None,
    }
}

/// Appends the text as a JSON string.
pub(crate) fn quote(text: &str, to: &mut String) {
    let plain = text
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if plain {
        to.push('"');
        to.push_str(text);
        to.push('"');
    } else {
        to.push_str(&serde_json::to_string(text).expect("a string is JSON"));
    }
}

/// At most `bytes` bytes of the text, cut between characters, with a sign that something is missing.
pub(crate) fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}
