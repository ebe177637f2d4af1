//! What PostgreSQL's errors mean to us.

use tokio_postgres::error::SqlState;

use crate::error::StoreError;

/// `idle_in_transaction_session_timeout` and `idle_session_timeout` passed: the server ended the session.
const IDLED_OUT: [&str; 2] = ["25P03", "57P05"];

/// Whether the connection is gone, rather than that the server refused something.
pub(super) fn is_loss(error: &tokio_postgres::Error) -> bool {
    let at_socket = || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
    match error.code() {
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN) => true,
        Some(code) => code.code().starts_with("08") || IDLED_OUT.contains(&code.code()),
        None => error.is_closed() || at_socket(),
    }
}

pub(super) fn store_error(error: tokio_postgres::Error) -> StoreError {
    let text = describe(&error);
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => {
            StoreError::Clash(text)
        }
        // Waited longer than `lock_timeout` for another one.
        Some(&SqlState::LOCK_NOT_AVAILABLE) => StoreError::Clash(text),
        Some(code) if IDLED_OUT.contains(&code.code()) => StoreError::Unavailable(text),
        // Class 53: insufficient resources. 57: operator intervention. 58: system error. 08: connection.
        Some(code) if ["53", "57", "58", "08"].iter().any(|class| code.code().starts_with(class)) => {
            StoreError::Unavailable(text)
        }
        // After a failover: this server is the standby now.
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::Unavailable(text),
        Some(_) => StoreError::Statement(text),
        None => StoreError::Unavailable(text),
    }
}

/// For the log. Never the server's DETAIL: it holds the values of the row, such as phone numbers.
fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        return format!("{} ({})", refused.message(), refused.code().code());
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
