//! stub
use super::facts::Facts;
use super::process::Text;
/// x
pub fn of(f: &Facts) -> Option<Text> {
    Some(f.comm.clone())
}
