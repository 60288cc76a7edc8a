//! Text for the body of a notification.
//!
//! Servers that know markup read the body as a piece of XML: what a process calls itself must not become a link or a picture in
//! it. Servers that do not know it show what they get, and must get no markup.
//! <https://specifications.freedesktop.org/notification-spec/latest/markup.html>

/// Whether a server reads markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// It does, or nobody knows.
    Markup,
    /// It says that it does not.
    Text,
}

/// The text as the server reads it.
pub(super) fn body(text: &str, reads: Reads) -> String {
    match reads {
        Reads::Text => text.to_owned(),
        Reads::Markup => escape(text),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_calls_itself_is_no_markup() {
        let name = "<a href=\"http://x\">click</a> & <img src='y'/> &lt;";
        let read = body(name, Reads::Markup);
        assert_eq!(
            read,
            "&lt;a href=&quot;http://x&quot;&gt;click&lt;/a&gt; &amp; &lt;img src=&#39;y&#39;/&gt; &amp;lt;"
        );
        assert!(!read.contains(['<', '>', '"', '\'']));
        assert_eq!(body("ünï\n日本", Reads::Markup), "ünï\n日本");
    }

    #[test]
    fn who_shows_text_as_it_is_gets_it_as_it_is() {
        assert_eq!(body("a < b & c", Reads::Text), "a < b & c");
    }
}
