//! API keys: made, listed and revoked. Doors: the command line, directly or through the control socket.

use offhook_domain::{AccountId, ApiKeyId, Clock, Id, KeyScope, KeyScopes};
use offhook_store::accounts::StoredKey;
use offhook_store::audit_log::{Actor, AuditLine};
use offhook_store::{Store, StoreError, Tx};
use serde::{Deserialize, Serialize};

use super::{hash_api_key, hex};

/// What an operator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum KeyCommand {
    /// A new key of an account; of the first one where none is named.
    Create {
        name: String,
        /// Words with commas between them; everything where there are none.
        #[serde(default)]
        scopes: Option<String>,
        account: Option<AccountId>,
        sandbox: bool,
    },
    List {
        account: Option<AccountId>,
    },
    Revoke {
        id: ApiKeyId,
        account: Option<AccountId>,
    },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum KeyReport {
    /// The secret, shown this once.
    Created {
        id: ApiKeyId,
        account: AccountId,
        secret: String,
    },
    Listed {
        keys: Vec<ListedKey>,
    },
    Revoked {
        id: ApiKeyId,
    },
    Failed {
        reason: String,
    },
}

/// A key as it can be shown again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedKey {
    pub id: ApiKeyId,
    pub hint: String,
    pub name: String,
    /// With commas between them.
    #[serde(default)]
    pub scopes: String,
    pub created_at: String,
    pub revoked_at: Option<String>,
    #[serde(default)]
    pub last_used_at: Option<String>,
}

/// A fresh secret: 256 random bits behind `sk_test_` or `sk_live_`.
#[must_use]
pub fn generate_secret(sandbox: bool) -> String {
    let prefix = if sandbox { "sk_test_" } else { "sk_live_" };
    format!("{prefix}{}", hex(&rand::random::<[u8; 32]>()))
}

/// What is kept of a secret beside its hash; of a key that may do everything. The hint shows a quarter of it at most: a
/// configured key may be short.
#[must_use]
pub fn stored_key(secret: &str, name: &str, at: offhook_domain::Timestamp) -> StoredKey {
    let length = secret.chars().count();
    let shown = (length / 4).min(12);
    let tail: String = secret.chars().skip(length - shown / 3).collect();
    let head: String = secret.chars().take(shown - shown / 3).collect();
    StoredKey {
        id: ApiKeyId::generate(at),
        hint: format!("{head}…{tail}"),
        name: name.to_owned(),
        scopes: KeyScopes::ALL,
        created_at: at,
        revoked_at: None,
        last_used: None,
    }
}

/// Carries out a command.
pub async fn run(store: &Store, clock: &dyn Clock, command: KeyCommand) -> KeyReport {
    match try_run(store, clock, command).await {
        Ok(report) => report,
        Err(error) => KeyReport::Failed { reason: error.to_string() },
    }
}

async fn try_run(store: &Store, clock: &dyn Clock, command: KeyCommand) -> Result<KeyReport, StoreError> {
    let now = clock.now();
    store
        .write(async move |tx: &mut Tx| {
            let named = match &command {
                KeyCommand::Create { account, .. }
                | KeyCommand::List { account }
                | KeyCommand::Revoke { account, .. } => account.clone(),
            };
            let account = match named {
                Some(account) if tx.has_account(&account).await? => account,
                Some(account) => return Ok(KeyReport::Failed { reason: format!("there is no account {account}") }),
                None => match tx.first_account().await? {
                    Some(account) => account,
                    None => {
                        return Ok(KeyReport::Failed {
                            reason: "there is no account yet: start the server once".to_owned(),
                        });
                    }
                },
            };
            let mut scope = tx.of(&account);
            Ok(match &command {
                KeyCommand::Create { name, sandbox, scopes, .. } => {
                    let Some(scopes) = scopes.as_deref().map_or(Some(KeyScopes::ALL), KeyScopes::parse) else {
                        let reason = format!("scopes are {}, with commas between them", KeyScope::TEXTS.join(", "));
                        return Ok(KeyReport::Failed { reason });
                    };
                    let secret = generate_secret(*sandbox);
                    let key = StoredKey { scopes, ..stored_key(&secret, name, now) };
                    scope.add_key(&key, &hash_api_key(&secret)).await?;
                    scope.audit(&AuditLine::of(Actor::CommandLine, "createKey", key.id.as_str(), now)).await?;
                    KeyReport::Created { id: key.id, account: account.clone(), secret }
                }
                KeyCommand::List { .. } => {
                    KeyReport::Listed { keys: scope.keys().await?.into_iter().map(listed).collect() }
                }
                KeyCommand::Revoke { id, .. } if scope.revoke_key(id, now).await? => {
                    scope.audit(&AuditLine::of(Actor::CommandLine, "revokeKey", id.as_str(), now)).await?;
                    KeyReport::Revoked { id: id.clone() }
                }
                KeyCommand::Revoke { id, .. } => {
                    KeyReport::Failed { reason: format!("there is no key {id} to revoke") }
                }
            })
        })
        .await
}

fn listed(key: StoredKey) -> ListedKey {
    ListedKey {
        id: key.id,
        hint: key.hint,
        name: key.name,
        scopes: key.scopes.to_text(),
        last_used_at: key.last_used.map(|used| used.at.to_string()),
        created_at: key.created_at.to_string(),
        revoked_at: key.revoked_at.map(|at| at.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use offhook_domain::Timestamp;

    use super::*;

    #[test]
    fn a_hint_shows_a_quarter_of_a_key_at_most() {
        let hint = |secret: &str| stored_key(secret, "key", Timestamp::from_micros(0)).hint;
        assert_eq!(hint(&format!("sk_test_{}abcd", "0".repeat(60))), "sk_test_…abcd");
        assert_eq!(hint("abcdefgh"), "ab…");
        assert_eq!(hint("sk_test_known_to_the"), "sk_t…e");
        assert_eq!(hint("abc"), "…");
    }
}
