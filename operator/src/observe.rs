//! Observe: the keys that we need, asked by name, → what the station reported of each.
//!
//! In come the keys and what is known of how many the station takes at once; out goes an [`Observation`]. Stations are
//! never asked for all their keys: some never answer that, some hide keys from it. What is deliberately absent: what
//! values mean, which keys are needed, and when to try again.
//!
//! | the station | so |
//! |---|---|
//! | says how many keys it takes (`GetConfigurationMaxKeys`) | pieces of exactly that size |
//! | has not said it yet | that key is asked for along with the first, small piece |
//! | has not said it yet, and the catalogue tells that it is delivered with few | that key is asked for first, alone |
//! | answers an error, nothing intelligible, nothing at all, or not in time | halves, down to single keys; a single key that fails is `Failed` |
//! | answers some of the keys and leaves others out | those are asked for again, once more than they are answered |
//! | fails twice in a row | a harmless key is asked for; if that fails as well the pass ends: the keys are not to blame |
//! | drops the line | the pass ends, and the keys in flight are reported |

use std::collections::BTreeSet;
use std::pin::Pin;

use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::words::{Key, Text};
use stationkeeper_ocpp::request::{Configuration, get_configuration};

use crate::clock;
use crate::connector::{CallResult, Identity};
use crate::wire::{Guard, Request, Stop, Wire};

/// The most keys that are asked for at once of a station that does not say how many it takes. Stations in the field
/// have been seen to fail on a listing of 40 and more; one was seen that takes 4, which halving finds.
pub const PIECE_WHEN_UNKNOWN: usize = 20;

/// Says how many keys one GetConfiguration may ask for (OCPP 1.6 edition 2, section 9.1.9; required of every station).
pub const MAX_KEYS: &str = "GetConfigurationMaxKeys";

/// Failures in a row after which it is asked whether the station answers at all.
const DOUBTFUL: u32 = 2;

/// Required of every station and read by every CSMS: what a station that answers at all can answer (OCPP 1.6 edition 2,
/// sections 9.1.9, 9.1.10 and 9.1.21).
const HARMLESS: [&str; 3] = [MAX_KEYS, "HeartbeatInterval", "NumberOfConnectors"];

/// A key to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The canonical name, under which the reading is given.
    pub key: Key,
    /// The station's own spelling, if it is known: stations compare exactly.
    pub spelling: Option<Key>,
    /// The value is a secret: it is dropped before anything else sees it.
    pub secret: bool,
    /// Asked for last and in a call of its own: the station failed or fell over a call with it before, and a fall has
    /// to name one key.
    pub alone: bool,
}

impl Ask {
    /// A key that is no secret and that the station never fell over.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            spelling: None,
            secret: false,
            alone: false,
        }
    }

    fn name(&self) -> &str {
        self.spelling.as_ref().unwrap_or(&self.key).as_str()
    }
}

/// What is known of how many keys the station takes in one call. Nothing known: it is asked, along with the first keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// What it said or what an earlier pass found out ([`Observation::piece`]).
    pub station: Option<usize>,
    /// What the catalogue knows of its kind (the quirk `maxKeysPerRequest`).
    pub catalogue: Option<usize>,
    /// What its kind is delivered with, by the catalogue: good until it has said more itself.
    pub delivered: Option<usize>,
}

impl Pieces {
    fn size(self) -> Option<usize> {
        let known = match (self.station, self.catalogue) {
            (Some(station), Some(catalogue)) => Some(station.min(catalogue)),
            (station, catalogue) => station.or(catalogue),
        };
        known.map(|size| size.max(1))
    }
}

/// What came of asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// One reading for each key that was answered or that failed alone. Keys that an ended pass did not get to have none.
    /// `at_event` is left for the caller, who counts events.
    pub observed: Observed,
    /// Calls that were sent.
    pub calls: u32,
    /// How many keys to ask for at once from now on ([`Pieces::station`]); `None`: nothing was found out.
    pub piece: Option<usize>,
    /// The keys that were in flight when the connection ended.
    pub falls: Vec<Key>,
    /// Why the pass ended early, if it did.
    pub aborted: Option<Aborted>,
}

