//! Counts what the kernel tells of a load: by a listener of our own, in a round that is not measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use beadle::engine::event::Happening;
use beadle::sys::events::connector::Connector;
use beadle::sys::events::{Deafness, Drained};

use crate::load::Stage;

/// How often the queue is read: long before it is full.
const PACE: Duration = Duration::from_millis(10);

/// What the kernel told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    pub(crate) events: u32,
    pub(crate) forks: u32,
}

impl Told {
    /// Listens to one go, if anything can be heard here.
    pub(crate) fn of(stage: &Stage) -> Result<Self, Deafness> {
        let mut ear = Connector::open()?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let listener = std::thread::spawn(move || {
            let (mut told, mut events) = (Told::default(), Vec::new());
            loop {
                let last = ends.load(Ordering::Acquire);
                let drained = ear.drain(&mut events).expect("the events break off");
                assert_ne!(drained, Drained::Lossy, "events were lost to the counter");
                for event in events.drain(..) {
                    told.events += 1;
                    if let Happening::Fork { .. } = event.what {
                        told.forks += 1;
                    }
                }
                if last && drained == Drained::Empty {
                    return told;
                }
                std::thread::sleep(PACE);
            }
        });
        stage.start().go();
        over.store(true, Ordering::Release);
        Ok(listener.join().unwrap())
    }
}
