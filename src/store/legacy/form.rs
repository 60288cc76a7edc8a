//! How a legacy is written: plain JSON, each identity as `PID:INODE` (or `PID~TICKS`), each span in nanoseconds, each moment
//! in nanoseconds of the boot's awake clock.
//!
//! Fields may be added, never renamed. What is not to be understood is left out, one entry at a time: a legacy is a gift.

mod case;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::decision::PauseView;
use crate::engine::evidence::{Subject, UnitKey};
use crate::engine::forest::Starter;
use crate::engine::instances::{Circle, Realm};
use crate::engine::label::{Badge, Label};
use crate::engine::legacy::{self, Bequest, Ending, Legacy};
use crate::engine::process::{CgroupId, Pid, ProcKey, Uid};
use crate::engine::units::{Mono, nanos};
use crate::engine::usage::Buried;
use crate::engine::warrant::HardTie;
use crate::store::{Bytes, key};
use case::{Case, Remainder};

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) version: u32,
    pub(super) boot: String,
    at: u64,
    kin: Vec<Kin>,
    #[serde(default)]
    kept: Vec<(String, Vec<String>)>,
    units: Vec<Unit>,
    pasts: Vec<Remainder>,
    endings: Vec<End>,
    pauses: Vec<Pause>,
    #[serde(default)]
    frozen: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kin {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tie: Option<Tie>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    session: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    starter: Option<Begun>,
    #[serde(default)]
    used: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tie {
    Root,
    Forked(u32),
    Child(String),
    Session(u32),
}

#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    pid: u32,
    key: Option<String>,
    died: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Unit {
    rule: String,
    whole: Whole,
    subject: Who,
    starter: Option<(Option<String>, Bytes)>,
    since: u64,
    before: u64,
    dead: Dead,
    spawned: (u64, u64),
    root_gone: Option<u64>,
    members: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    label: Option<Carried>,
    incident: Option<Case>,
    #[serde(default)]
    circle: Ring,
}

/// What other instances have in common with a root.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ring {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    realm: Option<Within>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    starter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cwd: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Within {
    Ours,
    Container(Bytes),
}

/// A label. The file is its owner's alone to read: a value may be a secret.
#[derive(Debug, Serialize, Deserialize)]
struct Carried {
    /// The variable; of a control group `None`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    name: Option<String>,
    /// Its value, or the group's path.
    value: Bytes,
    owner: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cgroup: Option<u64>,
}