/// Why a pass ended before its last key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Aborted {
    /// The guard said no.
    #[error("{0}")]
    Stopped(Stop),
    /// The connection ended while a call was in flight.
    #[error("the connection ended during GetConfiguration")]
    Disconnected,
    /// The station is not connected.
    #[error("the station is not connected")]
    Offline,
    /// The call was not sent.
    #[error("GetConfiguration was not sent: {0}")]
    NotDelivered(String),
    /// The station answers no GetConfiguration with keys, not even for one that every station has.
    #[error(
        "the station does not answer GetConfiguration with keys, not even for one that every station has: {0}"
    )]
    Unresponsive(String),
}

/// Reads keys, each once.
pub async fn observe(
    wire: &Wire,
    identity: &Identity,
    asks: &[Ask],
    pieces: Pieces,
    guard: &Guard<'_>,
) -> Observation {
    let mut keys = BTreeSet::new();
    let asks: Vec<&Ask> = asks.iter().filter(|ask| keys.insert(&ask.key)).collect();
    let (alone, together): (Vec<&Ask>, Vec<&Ask>) = asks.iter().partition(|ask| ask.alone);
    let mut pass = Pass {
        wire,
        identity,
        guard,
        names: asks.iter().map(|ask| ask.name()).collect(),
        size: pieces.size().unwrap_or(PIECE_WHEN_UNKNOWN),
        // Not while a fall has yet to be traced to one key: it could be this one.
        learning: pieces.size().is_none() && alone.is_empty(),
        failures: 0,
        told: Observation::default(),
    };
    let few = pieces
        .delivered
        .filter(|&most| most <= PIECE_WHEN_UNKNOWN && pass.learning && !asks.is_empty());
    let read = async {
        if let Some(most) = few {
            pass.size = most.max(1);
            // The limit alone. Without an answer that says one, the size stays as the catalogue told it.
            let _said = pass.ask(&[]).await?;
        }
        pass.read_all(&together, &alone).await
    };
    pass.told.aborted = read.await.err();
    pass.told
}

/// What a station said of one key, if it said anything: the key as asked, else as the station spells it.
///
/// `others` are the names that were asked for: an entry that is exactly one of them is not a variant of another.
pub(crate) fn reading(
    name: &str,
    secret: bool,
    others: &BTreeSet<&str>,
    answer: &Configuration,
) -> Option<Reading> {
    let is_variant = |other: &str| {
        other.eq_ignore_ascii_case(name) && (other == name || !others.contains(other))
    };
    let exact = answer.keys.iter().find(|entry| entry.key == name);
    let mut variants = answer.keys.iter().filter(|entry| is_variant(&entry.key));
    let found = match (exact, variants.next(), variants.next()) {
        (Some(entry), _, _) | (None, Some(entry), None) => entry,
        (None, Some(_), Some(_)) => {
            let variants = answer.keys.iter().filter(|entry| is_variant(&entry.key));
            return Some(Reading::Ambiguous {
                spellings: variants
                    .map(|entry| Key::from(entry.key.as_str()))
                    .collect(),
            });
        }
        (None, None, _) => {
            return answer
                .unknown
                .iter()
                .any(|other| is_variant(other))
                .then_some(Reading::Unknown);
        }
    };
    Some(Reading::Known {
        spelling: Key::from(found.key.as_str()),
        value: found.value.as_deref().filter(|_| !secret).map(Text::from),
        readonly: found.readonly,
    })
}

/// Were all keys of a piece told of? Only then does its size say anything.
type AllTold = bool;

struct Pass<'a> {
    wire: &'a Wire,
    identity: &'a Identity,
    guard: &'a Guard<'a>,
    /// All names of the pass.
    names: BTreeSet<&'a str>,
    /// How many keys to ask for at once.
    size: usize,
    /// `GetConfigurationMaxKeys` is asked for along with the next piece.
    learning: bool,
    /// Calls in a row that brought nothing.
    failures: u32,
    told: Observation,
}

