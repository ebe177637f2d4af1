//! PDUs, read and written.

use crate::reading::{Reader, Short, put_text};
use crate::status::Status;
use crate::tlv::{Tlvs, tag};

/// Command ids; a response has the highest bit on top.
pub mod command {
    pub const RESPONSE: u32 = 0x8000_0000;
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const BIND_RECEIVER: u32 = 0x01;
    pub const BIND_TRANSMITTER: u32 = 0x02;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const OUTBIND: u32 = 0x0B;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    pub const DATA_SM: u32 = 0x103;
}

/// Bits of `esm_class`.
pub mod esm_class {
    /// The short message begins with a user data header.
    pub const UDHI: u8 = 0x40;
    /// Which kind of message the peer brings.
    pub const KIND: u8 = 0x3C;
    /// A delivery receipt.
    pub const RECEIPT: u8 = 0x04;
    /// An intermediate notification.
    pub const INTERMEDIATE: u8 = 0x20;
}

/// The frame is whole, and its body makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body of command 0x{command_id:08X} is cut short")]
pub struct Malformed {
    pub command_id: u32,
}

/// Which way messages go over a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Receiver,
    Transmitter,
    Transceiver,
}

impl Mode {
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::Transmitter | Self::Transceiver)
    }

    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::Receiver | Self::Transceiver)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Transmitter => "transmitter",
            Self::Transceiver => "transceiver",
        }
    }

    const fn command_id(self) -> u32 {
        match self {
            Self::Receiver => command::BIND_RECEIVER,
            Self::Transmitter => command::BIND_TRANSMITTER,
            Self::Transceiver => command::BIND_TRANSCEIVER,
        }
    }
}

/// What a bind says.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    pub mode: Mode,
    pub system_id: String,
    pub password: String,
    pub system_type: String,
    pub interface_version: u8,
    pub address_range: String,
}

impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bind").field("mode", &self.mode).field("system_id", &self.system_id).finish_non_exhaustive()
    }
}

/// An address with its type of number and numbering plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: String,
}

impl Address {
    #[must_use]
    pub fn new(ton: u8, npi: u8, digits: &str) -> Self {
        Self { ton, npi, digits: digits.to_owned() }
    }
}

/// What `submit_sm`, `deliver_sm` and `data_sm` carry. `data_sm` has no fields for priority, times and the short message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub service_type: String,
    pub source: Address,
    pub destination: Address,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule: String,
    pub validity: String,
    pub registered_delivery: u8,
    pub replace_if_present: u8,
    pub data_coding: u8,
    pub default_message: u8,
    /// At most 254 octets.
    pub short_message: Vec<u8>,
    pub tlvs: Tlvs,
}

impl Message {
    /// The message's octets, wherever they stand.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self.tlvs.get(tag::MESSAGE_PAYLOAD) {
            Some(payload) if self.short_message.is_empty() => payload,
            _ => &self.short_message,
        }
    }

    /// Whether it tells of another message.
    #[must_use]
    pub fn is_receipt(&self) -> bool {
        matches!(self.esm_class & esm_class::KIND, esm_class::RECEIPT | esm_class::INTERMEDIATE)
            || self.tlvs.get(tag::RECEIPTED_MESSAGE_ID).is_some()
    }

    fn read(bytes: &[u8], is_data: bool) -> Result<Self, Short> {
        let mut reader = Reader::new(bytes);
        let mut message = Self { service_type: reader.text(), ..Self::default() };
        message.source = address(&mut reader)?;
        message.destination = address(&mut reader)?;
        message.esm_class = reader.octet()?;
        if !is_data {
            message.protocol_id = reader.octet()?;
            message.priority = reader.octet()?;
            message.schedule = reader.text();
            message.validity = reader.text();
        }
        message.registered_delivery = reader.octet()?;
        if !is_data {
            message.replace_if_present = reader.octet()?;
        }
        message.data_coding = reader.octet()?;
        if !is_data {
            message.default_message = reader.octet()?;
            let length = reader.octet()?;
            message.short_message = reader.octets(usize::from(length))?.to_vec();
        }
        message.tlvs = Tlvs::read(reader.rest());
        Ok(message)
    }

    fn write(&self, out: &mut Vec<u8>, is_data: bool) {
        put_text(out, &self.service_type, 5);
        for address in [&self.source, &self.destination] {
            out.extend([address.ton, address.npi]);
            put_text(out, &address.digits, if is_data { 64 } else { 20 });
        }
        out.push(self.esm_class);
        if is_data {
            out.extend([self.registered_delivery, self.data_coding]);
        } else {
            out.extend([self.protocol_id, self.priority]);
            put_text(out, &self.schedule, 16);
            put_text(out, &self.validity, 16);
            let length = u8::try_from(self.short_message.len()).unwrap_or(254).min(254);
            out.extend([self.registered_delivery, self.replace_if_present, self.data_coding, self.default_message]);
            out.push(length);
            out.extend(&self.short_message[..usize::from(length)]);
        }
        self.tlvs.write(out);
    }
}

fn address(reader: &mut Reader<'_>) -> Result<Address, Short> {
    Ok(Address { ton: reader.octet()?, npi: reader.octet()?, digits: reader.text() })
}

