//! The one integration binary.

/// The real binary against real villains.
mod e2e;
/// The incident beadle was built for, with real software.
mod incidents;
