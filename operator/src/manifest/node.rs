//! YAML text → documents as trees whose every node knows its line and column.
//!
//! In comes the text of one file; out go its documents, each a tree or the mistake that broke it: one broken document
//! does not stop the next. Plain scalars are typed as kubectl types them (its YAML library reads YAML 1.1: `on` is a
//! boolean, `012` is ten), and what that would do to a value is left for the caller to say. What does not happen here:
//! any notion of kinds and fields.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Number;
use serde_yaml::granit_parser::{
    Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options,
};

use super::rule;

/// How many values a file may have once its aliases are written out. 2,000 stations have about 30,000.
const MAX_VALUES: usize = 1_000_000;

/// How deep lists and maps may nest; our schemas need ten levels.
const MAX_DEPTH: usize = 64;

/// A place in a file; both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A mistake in the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// One of [`rule`].
    pub(super) rule: &'static str,
    pub(super) at: Position,
    pub(super) message: String,
}

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// The tree, or what broke it.
    pub(super) root: Result<Arc<Node>, Mistake>,
    /// Mistakes that leave a tree all the same (duplicate keys, keys that are no strings).
    pub(super) mistakes: Vec<Mistake>,
}

/// A node with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
    /// Nodes in this tree, aliases written out.
    size: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Arc<Node>,
}

/// A scalar as it was written, and what kubectl takes it for.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: ScalarKind,
}

/// What kubectl takes a scalar for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ScalarKind {
    Null,
    Boolean(bool),
    Integer(Number),
    Float(Option<Number>),
    /// An unquoted date. kubectl hands it on as a string, other readers of the same file do not.
    Date,
    String,
}

