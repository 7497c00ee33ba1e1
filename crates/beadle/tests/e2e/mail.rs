//! Tests e-mail: the conversations of Beadle with an SMTP server. The server refuses the same
//! commands as a real server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::journal::grant;
use crate::notify::held;
use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const USER: &str = "beadle";
const PASSWORD: &str = "a password of this test";

/// A message, and whether the server accepted it.
type Received = (String, bool);

/// An SMTP server without TLS.
struct Server {
    port: u16,
    /// The next refusals: the command and the answer. `.` is the end of a message.
    refusals: Mutex<VecDeque<(&'static str, &'static str)>>,
    /// The lines of all conversations, without the messages.
    heard: Mutex<Vec<String>>,
    received: Mutex<Vec<Received>>,
}

impl Server {
    /// Starts a server, and configures it as the only channel.
    async fn start(world: &mut World, tls: &str, refusals: &[(&'static str, &'static str)]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        std::fs::write(world.path().join("smtp.user"), USER).unwrap();
        std::fs::write(world.path().join("smtp.password"), PASSWORD).unwrap();
        world.lines = format!(
            "[[notify]]\nname = \"mail\"\nonly = [\"held\"]\nsettle = \"1s\"\n\
             [notify.email]\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"{tls}\"\n\
             user = \"file:smtp.user\"\npassword = \"file:smtp.password\"\n\
             from = \"beadle@example.com\"\nto = [\"ops@example.com\", \"security@example.com\"]\n"
        );
        let server = Arc::new(Self {
            port,
            refusals: Mutex::new(refusals.iter().copied().collect()),
            heard: Mutex::default(),
            received: Mutex::default(),
        });
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.converse(stream).await });
            }
        });
        server
    }

    /// Answers the commands of one client until the client leaves.
    async fn converse(&self, stream: TcpStream) -> Option<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
        while let Some(line) = lines.next_line().await.ok()? {
            self.heard.lock().push(line.clone());
            let command = line.split(' ').next()?.to_uppercase();
            let answer = match command.as_str() {
                "EHLO" => "250-mail.test\r\n250 AUTH PLAIN",
                "AUTH" if line == sign_in() => "235 2.7.0 welcome",
                "AUTH" => "535 5.7.8 who are you",
                "MAIL" | "RCPT" => self.refusal(&command).unwrap_or("250 2.1.0 fine"),
                "DATA" => {
                    writer.write_all(b"354 go on\r\n").await.ok()?;
                    let mut message = String::new();
                    loop {
                        match lines.next_line().await.ok()?? {
                            line if line == "." => break,
                            line => message.push_str(&format!("{line}\n")),
                        }
                    }
                    let refusal = self.refusal(".");
                    self.received.lock().push((message.replace("=\n", ""), refusal.is_none()));
                    refusal.unwrap_or("250 2.0.0 queued")
                }
                "QUIT" => "221 2.0.0 bye",
                _ => "502 5.5.1 unknown command",
            };
            writer.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        }
        Some(())
    }

    /// Takes the next refusal, if the refusal is for this command.
    fn refusal(&self, command: &str) -> Option<&'static str> {
        let mut refusals = self.refusals.lock();
        let is_due = refusals.front().is_some_and(|(due, _)| *due == command);
        if is_due { refusals.pop_front().map(|(_, answer)| answer) } else { None }
    }

    /// Returns how many lines begin with a command.
    fn count(&self, command: &str) -> usize {
        self.heard.lock().iter().filter(|line| line.starts_with(command)).count()
    }

    /// Waits until a condition is true. After a refusal, Beadle waits some seconds before the next
    /// attempt.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..6000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what} did not come true on port {}: {:#?}", self.port, self.heard.lock());
    }
}

/// Returns the expected sign-in command of the channel.
fn sign_in() -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{USER}\0{PASSWORD}")))
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let head = message.split("\n\n").next().unwrap();
    let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name}: {message}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_is_sent_again_with_the_same_id_and_reaches_everybody_once() {
    let mut world = held().await;
    let refusals = [("RCPT", "451 4.3.0 try again later"), (".", "554 5.6.0 your content is not welcome")];
    let server = Server::start(&mut world, "none", &refusals).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let serving = world.serve().await;
    server.until("a mail", |server| server.received.lock().iter().any(|(_, accepted)| *accepted)).await;
    let received = server.received.lock().clone();
    let [(refused, false), (accepted, true)] = received.as_slice() else { panic!("{received:#?}") };
    assert_eq!(header(refused, "Message-ID"), header(accepted, "Message-ID"));
    assert_eq!(header(accepted, "Subject"), "acme: 20 changes of teams held");
    assert_eq!(header(accepted, "To"), "ops@example.com, security@example.com");
    assert!(refused.contains("removes team contractors"), "{refused}");
    assert!(!accepted.contains("contractors"), "after a refusal, only the titles: {accepted}");
    assert!(accepted.contains("<h3>acme: 20 changes of teams held</h3>"), "{accepted}");
    assert_eq!(server.heard.lock().iter().filter(|line| **line == sign_in()).count(), 3);
    assert_eq!(server.count("RCPT TO:<security@example.com>"), 2);
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_without_a_mailbox_keeps_no_mail_from_the_others() {
    let mut world = held().await;
    let refusals = [("RCPT", "550 5.1.1 no such user")];
    let server = Server::start(&mut world, "none", &refusals).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let serving = world.serve().await;
    server.until("a mail", |server| !server.received.lock().is_empty()).await;
    assert!(server.received.lock()[0].1);
    assert_eq!((server.count("MAIL"), server.count("RCPT"), server.count("DATA")), (1, 2, 1));
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_many_does_not_make_a_mail_accepted() {
    let mut world = held().await;
    let refusals = [("RCPT", "250 2.1.5 fine\r\n250 2.1.5 somebody added this")];
    let server = Server::start(&mut world, "none", &refusals).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let serving = world.serve().await;
    server.until("a mail", |server| !server.received.lock().is_empty()).await;
    assert_eq!((server.count("MAIL"), server.count("DATA")), (2, 2), "the first try sends no content");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_no_password_and_no_mail() {
    let mut world = held().await;
    let server = Server::start(&mut world, "starttls", &[]).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let serving = world.serve().await;
    // The second attempt shows that the first attempt has ended.
    server.until("two tries", |server| server.count("EHLO") >= 2).await;
    assert_eq!((server.count("AUTH"), server.count("MAIL"), server.count("DATA")), (0, 0, 0));
    let tasks = format!("http://127.0.0.1:{}/tasks", world.operator());
    let tasks = world.http.get(tasks).send().await.unwrap().text().await.unwrap();
    assert!(tasks.contains("the server does not offer STARTTLS"), "{tasks}");
    assert!(!tasks.contains(PASSWORD), "{tasks}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_change_was_reverted_is_named_with_the_line_and_the_way_to_a_waiver() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let server = Server::start(&mut world, "none", &[]).await;
    world.lines = world.lines.replace("\"held\"", "\"reverted\"");
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    grant(&world, "widgets", "ann").await;
    server.until("a mail", |server| !server.received.lock().is_empty()).await;
    let (mail, _) = server.received.lock()[0].clone();
    assert_eq!(header(&mail, "Subject"), "acme: 1 change of teams reverted");
    for said in [
        "removes team contractors, after a change by ann (team.added_to_repository): acme/widgets",
        "settings.yml:",
        "beadle waive NAME --keys KEYS",
    ] {
        assert!(mail.contains(said), "{said}: {mail}");
    }
    assert_eq!(serving.stop().await, Some(0));
}
