//! What processes say of themselves: the socket's queue, as the kernel keeps it.

use beadle::engine::decision::Input;
use beadle::engine::heartbeat::{Beat, Proof, Receipt, Words};
use beadle::engine::process::{ProcKey, Uid};
use beadle::engine::units::Mono;

use super::body::Id;
use super::machine::{Machine, Marks};

/// A datagram that was sent and not read yet.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sent it, in truth.
    pub from: Id,
    pub key: ProcKey,
    pub user: u32,
    pub words: String,
    /// What is closed once it is taken in.
    pub receipt: Option<u64>,
    pub at: Mono,
}

impl Machine {
    /// A process sends what it has to say.
    pub fn say(&mut self, id: Id, words: &str) {
        let Some(body) = self.body(id) else { return };
        let letter = Letter {
            from: id,
            key: self.key(body),
            user: body.owner,
            words: words.to_owned(),
            receipt: None,
            at: self.now,
        };
        self.letters.push(letter);
    }

    /// Takes what is in the queue as the judge is told of it; what cannot be read is not told.
    pub fn post(&mut self) -> (Vec<Letter>, Option<Input>) {
        let letters = std::mem::take(&mut self.letters);
        let beats: Vec<Beat> = letters
            .iter()
            .filter_map(|letter| {
                Some(Beat {
                    sender: letter.key,
                    proof: match self.make.marks {
                        Marks::Inodes => Proof::Held,
                        Marks::Ticks => Proof::Number,
                    },
                    user: Uid(letter.user),
                    words: Words::read(letter.words.as_bytes()).ok()?,
                    receipt: letter.receipt.map(Receipt),
                })
            })
            .collect();
        let input = (!beats.is_empty()).then_some(Input::Beats(beats));
        (letters, input)
    }
}