/// What a unit is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Whole {
    Tree(String),
    Process(String),
    Label(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Who {
    key: String,
    program: Bytes,
    command: Bytes,
    cwd: Option<Bytes>,
    owner: Option<u32>,
    audience: Option<u32>,
    tty: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    label: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Dead {
    at_least: u64,
    /// `None` once nothing bounds it.
    beyond: Option<u64>,
    count: u64,
    #[serde(default)]
    unrecorded: u64,
    #[serde(default)]
    unheard: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    at: u64,
    rule: String,
    owner: Option<u32>,
    program: Bytes,
    starter: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pause {
    by: u32,
    rule: Option<String>,
    until: u64,
}

impl Written {
    pub(super) fn of(legacy: &Legacy, boot: &str) -> Self {
        Self {
            version: 1,
            boot: boot.to_owned(),
            at: legacy.at.nanos(),
            kin: legacy.kin.iter().map(Kin::of).collect(),
            units: legacy.units.iter().map(Unit::of).collect(),
            kept: legacy
                .kept
                .iter()
                .map(|(key, rules)| {
                    (
                        key.to_string(),
                        rules.iter().map(ToString::to_string).collect(),
                    )
                })
                .collect(),
            pasts: legacy.pasts.iter().map(Remainder::of).collect(),
            endings: legacy.endings.iter().map(End::of).collect(),
            pauses: legacy.pauses.iter().map(Pause::of).collect(),
            frozen: legacy.frozen.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn read(self) -> Legacy {
        let pauses = self.pauses.into_iter().map(Pause::read);
        Legacy {
            at: Mono::from_nanos(self.at),
            kin: self.kin.into_iter().filter_map(Kin::read).collect(),
            units: self.units.into_iter().filter_map(Unit::read).collect(),
            kept: self
                .kept
                .into_iter()
                .filter_map(|(text, rules)| {
                    Some((key(&text)?, rules.into_iter().map(Arc::from).collect()))
                })
                .collect(),
            pasts: self.pasts.into_iter().filter_map(Remainder::read).collect(),
            endings: self.endings.into_iter().map(End::read).collect(),
            pauses: pauses.collect(),
            frozen: self.frozen.iter().filter_map(|text| key(text)).collect(),
        }
    }
}

impl Kin {
    fn of(kin: &legacy::Kin) -> Self {
        let tie = kin.tie.and_then(|tie| match tie {
            HardTie::Root => Some(Tie::Root),
            HardTie::Forked { parent } => Some(Tie::Forked(parent.number())),
            HardTie::Child { parent } => Some(Tie::Child(parent.to_string())),
            HardTie::Session { session } => Some(Tie::Session(session.number())),
            // Says nothing of lineage.
            HardTie::Labeled | HardTie::Filed | HardTie::Frozen => None,
        });
        Self {
            key: kin.key.to_string(),
            parent: written(kin.parent),
            tie,
            session: kin.session,
            starter: kin.starter.map(|starter| Begun {
                pid: starter.pid.number(),
                key: written(starter.key),
                died: starter.died.nanos(),
            }),
            used: nanos(kin.used),
        }
    }

    fn read(self) -> Option<legacy::Kin> {
        let tie = self.tie.and_then(|tie| {
            Some(match tie {
                Tie::Root => HardTie::Root,
                Tie::Forked(parent) => HardTie::Forked {
                    parent: Pid::new(parent)?,
                },
                Tie::Child(parent) => HardTie::Child {
                    parent: key(&parent)?,
                },
                Tie::Session(session) => HardTie::Session {
                    session: Pid::new(session)?,
                },
            })
        });
        let starter = self.starter.and_then(|starter| {
            Some(Starter {
                pid: Pid::new(starter.pid)?,
                key: known(starter.key),
                died: Mono::from_nanos(starter.died),
            })
        });
        Some(legacy::Kin {
            key: key(&self.key)?,
            parent: known(self.parent),
            tie,
            session: self.session,
            starter,
            used: Duration::from_nanos(self.used),
        })
    }
}

impl Unit {
    fn of(left: &Bequest) -> Self {
        let starter = left.starter.as_ref();
        Self {
            rule: left.rule.to_string(),
            whole: Whole::of(left.unit),
            subject: Who::of(&left.subject),
            starter: starter.map(|(key, program)| (written(*key), Bytes::of(program))),
            since: left.since.nanos(),
            before: nanos(left.before),
            dead: Dead::of(left.buried),
            spawned: left.spawned,
            root_gone: left.root_gone.map(Mono::nanos),
            members: left.members.iter().map(ToString::to_string).collect(),
            label: left.label.as_ref().map(Carried::of),
            incident: left.incident.as_ref().map(Case::of),
            circle: Ring::of(&left.circle),
        }
    }

    fn read(self) -> Option<Bequest> {
        let starter = self.starter;
        let label = match self.label {
            Some(label) => Some(label.read()?),
            None => None,
        };
        Some(Bequest {
            label,
            rule: Arc::from(self.rule),
            unit: self.whole.read()?,
            subject: self.subject.read()?,
            starter: starter.map(|(key, program)| (known(key), program.read())),
            since: Mono::from_nanos(self.since),
            before: Duration::from_nanos(self.before),
            buried: self.dead.read(),
            spawned: self.spawned,
            root_gone: self.root_gone.map(Mono::from_nanos),
            members: self.members.iter().filter_map(|text| key(text)).collect(),
            incident: self.incident.and_then(Case::read),
            circle: self.circle.read(),
        })
    }
}

impl Ring {
    fn of(circle: &Circle) -> Self {
        Self {
            realm: circle.realm.as_ref().map(|realm| match realm {
                Realm::Ours => Within::Ours,
                Realm::Container(id) => Within::Container(Bytes::of(id)),
            }),
            starter: written(circle.starter),
            cwd: circle.cwd.as_ref().map(Bytes::of),
        }
    }

    fn read(self) -> Circle {
        Circle {
            realm: self.realm.map(|realm| match realm {
                Within::Ours => Realm::Ours,
                Within::Container(id) => Realm::Container(id.read()),
            }),
            starter: known(self.starter),
            cwd: self.cwd.map(Bytes::read),
        }
    }
}

impl Whole {
    fn of(unit: UnitKey) -> Self {
        match unit {
            UnitKey::Tree(root) => Self::Tree(root.to_string()),
            UnitKey::Process(one) => Self::Process(one.to_string()),
            UnitKey::Label(root) => Self::Label(root.to_string()),
        }
    }

    fn read(self) -> Option<UnitKey> {
        Some(match self {
            Self::Tree(root) => UnitKey::Tree(key(&root)?),
            Self::Process(one) => UnitKey::Process(key(&one)?),
            Self::Label(root) => UnitKey::Label(key(&root)?),
        })
    }
}

impl Carried {
    fn of(label: &Label) -> Self {
        let Uid(owner) = label.owner;
        let (name, value, cgroup) = match &label.badge {
            Badge::Variable { name, value } => (Some(name.to_string()), value, None),
            Badge::Cgroup { id, path } => (None, path, Some(id.0)),
        };
        Self {
            name,
            value: Bytes::of(value),
            owner,
            cgroup,
        }
    }

    /// `None` where it is neither the one nor the other.
    fn read(self) -> Option<Label> {
        let badge = match (self.name, self.cgroup) {
            (Some(name), None) => Badge::Variable {
                name: Arc::from(name),
                value: self.value.read(),
            },
            (None, Some(id)) => Badge::Cgroup {
                id: CgroupId(id),
                path: self.value.read(),
            },
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let owner = Uid(self.owner);
        Some(Label { badge, owner })
    }
}

impl Who {
    fn of(subject: &Subject) -> Self {
        Self {
            key: subject.key.to_string(),
            program: Bytes::of(&subject.program),
            command: Bytes::of(&subject.command),
            cwd: subject.cwd.as_ref().map(Bytes::of),
            owner: subject.owner.map(|Uid(uid)| uid),
            audience: subject.audience.map(|Uid(uid)| uid),
            tty: subject.tty.as_ref().map(Bytes::of),
            label: subject.label.as_ref().map(Bytes::of),
        }
    }

    fn read(self) -> Option<Subject> {
        Some(Subject {
            key: key(&self.key)?,
            program: self.program.read(),
            command: self.command.read(),
            cwd: self.cwd.map(Bytes::read),
            owner: self.owner.map(Uid),
            audience: self.audience.map(Uid),
            tty: self.tty.map(Bytes::read),
            label: self.label.map(Bytes::read),
        })
    }
}

impl Dead {
    fn of(buried: Buried) -> Self {
        Self {
            at_least: nanos(buried.at_least),
            beyond: Some(nanos(buried.beyond)),
            count: buried.count,
            unrecorded: buried.unrecorded,
            unheard: buried.unheard,
        }
    }

    fn read(self) -> Buried {
        Buried {
            at_least: Duration::from_nanos(self.at_least),
            // Nothing bounded it.
            beyond: self.beyond.map_or(Duration::MAX, Duration::from_nanos),
            unrecorded: self.unrecorded,
            unheard: self.unheard,
            count: self.count,
        }
    }
}

impl End {
    fn of(ending: &Ending) -> Self {
        Self {
            at: ending.at.nanos(),
            rule: ending.rule.to_string(),
            owner: ending.owner.map(|Uid(uid)| uid),
            program: Bytes::of(&ending.program),
            starter: written(ending.starter),
        }
    }

    fn read(self) -> Ending {
        Ending {
            at: Mono::from_nanos(self.at),
            rule: Arc::from(self.rule),
            owner: self.owner.map(Uid),
            program: self.program.read(),
            starter: known(self.starter),
        }
    }
}

impl Pause {
    fn of(pause: &PauseView) -> Self {
        let Uid(by) = pause.by;
        Self {
            by,
            rule: pause.rule.as_ref().map(ToString::to_string),
            until: pause.until.nanos(),
        }
    }

    fn read(self) -> PauseView {
        PauseView {
            by: Uid(self.by),
            rule: self.rule.map(Arc::from),
            until: Mono::from_nanos(self.until),
        }
    }
}

fn written(key: Option<ProcKey>) -> Option<String> {
    key.map(|key| key.to_string())
}

fn known(text: Option<String>) -> Option<ProcKey> {
    text.and_then(|text| key(&text))
}
