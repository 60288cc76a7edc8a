//! What the kernel has counted of processes that are gone.
//!
//! Two sources, best first: a control group that one unit has to itself ([`cgroup`]) and the records that the kernel
//! leaves of everyone who dies ([`taskstats`]). `/proc` knows the living only; that is the sampler's. What is found
//! here is plain data, and what it is worth is for the engine to say.
//!
//! # Where a BPF tier would go
//! A program at `sched_process_free` could sum up in the kernel, per tree, what each thread used to its last step; it
//! would be a third source beside these, told to the engine as [`Accounts`](crate::engine::account::Accounts) without
//! anything missing from them.

pub mod cgroup;
pub mod taskstats;
