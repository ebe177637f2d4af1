//! What the layer below us has: flows, and bytes to send on them. Who does the sending opens what is not open yet.

use std::net::SocketAddr;

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams, which get lost: requests are sent again until they are answered.
    Udp,
    /// A stream.
    Tcp,
    /// A stream that nobody else reads.
    Tls,
}

impl Transport {
    /// Whether what is sent arrives, so that nothing is sent twice.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// As in Via.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Where it is listened to if nothing else is said.
    #[must_use]
    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// Between which addresses, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our socket. Of a connection that we open ourselves: the address of the listener whose calls it carries.
    pub local: SocketAddr,
    /// Theirs.
    pub remote: SocketAddr,
}

/// Bytes to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where. A stream that is not open is to be opened; if that fails, say so with `flow_failed`.
    pub flow: Flow,
    /// One message.
    pub bytes: Vec<u8>,
    /// The stream can't be read any further: close it behind these bytes.
    pub close: bool,
}
