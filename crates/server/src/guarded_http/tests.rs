//! The client against real sockets: where it will not connect, and what it makes of a bad server.

mod any_url;
mod exchange;
mod rebinding;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;

fn sandbox() -> GuardedClient {
    GuardedClient::new(EgressPolicy { allow_http_loopback: true, ..EgressPolicy::default() }).unwrap()
}

fn request(client: &GuardedClient, url: &str) -> Request {
    Request {
        url: client.check(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(5),
        max_response_bytes: 2048,
        keep_connection: true,
    }
}

/// A name server under the control of an attacker: each look-up takes the next answer, and the last one stays.
#[derive(Debug)]
struct Answers(Mutex<Vec<Vec<IpAddr>>>);

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().rev().map(parse).collect())))
    }
}

impl Lookup for Answers {
    fn lookup(&self, _host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, LookupFailed>> {
        let mut left = self.0.lock().unwrap();
        let answer = if left.len() > 1 { left.pop().unwrap() } else { left[0].clone() };
        async move { Ok(answer) }.boxed()
    }
}
