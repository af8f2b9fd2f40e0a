//! Which agent a message goes to. Pure: facts in, a choice out.
//!
//! Routes are looked at in order, and the first one whose conditions are all met counts. A keyword is met by
//! what is said, and from then on as long as nothing is said that is a keyword too: somebody who has asked
//! for sales does not ask for it with every message. So the same messages in the same order always come to
//! the same agent.

use serde_json::{Map, Value};

use crate::channels::conversations::policy::join_policy::{is_value, matches_address};
use crate::pii::Pii;

/// A route. Agents are named by their places in a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AgentRoute {
    /// Who gets the message.
    pub agent: usize,
    /// Which of our addresses it came to, any of them; all if there are none. One that ends in `:` or `*`
    /// stands for all that begin with it.
    pub addresses: Vec<String>,
    /// By which road it came, any of them; all if there are none.
    pub channels: Vec<String>,
    /// A name among the attributes of its thread, and the value that it must have.
    pub attribute: Option<(String, String)>,
    /// What must be said, any of it; nothing if there is none.
    pub keywords: Vec<String>,
    /// Who gets it while the agent is away.
    pub fallback: Option<usize>,
}

/// The routes in their order, and who gets what none of them takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Routes {
    /// The routes.
    pub list: Vec<AgentRoute>,
    /// Who gets what none of them takes.
    pub otherwise: usize,
}

/// What is known of a thread and of what was said there.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Which of our addresses the thread is of.
    pub addresses: &'a [Pii],
    /// By which road its messages come.
    pub channel: &'a str,
    /// The thread's attributes.
    pub attributes: &'a Map<String, Value>,
    /// What was said, oldest first.
    pub said: &'a [&'a str],
    /// The keyword that chose before, if one did.
    pub keyword: Option<&'a str>,
}

/// Who gets a message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// Who.
    pub agent: usize,
    /// Who while that one is away.
    pub fallback: Option<usize>,
    /// The keyword that chooses from now on, if one does.
    pub keyword: Option<String>,
}

impl Routes {
    /// Whether some route asks for our address.
    #[must_use]
    pub fn ask_address(&self) -> bool {
        self.list.iter().any(|route| !route.addresses.is_empty())
    }

    /// Whether some route asks for attributes.
    #[must_use]
    pub fn ask_attributes(&self) -> bool {
        self.list.iter().any(|route| route.attribute.is_some())
    }

    /// Whether a choice follows from more than the thread alone, so that it has to be remembered.
    #[must_use]
    pub fn must_remember(&self) -> bool {
        let changes = |route: &AgentRoute| {
            route.attribute.is_some() || !route.keywords.is_empty() || route.fallback.is_some()
        };
        self.list.iter().any(changes)
    }

    /// Chooses.
    #[must_use]
    pub fn choose(&self, facts: &Facts<'_>) -> Choice {
        let open: Vec<&AgentRoute> =
            self.list.iter().filter(|route| route.is_open(facts)).collect();
        let silence = [""];
        let said = if facts.said.is_empty() { &silence } else { facts.said };
        let mut choice = Choice { keyword: facts.keyword.map(str::to_owned), ..self.nobodys() };
        for text in said {
            choice = self.after(&open, text, choice.keyword);
        }
        choice
    }

    /// Who gets a message, given the keyword that chose before it.
    fn after(&self, open: &[&AgentRoute], text: &str, before: Option<String>) -> Choice {
        let words = words(text);
        let open: Vec<_> = open.iter().map(|route| (route, route.keyword_in(&words))).collect();
        let is_said = open.iter().any(|(_, keyword)| keyword.is_some());
        let kept = |route: &AgentRoute| {
            before.as_ref().is_some_and(|keyword| route.keywords.contains(keyword))
        };
        let is_met = |(route, keyword): &&(&&AgentRoute, Option<&str>)| {
            route.keywords.is_empty() || if is_said { keyword.is_some() } else { kept(route) }
        };
        let Some((route, keyword)) = open.iter().find(is_met) else {
            return Choice { keyword: before, ..self.nobodys() };
        };
        let keyword = keyword.map(str::to_owned).or(before);
        Choice { agent: route.agent, fallback: route.fallback, keyword }
    }

    fn nobodys(&self) -> Choice {
        Choice { agent: self.otherwise, fallback: None, keyword: None }
    }
}

