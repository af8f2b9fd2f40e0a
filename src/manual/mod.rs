//! The manual's pages, as `chimein manual` prints them and as this documentation shows them.

/// A page of the manual.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// What it is called on the command line.
    pub topic: &'static str,
    /// What is in it, in a few words.
    pub about: &'static str,
    /// The page, as Markdown.
    pub text: &'static str,
}

/// Makes the list of pages, and a module of each for the documentation.
macro_rules! pages {
    ($($topic:ident $about:literal)*) => {
        /// All pages, in the order in which a newcomer reads them.
        pub const PAGES: &[Page] = &[$(Page {
            topic: stringify!($topic),
            about: $about,
            text: include_str!(concat!(stringify!($topic), ".md")),
        }),*];

        $(#[doc = include_str!(concat!(stringify!($topic), ".md"))]
        pub mod $topic {})*
    };
}

pages! {
    start "from nothing to a bot that answers, in five steps, and the first dead letter"
    twilio "the settings of a Twilio account, step by step"
    setup "what one command sets in a Twilio account, and how to put it back"
    numbers "SMS, WhatsApp and RCS by plain numbers, without conversations"
    conversations "which messages make a turn; taking over by a person; removal"
    agents "the contract with an agent: turn, answers, later replies"
    openai "a model as the agent: what it is told, what becomes of its answer"
    stdio "a program as the agent"
    chatwoot "a bot written for Chatwoot as the agent"
    sqs "an agent behind queues of Amazon SQS"
    routing "several agents, and which of them gets a message"
    reports "how an agent hears what became of its replies"
    operation "commands, the words of /readyz, proxies"
    deploy "systemd, compose, Kubernetes, and platforms without a disk"
    configuration "every variable"
    metrics "every metric, and traces"
    security "what an outsider, a customer, an agent, an operator can and cannot do"
    instances "several instances, on NATS"
    capacity "figures, and the commands that print them"
    limits "what it does not do"
    emulator "the local Twilio"
    library "the realtime client alone"
    temporal "a workflow of Temporal as the agent; moving here from an SMS bot on it"
    lambda "moving here from a WhatsApp bot on SQS and Lambda"
    celery "moving here from a WhatsApp bot on Celery and Redis"
    bitbrat "taking over from the connector that is built into a BitBrat platform"
    rooms "the rooms of the code, and the way of a message through them"
}

/// Finds a page by its topic.
#[must_use]
pub fn page(topic: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.topic == topic)
}
