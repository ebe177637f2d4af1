//! The names that the RFCs give: methods, header fields with their compact forms, reason phrases.

use std::fmt;

use super::scan::is_token;

/// What a request asks for. Case matters (§7.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// RFC 3261 §13
    Invite,
    /// §13.2.2.4, §17.1.1.3
    Ack,
    /// §15
    Bye,
    /// §9
    Cancel,
    /// §11
    Options,
    /// §10
    Register,
    /// RFC 3262
    Prack,
    /// RFC 3311
    Update,
    /// RFC 3515
    Refer,
    /// RFC 6665
    Notify,
    /// RFC 6665
    Subscribe,
    /// RFC 6086
    Info,
    /// RFC 3428
    Message,
    /// RFC 3903
    Publish,
    /// Any other token.
    Extension(String),
}

impl Method {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Info => "INFO",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Extension(name) => name,
        }
    }

    /// Any token is a method.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "REFER" => Self::Refer,
            "NOTIFY" => Self::Notify,
            "SUBSCRIBE" => Self::Subscribe,
            "INFO" => Self::Info,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other if is_token(other) => Self::Extension(other.to_owned()),
            _ => return None,
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! header_names {
    ($($variant:ident = $name:literal $(/ $compact:literal)?),* $(,)?) => {
        /// A header field's name. Those that we know have one spelling, whatever came; any other keeps its own.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(#[doc = $name] $variant,)*
            /// One that we do not know.
            Extension(String),
        }

        impl HeaderName {
            /// As it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Extension(name) => name,
                }
            }

            /// Any token is a name; case does not matter, and the compact form is the same name (§7.3.3).
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($name) $(|| text.eq_ignore_ascii_case($compact))? {
                    return Some(Self::$variant);
                })*
                is_token(text).then(|| Self::Extension(text.to_owned()))
            }
        }
    };
}

header_names! {
    Via = "Via" / "v",
    From = "From" / "f",
    To = "To" / "t",
    CallId = "Call-ID" / "i",
    CSeq = "CSeq",
    Contact = "Contact" / "m",
    ContentLength = "Content-Length" / "l",
    ContentType = "Content-Type" / "c",
    MaxForwards = "Max-Forwards",
    Route = "Route",
    RecordRoute = "Record-Route",
    Supported = "Supported" / "k",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Unsupported = "Unsupported",
    Allow = "Allow",
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    ContentEncoding = "Content-Encoding" / "e",
    ContentDisposition = "Content-Disposition",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    AuthenticationInfo = "Authentication-Info",
    Expires = "Expires",
    MinExpires = "Min-Expires",
    SessionExpires = "Session-Expires" / "x",
    MinSe = "Min-SE",
    RSeq = "RSeq",
    RAck = "RAck",
    ReferTo = "Refer-To" / "r",
    ReferredBy = "Referred-By" / "b",
    Replaces = "Replaces",
    Event = "Event" / "o",
    AllowEvents = "Allow-Events" / "u",
    SubscriptionState = "Subscription-State",
    Subject = "Subject" / "s",
    Date = "Date",
    RetryAfter = "Retry-After",
    Reason = "Reason",
    Warning = "Warning",
    UserAgent = "User-Agent",
    Server = "Server",
    PAssertedIdentity = "P-Asserted-Identity",
    Privacy = "Privacy",
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for HeaderName {}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What §21 and its extensions call a status.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => class_phrase(status),
    }
}

fn class_phrase(status: u16) -> &'static str {
    match status {
        0..=199 => "Progress",
        200..=299 => "Success",
        300..=399 => "Redirected",
        400..=499 => "Request Failed",
        500..=599 => "Server Failed",
        _ => "Failed Everywhere",
    }
}
