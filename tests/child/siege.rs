//! Strangers with very many connections, and Twilio's webhooks meanwhile.
//!
//! Shared by the attacks in small and the bench with the full numbers. The strangers come from as many
//! addresses of the loopback network as they are told, and whoever is cut off comes again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chimein::clock::{Clock, Moment};
use chimein::emulator::Emulator;
use chimein::twilio::signature::{self, Algorithm, Body};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// What a stranger does with a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Nothing.
    Idle,
    /// Asks once and keeps it.
    Kept,
    /// Sends a head byte by byte.
    TrickledHead,
    /// Sends a body byte by byte.
    TrickledBody,
    /// Announces a body and sends none of it.
    UnsentBody,
    /// Sends a body but for its end.
    UnendedBody,
    /// Asks again and again and takes no answer.
    UnreadAnswers,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Kept,
        Self::TrickledHead,
        Self::TrickledBody,
        Self::UnsentBody,
        Self::UnendedBody,
        Self::UnreadAnswers,
    ];

    /// Its name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Kept => "kept after one answer",
            Self::TrickledHead => "trickled head",
            Self::TrickledBody => "trickled body",
            Self::UnsentBody => "body never sent",
            Self::UnendedBody => "body never ended",
            Self::UnreadAnswers => "answers never read",
        }
    }

    fn opening(self) -> Vec<u8> {
        let get = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        match self {
            Self::Idle => Vec::new(),
            Self::Kept => get.into(),
            Self::TrickledHead => "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nlong: ".into(),
            Self::TrickledBody | Self::UnsentBody => late_head(LATE_BODY_BYTES).into(),
            Self::UnendedBody => {
                let mut all = late_head(LATE_BODY_BYTES).into_bytes();
                all.resize(all.len() + LATE_BODY_BYTES - 1, b' ');
                all
            }
            Self::UnreadAnswers => get.repeat(10_000).into(),
        }
    }

    const fn trickles(self) -> bool {
        matches!(self, Self::TrickledHead | Self::TrickledBody)
    }
}

/// What a stranger announces at the door for late replies.
const LATE_BODY_BYTES: usize = 250_000;

/// The head of a late reply that looks as good as one can without the secret.
pub fn late_head(length: usize) -> String {
    let now = Clock::start().wall().as_secs();
    format!(
        "POST /v1/conversations/CH0123456789abcdef0123456789abcdef/replies HTTP/1.1\r\n\
         host: 127.0.0.1\r\ncontent-length: {length}\r\nwebhook-id: evt_1\r\n\
         webhook-timestamp: {now}\r\nwebhook-signature: v1,{}=\r\n\r\n",
        "A".repeat(43)
    )
}

/// Many strangers at once; they leave when it is dropped.
pub struct Siege {
    strangers: JoinSet<()>,
}

impl Siege {
    /// Begins: so many connections, evenly from so many addresses.
    pub fn begin(port: u16, kind: Kind, connections: u32, addresses: u32) -> Self {
        let mut strangers = JoinSet::new();
        let opening: Arc<[u8]> = kind.opening().into();
        for number in 0..connections {
            let [_, _, high, low] = (number % addresses + 1).to_be_bytes();
            let from = SocketAddr::from(([127, 1, high, low], 0));
            let _ = strangers.spawn(stranger(port, kind, from, Arc::clone(&opening)));
        }
        Self { strangers }
    }

    /// Ends, and waits until all have left.
    pub async fn lift(mut self) {
        self.strangers.shutdown().await;
    }
}

/// Comes again whenever the door is shut.
async fn stranger(port: u16, kind: Kind, from: SocketAddr, opening: Arc<[u8]>) {
    loop {
        if let Ok(stream) = connect_from(from, port).await {
            bother(stream, kind, &opening).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Connects from an address of its own, with a small buffer for answers.
pub async fn connect_from(from: SocketAddr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    socket.bind(from)?;
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Does what its kind does until the connection is closed.
async fn bother(stream: TcpStream, kind: Kind, opening: &[u8]) {
    let (mut reading, mut writing) = stream.into_split();
    let closed = async {
        if kind == Kind::UnreadAnswers {
            return std::future::pending().await;
        }
        let mut bytes = [0; 256];
        while reading.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    };
    let writing = async {
        let mut sent = writing.write_all(opening).await;
        while kind.trickles() && sent.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sent = writing.write_all(b"x").await;
        }
        if sent.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = closed => {}
        () = writing => {}
    }
}

/// What signs as Twilio does.
pub struct Twilio {
    port: u16,
    account: String,
    token: SecretString,
    conversation: String,
}

impl Twilio {
    /// Sends what happens in a conversation of the emulator's account to a service.
    pub fn of(emulator: &Emulator, port: u16, conversation: &str) -> Self {
        let credentials = emulator.credentials();
        Self {
            port,
            account: credentials.account_sid.to_string(),
            token: credentials.auth_token.clone(),
            conversation: conversation.to_owned(),
        }
    }

    /// Sends so many webhooks, one after the other; gives how long each took until its 200, if it came
    /// in time.
    pub async fn knock(&self, times: u64, patience: Duration) -> Vec<Option<Duration>> {
        let mut took = Vec::new();
        for _ in 0..times {
            let clock = Clock::start();
            let answer = tokio::time::timeout(patience, self.once()).await;
            let is_good = answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
            took.push(is_good.then(|| clock.now().since(Moment::ORIGIN)));
        }
        took
    }

    /// Sends one webhook on a connection of its own; gives the answer.
    pub async fn once(&self) -> String {
        let message = uuid::Uuid::new_v4().simple();
        let body = format!(
            "EventType=onMessageAdded&AccountSid={}&ConversationSid={}&MessageSid=IM{message}\
             &Author=%2B15555550123&Source=SMS&Index=1&Body=hello",
            self.account, self.conversation
        );
        self.post(&body).await
    }

    /// Posts a signed form; gives the answer.
    pub async fn post(&self, body: &str) -> String {
        self.post_to(chimein::webhook::ROUTE, body).await
    }

    /// Signs a form for a URL.
    pub fn sign(&self, url: &str, body: &str) -> String {
        signature::sign(&self.token, Algorithm::HmacSha1, url, Body::Form(body.as_bytes()))
    }

    /// Posts a signed form to a path, with or without a query; gives the answer.
    pub async fn post_to(&self, path: &str, body: &str) -> String {
        let signature = self.sign(&format!("http://127.0.0.1:{}{path}", self.port), body);
        self.post_as(path, Some(&signature), body).await
    }

    /// As [`Twilio::post_to`], with this signature or with none.
    pub async fn post_as(&self, path: &str, signature: Option<&str>, body: &str) -> String {
        let signature =
            signature.map_or_else(String::new, |it| format!("x-twilio-signature: {it}\r\n"));
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n{signature}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        ask(self.port, request.as_bytes()).await
    }
}

/// Sends a request on a connection of its own; gives all that comes back.
pub async fn ask(port: u16, request: &[u8]) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return String::new();
    };
    if stream.write_all(request).await.is_err() {
        return String::new();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
