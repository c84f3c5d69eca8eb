//! A tiny pure station, and a caller that plans, executes and records as the controllers do, and may be cut at any step.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use stationkeeper_core::event::{Connection, End, Event, observe};
use stationkeeper_core::memory::{Answer, Memory, RememberedValue};
use stationkeeper_core::observed::{Observed, Reading};
use stationkeeper_core::outcome::{Outcome, intend, record, withdraw};
use stationkeeper_core::plan::{Change, KeyVerdict, Why};
use stationkeeper_core::reboot::Watched;
use stationkeeper_core::value;
use stationkeeper_core::words::Key;

use crate::given::{Scene, catalogue};

/// What a key does with a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Stores it, effective at once.
    Stores,
    /// Stores it for the next boot; shows it before or not.
    NeedsBoot { shows_early: bool },
    /// Says Accepted, and stores it for the next boot.
    QuietlyNeedsBoot,
    /// Says RebootRequired, and forgets it.
    ForgetsAtBoot,
    /// Says Accepted, and does nothing.
    Ignores,
    /// Says Rejected.
    Rejects,
    /// Says NotSupported.
    Unsupported,
    /// Says that it is read-only.
    ReadOnly,
    /// Is not there.
    Absent,
    /// Goes back to what it was at each boot.
    Volatile,
    /// Moves another key.
    Moves(&'static str, &'static str),
    /// Is never shown.
    Hidden,
    /// Stores it, and boots by itself; some lose it so.
    Reboots { keeps: bool },
}

/// What is wrong with the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The write arrives, the answer does not.
    AnswerLost,
    /// The write does not arrive.
    CallLost,
    /// The station answers with an error that says nothing.
    Error,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeKey {
    pub(crate) habit: Habit,
    pub(crate) value: String,
    first: String,
    stored: Option<String>,
    read_since_write: bool,
}

/// The station.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeStation {
    pub(crate) keys: BTreeMap<String, FakeKey>,
    pub(crate) faults: Vec<Fault>,
    /// What was done to it that must never be done.
    pub(crate) harm: Vec<String>,
    pub(crate) writes: usize,
    /// It is about to boot by itself.
    pub(crate) booting: bool,
}

impl FakeStation {
    pub(crate) fn with(mut self, key: &str, value: &str, habit: Habit) -> Self {
        let fake = FakeKey {
            habit,
            value: value.to_owned(),
            first: value.to_owned(),
            stored: None,
            read_since_write: true,
        };
        self.keys.insert(key.to_owned(), fake);
        self
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        if let Some(fake) = self.keys.get_mut(key) {
            fake.value = value.to_owned();
        }
    }

    fn read(&mut self, key: &Key) -> Reading {
        let Some(fake) = self.keys.get_mut(key.as_str()) else {
            return Reading::Unknown;
        };
        fake.read_since_write = true;
        match fake.habit {
            Habit::Absent => Reading::Unknown,
            Habit::Hidden => Reading::Known {
                spelling: key.clone(),
                value: None,
                readonly: None,
            },
            Habit::NeedsBoot { shows_early: true } => {
                known(key, fake.stored.as_ref().unwrap_or(&fake.value), false)
            }
            Habit::ReadOnly => known(key, &fake.value, true),
            _ => known(key, &fake.value, false),
        }
    }

    fn write(&mut self, change: &Change) -> Answer {
        self.writes += 1;
        self.judge(change);
        let fault = if self.faults.is_empty() {
            None
        } else {
            Some(self.faults.remove(0))
        };
        match fault {
            Some(Fault::CallLost) => return Answer::NoAnswer,
            Some(Fault::Error) => return Answer::Error,
            Some(Fault::AnswerLost) | None => {}
        }
        let answer = self.store(change);
        if fault == Some(Fault::AnswerLost) {
            Answer::NoAnswer
        } else {
            answer
        }
    }

