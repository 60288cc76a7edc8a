//! The watch, and the glance, on systems where there is neither yet: both say so.

use std::sync::Arc;
use std::time::Duration;

use super::options::{Options, StartError};
use crate::engine::decision::View;
use crate::engine::rule::RuleSet;

/// Says that there is no watch here.
pub fn watch(_options: &Options) -> Result<(), StartError> {
    Err(StartError::Elsewhere)
}

/// Says that there is no look to be had here.
pub(crate) fn glance(_rules: Arc<RuleSet>, _span: Duration) -> Result<View, StartError> {
    Err(StartError::Elsewhere)
}
