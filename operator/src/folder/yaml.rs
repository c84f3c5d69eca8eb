//! YAML for status files: data → JSON → the same as YAML in block style, for people.
//!
//! A JSON text is a YAML text already, and what only looks different is soon rewritten: the many scalars of a status are
//! weighed once and copied, where a general emitter weighs each again and again. In doubt a text stays in the quotes of
//! JSON, which read the same in every YAML.

use serde::Serialize;

/// Words that some reader of YAML takes for something else than a text.
const WORDS: [&str; 11] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf",
];

/// Data as YAML.
pub(super) fn to_string(data: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(data)?;
    let mut writer = Writer {
        json: &json,
        at: 0,
        yaml: String::with_capacity(json.len() * 3 / 2),
    };
    writer.node(0, 0, After::Nothing);
    Ok(writer.yaml)
}

/// Rewrites JSON as `serde_json` writes it, without white space.
struct Writer<'a> {
    json: &'a str,
    at: usize,
    yaml: String,
}

/// What stands before a node on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The indentation, or the dash of a list's item.
    Nothing,
    /// The key and its colon.
    Key,
}

impl<'a> Writer<'a> {
    /// One value, to the end of its last line. Keys stand at one column, dashes at another: those of a list that is a
    /// key's value stand below the key.
    fn node(&mut self, keys: usize, dashes: usize, after: After) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let (open, column) = match rest.as_bytes() {
            [b'{', b'}', ..] | [b'[', b']', ..] | [] => return self.scalar(after, rest.get(..2)),
            [b'{', ..] => (b'{', keys),
            [b'[', ..] => (b'[', dashes),
            _ => return self.scalar(after, None),
        };
        if after == After::Key {
            self.yaml.push('\n');
        }
        let mut indented = after == After::Nothing;
        // The bracket, then a comma before each but the first.
        while matches!(self.peek(), Some(b'{' | b'[' | b',')) {
            self.at += 1;
            if !indented {
                self.indent(column);
            }
            indented = false;
            if open == b'{' {
                let key = self.token();
                self.text(key);
                self.yaml.push(':');
                self.at += 1;
                self.node(column + 2, column, After::Key);
            } else {
                self.yaml.push_str("- ");
                self.node(column + 2, column + 2, After::Nothing);
            }
        }
        self.at += 1;
    }

    /// A value on one line: a whole one that is given, or the next token.
    fn scalar(&mut self, after: After, whole: Option<&'a str>) {
        if after == After::Key {
            self.yaml.push(' ');
        }
        match whole {
            Some(whole) => {
                self.at += whole.len();
                self.yaml.push_str(whole);
            }
            None => {
                let token = self.token();
                self.text(token);
            }
        }
        self.yaml.push('\n');
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn indent(&mut self, column: usize) {
        self.yaml.extend(std::iter::repeat_n(' ', column));
    }

    /// Takes a text with its quotes, a number or a word.
    fn token(&mut self) -> &'a str {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let bytes = rest.as_bytes();
        let length = if bytes.first() == Some(&b'"') {
            let mut end = 1;
            while let Some(byte) = bytes.get(end)
                && *byte != b'"'
            {
                end += if *byte == b'\\' { 2 } else { 1 };
            }
            end + 1
        } else {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']');
            bytes.iter().position(ends).unwrap_or(bytes.len())
        };
        self.at += length;
        rest.get(..length).unwrap_or(rest)
    }

    /// Writes a token, without its quotes where it needs none.
    fn text(&mut self, token: &str) {
        match token
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
        {
            Some(text) if is_plain(text) => self.yaml.push_str(text),
            Some(text) if text.is_ascii() && !text.contains('\u{7f}') => {
                self.yaml.push_str(token);
            }
            Some(_) => self.escaped(token),
            None => self.yaml.push_str(token),
        }
    }

    /// JSON leaves characters as they are that YAML wants escaped, since some of its readers break lines at them.
    fn escaped(&mut self, token: &str) {
        for character in token.chars() {
            match u32::from(character) {
                code @ (0x7f..=0x9f | 0xa0 | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff) => {
                    self.yaml.push_str(&format!("\\u{code:04x}"));
                }
                _ => self.yaml.push(character),
            }
        }
    }
}

/// Is it a text to every reader of YAML, without quotes? Whatever begins like a number or a sign is not; nor is a word of
/// YAML's own.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|last| *last != b' ')
        && bytes.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'.' | b'_' | b'-' | b'/')
        })
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::to_string;

    #[test]
    fn it_reads_as_people_write_it() {
        let data = json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "empty": {"list": [], "map": {}}, "none": null,
            "conditions": [{"reason": "InSync", "status": "True", "type": "Ready"}, {"since": "2026-11-21T10:00:00Z"}],
            "lists": [[1, [2, 3]], ["a b", "a: b"]], "keys": ["On", "60", "a\nb", "x ", "#", "", "-", "ü\u{85}"],
            "memory": {"keys": {"HeartbeatInterval": {"attempts": 3}}, "y": true}
        });
        let text = r##"apiVersion: stationkeeper.dev/v1alpha1
conditions:
- reason: InSync
  status: "True"
  type: Ready
- since: "2026-11-21T10:00:00Z"
empty:
  list: []
  map: {}
keys:
- "On"
- "60"
- "a\nb"
- "x "
- "#"
- ""
- "-"
- "ü\u0085"
lists:
- - 1
  - - 2
    - 3
- - a b
  - "a: b"
memory:
  keys:
    HeartbeatInterval:
      attempts: 3
  "y": true
none: null
"##;
        assert_eq!(to_string(&data).unwrap(), text);
    }

    fn any_data() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "on|No|~|null|012|0x1F|1e3|2024-01-31|[ #:\\-\t\n\\\\\"'{}\\[\\],]{0,4}x?",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(data in any_data()) {
            let written = to_string(&data).unwrap();
            let read: Value = serde_yaml::from_str(&written).unwrap();
            prop_assert_eq!(read, data, "{}", written);
        }
    }
}
