//! What the words of opting out and in do.

use super::*;
use crate::twilio::keywords::{Keyword, KeywordEffect};

#[test]
fn each_of_twilios_words_does_what_it_does_there() {
    for stop in Keyword::ALL.iter().filter(|known| known.effect == KeywordEffect::Stop) {
        for other in Keyword::ALL {
            let mut world = world();
            let (said, then) = (sms(stop.word), sms(&other.word.to_lowercase()));
            world.hear(at(1), &said);
            assert!(world.has_opted_out(&said.from, &said.to), "{}", stop.word);
            world.hear(at(2), &then);
            let is_out = world.has_opted_out(&said.from, &said.to);
            assert_eq!(
                is_out,
                other.effect != KeywordEffect::Start,
                "{} {}",
                stop.word,
                other.word
            );
        }
    }
    let mut world = world();
    let (from, to) = (Pii::new("whatsapp:+15555550123"), Pii::new("whatsapp:+15555550100"));
    let inbound = Inbound::new(from, to, Some(Pii::new("STOP"))).unwrap();
    world.hear(at(1), &inbound);
    assert!(!world.has_opted_out(&inbound.from, &inbound.to), "the words are those of SMS");
}
