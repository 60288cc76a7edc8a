//! Errands: programs that are run for an incident, and managers that are asked.
//!
//! **Invariants.**
//! - A stage's errand comes of a last call; what an incident's closing runs comes of the closing.
//! - For each incident one is under way at most, and [`AT_ONCE`] in all, of which closings leave one to the stages. A closing
//!   waits in a row. A stage waits for its turn and is then held against fresh figures again; where its turn does not come in
//!   time the ladder goes on without it.
//! - A stage counts as carried out when its errand begins, whatever that comes to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Judge;
use super::unit::UnitId;
use crate::engine::decision::{Closing, Decision, Notice, Rest, What};
use crate::engine::errand::{Came, Errand, ErrandId, Occasion, Ran, Task};
use crate::engine::evidence::{Evidence, IncidentId};
use crate::engine::rule::{Mode, StageAct};
use crate::engine::units::Mono;
use crate::engine::warrant::WarrantId;

/// So many are under way at a time.
const AT_ONCE: usize = 4;
/// So many of them may be of closings: what may end a tree is not to wait for those that are told of the end of others.
const CLOSINGS_AT_ONCE: usize = 3;
/// So many closings wait for their turn; of more than that it is said that nothing is run.
const IN_A_ROW: usize = 64;
/// How long after its end an errand is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What others are doing for us.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Begun and not over, with the moment at which each is given up.
    begun: BTreeMap<ErrandId, (Arc<Errand>, Mono)>,
    /// Of closings, in their order.
    row: VecDeque<Errand>,
}

impl Errands {
    fn has_room(&self) -> bool {
        self.begun.len() < AT_ONCE
    }

    fn has_room_for_a_closing(&self) -> bool {
        let begun = self.begun.values();
        let closings = begun.filter(|(errand, _)| matches!(errand.occasion, Occasion::Closed(_)));
        self.has_room() && closings.count() < CLOSINGS_AT_ONCE
    }

    fn is_busy_for(&self, incident: IncidentId) -> bool {
        let mut begun = self.begun.values();
        begun.any(|(errand, _)| errand.incident == incident)
    }

    /// When the first of them is given up.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.begun.values().map(|(_, until)| *until).min()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.begun.len().saturating_add(self.row.len())
    }
}

impl Judge {
    /// Whether the stage at hand is an errand whose turn has not come.
    pub(super) fn waits_for_errand(&self, id: UnitId) -> bool {
        let unit = self.units.get(&id);
        let Some((unit, incident)) =
            unit.and_then(|unit| unit.incident.as_ref().map(|it| (unit, it)))
        else {
            return false;
        };
        match incident
            .stages(&unit.rule)
            .get(incident.next)
            .map(|stage| &stage.act)
        {
            Some(StageAct::Exec(_) | StageAct::Stop) => {
                !self.errands.has_room() || self.errands.is_busy_for(incident.id)
            }
            Some(StageAct::Nudge | StageAct::Freeze | StageAct::Signal(..)) | None => false,
        }
    }

    /// It is not the turn of the stage at hand: it waits, or the ladder goes on without it.
    pub(super) fn wait_or_go_on(&mut self, id: UnitId, out: &mut Vec<Decision>) {
        let now = self.now;
        let Some(unit) = self.units.get_mut(&id) else {
            return;
        };
        let Some(incident) = unit.incident.as_mut() else {
            return;
        };
        let stage = incident.stages(&unit.rule).get(incident.next);
        let Some(act) = stage.map(|stage| stage.act.clone()) else {
            return;
        };
        if !incident.waits(now) {
            self.go_on_without(id, act, Rest::Busy, out);
        }
    }

    /// The stage at hand is not carried out, and counts as if it were.
    fn go_on_without(&mut self, id: UnitId, act: StageAct, why: Rest, out: &mut Vec<Decision>) {
        self.say_withheld(id, act, why, out);
        let now = self.now;
        let unit = self.units.get_mut(&id);
        if let Some(incident) = unit.and_then(|unit| unit.incident.as_mut()) {
            incident.done(now);
        }
    }

    /// The last call has come: the errand is begun, or the ladder goes on without it.
    pub(super) fn send_out(
        &mut self,
        id: WarrantId,
        unit_id: UnitId,
        act: &StageAct,
        evidence: &Arc<Evidence>,
        out: &mut Vec<Decision>,
    ) {
        // Others that were prepared along with it may have come first.
        if self.waits_for_errand(unit_id) {
            return self.put_off(unit_id);
        }
        let task = match act {
            StageAct::Exec(command) => Ok(Task::Exec(command.clone())),
            StageAct::Stop => match self.steward(unit_id) {
                Some(found) => found.map(Task::Stop),
                None => return self.put_off(unit_id),
            },
            StageAct::Nudge | StageAct::Freeze | StageAct::Signal(..) => return,
        };
        let now = self.now;
        let task = match task {
            Ok(task) => task,
            Err(why) => {
                return self.go_on_without(unit_id, act.clone(), Rest::Unstoppable(why), out);
            }
        };
        let Some(unit) = self.units.get_mut(&unit_id) else {
            return;
        };
        let Some(incident) = &mut unit.incident else {
            return;
        };
        let errand = Errand {
            id: ErrandId(id.0),
            incident: incident.id,
            mode: unit.rule.mode,
            evidence: evidence.clone(),
            occasion: Occasion::Stage {
                place: incident.next.saturating_add(1),
                served: now.since(incident.clock),
            },
            task,
        };
        let stops = matches!(errand.task, Task::Stop(_));
        // Whoever goes away from now on goes because we asked for it, unless it turns out that nobody was asked.
        incident.asked = incident.asked.saturating_add(u32::from(stops));
        incident.ran(now);
        if stops {
            // A request is of no use to who stands still.
            self.thaw(unit_id, out);
        }
        self.begin(errand, out);
    }

