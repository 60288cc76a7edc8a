//! The sampler: which processes there are, and their figures.

#[cfg(target_os = "linux")]
mod procfs;

#[cfg(target_os = "linux")]
pub use self::procfs::Sampler;
