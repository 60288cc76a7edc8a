//! The nearest known word.

/// The word of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|known| {
            let plain = known.to_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&word, &plain), known)
        })
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_understood_and_other_words_are_not() {
        let known = ["memory", "cpu", "cpu_time", "age", "open_files", "for"];
        for (word, expected) in [
            ("memroy", Some("memory")),
            ("Memory", Some("memory")),
            ("cpu-time", Some("cpu_time")),
            ("openfiles", Some("open_files")),
            ("fro", Some("for")),
            ("disk", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
