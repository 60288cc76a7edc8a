//! stub
use super::facts::Facts;
use super::matcher::Matcher;
use super::process::Text;
/// x
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// x
    Plain,
    /// x
    Protected(Reason),
    /// x
    Boundary(Reason),
}
/// x
pub type Reason = std::borrow::Cow<'static, str>;
/// x
pub struct Lists<'a> {
    /// x
    pub protect: &'a [Matcher],
    /// x
    pub boundaries: &'a [Matcher],
}
/// x
pub fn standing(f: &Facts, _p: &Text, l: &Lists) -> Standing {
    let s = super::matcher::Subject {
        facts: Some(f),
        age: std::time::Duration::ZERO,
        above: &[],
    };
    let any = |list: &[Matcher]| {
        list.iter()
            .any(|m| m.holds(&s) == super::matcher::Answer::Yes)
    };
    if any(l.boundaries) {
        return Standing::Boundary("b".into());
    }
    if any(l.protect) {
        return Standing::Protected("p".into());
    }
    Standing::Plain
}
impl Standing {
    /// x
    pub fn for_member(self) -> Self {
        match self {
            Self::Protected(_) => Self::Plain,
            s @ (Self::Plain | Self::Boundary(_)) => s,
        }
    }
}
