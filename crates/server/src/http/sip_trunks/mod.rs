//! `/v1/sip-trunks`: telephone systems of the account that call us, and that we call.

pub mod create;
pub mod delete;
pub mod get;
mod input;
pub mod list;
pub mod update;

use offhook_domain::sip_trunk::{AllowedIp, OriginationUri, SipTrunk};
use offhook_domain::{Timestamp, TrunkId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::app::trunks::SipDoor;

/// A trunk as the API shows it (contract, "SIP trunks").
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SipTrunk)]
pub struct SipTrunkView {
    #[schema(value_type = String, example = "trunk_06ck3v0w2e8zg1m8t4q7x5n9ra")]
    id: TrunkId,
    name: String,
    /// Who carries the calls: this installation.
    provider: &'static str,
    /// Whether both calling and sound are always encrypted.
    encrypted: bool,
    /// How your system had best call `terminationSipUri`: `udp`, `tcp` or `tls`.
    transport: &'static str,
    /// Encryption of the sound (SRTP): `never`, `offered` or `always`.
    media_encryption: &'static str,
    /// Where your system may have calls transferred to: `all`, `sip` or `none`.
    transfers: &'static str,
    /// Whose number a transferred call shows: `transferee` or `transferor`.
    transfer_caller_id: &'static str,
    /// Where your system sends its calls to us.
    #[schema(example = "sip:phone.example.com;transport=tls")]
    termination_sip_uri: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Where we send calls to your system.
    origination_uris: Vec<OriginationView>,
    /// Networks from which your system may call without a password.
    allowed_ips: Vec<AllowedIpView>,
    /// Our addresses, to let through your firewall.
    proxy_ips: Vec<String>,
    credentials: Vec<CredentialView>,
}

/// Spelled as the reference service does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OriginationUri)]
struct OriginationView {
    sip_uri: String,
    name: Option<String>,
    /// The lowest is tried first.
    priority: u16,
    /// The share of the calls among those of the same priority.
    weight: u16,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AllowedIp)]
struct AllowedIpView {
    #[schema(example = "192.0.2.0/28")]
    cidr: String,
    name: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SipTrunkCredential)]
struct CredentialView {
    username: String,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    password_last4: String,
    credential_list_name: &'static str,
}

/// All of an account's: there are few.
#[derive(Debug, Serialize, ToSchema)]
pub struct SipTrunkList {
    data: Vec<SipTrunkView>,
}

impl SipTrunkView {
    /// `password` where it was just made.
    fn of(app: &App, trunk: SipTrunk, password: Option<&str>) -> Self {
        let SipDoor { termination, transport, media, proxy_ips } = SipDoor::of(&app.config);
        let SipTrunk { id, name, transfers, transfer_caller_id, origination, allowed_ips, login, created_at, .. } =
            trunk;
        Self {
            id,
            name,
            provider: "offhook",
            encrypted: SipDoor::is_encrypted(transport, media),
            transport: transport.as_str(),
            media_encryption: media.as_str(),
            transfers: transfers.as_str(),
            transfer_caller_id: transfer_caller_id.as_str(),
            termination_sip_uri: termination,
            created_at,
            origination_uris: origination.into_iter().map(OriginationView::of).collect(),
            allowed_ips: allowed_ips.into_iter().map(AllowedIpView::of).collect(),
            proxy_ips: proxy_ips.iter().map(ToString::to_string).collect(),
            credentials: vec![CredentialView {
                username: login.username,
                password: password.map(str::to_owned),
                password_last4: login.password_last4,
                credential_list_name: "default",
            }],
        }
    }
}

impl OriginationView {
    fn of(one: OriginationUri) -> Self {
        let OriginationUri { sip_uri, name, priority, weight } = one;
        Self { sip_uri: sip_uri.as_str().to_owned(), name, priority, weight }
    }
}

impl AllowedIpView {
    fn of(one: AllowedIp) -> Self {
        Self { cidr: one.cidr.to_string(), name: one.name }
    }
}
