//! Which scope a key must have for a route: the whole table.

use axum::http::Method;
use offhook_domain::KeyScope::{self, Admin, Calls, Messages, Numbers, Read};

/// Beginnings of routes, with what is needed to read there and what to change something. The first that fits counts.
/// A webhook itself is its owner's alone, for it shows its secret.
const TABLE: &[(&str, KeyScope, KeyScope)] = &[
    ("/v1/messages", Read, Messages),
    ("/v1/conversations", Read, Messages),
    ("/v1/contacts", Read, Messages),
    ("/v1/opt-outs", Read, Messages),
    ("/v1/verify", Messages, Messages),
    ("/v1/calls", Read, Calls),
    ("/v1/numbers/{id}/contact-card/share", Messages, Messages),
    ("/v1/numbers", Read, Numbers),
    ("/v1/agents/{id}/webhook/deliveries", Read, Admin),
    ("/v1/agents/{id}/webhook", Admin, Admin),
    ("/v1/agents", Read, Numbers),
    ("/v1/webhooks/", Read, Admin),
    ("/v1/webhooks", Admin, Admin),
    ("/v1/sip-trunks", Read, Admin),
    ("/v1/usage", Read, Read),
    ("/v1/feedback", Read, Read),
    ("/v1/location", Read, Read),
    ("/v1/register/status", Read, Admin),
    ("/v1/account", Read, Admin),
];

/// What a key must be allowed for this. A route that is not in the table is for keys that may do everything.
#[must_use]
pub fn needed(method: &Method, route: &str) -> KeyScope {
    let found = TABLE.iter().find(|(beginning, ..)| is_below(route, beginning));
    let (read, write) = found.map_or((Admin, Admin), |(_, read, write)| (*read, *write));
    if method.is_safe() { read } else { write }
}

/// Whether a master may ask this for a sub-account that is closed: what is kept there stays to be shown and erased.
#[must_use]
pub fn outlives_its_account(method: &Method, route: &str) -> bool {
    is_below(route, "/v1/privacy") || route == "/v1/audit-log" && method.is_safe()
}

fn is_below(route: &str, beginning: &str) -> bool {
    match route.strip_prefix(beginning) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || beginning.ends_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_needs_everything() {
        assert_eq!(needed(&Method::GET, "/v1/keys"), Admin);
        assert_eq!(needed(&Method::POST, "/v1/accounting"), Admin);
        assert_eq!(needed(&Method::GET, "/v1/accounting"), Admin);
    }

    #[test]
    fn secrets_are_not_for_those_who_only_read() {
        assert_eq!(needed(&Method::GET, "/v1/webhooks"), Admin);
        assert_eq!(needed(&Method::GET, "/v1/agents/{id}/webhook"), Admin);
        assert_eq!(needed(&Method::GET, "/v1/webhooks/deliveries"), Read);
        assert_eq!(needed(&Method::GET, "/v1/agents/{id}/webhook/deliveries"), Read);
        assert_eq!(needed(&Method::POST, "/v1/webhooks/test"), Admin);
    }

    #[test]
    fn each_area_has_its_own() {
        assert_eq!(needed(&Method::POST, "/v1/messages"), Messages);
        assert_eq!(needed(&Method::PATCH, "/v1/contacts/{id}"), Messages);
        assert_eq!(needed(&Method::DELETE, "/v1/numbers/{id}"), Numbers);
        assert_eq!(needed(&Method::POST, "/v1/numbers/{id}/contact-card/share"), Messages);
        assert_eq!(needed(&Method::POST, "/v1/calls"), Calls);
        assert_eq!(needed(&Method::HEAD, "/v1/numbers"), Read);
    }
}
