//! A call's surroundings: a platform that writes down what it is told, and a brain that answers what a story says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_domain::call::EndReason;
use offhook_domain::{CallId, Id, Timestamp, pii};
use offhook_voice::brain::{Answering, Answers, Brain, Question};
use offhook_voice::exchange::Exchange;
use offhook_voice::host::{Arrival, CallHost, Ended, Job, Plan, Wishes};
use offhook_voice::line::Refusal;
use offhook_voice::text_line::{TextPeer, Told, text_line};
use offhook_voice::timeline::Marked;
use offhook_voice::turn::taking::{Answer, Manners, Role, Turn};
use tokio::sync::Notify;

/// What the platform was told, as lines.
#[derive(Default)]
pub struct Book {
    lines: Mutex<Vec<String>>,
    marks: Mutex<Vec<&'static str>>,
    ended: Mutex<Option<Ended>>,
    over: Notify,
    pub refuses: Option<Refusal>,
    pub plan: Mutex<Option<Plan>>,
    answers: Mutex<HashMap<String, Vec<Answer>>>,
    /// Questions of the brain, and how many of its answers were dropped.
    pub asked: Mutex<Vec<Question>>,
    pub dropped: Arc<Mutex<usize>>,
}

impl Book {
    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn has_mark(&self, name: &str) -> bool {
        self.marks.lock().unwrap().contains(&name)
    }

    /// Waits for the end.
    pub async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.ended.lock().unwrap().clone() {
                return ended;
            }
            self.over.notified().await;
        }
    }
}

pub struct Platform(pub Arc<Book>);

#[async_trait]
impl CallHost for Platform {
    async fn arrives(&self, _: Arrival) -> Result<Job, Refusal> {
        match self.0.refuses {
            Some(why) => Err(why),
            None => Ok(job(&self.0)),
        }
    }

    async fn rings(&self, _: &CallId) {
        self.0.write("rings".to_owned());
    }

    async fn answered(&self, _: &CallId) {
        self.0.write("answered".to_owned());
    }

    async fn said(&self, call: &CallId, turn: Turn, marks: Vec<Marked>) {
        self.marked(call, marks).await;
        let who = if turn.role == Role::User { "user" } else { "agent" };
        self.0.write(format!("{who}: {}", turn.content));
    }

    async fn marked(&self, _: &CallId, marks: Vec<Marked>) {
        self.0.marks.lock().unwrap().extend(marks.iter().map(|one| one.mark.name()));
    }

    async fn ended(&self, _: &CallId, ended: Ended) {
        self.0.write(format!("ended: {}", ended.reason.as_str()));
        let before = self.0.ended.lock().unwrap().replace(ended);
        assert_eq!(before, None, "a call ends once");
        self.0.over.notify_waiters();
        self.0.over.notify_one();
    }
}

/// Answers by what was said; to what it has no answer, it never answers.
struct Script(Arc<Book>);

impl Brain for Script {
    fn ask(&mut self, question: Question) -> Answers {
        let (answering, answers) = Answers::begin();
        let said = self.0.answers.lock().unwrap().get(&question.words).cloned();
        self.0.asked.lock().unwrap().push(question);
        let Answering { to, wanted } = answering;
        let dropped = self.0.dropped.clone();
        match said {
            Some(said) => said.into_iter().for_each(|one| to.try_send(one).unwrap()),
            None => {
                let mut tasks = tokio::task::JoinSet::new();
                tasks.spawn(async move {
                    wanted.cancelled().await;
                    *dropped.lock().unwrap() += 1;
                    drop(to);
                });
                tasks.detach_all();
            }
        }
        answers
    }
}

pub fn plan() -> Plan {
    Plan {
        call: CallId::generate(Timestamp::from_micros(1)),
        manners: Manners {
            interruption_sensitivity: 0.8,
            longest_silence: Duration::from_secs(30),
            apology: "Sorry, something went wrong.".to_owned(),
        },
        greeting: Some("Hello.".to_owned()),
        wishes: Wishes { language: "en-US".to_owned(), voice: None, speed: 1.0, accurate: false },
        transfer_to: None,
        longest: Duration::from_secs(3600),
        ring_for: Duration::from_secs(30),
        recording: None,
        voicemail_message: None,
        screening: None,
    }
}

fn job(book: &Arc<Book>) -> Job {
    let plan = book.plan.lock().unwrap().clone().unwrap_or_else(plan);
    Job { plan, brain: Box::new(Script(book.clone())) }
}

pub fn says(text: &str) -> Vec<Answer> {
    vec![Answer::Text(text.to_owned()), Answer::Ended(offhook_voice::turn::taking::After::Listen)]
}

/// Everything of one story.
pub struct Stage {
    pub book: Arc<Book>,
    pub exchange: Exchange,
    pub peer: TextPeer,
}

impl Stage {
    fn with(answers: &[(&str, Vec<Answer>)], change: impl FnOnce(&mut Plan), refuses: Option<Refusal>) -> Arc<Book> {
        let mut plan = plan();
        change(&mut plan);
        let answers = answers.iter().map(|(words, answer)| ((*words).to_owned(), answer.clone())).collect();
        Arc::new(Book { plan: Some(plan).into(), answers: Mutex::new(answers), refuses, ..Book::default() })
    }

    /// Somebody calls the agent.
    pub fn they_call(answers: &[(&str, Vec<Answer>)], pace: Option<u32>, change: impl FnOnce(&mut Plan)) -> Self {
        Self::arrival(Self::with(answers, change, None), pace)
    }

    pub fn they_are_refused(why: Refusal) -> Self {
        Self::arrival(Self::with(&[], |_| {}, Some(why)), None)
    }

    fn arrival(book: Arc<Book>, pace: Option<u32>) -> Self {
        let exchange = Exchange::new(Arc::new(Platform(book.clone())));
        let (line, peer) = text_line(pace);
        let (from, to) = (pii::phone("+14155550100".to_owned()), "+14155550123".to_owned());
        exchange.take(Arrival { from, to, trunks: Vec::new(), over: "test" }, Box::new(line));
        Self { book, exchange, peer }
    }

    /// The agent calls somebody.
    pub fn we_call(answers: &[(&str, Vec<Answer>)], pace: Option<u32>, change: impl FnOnce(&mut Plan)) -> Self {
        let book = Self::with(answers, change, None);
        let exchange = Exchange::new(Arc::new(Platform(book.clone())));
        let (line, peer) = text_line(pace);
        exchange.place(job(&book), Box::new(line));
        Self { book, exchange, peer }
    }

    /// Reads on until this is told.
    pub async fn until(&mut self, wanted: &Told) {
        let mut read = Vec::new();
        while let Some(told) = self.peer.next().await {
            if told == *wanted {
                return;
            }
            read.push(told);
        }
        panic!("{wanted:?} was never told, but {read:?}");
    }

    pub async fn hears(&mut self, text: &str) {
        self.until(&Told::Says(text.to_owned())).await;
    }

    pub async fn ends(&self, reason: EndReason) -> Vec<String> {
        let ended = self.book.ended().await;
        assert_eq!(ended.reason, reason, "{:?}", self.book.lines());
        self.book.lines()
    }
}
