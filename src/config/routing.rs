//! Agents by name, and the routes that choose one of them for a message.
//!
//! Pure. `[agents.NAME]` is a whole agent: it has its own kind, and what it does not say it has from the plain
//! sections. `[[routes]]` stand in order, numbered from 1; in the environment they are
//! `CHIMEIN_ROUTES_1_AGENT` and so on. The agent of `[agent]` is called `default`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::agents::{Declaration, OfKinds};
use super::every_agent::Agent;
use super::key::Key;
use super::kinds::{
    AgentKind, AgentName, Attribute, Phrases, RouteAddresses, RouteChannels, Setting as _,
};
use super::kubernetes::is_service_link;
use super::problem::{Problem, Reason, SettingOrigin};
use super::reader::{Reader, unknown_name};
use super::rules;
use super::scope::{Scope, variable};
use super::section::{Section as _, sections};
use crate::text::nearest;

/// How many agents may have a name; each keeps its own client, health and room.
pub const AGENTS_MAX: usize = 32;

/// How many routes there may be: each message is held against them.
pub const ROUTES_MAX: usize = 256;

/// What the variables of agents by name begin with.
const AGENTS: &str = "CHIMEIN_AGENTS_";
/// What the variables of routes begin with.
const ROUTES: &str = "CHIMEIN_ROUTES_";

sections! {
    /// A route: each condition that it has must be met.
    Route = "routes" {
        /// Who gets the message.
        agent: AgentName;
        /// Which of our addresses it came to.
        address: Option<RouteAddresses>;
        /// By which road it came.
        channel: Option<RouteChannels>;
        /// What the attributes of its thread must say.
        attribute: Option<Attribute>;
        /// What it must say.
        keyword: Option<Phrases>;
        /// Who gets it while the agent is away.
        fallback: Option<AgentName>;
    }
}

impl Route {
    /// Whether it takes every message.
    #[must_use]
    pub const fn takes_all(&self) -> bool {
        self.address.is_none()
            && self.channel.is_none()
            && self.attribute.is_none()
            && self.keyword.is_none()
    }
}

/// An agent by name.
#[derive(Clone, Debug)]
pub struct NamedAgent {
    /// Its name.
    pub name: AgentName,
    /// What every agent has.
    pub agent: Agent,
    /// What its kind has for itself.
    pub kinds: OfKinds,
}

/// The agents by name, and the routes to them.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Whether there is the agent of the plain section; without one the last route takes every message.
    pub has_plain: bool,
    /// The agents by name.
    pub agents: Vec<NamedAgent>,
    /// The routes, in order.
    pub routes: Vec<Route>,
    /// The variables that may hold secrets of agents by name.
    pub secret_variables: Vec<String>,
}

impl Routing {
    /// Reads them; what is wrong is noted by the name of the agent or the number of the route.
    pub(super) fn read(reader: &mut Reader<'_>, kinds: &[Declaration]) -> Option<Self> {
        let names = names(reader);
        let has_plain = names.is_empty() || reader.is_given("agent.kind");
        let mut known: Vec<String> = Vec::new();
        let read: Vec<Option<NamedAgent>> =
            names.iter().map(|name| agent(reader, kinds, name, &mut known)).collect();
        let agents: Option<Vec<NamedAgent>> = read.into_iter().collect();
        let places = places(reader);
        let routes: Vec<Option<Route>> =
            places.into_iter().map(|(at, table)| route(reader, at, table, &mut known)).collect();
        refuse_unknown(reader, &known);
        let plain = has_plain.then(AgentName::plain);
        let all: Vec<&AgentName> = plain.iter().chain(&names).collect();
        check_names(reader, &routes, &all);
        let routes: Option<Vec<Route>> = routes.into_iter().collect();
        if let Some(routes) = &routes {
            check_order(reader, routes, has_plain);
        }
        check_once(reader, kinds, agents.as_deref().unwrap_or_default(), has_plain);
        let secret = |name: &AgentName| {
            let all = kinds.iter().flat_map(|kind| kind.keys).chain(Agent::KEYS);
            let secrets: Vec<&Key> = all.filter(|key| key.secret).collect();
            let of = format!("agents.{name}");
            let names = secrets.into_iter().map(move |key| format!("{of}.{}", key.field()));
            names.map(|name| variable(&name)).collect::<Vec<_>>()
        };
        let secret_variables = names.iter().flat_map(secret).collect();
        Some(Self { has_plain, agents: agents?, routes: routes?, secret_variables })
    }
}

