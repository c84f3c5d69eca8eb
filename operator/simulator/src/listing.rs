//! GetConfiguration: which keys a station lists, and in which odd ways.
//!
//! In comes the list of names that were asked for; out comes the text of the answer, written directly, since this is the
//! call of which there are most. What the keys hold is decided in `keys.rs`, how values look in `value.rs`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use stationkeeper_ocpp::frame::result_text;

use crate::answers::Reply;
use crate::device::{BootReason, Deed, Deeds, Device};
use crate::fault::FaultKind;
use crate::profile::{Access, Booleans, Kind};
use crate::stats::{Happening, Violation};
use crate::value;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    key: Option<Vec<Cow<'a, str>>>,
}

/// How many keys a station adds that nobody asked for.
const UNASKED: usize = 2;

impl Device {
    /// Answers GetConfiguration (OCPP 1.6 section 5.8).
    pub(crate) fn get_configuration(&mut self, id: &str, payload: &str) -> (Reply, Deeds) {
        let asked = match serde_json::from_str::<Asked<'_>>(payload) {
            Ok(Asked { key }) => key,
            Err(error) => {
                return (
                    Reply::Error("TypeConstraintViolation", error.to_string()),
                    Vec::new(),
                );
            }
        };
        let empty_list = asked.as_ref().is_some_and(Vec::is_empty);
        let asked = asked.unwrap_or_default();
        self.judge_read(&asked);
        let stumbles = |kind| asked.iter().any(|key| self.faults.on_key(kind, key));
        if self.faults.has(FaultKind::DropsOnKey) && stumbles(FaultKind::DropsOnKey) {
            return (Reply::Silence, vec![(Duration::ZERO, Deed::Drop)]);
        }
        if self.faults.has(FaultKind::CrashesOnRead) && stumbles(FaultKind::CrashesOnRead) {
            return (
                Reply::Silence,
                vec![(Duration::ZERO, Deed::Boot(BootReason::Crash))],
            );
        }
        if empty_list && self.faults.has(FaultKind::EmptyAnswerToEmptyList) {
            return (Reply::Result("{}".to_owned()), Vec::new());
        }
        if asked.is_empty() && self.faults.has(FaultKind::NeverAnswersFullListing) {
            return (Reply::Silence, Vec::new());
        }
        (self.list(id, &asked), Vec::new())
    }

    fn judge_read(&mut self, asked: &[Cow<'_, str>]) {
        self.stats.happened(|| {
            Happening::Read(asked.iter().map(|key| key.clone().into_owned()).collect())
        });
        self.stats.keys_asked += asked.len() as u64;
        self.stats.most_keys_asked = self.stats.most_keys_asked.max(asked.len());
        self.stats.full_listings += u64::from(asked.is_empty());
        if self
            .announced_max_keys()
            .is_some_and(|most| asked.len() > most)
        {
            self.stats
                .violated(Violation::TooManyKeys { asked: asked.len() });
        }
    }

    fn announced_max_keys(&self) -> Option<usize> {
        if self.faults.has(FaultKind::NoMaxKeys) {
            return None;
        }
        self.keys
            .effective_named("GetConfigurationMaxKeys")?
            .parse()
            .ok()
    }

    /// How many keys it really takes in one request.
    fn most_keys(&self) -> Option<usize> {
        let announced = self.announced_max_keys();
        let own = self
            .faults
            .number(FaultKind::MaxKeys)
            .and_then(|most| usize::try_from(most).ok());
        if self.faults.has(FaultKind::BreaksMaxKeys) {
            announced.map(|most| most / 2).or(own)
        } else {
            own.or(announced)
        }
    }

    fn list(&self, id: &str, asked: &[Cow<'_, str>]) -> Reply {
        let mut known = Vec::with_capacity(asked.len());
        let mut unknown = Vec::new();
        if asked.is_empty() {
            known = self.keys.positions(&self.faults);
            known.retain(|&position| !self.is_hidden(position));
        }
        for key in asked {
            match self.keys.find(key, &self.faults) {
                Some(position) => known.push(position),
                None => unknown.push(key.as_ref()),
            }
        }
        if !self.faults.is_empty() {
            let count = if asked.is_empty() {
                known.len()
            } else {
                asked.len()
            };
            let refuses_listing = self.faults.has(FaultKind::MaxKeys);
            if self
                .most_keys()
                .is_some_and(|most| count > most && (refuses_listing || !asked.is_empty()))
            {
                return too_many(count);
            }
            self.distort(&mut known, &mut unknown, asked);
        } else if self.most_keys().is_some_and(|most| asked.len() > most) {
            return too_many(asked.len());
        }
        let payload = self.write_listing(&known, &unknown);
        if self
            .faults
            .number(FaultKind::TooBig)
            .is_some_and(|most| payload.len() as u64 > most)
        {
            return Reply::Error("InternalError", "the answer is too big".to_owned());
        }
        if self
            .faults
            .number(FaultKind::BrokenJsonListing)
            .is_some_and(|most| known.len() as u64 > most)
        {
            let mut text = result_text(id, &payload);
            // Cut in the middle, as a buffer that is too small would.
            let middle = (text.len() / 2..)
                .find(|&at| text.is_char_boundary(at))
                .unwrap_or(text.len());
            text.truncate(middle);
            return Reply::Raw(text);
        }
        Reply::Result(payload)
    }

    fn is_hidden(&self, position: usize) -> bool {
        let definition = self.keys.definition(position);
        // The fault without a key is on for every key, also for one without a name.
        let every_second = self.faults.on_key(FaultKind::HidesKeys, "");
        definition.hidden
            || if every_second {
                position % 2 == 1
            } else {
                self.faults.on_key(FaultKind::HidesKeys, &definition.key)
            }
    }

    /// Leaves out, doubles and adds, as the faults say.
    fn distort(&self, known: &mut Vec<usize>, unknown: &mut Vec<&str>, asked: &[Cow<'_, str>]) {
        let name = |position: usize| self.keys.definition(position).key.as_str();
        known.retain(|&position| !self.faults.on_key(FaultKind::LeavesOut, name(position)));
        unknown.retain(|key| !self.faults.on_key(FaultKind::LeavesOut, key));
        if self.faults.has(FaultKind::OmitsSecrets) {
            known.retain(|&position| self.keys.definition(position).access != Access::WriteOnly);
        }
        if let Some(most) = self.faults.number(FaultKind::TruncatesListing) {
            known.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            unknown.clear();
        }
        if self.faults.has(FaultKind::UnaskedKeys) && !asked.is_empty() {
            let all = self.keys.positions(&self.faults);
            let unasked: Vec<usize> = all
                .into_iter()
                .filter(|position| !known.contains(position))
                .take(UNASKED)
                .collect();
            known.extend(unasked);
        }
        if self.faults.has(FaultKind::DuplicateKeys)
            && let Some(&first) = known.first()
        {
            known.push(first);
        }
    }

    fn write_listing(&self, known: &[usize], unknown: &[&str]) -> String {
        let mut text = String::with_capacity(64 * known.len() + 32);
        text.push_str("{\"configurationKey\":[");
        for (number, &position) in known.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            self.write_key(position, &mut text);
        }
        text.push(']');
        if self.faults.has(FaultKind::NullValues) && unknown.is_empty() {
            text.push_str(",\"unknownKey\":null");
        } else if !unknown.is_empty() {
            text.push_str(",\"unknownKey\":[");
            for (number, key) in unknown.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                quote(key, &mut text);
            }
            text.push(']');
        }
        text.push('}');
        text
    }

    fn write_key(&self, position: usize, text: &mut String) {
        let definition = self.keys.definition(position);
        let read_only = definition.access == Access::ReadOnly;
        let shown = match definition.access {
            Access::WriteOnly if !self.faults.has(FaultKind::ShowsSecrets) => None,
            Access::WriteOnly | Access::ReadWrite | Access::ReadOnly => {
                self.keys.shown(position, &self.faults)
            }
        };
        let shown = shown.filter(|_| !self.faults.on_key(FaultKind::OmitsValue, &definition.key));
        let shown = shown.map(|stored| match (definition.kind, stored) {
            (Kind::Boolean, "true" | "false") if self.keys.digits_asked() => {
                Cow::Borrowed(Booleans::Digits.spell(stored == "true"))
            }
            _ => value::show(self.keys.profile(), definition, stored, &self.faults),
        });
        text.push_str("{\"key\":");
        quote(&self.keys.spelling(definition, &self.faults), text);
        text.push_str(match (read_only, self.readonly_manner()) {
            (_, Manner::Absent) => "",
            (_, Manner::Null) => ",\"readonly\":null",
            (true, Manner::Boolean) => ",\"readonly\":true",
            (false, Manner::Boolean) => ",\"readonly\":false",
            (true, Manner::Text) => ",\"readonly\":\"true\"",
            (false, Manner::Text) => ",\"readonly\":\"false\"",
            (true, Manner::Number) => ",\"readonly\":1",
            (false, Manner::Number) => ",\"readonly\":0",
        });
        match shown {
            Some(shown) => {
                text.push_str(",\"value\":");
                self.write_value(definition.kind, &shown, text);
            }
            None if self.faults.has(FaultKind::NullValues) => text.push_str(",\"value\":null"),
            None => {}
        }
        text.push('}');
    }

    fn readonly_manner(&self) -> Manner {
        [
            (FaultKind::OmitsReadonly, Manner::Absent),
            (FaultKind::NullValues, Manner::Null),
            (FaultKind::ReadonlyAsString, Manner::Text),
            (FaultKind::ReadonlyAsNumber, Manner::Number),
        ]
        .into_iter()
        .find(|(kind, _)| self.faults.has(*kind))
        .map_or(Manner::Boolean, |(_, manner)| manner)
    }

    fn write_value(&self, kind: Kind, shown: &str, text: &mut String) {
        let typed = self.faults.has(FaultKind::TypedValues)
            && match kind {
                Kind::Boolean => matches!(shown, "true" | "false"),
                Kind::Integer | Kind::Decimal => shown.parse::<serde_json::Number>().is_ok(),
                Kind::String | Kind::Enum | Kind::List | Kind::Secret => false,
            };
        if typed {
            text.push_str(shown);
        } else if self.faults.has(FaultKind::WrongTypes) {
            text.push('[');
            quote(shown, text);
            text.push(']');
        } else {
            quote(shown, text);
        }
    }
}

/// How `readonly` is sent.
#[derive(Clone, Copy)]
enum Manner {
    Boolean,
    Text,
    Number,
    Null,
    Absent,
}

fn too_many(count: usize) -> Reply {
    // OCPP-J 1.6 (section 4.2.3) spells the code like this.
    Reply::Error(
        "OccurenceConstraintViolation",
        format!("{count} keys are too many"),
    )
}

/// Appends a text as a JSON string.
fn quote(raw: &str, text: &mut String) {
    if raw
        .bytes()
        .all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
    {
        text.push('"');
        text.push_str(raw);
        text.push('"');
    } else {
        text.push_str(&serde_json::Value::from(raw).to_string());
    }
}
