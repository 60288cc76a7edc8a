//! What a unit said of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::heartbeat::{Count, Pulse};
use crate::engine::units::{Mono, nanos};
use crate::store::{Bytes, key};

/// Moments in nanoseconds of the boot's awake clock.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beats {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    moved: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    count: Option<Far>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    status: Option<Bytes>,
    #[serde(default)]
    stopping: bool,
    #[serde(default)]
    extended: u64,
    #[serde(default)]
    granted: u64,
    /// Who spoke, and the last counter of each; of some none was ever given.
    #[serde(default)]
    senders: Vec<(String, Option<Far>)>,
    /// The last counters of those below each.
    #[serde(default)]
    lines: Vec<(String, Vec<Far>)>,
}

/// So much is done, of so much.
#[derive(Debug, Serialize, Deserialize)]
struct Far(u64, Option<u64>);

impl Far {
    const fn of(count: Count) -> Self {
        Self(count.done, count.total)
    }

    fn read(self) -> Count {
        Count {
            done: self.0,
            total: self.1.filter(|total| *total > 0),
        }
    }
}

impl Beats {
    /// `None` where nothing was ever said.
    pub(super) fn of(pulse: &Pulse) -> Option<Self> {
        let senders = pulse.senders.iter();
        (!pulse.is_unheard()).then(|| Self {
            since: pulse.since.map(Mono::nanos),
            moved: pulse.moved.map(Mono::nanos),
            count: pulse.count.map(Far::of),
            status: pulse.status.as_ref().map(Bytes::of),
            stopping: pulse.stopping,
            extended: pulse.extended.nanos(),
            granted: nanos(pulse.granted),
            senders: senders
                .map(|(key, count)| (key.to_string(), count.map(Far::of)))
                .collect(),
            lines: pulse
                .lines
                .iter()
                .map(|(key, line)| (key.to_string(), line.iter().copied().map(Far::of).collect()))
                .collect(),
        })
    }

    pub(super) fn read(self) -> Pulse {
        let senders = self.senders.into_iter();
        let senders: BTreeMap<_, _> = senders
            .filter_map(|(text, count)| Some((key(&text)?, count.map(Far::read))))
            .collect();
        let lines = self.lines.into_iter();
        let lines: BTreeMap<_, Vec<Count>> = lines
            .filter_map(|(text, line)| {
                Some((key(&text)?, line.into_iter().map(Far::read).collect()))
            })
            .collect();
        Pulse {
            since: self.since.map(Mono::from_nanos),
            moved: self.moved.map(Mono::from_nanos),
            count: self.count.map(Far::read),
            status: self.status.map(Bytes::read),
            stopping: self.stopping,
            extended: Mono::from_nanos(self.extended),
            granted: Duration::from_nanos(self.granted),
            senders,
            lines,
            ..Pulse::default()
        }
    }
}
