//! The whole configuration, section by section. In: the reader. Out: `Config`. Never here: defaults and explanations for
//! operators, which are in `config.default.toml`.

mod business;
pub mod carriers;
mod compliance;
mod media;
mod process;
mod sign_up;
mod speech;
pub mod voice;

pub use self::business::{
    Leases, Limits, Mode, Numbers, Prices, RateLimits, Registration, Retention, Sending, Shaping, Webhooks,
};
pub use self::compliance::{Guards, OptOut, OptOutReach};
pub use self::media::{ContentTypes, Media, MediaPlace, S3};
pub use self::process::{Keys, LogFormat, Logs, Server, Storage, Telemetry};
pub use self::sign_up::{Mail, SignUp, Verification};
pub use self::voice::Voice;
use super::reader::Reader;

/// Everything an operator can set, checked. `Debug` shows no secret.
#[derive(Debug)]
pub struct Config {
    /// The HTTP API.
    pub server: Server,
    /// Where data is kept.
    pub storage: Storage,
    /// Keys that come from outside.
    pub keys: Keys,
    /// Sandbox or live.
    pub mode: Mode,
    /// What things cost; `Config::prices()` gives those in force.
    pub prices: Prices,
    /// The ways to the telephone network, the first to ask first.
    pub carriers: Vec<carriers::Carrier>,
    /// Renewal of numbers.
    pub numbers: Numbers,
    /// What one account may use.
    pub limits: Limits,
    /// How often a key may ask.
    pub rate_limits: RateLimits,
    /// Messages to carriers.
    pub sending: Sending,
    /// Files that go with messages.
    pub media: Media,
    /// How fast messages go.
    pub shaping: Shaping,
    /// Registration with the US carriers.
    pub registration: Registration,
    /// Events to customers.
    pub webhooks: Webhooks,
    /// Work that is taken and given up.
    pub leases: Leases,
    /// Logging.
    pub logs: Logs,
    /// Traces.
    pub telemetry: Telemetry,
    /// How long things are kept.
    pub retention: Retention,
    /// Who asks to be left alone.
    pub opt_out: OptOut,
    /// What is not sent.
    pub guards: Guards,
    /// Accounts that people open themselves.
    pub sign_up: SignUp,
    /// Mail that leaves here.
    pub mail: Mail,
    /// Codes by text.
    pub verification: Verification,
    /// Calls.
    pub voice: Voice,
}

impl Config {
    pub(super) fn from_reader(reader: &mut Reader) -> Self {
        // In the manual's order, as the complaints come.
        let (server, storage, keys) = (Server::read(reader), Storage::read(reader), Keys::read(reader));
        let mode = Mode { sandbox: reader.boolean("mode.sandbox") };
        let mail = Mail::read(reader);
        let carriers = carriers::read(reader, server.public_url.is_some(), mode.sandbox);
        let speaks_sip = carriers.iter().find(|carrier| matches!(carrier.link, carriers::Link::Sip(_)));
        let speaks_sip = speaks_sip.map(|carrier| carrier.name.as_str()).filter(|_| !mode.sandbox);
        Self {
            voice: Voice::read(reader, speaks_sip),
            carriers,
            sign_up: SignUp::read(reader, mode.sandbox, &mail),
            mail,
            verification: Verification::read(reader),
            server,
            storage,
            keys,
            mode,
            prices: Prices::read(reader),
            numbers: Numbers::read(reader),
            limits: Limits::read(reader),
            rate_limits: RateLimits::read(reader),
            sending: Sending::read(reader),
            media: Media::read(reader),
            shaping: Shaping::read(reader),
            registration: Registration::read(reader),
            webhooks: Webhooks::read(reader),
            leases: Leases { duration: reader.seconds("leases.seconds", 2..=300) },
            logs: Logs::read(reader),
            telemetry: Telemetry::read(reader),
            retention: Retention::read(reader),
            opt_out: OptOut::read(reader),
            guards: Guards::read(reader),
        }
    }
}

fn name(reader: &mut Reader, key: &str) -> String {
    let rule = "must be 1 to 100 characters";
    reader
        .required(key, rule, |text| (1..=100).contains(&text.chars().count()).then(|| text.to_owned()))
        .unwrap_or_default()
}
