//! `answers`: what people may answer when a rule speaks.

use crate::config::diagnostic::quoted;
use crate::config::reader::Reader;
use crate::config::yaml::{Node, Value};
use crate::engine::answer::Reply;

/// Words that stand for a list of their own.
pub(super) const ALONE: &[&str] = &["all", "none"];
/// The answers.
pub(super) const WORDS: &[&str] = &["stop", "extend", "allow", "freeze"];

const REPLIES: [(&str, Reply); 4] = [
    ("stop", Reply::Stop),
    ("extend", Reply::Extend),
    ("allow", Reply::Allow),
    ("freeze", Reply::Freeze),
];

/// Decodes `answers`.
pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Vec<Reply> {
    match &node.value {
        Value::Text(text) if text == "all" => return Reply::ALL.to_vec(),
        Value::Text(text) if text == "none" => return Vec::new(),
        Value::List(items) if items.is_empty() => return Vec::new(),
        Value::List(_) | Value::Text(_) | Value::Null | Value::Map(_) | Value::Broken => {}
    }
    let mut replies = Vec::new();
    for item in reader.each(node, "`all`, `none` or a list of answers") {
        let Some(reply) = reader.choice(item, "an answer", &REPLIES) else {
            continue;
        };
        if replies.contains(&reply) {
            let message = format!("{} is named twice", quoted(reply.word()));
            reader.doubt(item.span, message, "once is enough");
        } else {
            replies.push(reply);
        }
    }
    replies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_engine() {
        let words: Vec<&str> = Reply::ALL.iter().map(|reply| reply.word()).collect();
        assert_eq!(words, WORDS);
        let pairs: Vec<(&str, Reply)> = Reply::ALL.iter().map(|it| (it.word(), *it)).collect();
        assert_eq!(pairs, REPLIES);
    }
}
