//! How is written what instances have in common, and what an incident rested on.

use serde::{Deserialize, Serialize};

use super::{Bytes, known, written};
use crate::engine::incident::Weight;
use crate::engine::instances::{Circle, Realm};
use crate::engine::units::Mono;

/// What other instances have in common with a root.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ring {
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

/// What an incident rested on, where that was less than it may be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Less {
    Light,
    Lightened(u64),
}

impl Ring {
    pub(super) fn of(circle: &Circle) -> Self {
        Self {
            realm: circle.realm.as_ref().map(|realm| match realm {
                Realm::Ours => Within::Ours,
                Realm::Container(id) => Within::Container(Bytes::of(id)),
            }),
            starter: written(circle.starter),
            cwd: circle.cwd.as_ref().map(Bytes::of),
        }
    }

    pub(super) fn read(self) -> Circle {
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

impl Less {
    pub(super) const fn of(weight: Weight) -> Option<Self> {
        match weight {
            Weight::Light => Some(Self::Light),
            Weight::Grave => None,
            Weight::Lightened(since) => Some(Self::Lightened(since.nanos())),
        }
    }

    pub(super) fn read(less: Option<Self>) -> Weight {
        match less {
            Some(Self::Light) => Weight::Light,
            None => Weight::Grave,
            Some(Self::Lightened(since)) => Weight::Lightened(Mono::from_nanos(since)),
        }
    }
}