/// What a PDU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Bind(Bind),
    BindResp {
        mode: Mode,
        system_id: String,
    },
    Outbind,
    SubmitSm(Box<Message>),
    SubmitSmResp {
        message_id: String,
    },
    DeliverSm(Box<Message>),
    DeliverSmResp {
        message_id: String,
    },
    DataSm(Box<Message>),
    DataSmResp {
        message_id: String,
    },
    AlertNotification,
    EnquireLink,
    EnquireLinkResp,
    Unbind,
    UnbindResp,
    GenericNack,
    /// Something that is not known here.
    Other {
        command_id: u32,
    },
}

impl Body {
    pub(crate) fn read(command_id: u32, status: Status, bytes: &[u8]) -> Result<Self, Malformed> {
        use command as c;
        let malformed = |_| Malformed { command_id };
        let message = |is_data| Message::read(bytes, is_data).map(Box::new).map_err(malformed);
        // A response that reports an error may come with or without a body; what stands in it then means nothing.
        let text = || if status.is_ok() { Reader::new(bytes).text() } else { String::new() };
        let of_response = command_id & c::RESPONSE != 0;
        if let Some(mode) = mode_of(command_id & !c::RESPONSE) {
            return Ok(match of_response {
                true => Self::BindResp { mode, system_id: text() },
                false => Self::Bind(read_bind(mode, bytes).map_err(malformed)?),
            });
        }
        Ok(match (command_id & !c::RESPONSE, of_response) {
            (c::SUBMIT_SM, false) => Self::SubmitSm(message(false)?),
            (c::SUBMIT_SM, true) => Self::SubmitSmResp { message_id: text() },
            (c::DELIVER_SM, false) => Self::DeliverSm(message(false)?),
            (c::DELIVER_SM, true) => Self::DeliverSmResp { message_id: text() },
            (c::DATA_SM, false) => Self::DataSm(message(true)?),
            (c::DATA_SM, true) => Self::DataSmResp { message_id: text() },
            (c::ALERT_NOTIFICATION, false) => Self::AlertNotification,
            (c::OUTBIND, false) => Self::Outbind,
            (c::ENQUIRE_LINK, false) => Self::EnquireLink,
            (c::ENQUIRE_LINK, true) => Self::EnquireLinkResp,
            (c::UNBIND, false) => Self::Unbind,
            (c::UNBIND, true) => Self::UnbindResp,
            (0, true) => Self::GenericNack,
            _ => Self::Other { command_id },
        })
    }

    /// Its id.
    #[must_use]
    pub const fn command_id(&self) -> u32 {
        use command as c;
        match self {
            Self::Bind(bind) => bind.mode.command_id(),
            Self::BindResp { mode, .. } => mode.command_id() | c::RESPONSE,
            Self::Outbind => c::OUTBIND,
            Self::SubmitSm(_) => c::SUBMIT_SM,
            Self::SubmitSmResp { .. } => c::SUBMIT_SM | c::RESPONSE,
            Self::DeliverSm(_) => c::DELIVER_SM,
            Self::DeliverSmResp { .. } => c::DELIVER_SM | c::RESPONSE,
            Self::DataSm(_) => c::DATA_SM,
            Self::DataSmResp { .. } => c::DATA_SM | c::RESPONSE,
            Self::AlertNotification => c::ALERT_NOTIFICATION,
            Self::EnquireLink => c::ENQUIRE_LINK,
            Self::EnquireLinkResp => c::ENQUIRE_LINK | c::RESPONSE,
            Self::Unbind => c::UNBIND,
            Self::UnbindResp => c::UNBIND | c::RESPONSE,
            Self::GenericNack => c::GENERIC_NACK,
            Self::Other { command_id } => *command_id,
        }
    }
}

fn mode_of(command_id: u32) -> Option<Mode> {
    [Mode::Receiver, Mode::Transmitter, Mode::Transceiver].into_iter().find(|mode| mode.command_id() == command_id)
}

fn read_bind(mode: Mode, bytes: &[u8]) -> Result<Bind, Short> {
    let mut reader = Reader::new(bytes);
    let (system_id, password, system_type) = (reader.text(), reader.text(), reader.text());
    let interface_version = reader.octet()?;
    reader.octets(2)?;
    Ok(Bind { mode, system_id, password, system_type, interface_version, address_range: reader.text() })
}

/// A whole PDU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    pub status: Status,
    pub sequence: u32,
    pub body: Body,
}

impl Pdu {
    #[must_use]
    pub fn request(sequence: u32, body: Body) -> Self {
        Self { status: Status::ROK, sequence, body }
    }

    #[must_use]
    pub fn response(sequence: u32, status: Status, body: Body) -> Self {
        Self { status, sequence, body }
    }

    /// Appends its octets.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(self.body.command_id().to_be_bytes());
        out.extend(self.status.0.to_be_bytes());
        out.extend(self.sequence.to_be_bytes());
        self.write_body(out);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Bind(bind) => {
                put_text(out, &bind.system_id, 15);
                put_text(out, &bind.password, 8);
                put_text(out, &bind.system_type, 12);
                out.extend([bind.interface_version, 0, 0]);
                put_text(out, &bind.address_range, 40);
            }
            Body::SubmitSm(message) | Body::DeliverSm(message) => message.write(out, false),
            Body::DataSm(message) => message.write(out, true),
            // The specification leaves the body out where there is an error.
            Body::BindResp { system_id, .. } if self.status.is_ok() => put_text(out, system_id, 15),
            Body::SubmitSmResp { message_id } | Body::DataSmResp { message_id } if self.status.is_ok() => {
                put_text(out, message_id, 64);
            }
            // Here it has one, and peers insist on it.
            Body::DeliverSmResp { message_id } => put_text(out, message_id, 64),
            _ => {}
        }
    }
}