impl Node {
    /// The value of a field of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Arc<Node>> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The entries of a map; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The text of a scalar that is a string.
    pub(super) fn string(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar {
                text,
                kind: ScalarKind::String | ScalarKind::Date,
            }) => Some(text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Is there nothing here?
    pub(super) fn is_null(&self) -> bool {
        matches!(
            &self.value,
            Value::Scalar(Scalar {
                kind: ScalarKind::Null,
                ..
            })
        )
    }

    /// The node at a path such as `spec.settings[2].value`; where the path leaves the tree, the last node on it.
    pub(super) fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split(['.', '[']) {
            let next = match (&node.value, step.strip_suffix(']')) {
                (Value::List(nodes), Some(index)) => {
                    index.parse().ok().and_then(|index: usize| nodes.get(index))
                }
                (Value::Map(_), None) => node.get(step),
                (Value::Map(_), Some(key)) => node.get(key.trim_matches(['"', '\''])),
                (Value::List(_), None) | (Value::Scalar(_), _) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }
}

/// Reads the documents of a file. Empty ones are left out.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let limits = options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, limits),
        text,
        anchors: HashMap::new(),
        values: 0,
        mistakes: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(None) => return documents,
            Ok(Some(document)) => {
                if !document.root.as_ref().is_ok_and(|root| root.is_null()) {
                    documents.push(document);
                }
            }
            Err(mistake) => {
                let mistakes = std::mem::take(&mut reader.mistakes);
                documents.push(Document {
                    root: Err(mistake),
                    mistakes,
                });
                // What cannot be skipped was told already: the rest of the file is beyond reading.
                if !reader.parser.proceed_next_document().unwrap_or(false) {
                    return documents;
                }
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    anchors: HashMap<usize, Option<Arc<Node>>>,
    values: usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Mistake> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => return Err(self.explain(&error)),
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn document(&mut self) -> Result<Option<Document>, Mistake> {
        self.anchors.clear();
        self.mistakes.clear();
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(..) => {
                    let (event, first) = self.next()?;
                    let root = self.node(event, first)?;
                    loop {
                        match self.next()?.0 {
                            Event::DocumentEnd | Event::StreamEnd => break,
                            _ => {}
                        }
                    }
                    let mistakes = std::mem::take(&mut self.mistakes);
                    return Ok(Some(Document {
                        root: Ok(root),
                        mistakes,
                    }));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Arc<Node>, Mistake> {
        let at = position(span);
        let anchor = event.anchor_id().filter(|id| *id != 0);
        if let Some(id) = anchor {
            self.anchors.insert(id, None);
        }
        let value = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, _, tag) => {
                Value::Scalar(scalar(text.into_owned(), style, tag.as_deref(), at)?)
            }
            Event::SequenceStart(_, _, tag) => {
                refuse_custom(tag.as_deref(), at)?;
                self.list()?
            }
            Event::MappingStart(_, _, tag) => {
                refuse_custom(tag.as_deref(), at)?;
                self.map()?
            }
            _ => {
                return Err(Mistake {
                    rule: rule::YAML,
                    at,
                    message: "a value was expected here".to_owned(),
                });
            }
        };
        let inner: usize = match &value {
            Value::Scalar(_) => 0,
            Value::List(nodes) => nodes.iter().map(|node| node.size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size).sum(),
        };
        self.count(1, at)?;
        let node = Arc::new(Node {
            at,
            value,
            size: inner + 1,
        });
        if let Some(id) = anchor {
            self.anchors.insert(id, Some(Arc::clone(&node)));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Arc<Node>, Mistake> {
        match self.anchors.get(&id) {
            Some(Some(node)) => {
                let node = Arc::clone(node);
                self.count(node.size, at)?;
                Ok(node)
            }
            Some(None) => Err(Mistake {
                rule: rule::YAML,
                at,
                message: "the alias stands inside of what it repeats: write it out".to_owned(),
            }),
            None => Err(Mistake {
                rule: rule::YAML,
                at,
                message: "the alias repeats an anchor that is not in this document".to_owned(),
            }),
        }
    }

    fn count(&mut self, values: usize, at: Position) -> Result<(), Mistake> {
        self.values = self.values.saturating_add(values);
        if self.values > MAX_VALUES {
            let message = format!(
                "the file has more than {MAX_VALUES} values once its aliases are written out: split it, or do without the aliases"
            );
            return Err(Mistake {
                rule: rule::YAML,
                at,
                message,
            });
        }
        Ok(())
    }

    fn list(&mut self) -> Result<Value, Mistake> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, span) => nodes.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Mistake> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, Position> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            if plain_merge {
                merges.push(value);
                continue;
            }
            let Value::Scalar(Scalar { text, kind }) = &key.value else {
                self.mistakes.push(Mistake {
                    rule: rule::YAML,
                    at: key.at,
                    message: "a list or a map cannot be a key".to_owned(),
                });
                continue;
            };
            match kind {
                ScalarKind::String | ScalarKind::Date | ScalarKind::Integer(_) => {}
                ScalarKind::Null | ScalarKind::Boolean(_) | ScalarKind::Float(_) => {
                    self.mistakes.push(Mistake {
                        rule: rule::QUOTE_KEY,
                        at: key.at,
                        message: format!(
                            "the key `{}` is {} to kubectl: quote it, as in \"{text}\"",
                            shorten(text),
                            kind.words()
                        ),
                    })
                }
            }
            if let Some(first) = places.get(text) {
                self.mistakes.push(Mistake { rule: rule::DUPLICATE_KEY,
                    at: key.at,
                    message: format!(
                        "the key {:?} stands here a second time (first in line {}): delete one of the two",
                        shorten(text),
                        first.line
                    ),
                });
                continue;
            }
            places.insert(text.clone(), key.at);
            entries.push(Entry {
                key: text.clone(),
                at: key.at,
                value,
            });
        }
        for merge in merges {
            self.merge(&mut entries, &merge);
        }
        Ok(Value::Map(entries))
    }

    /// `<<`: the entries of another map, as far as they are not given here.
    fn merge(&mut self, entries: &mut Vec<Entry>, from: &Arc<Node>) {
        match &from.value {
            Value::Map(others) => {
                for other in others {
                    if !entries.iter().any(|entry| entry.key == other.key) {
                        entries.push(other.clone());
                    }
                }
            }
            Value::List(maps) => {
                for map in maps {
                    self.merge(entries, map);
                }
            }
            Value::Scalar(_) => {
                let message = "`<<` takes a map, or a list of maps".to_owned();
                self.mistakes.push(Mistake {
                    rule: rule::YAML,
                    at: from.at,
                    message,
                });
            }
        }
    }

    /// The parser's words, with the mend where the reason is one that people meet.
    fn explain(&self, error: &ScanError) -> Mistake {
        let marker = error.marker();
        let at = Position {
            line: marker.line().max(1),
            column: marker.col() + 1,
        };
        let words = error.info();
        // A tab is often complained about where the value before it began.
        let first = at.line.saturating_sub(2);
        let lines = if words.contains("tab") { usize::MAX } else { 3 };
        let tabbed = self
            .text
            .lines()
            .enumerate()
            .skip(first)
            .take(lines)
            .find_map(|(index, text)| {
                let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
                text[..indent].find('\t').map(|column| Position {
                    line: index + 1,
                    column: column + 1,
                })
            });
        match tabbed {
            Some(at) => Mistake {
                rule: rule::YAML,
                at,
                message: "the line is indented with a tab: YAML takes spaces only".to_owned(),
            },
            None if words.contains("nesting") || words.contains("recursion") => Mistake {
                rule: rule::YAML,
                at,
                message: format!("lists and maps nest deeper than {MAX_DEPTH} levels"),
            },
            None => Mistake {
                rule: rule::YAML,
                at,
                message: format!("not YAML: {words}"),
            },
        }
    }
}

fn position(span: Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}

fn refuse_custom(tag: Option<&Tag>, at: Position) -> Result<(), Mistake> {
    match tag {
        Some(tag) if tag.is_custom() && tag.original() != "!" => Err(Mistake {
            rule: rule::YAML,
            at,
            message: format!(
                "the tag {} means nothing here: delete it",
                shorten(&tag.original())
            ),
        }),
        Some(_) | None => Ok(()),
    }
}

fn scalar(
    text: String,
    style: ScalarStyle,
    tag: Option<&Tag>,
    at: Position,
) -> Result<Scalar, Mistake> {
    refuse_custom(tag, at)?;
    let quoted =
        style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
    let kind = if quoted {
        ScalarKind::String
    } else {
        plain_kind(&text)
    };
    Ok(Scalar { text, kind })
}

/// Cuts what a message quotes.
pub(super) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MOST).collect();
    cut.push('…');
    cut
}

