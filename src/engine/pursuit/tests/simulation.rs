//! Thousands of small wars with few numbers, so that every number is given again and again.
//!
//! Checked in each: nobody who is no member is ever signalled; nobody is sent KILL twice; nobody is left stopped by us;
//! it ends; and with events, when it has ended no member lives.

use super::super::Wire;
use super::world::{Process, Soul, World};
use crate::engine::event::Event;
use crate::engine::warrant::Order;

/// Small, seeded, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, many: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(many).unwrap()).unwrap()
    }

    fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

struct War {
    world: World,
    dice: Dice,
    /// Forks that may still happen.
    forks: u32,
    /// Exits whose events are not queued yet.
    exits: Vec<Event>,
    /// Some events are lost.
    losing: bool,
}

const NUMBERS: std::ops::Range<u32> = 10..22;

impl War {
    fn new(seed: u64, scan_tier: bool) -> Self {
        let mut war = Self {
            world: World {
                scan_tier,
                lingering: true,
                ..World::default()
            },
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            forks: 60,
            exits: Vec::new(),
            losing: false,
        };
        war.world.place(10, true);
        war.world.place(11, false);
        // Strangers elsewhere, who never run out.
        war.world.place(90, false);
        war
    }

    fn movers(&self) -> Vec<Soul> {
        let moves = |soul: &Soul| {
            let one = &self.world.souls[*soul];
            one.alive && !one.doomed && one.state != 'T'
        };
        (0..self.world.souls.len()).filter(moves).collect()
    }

    /// Somebody does something.
    fn moves(&mut self) {
        let movers = self.movers();
        let soul = movers[self.dice.below(movers.len())];
        let number = 10 + u32::try_from(self.dice.below(NUMBERS.len())).unwrap();
        // The kernel gives no number on that is still a session's.
        let in_use = |one: &Process| one.alive && (one.number == number || one.session == number);
        let free = !self.world.souls.iter().any(in_use);
        match self.dice.below(8) {
            0..=3 if self.forks > 0 && free => {
                self.forks -= 1;
                let child = self.world.fork(soul, number);
                // It is only a child while its parent is there to have one; sessions change.
                if self.dice.once_in(3) {
                    self.world.souls[child].session = number;
                }
            }
            4 | 5 if self.world.souls[soul].number != 90 => self.die(soul),
            6 => self.world.millis += u64::from(self.dice.once_in(4)),
            _ => self.reap(),
        }
        if self.dice.once_in(2) && !self.exits.is_empty() {
            let event = self.exits.remove(0);
            self.world.queue.push_back(event);
        }
    }

    /// Somebody who was struck dies of it.
    fn reap(&mut self) {
        let doomed = |soul: &Soul| {
            let one = &self.world.souls[*soul];
            one.alive && one.doomed
        };
        let doomed: Vec<_> = (0..self.world.souls.len()).filter(doomed).collect();
        if !doomed.is_empty() {
            let one = doomed[self.dice.below(doomed.len())];
            self.die(one);
        }
    }

    /// The event of a death comes at once or late.
    fn die(&mut self, soul: Soul) {
        let event = self.world.die_untold(soul);
        self.exits.push(event);
        if self.dice.once_in(2) {
            let event = self.exits.remove(0);
            self.world.queue.push_back(event);
        }
    }

    /// Some of what is queued is told later, and in some wars some of it never.
    fn hear(&mut self) {
        let queued = self.world.queue.len();
        if queued > 0 && self.dice.once_in(4) {
            let count = self.dice.below(queued);
            if self.losing && self.dice.once_in(2) {
                self.world.queue.truncate(count);
                self.exits.clear();
                self.world.lost = true;
            } else {
                self.world.told = Some(count);
            }
        }
    }

    fn fight(&mut self) {
        let root = 0;
        // Whoever is judged has lived for a while.
        self.world.millis = 1000;
        let warrant = self.world.warrant(Order::End, &[root]);
        let mut pursuit = self.world.pursue(warrant);
        for _ in 0..self.dice.below(12) {
            self.moves();
        }
        for _ in 0..20_000 {
            self.hear();
            for act in self.world.turn(&mut pursuit) {
                for _ in 0..self.dice.below(4) {
                    self.moves();
                }
                self.world.perform(act);
            }
            for _ in 0..self.dice.below(4) {
                self.moves();
            }
            self.reap();
            self.world.millis += 1;
            if pursuit.settled().is_some() {
                return;
            }
        }
        panic!("it does not end");
    }
}

fn check(seed: u64, war: &War) {
    let world = &war.world;
    for (soul, wire) in &world.sent {
        assert!(
            world.souls[*soul].member,
            "seed {seed}: {wire:?} to the stranger {soul}"
        );
    }
    let mut kills = world.got(Wire::Kill);
    kills.sort_unstable();
    let count = kills.len();
    kills.dedup();
    assert_eq!(kills.len(), count, "seed {seed}: KILL twice");
    for (soul, one) in world.souls.iter().enumerate() {
        if one.alive {
            assert_ne!(one.state, 'T', "seed {seed}: {soul} was left stopped");
            let missed = one.member && !world.scan_tier && !war.losing;
            assert!(!missed, "seed {seed}: the member {soul} lives");
        }
    }
}

#[test]
fn no_stranger_is_signalled_and_no_member_is_missed() {
    let mut killed = 0;
    for seed in 1..=4000 {
        let mut war = War::new(seed, false);
        war.fight();
        check(seed, &war);
        killed += war.world.got(Wire::Kill).len();
    }
    assert!(killed > 4000, "the wars were worth it: {killed}");
}

#[test]
fn without_events_no_stranger_is_signalled_and_nobody_is_left_stopped() {
    let mut killed = 0;
    for seed in 1..=4000 {
        let mut war = War::new(seed, true);
        war.fight();
        check(seed, &war);
        killed += war.world.got(Wire::Kill).len();
    }
    assert!(killed > 2000, "the wars were worth it: {killed}");
}

#[test]
fn when_events_are_lost_no_stranger_is_signalled_all_the_same() {
    let mut killed = 0;
    for seed in 1..=4000 {
        let mut war = War::new(seed, false);
        war.losing = true;
        war.fight();
        check(seed, &war);
        killed += war.world.got(Wire::Kill).len();
    }
    assert!(killed > 2000, "the wars were worth it: {killed}");
}
