//! Waiting for something to come true, instead of sleeping and hoping.

use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

/// Asks again and again until there is an answer, and fails in words when there is none in time.
pub(crate) fn wait_for<T>(
    what: &str,
    most: Duration,
    mut answer: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let end = Instant::now() + most;
    loop {
        if let Some(found) = answer() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(format!("waited {most:?} in vain for {what}"));
        }
        breathe();
    }
}

/// Asks again and again, half a minute at most, until it is so.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let most = Duration::from_secs(30);
    if let Err(vain) = wait_for(what, most, || done().then_some(())) {
        panic!("{vain}");
    }
}

/// The pause between two askings.
fn breathe() {
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: 3_000_000,
    };
    let _interrupted = poll(&mut [], Some(&pause));
}
