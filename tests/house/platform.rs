//! `architecture.yaml` obeys the platform's validators.
//!
//! Their rules as far as they concern this file. Source: BitBrat 0.33.3, `architecture.v1.json`,
//! `architecture.v2.json`, `architecture-schema-v2.ts`, `config/schema.ts`,
//! `config/execution-context-schema.ts`, read 2026-11-21. That each rule is really checked is shown
//! by breaking it.

use serde_json::{Value, json};

use super::yaml::{keys, load, texts};

const PROVIDERS: &[&str] = &["docker", "gcp", "aws", "azure", "k8s"];

#[test]
fn the_architecture_passes_the_platforms_validators() {
    let findings = findings(&load("architecture.yaml"));
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn each_rule_of_the_validators_is_checked() {
    let service = "/services/twilio-ingress";
    let balancer = "/cloudResources/resources/main-load-balancer";
    for (place, value, finding) in [
        ("/name", Value::Null, "name"),
        ("/project/version", json!("1.0"), "project.version"),
        ("/project/status", json!("fine"), "project.status"),
        ("/platform/version", json!("2.0.1"), "platform.version"),
        ("/platform/infrastructure/tracing", json!({}), "platform.infrastructure: tracing"),
        ("/platform/infrastructure/messaging/required", json!("yes"), "messaging.required"),
        ("/platform/infrastructure/messaging/capabilities", json!([]), "messaging.capabilities"),
        ("/infrastructure/resources", json!({}), "infrastructure: resources"),
        ("/infrastructure/docker", Value::Null, "infrastructure.docker"),
        ("/services", json!({}), "services"),
        (&format!("{service}/active"), json!(false), "active"),
        (&format!("{service}/profile"), json!("bot"), "profile"),
        (&format!("{service}/category"), json!("bot"), "category"),
        (&format!("{service}/mcp"), json!({"exposure": "none"}), "mcp"),
        (&format!("{service}/port"), json!("3000"), "port"),
        (&format!("{service}/image"), Value::Null, "image"),
        (&format!("{service}/env"), json!(["lower_case"]), "lower_case"),
        (&format!("{service}/secrets"), json!(["TWILIO_ENABLED"]), "TWILIO_ENABLED"),
        (&format!("{service}/dependencies"), json!({}), "dependencies"),
        (&format!("{service}/dependencies/infrastructure"), json!(["disk"]), "disk"),
        ("/deploymentTargets", json!({"local": {}}), "deploymentTargets"),
        ("/executionContexts", json!({}), "executionContexts"),
        ("/executionContexts/local/runtime", Value::Null, "runtime"),
        ("/executionContexts/local/runtime/gateway", json!({}), "gateway"),
        ("/executionContexts/local/runtime/persistence", json!({"driver": "postgres"}), "driver"),
        ("/executionContexts/local/deployment/type", json!("cloud-run"), "deployment.gcp"),
        ("/executionContexts/local/infrastructure/provider", json!("gcp"), "provider"),
        (&format!("{balancer}/type"), json!("lb"), "type"),
        (&format!("{balancer}/implementation"), json!("lb"), "implementation"),
        (&format!("{balancer}/routing/rules/0/bucket"), json!("assets"), "one of"),
        (&format!("{balancer}/routing/rules/0/service"), Value::Null, "one of"),
        (&format!("{balancer}/routing/rules/0/service"), json!("other"), "other"),
        (&format!("{balancer}/routing/timeout"), json!(5), "routing: timeout"),
    ] {
        let mut broken = load("architecture.yaml");
        put(&mut broken, place, value);
        let found = findings(&broken);
        assert!(found.iter().any(|found| found.contains(finding)), "{place}: {found:?}");
    }
}

/// Puts a value into a place; null takes out what is there.
fn put(document: &mut Value, place: &str, value: Value) {
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
    if value.is_null() {
        let taken = parent.remove(key);
        assert!(taken.is_some(), "{place} is not there");
    } else {
        let _ = parent.insert(key.to_owned(), value);
    }
}

/// What the validators would say.
fn findings(all: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            found.push(what);
        }
    };
    top(all, &mut expect);
    platform(all, &mut expect);
    for (name, service) in all["services"].as_object().into_iter().flatten() {
        service_of(all, name, service, &mut expect);
    }
    for (name, context) in all["executionContexts"].as_object().into_iter().flatten() {
        context_of(all, name, context, &mut expect);
    }
    for (name, resource) in all["cloudResources"]["resources"].as_object().into_iter().flatten() {
        balancer(all, name, resource, &mut expect);
    }
    found
}

type Expect<'a> = dyn FnMut(bool, String) + 'a;

fn top(all: &Value, expect: &mut Expect<'_>) {
    expect(all["name"].is_string(), "name is missing".to_owned());
    let version = all["project"]["version"].as_str().unwrap_or_default();
    expect(is_numbers(version, 3), format!("project.version {version} is not semantic"));
    let status = &all["project"]["status"];
    let known = ["experimental", "alpha", "beta", "stable", "deprecated"];
    expect(status.is_null() || is_one(status, &known), "project.status is unknown".to_owned());
    expect(!keys(&all["services"]).is_empty(), "services is empty".to_owned());
    expect(!keys(&all["executionContexts"]).is_empty(), "executionContexts is empty".to_owned());
    let both = all["deploymentTargets"].is_null();
    expect(both, "deploymentTargets stands beside executionContexts".to_owned());
}

