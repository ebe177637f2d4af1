//! The key that encrypts webhook secrets at rest. In: text from the configuration, or the key file. Out: 32 bytes that
//! no log can show. Never here: the encryption itself.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};

const LENGTH: usize = 32;

/// A 256-bit key. `Debug` doesn't show it.
#[derive(Debug, Clone)]
pub struct SecretKey(Arc<SecretBox<[u8; LENGTH]>>);

/// Why there is no key to start with.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The key file can't be read or written.
    #[error("the key file {path} can't be used: {cause}")]
    File {
        /// Where the key file is, or should be.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The key file holds something else.
    #[error(
        "the key file {0} must hold 32 bytes as base64 or hex; restore it, since without it webhook secrets can't be read"
    )]
    Malformed(PathBuf),
}

impl SecretKey {
    /// Reads 32 bytes written as hex or as base64, of either alphabet, padded or not.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = from_hex(text).or_else(|| {
            [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
        })?;
        Some(Self(Arc::new(SecretBox::new(Box::new(bytes.try_into().ok()?)))))
    }

    /// Reads the key file; creates it, readable by its owner only, when there is none.
    ///
    /// # Errors
    /// When the file can't be read or created, or doesn't hold a key.
    pub fn from_file(path: &Path) -> Result<Self, SecretKeyError> {
        let failed = |cause| SecretKeyError::File { path: path.to_owned(), cause };
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).ok_or_else(|| SecretKeyError::Malformed(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(failed)?;
                // Read back, not kept: of two processes that start together, one made the file and both use it.
                let text = fs::read_to_string(path).map_err(failed)?;
                Self::parse(&text).ok_or_else(|| SecretKeyError::Malformed(path.to_owned()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The key itself, for a cipher.
    pub fn bytes(&self) -> &[u8; LENGTH] {
        self.0.expose_secret()
    }

    /// Tells two keys apart without showing either; a database can keep it to refuse a node with another key.
    pub fn fingerprint(&self) -> String {
        let digest =
            Sha256::new().chain_update(b"offhook secret key fingerprint\0").chain_update(self.bytes()).finalize();
        to_hex(&digest[..8])
    }
}

/// Writes a fresh key beside `path` and links it there whole: a crash leaves no half key, and a second process that
/// does the same at the same time leaves the first one's alone.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", to_hex(&rand::random::<[u8; LENGTH]>()))?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    fs::remove_file(&draft)?;
    linked?;
    // Secrets are written under this key from now on: its name must survive a power cut too.
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..LENGTH).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_are_the_same_key() {
        let bytes = [0xfb; LENGTH];
        let written =
            [to_hex(&bytes), STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), format!("{}\n", to_hex(&bytes))];
        for text in written {
            assert_eq!(SecretKey::parse(&text).unwrap().bytes(), &bytes, "{text}");
        }
        for text in ["", "short", &STANDARD.encode([1; 31]), &to_hex(&[1; 33]), &"é".repeat(32)] {
            assert!(SecretKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret.key");
        let made = SecretKey::from_file(&path).unwrap();
        let read = SecretKey::from_file(&path).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_broken_key_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        fs::write(&path, "half a k").unwrap();
        assert!(matches!(SecretKey::from_file(&path), Err(SecretKeyError::Malformed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "half a k");
    }

    #[test]
    fn debug_shows_nothing() {
        let key = SecretKey::parse(&"ab".repeat(LENGTH)).unwrap();
        assert!(!format!("{key:?}").contains("171"), "{key:?}");
    }
}
