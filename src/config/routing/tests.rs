//! Tests of agents by name and of routes, over the whole of the settings.

use std::fs;

use crate::agent::kinds::load;
use crate::agent::openai::settings::OpenAiSettings;
use crate::config::{Environment, MASK, Report};

#[test]
fn without_names_there_is_the_plain_agent_alone() {
    let settings = read("", []).into_settings().unwrap();
    let agents = settings.of_agents();
    assert_eq!(agents.len(), 1);
    assert!(agents[0].0.is_plain());
}

#[test]
fn an_agent_by_name_is_a_whole_one_and_has_the_rest_from_the_plain_sections() {
    let file = r#"
        [agent]
        kind = "http"
        url = "http://127.0.0.1:1/"
        timeout = "90s"
        [openai]
        temperature = 0.5
        [agents.night-desk]
        kind = "openai"
        model = "m"
        timeout = "30s"
        [[routes]]
        channel = ["sms", "whatsapp"]
        keyword = "night, talk to nobody"
        agent = "night-desk"
        fallback = "default"
    "#;
    let environment = [("CHIMEIN_AGENTS_NIGHT_DESK_API_KEY", "sk-planted")];
    let report = read(file, environment);
    let shown = |key: &str| {
        let found = report.effective.iter().find(|effective| effective.key == key);
        found.map(|found| (found.shown.clone().unwrap_or_default(), found.origin.to_string()))
    };
    let (key, origin) = shown("agents.night-desk.api_key").unwrap();
    assert_eq!(key, MASK);
    assert_eq!(origin, "environment CHIMEIN_AGENTS_NIGHT_DESK_API_KEY");
    assert_eq!(shown("agents.night-desk.timeout").unwrap().0, "30s");
    assert_eq!(shown("agents.night-desk.concurrency"), None, "what it says itself is shown");
    assert_eq!(shown("routes.1.agent").unwrap().0, "night-desk");
    let settings = report.into_settings().unwrap();
    let route = &settings.routing.routes[0];
    assert_eq!(route.keyword.as_ref().unwrap().0, ["night", "talk to nobody"]);
    let agents = settings.of_agents();
    let [(plain, first), (name, second)] = agents.as_slice() else { panic!("{agents:?}") };
    assert!(plain.is_plain());
    assert_eq!(first.agent.timeout, std::time::Duration::from_secs(90));
    assert_eq!(name.as_str(), "night-desk");
    assert_eq!(second.agent.kind.word(), "openai");
    assert_eq!(second.agent.timeout, std::time::Duration::from_secs(30));
    let own: &OpenAiSettings = second.kinds.get().unwrap();
    assert!(own.api_key.is_some());
    assert_eq!(own.temperature.unwrap().0, 0.5, "from the plain section");
}

#[test]
fn the_environment_alone_can_name_agents_and_routes() {
    let settings = read(
        "",
        [
            ("CHIMEIN_AGENTS_SALES_KIND", "http"),
            ("CHIMEIN_AGENTS_SALES_URL", "http://127.0.0.1:1/"),
            ("CHIMEIN_AGENTS_REST_KIND", "echo"),
            ("CHIMEIN_ROUTES_1_AGENT", "sales"),
            ("CHIMEIN_ROUTES_1_ADDRESS", "+15555550100,whatsapp:"),
            ("CHIMEIN_ROUTES_2_AGENT", "rest"),
        ],
    );
    let settings = settings.into_settings().unwrap();
    assert!(!settings.routing.has_plain, "the last route takes every message");
    let agents = settings.of_agents();
    let names: Vec<&str> = agents.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["rest", "sales"]);
}

#[test]
fn of_two_keys_with_one_name_the_kinds_own_counts() {
    let file = r#"
        [agent]
        kind = "echo"
        [agents.desk]
        kind = "chatwoot"
        url = "http://127.0.0.1:1/"
        token = "a-token-of-enough-letters"
        secret = "not whsec"
    "#;
    let settings = read(file, []).into_settings().unwrap();
    assert!(settings.routing.agents[0].agent.secret.is_none());
}