/// The names of all agents that have one, in the order of the alphabet.
fn names(reader: &mut Reader<'_>) -> Vec<AgentName> {
    let mut names: Vec<AgentName> = Vec::new();
    let mut found: Vec<(String, SettingOrigin)> = Vec::new();
    if let Some((path, table)) = reader.file() {
        let origin = SettingOrigin::File(path.to_owned());
        match table.get("agents") {
            Some(Value::Table(agents)) => {
                found.extend(agents.keys().map(|name| (name.clone(), origin.clone())));
            }
            Some(_) => found.push((String::new(), origin)),
            None => {}
        }
    }
    let environment = reader.environment();
    for variable in environment.names().filter(|name| environment.get(name).is_some()) {
        let name = variable.strip_prefix(AGENTS).and_then(|rest| rest.strip_suffix("_KIND"));
        if let Some(name) = name {
            let name = name.to_ascii_lowercase().replace('_', "-");
            found.push((name, SettingOrigin::Environment(variable.to_owned())));
        }
    }
    for (name, origin) in found {
        match AgentName::parse(&name).filter(|name| !name.is_plain()) {
            Some(name) if names.contains(&name) => {}
            Some(name) => names.push(name),
            None => reader.note_of(misnamed(&name, origin)),
        }
    }
    names.sort();
    if names.len() > AGENTS_MAX {
        let key = "agents".to_owned();
        let reason = Reason::Rule("has more than 32 agents");
        let remedy = "name fewer, or run several services".to_owned();
        reader.note_of(Problem { key, origin: SettingOrigin::Nowhere, reason, remedy });
    }
    names
}

fn misnamed(name: &str, origin: SettingOrigin) -> Problem {
    let (reason, remedy) = if name == AgentName::PLAIN {
        let reason = Reason::Rule("is what the agent of the section [agent] is called");
        (reason, "write its keys into [agent], or give it another name".to_owned())
    } else {
        let reason = Reason::Malformed { wanted: AgentName::WANTED.into() };
        (reason, "write [agents.sales] with another name in the place of sales".to_owned())
    };
    let key = if name.is_empty() { "agents".to_owned() } else { format!("agents.{name}") };
    Problem { key, origin, reason, remedy }
}

/// Reads one agent; adds the variables that it may have to those that are known.
fn agent(
    reader: &mut Reader<'_>,
    kinds: &[Declaration],
    agent: &AgentName,
    known: &mut Vec<String>,
) -> Option<NamedAgent> {
    let name = format!("agents.{agent}");
    let table = reader.file().and_then(|(_, table)| table.get("agents")?.get(agent.as_str()));
    let table = table.and_then(Value::as_table).cloned();
    let kind_key = Agent::KEYS.iter().find(|key| key.name == "agent.kind")?;
    let scope = |keys, inherits| Scope { name: name.clone(), table: table.clone(), keys, inherits };
    let kind = reader.within(scope(vec![*kind_key], false), |reader| {
        let known = reader.value::<AgentKind>("agent.kind");
        known.or_else(|| reader.read::<AgentKind>(kind_key))
    });
    let declared = kind.and_then(|kind| kinds.iter().find(|known| known.word == kind.word()));
    let Some(declared) = declared else {
        // Which of the others it may have follows from its kind.
        let all = kinds.iter().flat_map(|kind| kind.keys).chain(Agent::KEYS).copied().collect();
        known.extend(scope(all, false).variables());
        return None;
    };
    let scope = scope([Agent::KEYS, declared.keys].concat(), true);
    known.extend(scope.variables());
    refuse_fields(reader, &scope, |field_name| other_kind(kinds, declared, field_name));
    let (of_all, of_kind) = reader.within(scope, |reader| {
        let of_all = Agent::read(reader);
        let of_kind = OfKinds::read(std::slice::from_ref(declared), reader);
        rules::check_agent(reader);
        (declared.check)(reader, true);
        (of_all, of_kind)
    });
    Some(NamedAgent { name: agent.clone(), agent: of_all?, kinds: of_kind? })
}

