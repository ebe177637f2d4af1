//! What a response says: `command_status`.

use std::fmt;

/// A `command_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($name:ident = $code:literal, $words:literal;)*) => {
        impl Status {
            $(#[doc = $words] pub const $name: Self = Self($code);)*

            /// The specification's name and what it means, where the specification has it.
            #[must_use]
            pub const fn known(self) -> Option<(&'static str, &'static str)> {
                match self.0 {
                    $($code => Some((concat!("ESME_", stringify!($name)), $words)),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    ROK = 0x00, "no error";
    RINVMSGLEN = 0x01, "the message length is invalid";
    RINVCMDLEN = 0x02, "the command length is invalid";
    RINVCMDID = 0x03, "the command is not known";
    RINVBNDSTS = 0x04, "the command is not allowed in this state of the bind";
    RALYBND = 0x05, "already bound";
    RINVPRTFLG = 0x06, "the priority flag is invalid";
    RINVREGDLVFLG = 0x07, "the registered delivery flag is invalid";
    RSYSERR = 0x08, "a system error";
    RINVSRCADR = 0x0A, "the source address is invalid";
    RINVDSTADR = 0x0B, "the destination address is invalid";
    RINVMSGID = 0x0C, "the message id is invalid";
    RBINDFAIL = 0x0D, "the bind failed";
    RINVPASWD = 0x0E, "the password is wrong";
    RINVSYSID = 0x0F, "the system id is not known";
    RCANCELFAIL = 0x11, "cancelling failed";
    RREPLACEFAIL = 0x13, "replacing failed";
    RMSGQFUL = 0x14, "the message queue is full";
    RINVSERTYP = 0x15, "the service type is invalid";
    RINVNUMDESTS = 0x33, "the number of destinations is invalid";
    RINVDLNAME = 0x34, "the distribution list's name is invalid";
    RINVDESTFLAG = 0x40, "the destination flag is invalid";
    RINVSUBREP = 0x42, "replacing on submission is not allowed";
    RINVESMCLASS = 0x43, "the esm_class is invalid";
    RCNTSUBDL = 0x44, "submitting to a distribution list failed";
    RSUBMITFAIL = 0x45, "the submission failed";
    RINVSRCTON = 0x48, "the source address's type of number is invalid";
    RINVSRCNPI = 0x49, "the source address's numbering plan is invalid";
    RINVDSTTON = 0x50, "the destination address's type of number is invalid";
    RINVDSTNPI = 0x51, "the destination address's numbering plan is invalid";
    RINVSYSTYP = 0x53, "the system type is invalid";
    RINVREPFLAG = 0x54, "the replace flag is invalid";
    RINVNUMMSGS = 0x55, "the number of messages is invalid";
    RTHROTTLED = 0x58, "more messages than allowed";
    RINVSCHED = 0x61, "the scheduled delivery time is invalid";
    RINVEXPIRY = 0x62, "the validity period is invalid";
    RINVDFTMSGID = 0x63, "the predefined message is not known";
    RX_T_APPN = 0x64, "the receiver failed for the moment";
    RX_P_APPN = 0x65, "the receiver failed for good";
    RX_R_APPN = 0x66, "the receiver rejected the message";
    RQUERYFAIL = 0x67, "querying failed";
    RINVOPTPARSTREAM = 0xC0, "the optional parameters are malformed";
    ROPTPARNOTALLWD = 0xC1, "an optional parameter is not allowed";
    RINVPARLEN = 0xC2, "a parameter's length is invalid";
    RMISSINGOPTPARAM = 0xC3, "an optional parameter is missing";
    RINVOPTPARAMVAL = 0xC4, "an optional parameter's value is invalid";
    RDELIVERYFAILURE = 0xFE, "the delivery failed";
    RUNKNOWNERR = 0xFF, "an unknown error";
}

impl Status {
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// The peer asks for less.
    #[must_use]
    pub const fn asks_for_patience(self) -> bool {
        matches!(self, Self::RTHROTTLED | Self::RMSGQFUL)
    }

    /// The peer does not have it, and may take it another time.
    #[must_use]
    pub const fn is_momentary(self) -> bool {
        matches!(
            self,
            Self::RTHROTTLED | Self::RMSGQFUL | Self::RSYSERR | Self::RX_T_APPN | Self::RINVBNDSTS | Self::RALYBND
        )
    }

    /// The name, or the number where there is none.
    #[must_use]
    pub fn code(self) -> String {
        self.known().map_or_else(|| format!("0x{:08X}", self.0), |(name, _)| name.to_owned())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((name, words)) => write!(f, "{words} ({name})"),
            None => write!(f, "the carrier's own error 0x{:08X}", self.0),
        }
    }
}
