//! TLS of SIP: our certificate, and the machine's roots. In: PEM files. Out: both sides' settings.

use std::path::Path;
use std::sync::Arc;

use offhook_voice::signalling::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Reads the files.
///
/// # Errors
/// What of them can't be read or used.
pub fn load(certificate: &Path, key: &Path) -> Result<Tls, String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let mut roots = RootCertStore::empty();
    // A certificate of our own making is believed as well: both ends of a test have it, and nobody else has its key.
    roots.add_parsable_certificates(chain.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(|e| e.to_string())?;
    Ok(Tls { server: Arc::new(server), client: Arc::new(client) })
}
