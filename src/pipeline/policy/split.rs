//! Cuts a reply that is too long for its channel into parts. Pure.
//!
//! A part ends where a reader would pause: at the end of a paragraph, else of a sentence, else of a
//! word, else between two characters as people see them (grapheme clusters), and only inside one of
//! those when it alone is longer than a part. White space at a cut is dropped, nothing else.

use unicode_segmentation::UnicodeSegmentation as _;

/// The shortest limit that makes sense: one character beyond the basic plane.
const UNITS_MIN: usize = 2;

/// Cuts a text into parts of at most `units_max` UTF-16 units, in order, none of them blank.
#[must_use]
pub fn split(text: &str, units_max: usize) -> Vec<&str> {
    let units_max = units_max.max(UNITS_MIN);
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let part = &rest[..cut(rest, units_max)];
        parts.push(part.trim_end());
        rest = rest[part.len()..].trim_start();
    }
    parts
}

/// The byte at which the first part ends; at least one character is always taken.
fn cut(text: &str, units_max: usize) -> usize {
    let fits = fitting(text, units_max);
    if fits == text.len() {
        return fits;
    }
    // A sentence without an end is else read to the end of the text, again for each part of it.
    let text = &text[..fitting(text, units_max.saturating_mul(2))];
    let window = &text[..fits];
    let paragraph = window.rfind("\n\n").filter(|at| is_worth(*at, fits));
    paragraph
        .or_else(|| window.rfind('\n').filter(|at| is_worth(*at, fits)))
        .or_else(|| last_border(text.split_sentence_bound_indices(), fits))
        .or_else(|| last_word(text, fits))
        .or_else(|| {
            text.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= fits).last()
        })
        .filter(|at| *at > 0)
        .unwrap_or(fits)
}

/// How many bytes of whole characters fit.
fn fitting(text: &str, units_max: usize) -> usize {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += character.len_utf16();
        if units > units_max {
            return at;
        }
    }
    text.len()
}

/// Whether a border leaves a part that is not absurdly short: at least a third of what fits.
const fn is_worth(at: usize, fits: usize) -> bool {
    at >= fits / 3
}

fn last_border<'a>(borders: impl Iterator<Item = (usize, &'a str)>, fits: usize) -> Option<usize> {
    borders.map(|(at, _)| at).take_while(|at| *at <= fits).last().filter(|at| is_worth(*at, fits))
}

/// The last white space at or before the limit.
fn last_word(text: &str, fits: usize) -> Option<usize> {
    let next_is_space = text[fits..].starts_with(char::is_whitespace);
    let at = if next_is_space { Some(fits) } else { text[..fits].rfind(char::is_whitespace) };
    at.filter(|at| is_worth(*at, fits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_are_where_a_reader_would_pause() {
        for (text, units_max, parts) in [
            ("short", 10, vec!["short"]),
            ("", 10, vec![]),
            (" \n ", 10, vec![]),
            ("One two. Three four.", 12, vec!["One two.", "Three four."]),
            ("para one\n\npara two", 12, vec!["para one", "para two"]),
            ("line one\nline two", 12, vec!["line one", "line two"]),
            ("alpha beta gamma", 10, vec!["alpha beta", "gamma"]),
            ("abcdefghij", 4, vec!["abcd", "efgh", "ij"]),
            ("a 👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 13, vec!["a 👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"]),
            ("ééé", 2, vec!["éé", "é"]),
        ] {
            assert_eq!(split(text, units_max), parts, "{text:?}");
        }
    }

    #[test]
    fn a_character_longer_than_a_part_is_cut_all_the_same() {
        let family = "👩‍👩‍👧‍👦";
        let parts = split(family, 3);
        assert_eq!(parts.concat(), family);
        assert!(parts.len() > 1);
    }

    proptest! {
        #[test]
        fn parts_fit_and_lose_nothing_but_white_space(
            text in "(?s).{0,400}",
            units_max in 2_usize..80,
        ) {
            let parts = split(&text, units_max);
            for part in &parts {
                prop_assert!(!part.is_empty());
                prop_assert!(part.encode_utf16().count() <= units_max);
            }
            let solid = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(solid(&parts.concat()), solid(&text));
        }

        #[test]
        fn a_text_that_fits_stays_whole(text in "[a-z .]{1,60}") {
            prop_assume!(!text.trim().is_empty());
            prop_assert_eq!(split(&text, 60), vec![text.trim()]);
        }
    }
}