    /// What no plan may ever do.
    fn judge(&mut self, change: &Change) {
        let key = &change.key;
        let Some(fake) = self.keys.get_mut(key.as_str()) else {
            self.harm
                .push(format!("{key} is not there, and was written"));
            return;
        };
        let shown = match fake.habit {
            Habit::NeedsBoot { shows_early: true } => fake.stored.as_ref().unwrap_or(&fake.value),
            _ => &fake.value,
        };
        match &fake.habit {
            Habit::ReadOnly | Habit::Absent => self
                .harm
                .push(format!("{key} was written although {:?}", fake.habit)),
            Habit::Hidden => return,
            _ => {}
        }
        let equal = matches!(&change.value, RememberedValue::Plain(value) if value::equal(&change.definition, value, shown));
        if equal && change.why != Why::Superseding {
            self.harm
                .push(format!("{key} was written although equal ({shown})"));
        }
        if !fake.read_since_write {
            self.harm
                .push(format!("{key} was written twice without a read in between"));
        }
        fake.read_since_write = false;
    }

    fn store(&mut self, change: &Change) -> Answer {
        let value = match &change.value {
            RememberedValue::Plain(value) => value.clone(),
            RememberedValue::Secret(version) => version.0.clone(),
        };
        let Some(fake) = self.keys.get_mut(change.key.as_str()) else {
            return Answer::NotSupported;
        };
        match fake.habit.clone() {
            Habit::Stores | Habit::Volatile | Habit::Hidden => {
                fake.value = value;
                Answer::Accepted
            }
            Habit::Reboots { .. } => {
                fake.value = value;
                self.booting = true;
                Answer::Accepted
            }
            Habit::Moves(other, to) => {
                fake.value = value;
                self.set(other, to);
                Answer::Accepted
            }
            Habit::NeedsBoot { .. } => {
                fake.stored = Some(value);
                Answer::RebootRequired
            }
            Habit::QuietlyNeedsBoot => {
                fake.stored = Some(value);
                Answer::Accepted
            }
            Habit::ForgetsAtBoot => Answer::RebootRequired,
            Habit::Ignores => Answer::Accepted,
            Habit::Rejects | Habit::ReadOnly => Answer::Rejected,
            Habit::Unsupported | Habit::Absent => Answer::NotSupported,
        }
    }

    fn boot(&mut self) {
        for fake in self.keys.values_mut() {
            match fake.habit {
                Habit::NeedsBoot { .. } | Habit::QuietlyNeedsBoot => {
                    if let Some(stored) = fake.stored.take() {
                        fake.value = stored;
                    }
                }
                Habit::Volatile | Habit::Reboots { keeps: false } => {
                    fake.value = fake.first.clone()
                }
                _ => {}
            }
        }
    }
}

fn known(key: &Key, value: &str, read_only: bool) -> Reading {
    Reading::Known {
        spelling: key.clone(),
        value: Some(value.into()),
        readonly: Some(read_only),
    }
}

/// The station and whoever keeps it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) station: FakeStation,
    /// What a successor finds: memory as it was last published.
    pub(crate) published: Memory,
    connection: Connection,
    watched: Watched,
    /// Steps left until the process dies; `None`: it lives.
    pub(crate) cut_after: Option<usize>,
}

/// The process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut;

impl World {
    pub(crate) fn new(scene: Scene, station: FakeStation) -> Self {
        let published = scene.memory.clone();
        let mut world = Self {
            scene: Scene {
                catalogue: catalogue(),
                ..scene
            },
            station,
            published,
            connection: Connection::default(),
            watched: Watched::default(),
            cut_after: None,
        };
        world.happens(&Event::Connected {
            former_end: None,
            bootstrap: false,
        });
        world
    }

    fn happens(&mut self, event: &Event) {
        let memory = std::mem::take(&mut self.scene.memory);
        let waited_for = memory.keys.values().any(|key| key.owed.is_some());
        let (memory, meaning) = observe(memory, &mut self.connection, event);
        self.watched.follow(event, self.scene.now);
        self.scene.memory = if meaning.boot_proven {
            self.watched.booted(memory, waited_for, self.scene.now)
        } else {
            memory
        };
    }