/// The kind that a name is of, if it is of another one.
fn other_kind(kinds: &[Declaration], own: &Declaration, name: &str) -> Option<String> {
    let has = |kind: &&Declaration| kind.keys.iter().any(|key| key.field() == name);
    let other = kinds.iter().find(has)?;
    Some(format!("it is of kind {}, and this agent is of kind {}; remove it", other.word, own.word))
}

/// Notes each name in one's part of the file that it does not have.
fn refuse_fields(reader: &mut Reader<'_>, scope: &Scope, meant: impl Fn(&str) -> Option<String>) {
    let Some((path, _)) = reader.file() else { return };
    let origin = SettingOrigin::File(path.to_owned());
    let fields = scope.fields();
    let table = scope.table.iter().flat_map(Table::keys);
    let unknown: Vec<String> = table.filter(|name| !fields.contains(name)).cloned().collect();
    let known: Vec<String> = fields.iter().map(|name| format!("{}.{name}", scope.name)).collect();
    for name in unknown {
        let full = format!("{}.{name}", scope.name);
        let mut problem = unknown_name(full, origin.clone(), known.iter().map(String::as_str));
        if let Some(meant) = meant(&name) {
            problem.remedy = meant;
        }
        reader.note_of(problem);
    }
}

/// The places of all routes, each with its part of the file.
fn places(reader: &mut Reader<'_>) -> BTreeMap<usize, Option<Table>> {
    let mut places: BTreeMap<usize, Option<Table>> = BTreeMap::new();
    let mut is_list = true;
    if let Some((_, table)) = reader.file() {
        let routes = match table.get("routes") {
            Some(Value::Array(routes)) => routes.as_slice(),
            Some(_) => {
                is_list = false;
                &[]
            }
            None => &[],
        };
        for (at, route) in (1..).zip(routes) {
            is_list &= route.is_table();
            places.insert(at, route.as_table().cloned());
        }
    }
    if !is_list {
        let (key, origin) = ("routes".to_owned(), SettingOrigin::Nowhere);
        let reason = Reason::Malformed { wanted: "a list of sections".into() };
        let remedy = "begin each route with the line [[routes]]".to_owned();
        reader.note_of(Problem { key, origin, reason, remedy });
    }
    let environment = reader.environment();
    for variable in environment.names().filter(|name| environment.get(name).is_some()) {
        let number = variable.strip_prefix(ROUTES).and_then(|rest| rest.split('_').next());
        let number = number.and_then(|number| number.parse::<usize>().ok());
        if let Some(at) = number.filter(|at| (1..=ROUTES_MAX).contains(at)) {
            places.entry(at).or_default();
        }
    }
    if places.len() > ROUTES_MAX {
        let (key, origin) = ("routes".to_owned(), SettingOrigin::Nowhere);
        let reason = Reason::Rule("has more than 256 routes");
        let remedy = "let a route name several addresses or words".to_owned();
        reader.note_of(Problem { key, origin, reason, remedy });
    }
    places
}

fn route(
    reader: &mut Reader<'_>,
    at: usize,
    table: Option<Table>,
    known: &mut Vec<String>,
) -> Option<Route> {
    let name = format!("routes.{at}");
    let scope = Scope { name, table, keys: Route::KEYS.to_vec(), inherits: false };
    known.extend(scope.variables());
    refuse_fields(reader, &scope, |_| None);
    reader.within(scope, Route::read)
}

