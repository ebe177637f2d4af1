//! The socket to the peer, with TLS or without.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::settings::SmppSettings;

/// Either kind.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects.
///
/// # Errors
/// What the network or TLS says.
pub async fn connect(settings: &SmppSettings) -> io::Result<Box<dyn Wire>> {
    #[expect(clippy::disallowed_methods, reason = "the operator's own configuration says where to, no customer's")]
    let tcp = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
    // Small PDUs that somebody waits for.
    tcp.set_nodelay(true)?;
    let Some(tls) = &settings.tls else { return Ok(Box::new(tcp)) };
    let name = tls.server_name.clone().unwrap_or_else(|| settings.host.clone());
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(&tls.config)).connect(name, tcp).await?))
}
