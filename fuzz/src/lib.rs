//! Every parser that takes octets from outside, as a function of octets that must not panic.
//!
//! In: anything. Out: nothing; a property that does not hold is a panic. `tests/corpus.rs` runs each over its corpus and a
//! burst of mutations in every test run, on any toolchain; `fuzz/run.sh` has libFuzzer search, guided by coverage.

mod hooks;
mod media;
mod sip;
mod smpp;
mod texts;

/// One parser.
#[derive(Debug)]
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "smpp_pdu", run: smpp::pdu },
    Target { name: "smpp_session", run: smpp::session },
    Target { name: "smpp_udh", run: smpp::udh },
    Target { name: "smpp_receipt", run: smpp::receipt },
    Target { name: "gsm7", run: smpp::gsm7 },
    Target { name: "twilio_hook", run: hooks::twilio },
    Target { name: "telnyx_hook", run: hooks::telnyx },
    Target { name: "media_sdp", run: media::sdp },
    Target { name: "media_session", run: media::session },
    Target { name: "media_srtp", run: media::srtp },
    Target { name: "sip_message", run: sip::message },
    Target { name: "sip_stream", run: sip::stream },
    Target { name: "sip_endpoint", run: sip::endpoint },
    Target { name: "numbers_csv", run: texts::numbers_csv },
    Target { name: "phone", run: texts::phone },
    Target { name: "opt_out", run: texts::opt_out },
    Target { name: "send_message", run: texts::send_message },
    Target { name: "webhook_answer", run: texts::webhook_answer },
];

/// The one of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