    /// One step that a death may come before.
    fn step(&mut self) -> Result<(), Cut> {
        match &mut self.cut_after {
            None => Ok(()),
            Some(0) => Err(Cut),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// The station boots: a power cut, or a reset by somebody.
    pub(crate) fn boot(&mut self) {
        self.station.boot();
        self.happens(&Event::Connected {
            former_end: Some(End::Station),
            bootstrap: false,
        });
        let device = self.scene.memory.device.clone();
        let firmware = self.scene.memory.firmware.clone();
        self.happens(&Event::Boot {
            device,
            firmware,
            provoked: false,
            first_on_connection: true,
        });
    }

    /// A new process, with what was published; the station reconnects, since we went.
    pub(crate) fn restart(&mut self) {
        self.cut_after = None;
        self.scene.memory = self.published.clone();
        self.scene.observed = Observed::default();
        self.connection = Connection::default();
        self.watched = Watched::default();
        self.happens(&Event::Connected {
            former_end: None,
            bootstrap: false,
        });
    }

    /// Passes until nothing is left to do, some hours at most. A dead process is restarted.
    pub(crate) fn run(&mut self) {
        for _ in 0..100 {
            match self.pass() {
                Err(Cut) => self.restart(),
                Ok(true) => self.scene.now += SignedDuration::from_millis(100),
                Ok(false) => match self.scene.plan().check_again {
                    Some(at) if at > self.scene.now => self.scene.now = at,
                    Some(_) => panic!("asked to look again in the past"),
                    None => return,
                },
            }
        }
        panic!("never at rest: {:#?}", self.verdicts());
    }

    /// One pass, as the controllers make it. `true`: there was something to do.
    pub(crate) fn pass(&mut self) -> Result<bool, Cut> {
        let memory = std::mem::take(&mut self.scene.memory);
        self.scene.memory = self.watched.passed(memory, self.scene.now);
        let mut plan = self.scene.plan();
        let mut busy = false;
        for _ in 0..3 {
            if plan.read.is_empty() {
                break;
            }
            self.step()?;
            self.read(&plan.read);
            busy = true;
            plan = self.scene.plan();
        }
        assert!(plan.read.is_empty(), "asks for ever: {:?}", plan.read);
        if !plan.changes.is_empty() {
            busy = true;
            self.execute(&plan.memory, &plan.changes)?;
            plan = self.scene.plan();
        }
        self.scene.memory = plan.memory;
        self.step()?;
        self.published = self.scene.memory.clone();
        if std::mem::take(&mut self.station.booting) {
            self.boot();
        }
        Ok(busy)
    }

    fn execute(&mut self, before: &Memory, changes: &[Change]) -> Result<(), Cut> {
        let now = self.scene.now;
        let intended = intend(before.clone(), changes, now);
        self.step()?;
        self.published = intended.clone();
        let mut memory = intended;
        // An executor stops when a station falls silent; what follows was certainly not sent.
        let mut silent = false;
        let mut unsent = Vec::new();
        for change in changes {
            if silent {
                unsent.push(change.clone());
                continue;
            }
            self.step()?;
            let answer = self.station.write(change);
            self.step()?;
            let read_back = change.readable.then(|| self.station.read(&change.key));
            let outcome = outcome(change, answer, read_back, now);
            self.watched.wrote(&outcome);
            memory = record(memory, &outcome);
            silent = answer == Answer::NoAnswer;
        }
        self.scene.memory = withdraw(memory, before, &unsent);
        // The closing read.
        self.scene.observed = Observed::default();
        let closing = self.scene.plan();
        self.step()?;
        self.read(&closing.read);
        Ok(())
    }

    fn read(&mut self, keys: &[Key]) {
        for key in keys {
            let reading = self.station.read(key);
            self.scene.observed.readings.insert(key.clone(), reading);
        }
        self.scene.observed.at_event = self.scene.memory.event;
    }

    pub(crate) fn verdicts(&self) -> Vec<KeyVerdict> {
        self.scene.plan().keys
    }

    /// What the station holds, by key.
    pub(crate) fn values(&self) -> Vec<(&str, &str)> {
        self.station
            .keys
            .iter()
            .map(|(key, fake)| (key.as_str(), fake.value.as_str()))
            .collect()
    }
}

pub(crate) fn outcome(
    change: &Change,
    answer: Answer,
    read_back: Option<Reading>,
    at: Timestamp,
) -> Outcome {
    Outcome {
        change: change.clone(),
        answer,
        detail: None,
        read_back,
        disconnected: false,
        at,
    }
}
