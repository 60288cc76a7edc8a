//! The sampler: which processes there are, and their figures.
//!
//! Two of them answer the same questions. Linux's ([`Sampler`]) reads `/proc` and is the hot path there. The portable
//! one is what macOS has; on Linux it is compiled for the tests alone, where both look at the same processes and must
//! agree. So the daemon of Linux holds nothing of it.

#[cfg(any(target_os = "macos", test))]
pub mod portable;
#[cfg(target_os = "linux")]
mod procfs;

#[cfg(target_os = "macos")]
pub use self::portable::Sampler;
#[cfg(target_os = "linux")]
pub use self::procfs::Sampler;
