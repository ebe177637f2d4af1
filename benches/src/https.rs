//! A certificate of 127.0.0.1's own: where carriers are real, webhooks go over https only.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

pub struct Https {
    pub acceptor: TlsAcceptor,
    folder: TempDir,
}

impl Https {
    /// Made by `openssl`.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 \
                     -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let mut command = Command::new("openssl");
        command.args(words.split_whitespace()).arg("-out").arg(&certificate).arg("-keyout").arg(&key);
        assert!(command.output().unwrap().status.success(), "openssl makes no certificate");
        drop(rustls::crypto::ring::default_provider().install_default());
        let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), folder }
    }

    /// Who is to be trusted.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
