//! Color, where somebody looks.

use std::fmt::Display;

/// Whether to color. The caller knows whether the stream is a terminal and what `NO_COLOR` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// Bare text.
    #[default]
    Plain,
    /// ANSI colors.
    Color,
}

/// What a piece of text means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Stands out.
    Strong,
    /// Steps back.
    Faint,
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Something was done, or is wrong.
    Grave,
}

impl Paint {
    /// The text in this tone. Pad *before* painting: the codes have no width but do have bytes.
    pub fn tone(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Grave => "31",
        };
        match self {
            Self::Plain => text.to_string(),
            Self::Color => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
