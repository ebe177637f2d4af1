//! SMPP 3.4 without sockets, clocks or tasks: bytes and `now` in, bytes, events and the next deadline out.
//!
//! Our own, because the library at hand refuses whole PDUs for what real peers send every day (a sender outside ASCII, an
//! id longer than the specification has it, a last TLV cut short): a message that can't be read can't be answered either,
//! and would be brought for ever. Here a reader takes what it can; the library is what the tests compare with.
//!
//! Never here: what a message is to the platform.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests are free"))]

mod alphabet;
mod concatenation;
mod esme;
mod frame;
mod pdu;
mod reading;
mod receipt;
mod status;
mod tlv;

pub use alphabet::{Coding, decode, encode, gsm7};
pub use concatenation::{Chunk, Fragment, FragmentKey, Udh, chunks, with_udh};
pub use esme::{Broken, Esme, Event, Lost, Request, SessionSettings};
pub use frame::{Frame, FrameReader, Garbage, HEADER, LONGEST};
pub use pdu::{Address, Bind, Body, Malformed, Message, Mode, Pdu, command, esm_class};
pub use receipt::{Receipt, State};
pub use status::Status;
pub use tlv::{Tlvs, tag};
