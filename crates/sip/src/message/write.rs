//! A message as bytes. What is written reads back as the same message.

use std::fmt::Write as _;

use super::{Envelope, Headers, Message, Request, Response};

impl Request {
    /// The bytes to transmit.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        write(start, &self.envelope, &self.headers, &self.body)
    }
}

impl Response {
    /// The bytes to transmit.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let start = format!("SIP/2.0 {} {}\r\n", self.status, self.reason);
        write(start, &self.envelope, &self.headers, &self.body)
    }
}

impl Message {
    /// The bytes to transmit.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

fn write(start: String, envelope: &Envelope, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut out = start;
    // Writing to a String cannot fail.
    for via in &envelope.via {
        let _ = write!(out, "Via: {via}\r\n");
    }
    let Envelope { from, to, call_id, cseq, .. } = envelope;
    let _ = write!(out, "From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n");
    for (name, value) in &headers.0 {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = out.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
