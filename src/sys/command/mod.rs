//! A command that beadle runs itself: started as if beadle were not there, followed to its end, with all that it leaves behind.
//!
//! | file | holds |
//! |---|---|
//! | `inherited` | what beadle itself was started with, for the command to begin with |
//! | `launch` | its start |
//! | `ear` | signals that beadle gets while it runs |
//! | `children` | what the kernel tells of it and of those it left to us |
//! | `enclosure` | a control group of its own, where one is to be had |
//! | `oom` | whom the kernel ended for want of memory |
//! | `ending` | going the way that it went |
//!
//! # The terminal
//! Beadle and the command are in one process group, the one that the shell made for the job. What a terminal sends (Ctrl-C,
//! Ctrl-\\, Ctrl-Z, a hang-up, a new size) it sends to the whole group, so the command gets it without us, exactly once; a
//! group of its own would have to be put into the foreground by us, and would put the rest of a pipeline into the background.
//! Beadle holds all these signals back from itself. What somebody sends to *beadle* is passed on ([`ear::Caught::passes_on`]).
//! When the command is stopped by its terminal, beadle stops too, so that the shell sees a stopped job; `fg` and `bg`
//! continue the group.
//!
//! # When beadle itself is killed
//! The command gets SIGTERM from the kernel the moment that beadle dies (`PR_SET_PDEATHSIG`), as it would when its
//! terminal hung up. It may ignore it, and what it started is not asked: nobody is left who knows it. Where a daemon runs, a
//! rule of scope `env:BEADLE_RUN` with `leftover` is the second net.

pub mod children;
pub mod ear;
pub mod enclosure;
pub mod ending;
pub mod inherited;
pub mod launch;
pub mod oom;