fn platform(all: &Value, expect: &mut Expect<'_>) {
    let version = all["platform"]["version"].as_str().unwrap_or_default();
    expect(is_numbers(version, 2), format!("platform.version {version} is not of the form N.N"));
    let wanted = &all["platform"]["infrastructure"];
    strict(wanted, &["messaging", "caching", "persistence"], "platform.infrastructure", expect);
    strict(&all["infrastructure"], PROVIDERS, "infrastructure", expect);
    let docker = &all["infrastructure"]["docker"];
    expect(docker.is_object(), "infrastructure.docker is missing".to_owned());
    for (name, capability) in wanted.as_object().into_iter().flatten() {
        let required = capability["required"].as_bool();
        expect(required.is_some(), format!("{name}.required is no switch"));
        let some = !texts(&capability["capabilities"]).is_empty();
        expect(some, format!("{name}.capabilities is empty"));
        if required == Some(true) {
            let by = &docker[name.as_str()];
            let is_there = by["service"].is_string() && by["healthCheck"].is_object();
            expect(is_there, format!("infrastructure.docker.{name} lacks service or healthCheck"));
        }
    }
}

fn service_of(all: &Value, name: &str, service: &Value, expect: &mut Expect<'_>) {
    expect(service["active"] == true, format!("{name}: active is not true, so it is off"));
    expect(is_one(&service["category"], &["platform", "domain"]), format!("{name}: category"));
    let profiles = ["core", "llm", "mcp-server", "gateway"];
    expect(is_one(&service["profile"], &profiles), format!("{name}: profile"));
    // `none` passes one validator and fails another, and it has no tools to expose.
    expect(service["mcp"].is_null(), format!("{name}: mcp"));
    expect(service["port"].is_u64(), format!("{name}: port is no number"));
    expect(service["image"].is_string(), format!("{name}: image is missing"));
    let (env, secrets) = (texts(&service["env"]), texts(&service["secrets"]));
    for variable in env.iter().chain(&secrets) {
        expect(is_variable(variable), format!("{name}: {variable} is no variable's name"));
    }
    for secret in secrets {
        expect(!env.contains(&secret), format!("{name}: {secret} is both secret and not"));
    }
    let known = keys(&all["platform"]["infrastructure"]);
    let needed = texts(&service["dependencies"]["infrastructure"]);
    expect(!needed.is_empty(), format!("{name}: dependencies.infrastructure is empty"));
    for capability in needed {
        expect(known.contains(&capability), format!("{name}: {capability} is unknown"));
    }
}

fn context_of(all: &Value, name: &str, context: &Value, expect: &mut Expect<'_>) {
    let deployment = &context["deployment"];
    let part = match deployment["type"].as_str() {
        Some("docker-compose") => "docker",
        Some("cloud-run") => "gcp",
        Some("k8s") => "k8s",
        Some(_) | None => "type",
    };
    expect(deployment[part].is_object(), format!("{name}: deployment.{part} is missing"));
    let runtime = &context["runtime"];
    expect(runtime.is_object(), format!("{name}: runtime is missing"));
    let gateway = &runtime["gateway"];
    let has_one =
        ["url", "autoDiscover", "fallbackPort"].iter().any(|key| !gateway[*key].is_null());
    expect(gateway.is_null() || has_one, format!("{name}: gateway is found by nothing"));
    let store = &runtime["persistence"];
    let is_found = store["connection"].is_object() || store["autoDiscover"] == true;
    let is_whole = store["driver"] == "firestore" || (store["driver"] == "postgres" && is_found);
    expect(is_whole, format!("{name}: runtime.persistence.driver is missing or found by nothing"));
    let provider = context["infrastructure"]["provider"].as_str().unwrap_or_default();
    let known = keys(&all["infrastructure"]);
    expect(known.contains(&provider), format!("{name}: provider {provider} is not defined"));
}

fn balancer(all: &Value, name: &str, resource: &Value, expect: &mut Expect<'_>) {
    expect(resource["type"] == "load-balancer", format!("{name}: type"));
    let kinds = ["global-external-application-lb", "regional-internal-application-lb"];
    expect(is_one(&resource["implementation"], &kinds), format!("{name}: implementation"));
    for key in ["name", "ip"] {
        expect(resource[key].is_string(), format!("{name}: {key} is missing"));
    }
    let routing = &resource["routing"];
    strict(routing, &["default_domain", "default_bucket", "rules"], "routing", expect);
    expect(routing["default_domain"].is_string(), format!("{name}: default_domain"));
    for rule in routing["rules"].as_array().into_iter().flatten() {
        let (service, bucket) = (rule["service"].as_str(), rule["bucket"].as_str());
        let is_one = service.is_some() != bucket.is_some();
        expect(is_one, format!("{name}: a rule needs one of service and bucket"));
        let known = keys(&all["services"]);
        let is_known = service.is_none_or(|service| known.contains(&service));
        expect(is_known, format!("{name}: {service:?} is no service"));
        expect(rule["path_prefix"].is_string(), format!("{name}: path_prefix"));
    }
}

/// Expects an object to have none but these keys.
fn strict(object: &Value, known: &[&str], what: &str, expect: &mut Expect<'_>) {
    for key in keys(object) {
        expect(known.contains(&key), format!("{what}: {key} is not allowed"));
    }
}

fn is_one(value: &Value, known: &[&str]) -> bool {
    value.as_str().is_some_and(|text| known.contains(&text))
}

/// Whether a text is so many numbers between dots.
fn is_numbers(text: &str, count: usize) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == count && text.split('.').all(is_number)
}

fn is_variable(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}