    /// The stage stays due until the next look.
    fn put_off(&mut self, id: UnitId) {
        let unit = self.units.get_mut(&id);
        if let Some(incident) = unit.and_then(|unit| unit.incident.as_mut()) {
            incident.called_off();
        }
    }

    /// An incident is closed: what its rule runs then. It begins after that is told.
    pub(super) fn send_last(
        &mut self,
        unit_id: UnitId,
        incident: IncidentId,
        how: Closing,
        evidence: &Arc<Evidence>,
        out: &mut Vec<Decision>,
    ) {
        let Some(unit) = self.units.get(&unit_id) else {
            return;
        };
        let over = match how {
            // Of a rule that is gone nothing is run; what has become part of another case is not over.
            Closing::RuleRemoved | Closing::Merged => false,
            Closing::Recovered
            | Closing::Exited
            | Closing::Ended(_)
            | Closing::Denied
            | Closing::Answered
            | Closing::Unmatched => true,
        };
        let command = unit.rule.on_close.clone();
        let Some(command) = command.filter(|_| over) else {
            return;
        };
        let mode = unit.rule.mode;
        let withheld = |why| {
            Decision::Tell(Notice {
                at: self.now,
                incident,
                mode,
                evidence: evidence.clone(),
                what: What::Withheld {
                    act: StageAct::Exec(command.clone()),
                    targets: 0,
                    why,
                },
            })
        };
        if mode != Mode::Enforce {
            return out.push(withheld(Rest::Mode(mode)));
        }
        if self.errands.row.len() >= IN_A_ROW {
            return out.push(withheld(Rest::Busy));
        }
        let id = ErrandId(self.new_warrant().0);
        self.errands.row.push_back(Errand {
            id,
            incident,
            mode,
            evidence: evidence.clone(),
            task: Task::Exec(command),
            occasion: Occasion::Closed(how),
        });
    }

    fn begin(&mut self, errand: Errand, out: &mut Vec<Decision>) {
        let errand = Arc::new(errand);
        out.push(Decision::Tell(errand.begun(self.now)));
        let until = self
            .now
            .after(errand.task.timeout().saturating_add(PATIENCE));
        self.errands
            .begun
            .insert(errand.id, (errand.clone(), until));
        out.push(Decision::Run(errand));
    }

    /// An orderly end: of the closings that still wait for their turn it is said that nothing is run, once.
    pub fn finish(&mut self) -> Vec<Notice> {
        let row = std::mem::take(&mut self.errands.row);
        let told = row.into_iter().filter_map(|errand| {
            let Task::Exec(command) = errand.task else {
                return None;
            };
            let what = What::Withheld {
                act: StageAct::Exec(command),
                targets: 0,
                why: Rest::Busy,
            };
            Some(Notice {
                at: self.now,
                incident: errand.incident,
                mode: errand.mode,
                evidence: errand.evidence,
                what,
            })
        });
        told.collect()
    }

    /// Takes in what an errand came to.
    pub(super) fn take_back(&mut self, ran: Ran, out: &mut Vec<Decision>) {
        let Some((errand, _)) = self.errands.begun.remove(&ran.errand) else {
            return;
        };
        if let (Task::Stop(_), Came::Unstarted(_)) = (&errand.task, &ran.came) {
            let incidents = self.units.values_mut();
            let mut incidents = incidents.filter_map(|unit| unit.incident.as_mut());
            if let Some(incident) = incidents.find(|incident| incident.id == errand.incident) {
                incident.asked = incident.asked.saturating_sub(1);
            }
        }
        out.push(Decision::Tell(errand.over(self.now, ran.came, ran.took)));
    }

    /// Gives up those of which nothing is heard, and begins those of closings whose turn has come.
    pub(super) fn pass_on_errands(&mut self, out: &mut Vec<Decision>) {
        let now = self.now;
        let late = self.errands.begun.iter();
        let late = late.filter(|(_, (_, until))| *until <= now);
        let late: Vec<(ErrandId, Duration)> = late
            .map(|(id, (errand, _))| (*id, errand.task.timeout().saturating_add(PATIENCE)))
            .collect();
        for (errand, took) in late {
            let came = Came::Lost;
            self.take_back(
                Ran {
                    errand,
                    came,
                    at: now,
                    took,
                },
                out,
            );
        }
        if self.errands.row.is_empty() {
            return;
        }
        let mut waiting = BTreeSet::new();
        for errand in std::mem::take(&mut self.errands.row) {
            let incident = errand.incident;
            let busy = self.errands.is_busy_for(incident) || waiting.contains(&incident);
            if busy || !self.errands.has_room_for_a_closing() {
                waiting.insert(incident);
                self.errands.row.push_back(errand);
            } else {
                self.begin(errand, out);
            }
        }
    }
}