impl ScalarKind {
    /// What it is, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(Some(number)) => format!("the number {number}"),
            Self::Float(None) => "a number".to_owned(),
            Self::Date => "a date".to_owned(),
            Self::String => "a string".to_owned(),
        }
    }
}

/// What kubectl takes an unquoted scalar for: the rules of the YAML 1.1 library that kubectl, Helm and Argo CD share.
fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return ScalarKind::Boolean(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return ScalarKind::Boolean(false);
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return ScalarKind::Float(None),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return ScalarKind::String;
    }
    if is_date(text) {
        return ScalarKind::Date;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return ScalarKind::Integer(number);
    }
    if is_float(&digits) {
        return ScalarKind::Float(digits.parse().ok().and_then(Number::from_f64));
    }
    ScalarKind::String
}

/// Integers as Go's `ParseInt(text, 0, 64)` reads them: `0x`, `0o`, `0b`, and a leading zero for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        i64::try_from(-i128::from(magnitude)).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_holds = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    mantissa_holds && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent))
}

/// `2024-01-31`, alone or with a time behind it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (day, time) = match rest.split_once(['T', 't', ' ']) {
        Some((day, time)) => (day, Some(time)),
        None => (rest, None),
    };
    number(year, 4, 4)
        && number(month, 1, 2)
        && number(day, 1, 2)
        && time.is_none_or(|time| {
            time.starts_with(|first: char| first.is_ascii_digit())
                && time.contains(':')
                && time
                    .chars()
                    .all(|c| c.is_ascii_digit() || ":.+-Zz ".contains(c))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_kubectl_takes_them_for() {
        let check = |text: &str, words: &str| assert_eq!(plain_kind(text).words(), words, "{text}");
        check("on", "the boolean true");
        check("No", "the boolean false");
        check("y", "the boolean true");
        check("oN", "a string");
        check("300", "the number 300");
        check("012", "the number 10");
        check("08", "the number 8.0");
        check("0x1F", "the number 31");
        check("0b11", "the number 3");
        check("1_000", "the number 1000");
        check("1e3", "the number 1000.0");
        check("-.5", "the number -0.5");
        check(".inf", "a number");
        check("~", "null");
        check("", "null");
        check("2024-01-31", "a date");
        check("2024-01-31T10:00:00Z", "a date");
        check("12:30", "a string");
        check("1.2.3", "a string");
        check("-", "a string");
        check("+47", "the number 47");
        check("Energy.Active.Import.Register", "a string");
    }

    #[test]
    fn a_broken_document_does_not_stop_the_next() {
        let read = documents("a: 1\n---\nb: [1\n---\nc: 3\n");
        assert_eq!(read.len(), 3);
        assert!(read[0].root.is_ok());
        assert!(read[1].root.is_err());
        assert_eq!(
            read[2].root.as_ref().unwrap().get("c").unwrap().at,
            Position { line: 5, column: 4 }
        );
    }

    #[test]
    fn a_tab_is_named_where_it_stands() {
        let read = documents("a:\n  b: 1\n\tc: 2\n");
        let mistake = read[0].root.as_ref().unwrap_err();
        assert_eq!(mistake.at, Position { line: 3, column: 1 });
        assert!(mistake.message.contains("tab"), "{}", mistake.message);
    }

    #[test]
    fn tabs_are_fine_in_json() {
        let read = documents("{\n\t\"a\": {\n\t\t\"b\": \"x\\/\\u0041\"\n\t}\n}\n");
        assert_eq!(
            read[0]
                .root
                .as_ref()
                .unwrap()
                .get("a")
                .unwrap()
                .get("b")
                .unwrap()
                .string(),
            Some("x/A")
        );
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (from, to) in ('a'..='h').zip('b'..='i') {
            let list = vec![format!("*{from}"); 10].join(", ");
            text.push_str(&format!("{to}: &{to} [{list}]\n"));
        }
        let read = documents(&text);
        assert!(
            read[0]
                .root
                .as_ref()
                .unwrap_err()
                .message
                .contains("aliases")
        );
    }

    #[test]
    fn an_alias_in_itself_is_refused() {
        let read = documents("a: &a [*a]\n");
        assert!(
            read[0]
                .root
                .as_ref()
                .unwrap_err()
                .message
                .contains("inside of what it repeats")
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(10_000), "- ".repeat(10_000)] {
            let read = documents(&text);
            assert!(
                read[0]
                    .root
                    .as_ref()
                    .unwrap_err()
                    .message
                    .contains("deeper"),
                "{:?}",
                read[0].root
            );
        }
    }

    #[test]
    fn merged_maps_give_what_is_absent() {
        let read = documents("base: &b {x: one, y: two}\nuse:\n  <<: *b\n  y: three\n");
        let used = read[0].root.as_ref().unwrap().get("use").unwrap();
        assert_eq!(used.get("x").unwrap().string(), Some("one"));
        assert_eq!(used.get("y").unwrap().string(), Some("three"));
    }

    #[test]
    fn a_byte_order_mark_and_windows_lines_change_no_place() {
        let read = documents("\u{feff}a: one\r\nb:  two\r\n");
        let root = read[0].root.as_ref().unwrap();
        assert_eq!(root.get("a").unwrap().string(), Some("one"));
        assert_eq!(root.get("b").unwrap().at, Position { line: 2, column: 5 });
    }

    #[test]
    fn a_key_given_twice_is_told_with_both_lines() {
        let read = documents("a: 1\nb: 2\na: 3\n");
        assert_eq!(read[0].mistakes.len(), 1);
        assert_eq!(read[0].mistakes[0].at.line, 3);
        assert!(read[0].mistakes[0].message.contains("line 1"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,200}") {
            let _ = documents(&text);
        }
    }
}
