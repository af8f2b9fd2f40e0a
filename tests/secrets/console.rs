//! Every page of the console, seen by who is signed in, and a text that is shown on demand.

use serde_json::Value;

use crate::planted::ADMIN_TOKEN;
use crate::service::Service;

/// Every page, with what it says; each of those that stand for many, once for each of them.
pub async fn pages(service: &Service) -> Vec<(String, String)> {
    let visitor = Visitor::signed_in(service).await;
    let mut paths = Vec::new();
    for &path in chimein::console::PATHS {
        paths.extend(places(service, path).await);
    }
    paths.extend(["/console/threads?find=5309", "/console/nothing"].map(str::to_owned));
    let mut pages = Vec::new();
    for path in paths {
        let (status, text) = visitor.get(&path).await;
        assert!(status == 200 || path == "/console/nothing", "{path}: {status} {text}");
        pages.push((path, text));
    }
    pages
}

/// Shows a dead letter's text as an operator does; gives the page, and what its thread's timeline tells.
pub async fn revealed(service: &Service, queue: &str) -> (String, String) {
    let visitor = Visitor::signed_in(service).await;
    let letter = service.letters(queue).await[0].clone();
    let path = format!("/console/dead-letters/{queue}/{}", letter["id"].as_str().unwrap());
    let form = field(&visitor.get(&path).await.1, "form");
    let page = visitor.post(&format!("{path}/reveal"), &form).await;
    let thread = letter["conversation"].as_str().unwrap().parse().unwrap();
    service.until_traced(thread, "revealed").await;
    let (_, told) = visitor.get(&format!("/console/threads/{thread}")).await;
    (page, told)
}

/// The addresses that a path of the console stands for.
async fn places(service: &Service, path: &str) -> Vec<String> {
    let mut letters = Vec::new();
    for queue in ["inbox", "outbox"] {
        letters.extend(service.letters(queue).await.into_iter().map(|letter| (queue, letter)));
    }
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let values: Vec<String> = match path {
        "/console/threads/{thread}" => {
            letters.iter().map(|(_, letter)| text(letter, "conversation")).collect()
        }
        "/console/messages/{of}" => {
            let mut all = Vec::new();
            for (_, letter) in &letters {
                all.extend(service.messages_of(&text(letter, "conversation")).await);
            }
            assert!(!all.is_empty(), "no message is traced");
            all
        }
        "/console/dead-letters/{queue}/{id}" => letters
            .iter()
            .map(|(queue, letter)| format!("{queue}/{}", text(letter, "id")))
            .collect(),
        "/console/dead-letters/all" => vec!["all?act=drop".to_owned()],
        "/console/manual/{topic}" => vec!["security".to_owned()],
        _ => return vec![path.to_owned()],
    };
    let stem = path.split('{').next().unwrap().trim_end_matches("all");
    values.into_iter().map(|value| format!("{stem}{value}")).collect()
}

/// A browser that is signed in to act.
struct Visitor {
    base: String,
    cookie: String,
    client: reqwest::Client,
}

impl Visitor {
    async fn signed_in(service: &Service) -> Self {
        let base = service.admin_base();
        let client = chimein::net::http::direct().unwrap();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let visitor = Self { base, cookie: String::new(), client };
        let form = field(&visitor.get("/console/login").await.1, "form");
        let body = format!("form={form}&token={ADMIN_TOKEN}&next=/console/");
        let answer = visitor.sent("/console/login", body).await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        Self { cookie: cookie.split(';').next().unwrap().to_owned(), ..visitor }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request =
            self.client.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn post(&self, path: &str, form: &str) -> String {
        let answer = self.sent(path, format!("form={form}")).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    async fn sent(&self, path: &str, body: String) -> reqwest::Response {
        let request =
            self.client.post(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let request = request.header("origin", &self.base);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap()
    }
}

/// The value of a field of a page's first form.
fn field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect("there is a form");
    rest.split('"').next().unwrap().to_owned()
}