#[test]
fn what_is_wrong_is_told_by_the_name_of_the_agent_or_the_number_of_the_route() {
    let file = r#"
        [agents.sales]
        kind = "openai"
        modle = "m"
        url = "http://127.0.0.1:1/"
        timeout = "2h"
        [agents.helpers]
        kind = "telepathy"
        url = "x"
        [agents.Default]
        kind = "echo"
        [agents.default]
        kind = "echo"
        [agents.hasty]
        timeout = "soon"
        [[routes]]
        agent = "sale"
        channel = "fax"
        [[routes]]
        agent = "support"
        [[routes]]
        agent = "sales"
        fallback = "sales"
        keywrd = "help"
    "#;
    let environment = [("CHIMEIN_AGENTS_SALES_TIMOUT", "3m"), ("CHIMEIN_ROUTES_1_AGNT", "sales")];
    let told = problems(file, environment);
    let told = told.replace(&file_of(&told), "FILE");
    // The list of kinds grows.
    let kinds = told.find("is not echo, ").map(|at| &told[at..at + told[at..].find(';').unwrap()]);
    let told = told.replace(kinds.unwrap(), "is not A KIND");
    insta::assert_snapshot!(told, @r"
    agents.Default (file FILE): is not a name of 1 to 32 lower-case letters, digits and hyphens that begins with a letter; write [agents.sales] with another name in the place of sales
    agents.default (file FILE): is what the agent of the section [agent] is called; write its keys into [agent], or give it another name
    agents.hasty.kind (not set): is required; set CHIMEIN_AGENTS_HASTY_KIND, see `agent.kind` in `chimein config --defaults`
    agents.helpers.kind (file FILE): is not A KIND; set CHIMEIN_AGENTS_HELPERS_KIND, see `agent.kind` in `chimein config --defaults`
    agents.sales.modle (file FILE): is no known setting; did you mean agents.sales.model?
    agents.sales.url (file FILE): is no known setting; it is of kind http, and this agent is of kind openai; remove it
    agents.sales.timeout (file FILE): is not between 1s and 1h; set CHIMEIN_AGENTS_SALES_TIMEOUT, see `agent.timeout` in `chimein config --defaults`
    agents.sales.timeout (file FILE): is not shorter than turns.stale_after, so one slow turn would make the next one stale; set CHIMEIN_AGENTS_SALES_TIMEOUT, see `agent.timeout` in `chimein config --defaults`
    agents.sales.model (not set): is required for agent.kind openai; set CHIMEIN_AGENTS_SALES_MODEL, see `openai.model` in `chimein config --defaults`
    routes.1.channel (file FILE): is not conversation, sms, whatsapp or rcs, several separated by commas; set CHIMEIN_ROUTES_1_CHANNEL, see `chimein manual routing`
    routes.3.keywrd (file FILE): is no known setting; did you mean routes.3.keyword?
    CHIMEIN_AGENTS_SALES_TIMOUT (environment CHIMEIN_AGENTS_SALES_TIMOUT): is no known setting; did you mean CHIMEIN_AGENTS_SALES_TIMEOUT?
    CHIMEIN_ROUTES_1_AGNT (environment CHIMEIN_ROUTES_1_AGNT): is no known setting; did you mean CHIMEIN_ROUTES_1_AGENT?
    routes.2.agent (file FILE): names an agent that there is not; there are hasty, helpers, sales
    routes.3.fallback (file FILE): is the agent of the route itself; name another one, or none
    ");
}

#[test]
fn every_message_has_an_agent_and_every_route_can_be_reached() {
    let agents = "[agents.a]\nkind = \"echo\"\n[agents.b]\nkind = \"echo\"\n";
    let narrow = "[[routes]]\nagent = \"a\"\nkeyword = \"a\"\n";
    let wide = "[[routes]]\nagent = \"b\"\n";
    assert_eq!(problems(&format!("{agents}{narrow}{wide}"), []), "");
    let lacks = problems(&format!("{agents}{narrow}"), []);
    assert!(lacks.starts_with("agent.kind (file "), "{lacks}");
    assert!(lacks.contains("a message that no route takes would have no agent"), "{lacks}");
    assert_eq!(problems(&format!("{agents}{narrow}"), [("CHIMEIN_AGENT_KIND", "echo")]), "");
    let hidden = problems(&format!("{agents}{wide}{narrow}"), []);
    assert!(hidden.contains("routes.1 (file "), "{hidden}");
    assert!(hidden.contains("the routes after it are never reached"), "{hidden}");
    let typo = "[[routes]]\nagent = \"b\"\nfallback = \"aa\"\n";
    let typo = problems(&format!("{agents}{typo}"), []);
    assert!(typo.contains("routes.1.fallback (file "), "{typo}");
    assert!(typo.ends_with("did you mean a?"), "{typo}");
    assert!(problems("routes = 3\n", []).contains("begin each route with the line [[routes]]"));
}

#[test]
fn of_a_kind_whose_agents_would_take_each_others_replies_there_is_one() {
    let bitbrat = |name: &str| format!("[agents.{name}]\nkind = \"bitbrat\"\n");
    let wide = "[[routes]]\nagent = \"a\"\n";
    let two = problems(&format!("{}{}{wide}", bitbrat("a"), bitbrat("b")), []);
    assert!(two.contains("agents.b.kind (file "), "{two}");
    assert!(!two.contains("agents.a.kind (file "), "{two}");
}

fn problems<const N: usize>(file: &str, environment: [(&str, &str); N]) -> String {
    let report = read(file, environment);
    let told: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    told.join("\n")
}

fn file_of(told: &str) -> String {
    let after = told.split("(file ").nth(1).unwrap_or_default();
    after.split(')').next().unwrap_or_default().to_owned()
}

/// Reads a file and an environment that is whole but for what a test says.
fn read<const N: usize>(file: &str, environment: [(&str, &str); N]) -> Report {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("chimein.toml");
    fs::write(&path, file).unwrap();
    let off = [("TWILIO_ENABLED", "false")];
    load(Some(&path), &Environment::from_pairs(off.into_iter().chain(environment)))
}