/// Notes each variable of an agent or a route that there is not.
fn refuse_unknown(reader: &mut Reader<'_>, known: &[String]) {
    let environment = reader.environment();
    for name in environment.names() {
        let is_ours = name.starts_with(AGENTS) || name.starts_with(ROUTES);
        let value = environment.get(name).unwrap_or_default();
        if is_ours && !known.iter().any(|known| known == name) && !is_service_link(name, value) {
            let origin = SettingOrigin::Environment(name.to_owned());
            let known = known.iter().map(String::as_str);
            let mut problem = unknown_name(name.to_owned(), origin, known);
            if name.starts_with(AGENTS) && problem.remedy.starts_with("remove") {
                problem.remedy =
                    "an agent by name has a kind: set CHIMEIN_AGENTS_<NAME>_KIND too, \
                     or remove it"
                        .to_owned();
            }
            reader.note_of(problem);
        }
    }
}

/// Each route names agents that there are.
fn check_names(reader: &mut Reader<'_>, routes: &[Option<Route>], agents: &[&AgentName]) {
    for (at, route) in (1..).zip(routes) {
        let Some(route) = route else { continue };
        for (key, named) in [("agent", Some(&route.agent)), ("fallback", route.fallback.as_ref())] {
            let Some(named) = named.filter(|named| !agents.contains(named)) else { continue };
            let names = agents.iter().map(|name| name.as_str());
            let remedy = match nearest(named.as_str(), names.clone()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
            };
            let reason = Reason::Rule("names an agent that there is not");
            note(reader, &format!("routes.{at}.{key}"), reason, remedy);
        }
        if route.fallback.as_ref() == Some(&route.agent) {
            let reason = Reason::Rule("is the agent of the route itself");
            let remedy = "name another one, or none".to_owned();
            note(reader, &format!("routes.{at}.fallback"), reason, remedy);
        }
    }
}

/// Each route can be reached, and each message has an agent.
fn check_order(reader: &mut Reader<'_>, routes: &[Route], has_plain: bool) {
    let last = routes.iter().position(Route::takes_all);
    if let Some(last) = last.filter(|last| last + 1 < routes.len()) {
        let reason = Reason::Rule("has no condition, so the routes after it are never reached");
        let remedy = "let it be the last one, or give it a condition".to_owned();
        note(reader, &format!("routes.{}", last + 1), reason, remedy);
    }
    if last.is_none() && !has_plain {
        let reason = Reason::Rule("is required: a message that no route takes would have no agent");
        let remedy = "let the last of [[routes]] have no condition, or set CHIMEIN_AGENT_KIND";
        note(reader, "agent.kind", reason, remedy.to_owned());
    }
}

/// Of some kinds there can be one agent alone.
fn check_once(
    reader: &mut Reader<'_>,
    kinds: &[Declaration],
    agents: &[NamedAgent],
    has_plain: bool,
) {
    let plain = reader.value::<AgentKind>("agent.kind").filter(|_| has_plain);
    for kind in kinds.iter().filter(|kind| kind.is_once) {
        let is_of = |of: AgentKind| of.word() == kind.word;
        let before = usize::from(plain.is_some_and(is_of));
        let all = agents.iter().filter(|named| is_of(named.agent.kind));
        for named in all.skip(1_usize.saturating_sub(before)) {
            let reason = Reason::Rule("is of a kind of which there can be one agent alone");
            let remedy = format!("let one agent alone be of kind {}", kind.word);
            note(reader, &format!("agents.{}.kind", named.name), reason, remedy);
        }
    }
}

fn note(reader: &mut Reader<'_>, key: &str, reason: Reason, remedy: String) {
    let variable = variable(key);
    let has = reader.environment().get(&variable).is_some();
    let file = reader.file().map(|(path, _)| SettingOrigin::File(path.to_owned()));
    let origin = match file {
        _ if has => SettingOrigin::Environment(variable),
        Some(file) => file,
        None => SettingOrigin::Nowhere,
    };
    reader.note_of(Problem { key: key.to_owned(), origin, reason, remedy });
}

#[cfg(test)]
mod tests;
