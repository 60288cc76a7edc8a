//! The one integration binary.

/// The real binary against real villains.
mod e2e;
