//! How many segments an SMS takes, since carriers take so many a second from one number. Pure.
//!
//! Source: Twilio glossary, "GSM-7", read 2026-11-21: 160 units of GSM-7, or 70 of UCS-2 as soon as one character is not in GSM-7; 153
//! and 67 where there are several segments, whose rest holds their order.

/// The alphabet of GSM-7. Source: GSM 03.38, basic character set.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// What takes two units of GSM-7. Source: the same, extension table.
const EXTENDED: &str = "^{}\\[~]|€";

/// Counts the segments of a text; one at least.
#[must_use]
pub fn count(text: &str) -> u32 {
    let units: Option<usize> = text.chars().map(gsm_units).sum();
    let (units, alone, among) = match units {
        Some(units) => (units, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    let count = if units <= alone { 1 } else { units.div_ceil(among) };
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn gsm_units(char: char) -> Option<usize> {
    if BASIC.contains(char) { Some(1) } else { EXTENDED.contains(char).then_some(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_alphabet_says() {
        for (text, segments) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("я".repeat(70), 1),
            ("я".repeat(71), 2),
            ("a".repeat(134) + "я", 3),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
            ("a".repeat(1600), 11),
        ] {
            assert_eq!(count(&text), segments, "{} characters", text.chars().count());
        }
    }
}