impl<'a> Pass<'a> {
    async fn read_all(&mut self, together: &[&'a Ask], alone: &[&'a Ask]) -> Result<(), Aborted> {
        self.read(together).await?;
        for ask in alone {
            self.read_piece(&[ask]).await?;
        }
        Ok(())
    }

    /// Reads keys in pieces. The size may change from piece to piece.
    fn read<'s>(
        &'s mut self,
        asks: &'s [&'a Ask],
    ) -> Pin<Box<dyn Future<Output = Result<AllTold, Aborted>> + Send + 's>> {
        Box::pin(async move {
            let mut all_told = true;
            let mut rest = asks;
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(self.size));
                all_told &= self.read_piece(piece).await?;
                rest = later;
            }
            Ok(all_told)
        })
    }

    async fn read_piece(&mut self, piece: &[&'a Ask]) -> Result<AllTold, Aborted> {
        if self.failures >= DOUBTFUL {
            self.prove_that_it_answers(piece).await?;
        }
        match self.ask(piece).await? {
            Ok(answer) => {
                let missing = self.take(piece, &answer);
                if missing.is_empty() {
                    return Ok(true);
                }
                if piece.len() == 1 {
                    return Ok(false);
                }
                if missing.len() == piece.len() {
                    // Some answer `{}` to more keys than they take.
                    return self.halve(piece).await;
                }
                self.ask_again(piece.len() - missing.len(), missing).await
            }
            Err(what) => {
                if let [ask] = piece {
                    let failed = Reading::Failed {
                        what,
                        disconnected: false,
                        at: clock::now(),
                    };
                    self.told.observed.readings.insert(ask.key.clone(), failed);
                    return Ok(false);
                }
                self.halve(piece).await
            }
        }
    }

    /// The size of the piece was the mistake only if nothing is wrong with its halves.
    async fn halve(&mut self, piece: &[&'a Ask]) -> Result<AllTold, Aborted> {
        let half = piece.len().div_ceil(2);
        let all_told = self.read(&piece[..half]).await? & self.read(&piece[half..]).await?;
        if all_told {
            self.learn(half);
        }
        Ok(all_told)
    }

    /// An answer may have been cut short, or the station leaves out what it does not know: as long as asking again for
    /// what is missing brings something, it was cut short.
    async fn ask_again(
        &mut self,
        were_told: usize,
        mut missing: Vec<&'a Ask>,
    ) -> Result<AllTold, Aborted> {
        while !missing.is_empty() {
            let piece = &missing[..missing.len().min(self.size)];
            let Ok(answer) = self.ask(piece).await? else {
                return Ok(false);
            };
            let still_missing = self.take(piece, &answer);
            if still_missing.len() == piece.len() {
                return Ok(false);
            }
            let later = missing[piece.len()..].to_vec();
            missing = still_missing;
            missing.extend(later);
        }
        self.learn(were_told);
        Ok(true)
    }

    /// Notes what the answer says of a piece; gives the keys that it says nothing of.
    fn take(&mut self, piece: &[&'a Ask], answer: &Configuration) -> Vec<&'a Ask> {
        let mut missing = Vec::new();
        for ask in piece {
            let reading =
                reading(ask.name(), ask.secret, &self.names, answer).unwrap_or_else(|| {
                    missing.push(*ask);
                    Reading::Unreported
                });
            self.told.observed.readings.insert(ask.key.clone(), reading);
        }
        missing
    }

    fn learn(&mut self, size: usize) {
        self.size = self.size.min(size);
        self.told.piece = Some(self.size);
    }

    /// One call. The inner error says what was wrong with the answer.
    async fn ask(&mut self, piece: &[&'a Ask]) -> Result<Result<Configuration, String>, Aborted> {
        let learning = self.learning;
        let along =
            (learning && !piece.iter().any(|ask| ask.name() == MAX_KEYS)).then_some(MAX_KEYS);
        let secret = piece.iter().any(|ask| ask.secret);
        let names = piece.iter().map(|ask| ask.name()).chain(along);
        // Asked for once: if the call fails, it may be for this key.
        self.learning = false;
        let answer = self
            .call(get_configuration(names), secret)
            .await
            .inspect_err(|aborted| {
                if *aborted == Aborted::Disconnected {
                    self.told.falls = piece.iter().map(|ask| ask.key.clone()).collect();
                }
            });
        if let (Err(Aborted::Disconnected), [ask]) = (&answer, piece) {
            let what = Aborted::Disconnected.to_string();
            let fell = Reading::Failed {
                what,
                disconnected: true,
                at: clock::now(),
            };
            self.told.observed.readings.insert(ask.key.clone(), fell);
        }
        let answer = answer?;
        if let (true, Ok(answer)) = (learning, &answer) {
            self.size = max_keys(answer).unwrap_or(self.size);
            self.told.piece = Some(self.size);
        }
        Ok(answer)
    }

    /// Asks for a key that cannot be to blame.
    async fn prove_that_it_answers(&mut self, piece: &[&'a Ask]) -> Result<(), Aborted> {
        let was_read = self
            .told
            .observed
            .readings
            .values()
            .find_map(|reading| match reading {
                Reading::Known { spelling, .. } => Some(spelling.as_str()),
                Reading::Unknown
                | Reading::Unreported
                | Reading::Ambiguous { .. }
                | Reading::Failed { .. } => None,
            });
        let not_in_question = |name: &&str| {
            !piece
                .iter()
                .any(|ask| ask.name().eq_ignore_ascii_case(name))
        };
        let Some(name) = was_read.into_iter().chain(HARMLESS).find(not_in_question) else {
            return Ok(());
        };
        let payload = get_configuration([name]);
        self.call(payload, false)
            .await?
            .map(|_| ())
            .map_err(Aborted::Unresponsive)
    }

    async fn call(
        &mut self,
        payload: Box<serde_json::value::RawValue>,
        secret: bool,
    ) -> Result<Result<Configuration, String>, Aborted> {
        let called = self
            .wire
            .call(
                self.identity,
                Request::read("GetConfiguration", payload),
                self.guard,
            )
            .await;
        let result = called.map_err(Aborted::Stopped)?;
        match &result {
            CallResult::Offline => return Err(Aborted::Offline),
            CallResult::NotDelivered(why) => return Err(Aborted::NotDelivered(why.clone())),
            CallResult::Disconnected => {
                self.told.calls += 1;
                return Err(Aborted::Disconnected);
            }
            CallResult::Answer(_)
            | CallResult::CallError { .. }
            | CallResult::TimedOut
            | CallResult::Garbled(_) => {}
        }
        self.told.calls += 1;
        let answer = understood(self.wire, &result, secret);
        self.failures = if answer.is_ok() { 0 } else { self.failures + 1 };
        Ok(answer)
    }
}

/// The answer to GetConfiguration, or what is wrong with it, for people.
pub(crate) fn understood(
    wire: &Wire,
    result: &CallResult,
    secret: bool,
) -> Result<Configuration, String> {
    if let Some(wrong) = wire.wrong(result, secret) {
        return Err(wrong);
    }
    let CallResult::Answer(payload) = result else {
        return Err("no answer".to_owned());
    };
    Configuration::read(payload).map_err(|bad| {
        if secret {
            "an answer that cannot be understood".to_owned()
        } else {
            crate::wire::shortened(&bad.to_string())
        }
    })
}

/// How many keys the station says it takes; nonsense says nothing.
fn max_keys(answer: &Configuration) -> Option<usize> {
    match reading(MAX_KEYS, false, &BTreeSet::new(), answer)? {
        Reading::Known { value, .. } => {
            let value = value?;
            let whole = value.trim().split(['.', ',']).next()?;
            whole.parse().ok().filter(|keys| *keys > 0)
        }
        Reading::Unknown
        | Reading::Unreported
        | Reading::Ambiguous { .. }
        | Reading::Failed { .. } => None,
    }
}