impl AgentRoute {
    /// Whether all its conditions are met but what must be said.
    fn is_open(&self, facts: &Facts<'_>) -> bool {
        let is_ours = |wished: &String| {
            facts.addresses.iter().any(|known| matches_address(wished, known.reveal()))
        };
        let has = |(name, wanted): &(String, String)| {
            facts.attributes.get(name).is_some_and(|value| is_value(value, wanted))
        };
        (self.addresses.is_empty() || self.addresses.iter().any(is_ours))
            && (self.channels.is_empty() || self.channels.iter().any(|word| word == facts.channel))
            && self.attribute.as_ref().is_none_or(has)
    }

    /// The first of its keywords that stands among the words.
    fn keyword_in(&self, said: &[String]) -> Option<&str> {
        let stands = |keyword: &&String| {
            let wanted = words(keyword);
            !wanted.is_empty() && said.windows(wanted.len()).any(|some| some == wanted)
        };
        self.keywords.iter().find(stands).map(String::as_str)
    }
}

/// The words of a text in lower case: letters and digits in a row.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SALES: usize = 1;
    const SUPPORT: usize = 2;
    const NIGHT: usize = 3;

    #[test]
    fn the_first_route_whose_conditions_are_all_met_counts() {
        let routes = Routes {
            list: vec![
                AgentRoute {
                    agent: SALES,
                    addresses: list(&["+15550001"]),
                    ..AgentRoute::default()
                },
                AgentRoute {
                    agent: SUPPORT,
                    channels: list(&["whatsapp"]),
                    attribute: Some(("tier".into(), "gold".into())),
                    ..AgentRoute::default()
                },
                AgentRoute {
                    agent: NIGHT,
                    addresses: list(&["whatsapp:"]),
                    ..AgentRoute::default()
                },
            ],
            otherwise: 0,
        };
        let gold = json!({"tier": "gold"});
        for (address, channel, attributes, wanted) in [
            ("+15550001", "sms", json!({}), SALES),
            ("+15550001", "conversation", gold.clone(), SALES),
            ("+15550002", "sms", gold.clone(), 0),
            ("whatsapp:+15550001", "whatsapp", gold, SUPPORT),
            ("whatsapp:+15550001", "whatsapp", json!({"tier": "iron"}), NIGHT),
            ("+15550002", "sms", json!({}), 0),
        ] {
            let attributes = attributes.as_object().unwrap().clone();
            let addresses = [Pii::from(address)];
            let facts = Facts {
                addresses: &addresses,
                channel,
                attributes: &attributes,
                said: &["hi"],
                keyword: None,
            };
            assert_eq!(routes.choose(&facts).agent, wanted, "{address} {channel}");
        }
    }

    #[test]
    fn a_keyword_chooses_until_another_one_is_said() {
        let routes = by_keyword();
        let mut keyword = None;
        for (said, wanted) in [
            ("hi", 0),
            ("I want to buy a hat", SALES),
            ("how much?", SALES),
            ("It is broken, HELP!", SUPPORT),
            ("thanks", SUPPORT),
            ("", SUPPORT),
            ("Talk to  sales", SALES),
        ] {
            let choice = choose(&routes, &[said], keyword.as_deref());
            assert_eq!(choice.agent, wanted, "{said}");
            keyword = choice.keyword;
        }
    }

    #[test]
    fn a_keyword_is_whole_words_in_a_row_in_any_case() {
        for (said, is_met) in [
            ("help", true),
            ("HELP.", true),
            ("please, help me", true),
            ("helpful", false),
            ("self-help", true),
            ("talk", false),
            ("talk about sales", false),
            ("let me talk\nto sales", true),
            ("ПОМОЩЬ", true),
            ("помощьь", false),
        ] {
            let choice = choose(&by_keyword(), &[said], None);
            assert_eq!(choice.keyword.is_some(), is_met, "{said}");
        }
    }

    #[test]
    fn of_several_messages_in_a_turn_the_last_keyword_counts() {
        let routes = by_keyword();
        assert_eq!(choose(&routes, &["help", "no, buy"], None).agent, SALES);
        assert_eq!(choose(&routes, &["buy", "hello?"], None).agent, SALES);
        assert_eq!(choose(&routes, &[], Some("buy")).agent, SALES);
    }

    #[test]
    fn a_keyword_that_is_no_more_chooses_nobody() {
        let choice = choose(&by_keyword(), &["hi"], Some("gone"));
        assert_eq!(choice, Choice { agent: 0, fallback: None, keyword: Some("gone".into()) });
    }

    #[test]
    fn a_keyword_of_a_route_that_is_closed_changes_nothing() {
        let mut routes = by_keyword();
        routes.list[1].channels = list(&["whatsapp"]);
        assert_eq!(choose(&routes, &["help"], Some("buy")).agent, SALES);
    }

    #[test]
    fn only_what_can_change_has_to_be_remembered() {
        let by_address = AgentRoute { addresses: list(&["+1"]), ..AgentRoute::default() };
        let with = |route| Routes { list: vec![route], otherwise: 0 };
        assert!(!with(by_address.clone()).must_remember());
        assert!(with(AgentRoute { fallback: Some(1), ..by_address }).must_remember());
        assert!(by_keyword().must_remember());
    }

    proptest! {
        #[test]
        fn it_is_the_first_open_route_of_a_simple_model(
            routes in proptest::collection::vec(a_route(), 0..6),
            said in proptest::collection::vec("(a|b|c|ab| |, )", 0..4),
            channel in "(sms|whatsapp)",
            keyword in proptest::option::of("(a|b|c)"),
        ) {
            let routes = Routes { list: routes, otherwise: 9 };
            let said: Vec<&str> = said.iter().map(String::as_str).collect();
            let (addresses, attributes) = ([Pii::from("+1")], Map::new());
            let facts = Facts {
                addresses: &addresses,
                channel: &channel,
                attributes: &attributes,
                said: &said,
                keyword: keyword.as_deref(),
            };
            let choice = routes.choose(&facts);
            prop_assert_eq!(&choice, &model(&routes, &channel, &said, keyword.clone()));
            prop_assert_eq!(&routes.choose(&facts), &choice, "the same facts, the same choice");
        }
    }

    /// As a person would say it, of texts of one word and roads alone.
    fn model(routes: &Routes, channel: &str, said: &[&str], before: Option<String>) -> Choice {
        let mut kept = before;
        let mut chosen = None;
        let texts = if said.is_empty() { vec![""] } else { said.to_vec() };
        for text in texts {
            let open = || {
                routes.list.iter().filter(|route| {
                    route.channels.is_empty() || route.channels.contains(&channel.to_owned())
                })
            };
            let text = text.to_owned();
            let spoken = open().any(|route| route.keywords.contains(&text));
            let current = if spoken { Some(text) } else { kept.clone() };
            chosen = open()
                .find(|route| {
                    route.keywords.is_empty()
                        || current.as_ref().is_some_and(|word| route.keywords.contains(word))
                })
                .cloned();
            let by_keyword = chosen.as_ref().is_some_and(|route| !route.keywords.is_empty());
            if spoken && by_keyword {
                kept = current;
            }
        }
        match chosen {
            Some(route) => Choice { agent: route.agent, fallback: route.fallback, keyword: kept },
            None => Choice { agent: routes.otherwise, fallback: None, keyword: kept },
        }
    }

    fn a_route() -> impl Strategy<Value = AgentRoute> {
        let words = proptest::collection::vec("(a|b|c)", 0..3);
        let roads = proptest::collection::vec("(sms|whatsapp)", 0..2);
        (0..5usize, words, roads, proptest::option::of(0..5usize)).prop_map(
            |(agent, keywords, channels, fallback)| AgentRoute {
                agent,
                keywords,
                channels,
                fallback,
                ..AgentRoute::default()
            },
        )
    }

    fn by_keyword() -> Routes {
        let buys = AgentRoute {
            agent: SALES,
            keywords: list(&["buy", "talk to sales"]),
            ..AgentRoute::default()
        };
        let helps = AgentRoute {
            agent: SUPPORT,
            keywords: list(&["help", "помощь"]),
            ..AgentRoute::default()
        };
        Routes { list: vec![buys, helps], otherwise: 0 }
    }

    fn choose(routes: &Routes, said: &[&str], keyword: Option<&str>) -> Choice {
        let attributes = Map::new();
        let facts =
            Facts { addresses: &[], channel: "sms", attributes: &attributes, said, keyword };
        routes.choose(&facts)
    }

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }
}
