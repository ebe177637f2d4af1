//! Where files are kept as objects: a folder, or a store that speaks S3.
//!
//! In: a name and bytes. Out: bytes again. Never here: which objects there are, which is in the database.

use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, MediaPlace, S3};

/// One request to a store.
const PATIENCE: Duration = Duration::from_secs(20);
/// What fails is tried again by whoever asked.
const RETRIES: usize = 2;

/// The store of objects can't be reached, or refuses. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("files can't be kept or read: {0}")]
pub struct MediaUnreachable(String);

/// Part of a file, as it is read.
pub struct Piece {
    pub bytes: BoxStream<'static, object_store::Result<Bytes>>,
}

/// The objects. Cheap to clone; opened when first used.
#[derive(Clone)]
pub struct KeptMedia {
    place: Arc<Place>,
    opened: Arc<OnceLock<(Arc<dyn ObjectStore>, Path)>>,
}

enum Place {
    Folder(PathBuf),
    S3 {
        bucket: String,
        prefix: String,
        endpoint: Option<String>,
        region: String,
        login: Option<(String, SecretString)>,
    },
}

impl KeptMedia {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let place = match &config.media.store {
            MediaPlace::Folder => Place::Folder(config.storage.data_dir.join("media")),
            MediaPlace::S3(S3 { bucket, prefix, endpoint, region, login }) => Place::S3 {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                endpoint: endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
                region: region.clone(),
                login: login.clone(),
            },
        };
        Self { place: Arc::new(place), opened: Arc::default() }
    }

    /// Keeps a file, durably: once this returns, no crash takes it back.
    ///
    /// # Errors
    /// [`MediaUnreachable`]; part of it may be there all the same.
    pub async fn put(&self, object: &str, bytes: Bytes) -> Result<(), MediaUnreachable> {
        let (store, prefix) = self.open()?;
        store.put(&at(prefix, object), bytes.into()).await.map(drop).map_err(unreachable)
    }

    /// Keeps a file of this machine, however long it is; false where there is none.
    ///
    /// # Errors
    /// [`MediaUnreachable`]; part of it may be there all the same.
    pub async fn put_file(&self, object: &str, file: &std::path::Path) -> Result<bool, MediaUnreachable> {
        let failed = |error: std::io::Error| MediaUnreachable(format!("{}: {error}", file.display()));
        let mut source = match tokio::fs::File::open(file).await {
            Ok(source) => source,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let (store, prefix) = self.open()?;
        let mut target = object_store::buffered::BufWriter::new(store.clone(), at(prefix, object));
        tokio::io::copy(&mut source, &mut target).await.map_err(failed)?;
        tokio::io::AsyncWriteExt::shutdown(&mut target).await.map_err(failed)?;
        Ok(true)
    }

    /// How long a file is; `None` where there is none.
    ///
    /// # Errors
    /// [`MediaUnreachable`].
    pub async fn size(&self, object: &str) -> Result<Option<u64>, MediaUnreachable> {
        let (store, prefix) = self.open()?;
        match store.head(&at(prefix, object)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable(error)),
        }
    }

    /// A file, or part of it; `None` where there is none.
    ///
    /// # Errors
    /// [`MediaUnreachable`].
    pub async fn get(&self, object: &str, range: Option<Range<u64>>) -> Result<Option<Piece>, MediaUnreachable> {
        let (store, prefix) = self.open()?;
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        match store.get_opts(&at(prefix, object), options).await {
            Ok(found) => Ok(Some(Piece { bytes: found.into_stream() })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Deletes a file. One that is not there is deleted already.
    ///
    /// # Errors
    /// [`MediaUnreachable`].
    pub async fn delete(&self, object: &str) -> Result<(), MediaUnreachable> {
        let (store, prefix) = self.open()?;
        match store.delete(&at(prefix, object)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unreachable(error)),
        }
    }

    fn open(&self) -> Result<&(Arc<dyn ObjectStore>, Path), MediaUnreachable> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.place.open()?;
        Ok(self.opened.get_or_init(|| opened))
    }
}

impl Place {
    fn open(&self) -> Result<(Arc<dyn ObjectStore>, Path), MediaUnreachable> {
        match self {
            Self::Folder(folder) => {
                // For its owner only, as the database.
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.map_err(|error| MediaUnreachable(format!("{}: {error}", folder.display())))?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(unreachable)?.with_fsync(true);
                Ok((Arc::new(store), Path::default()))
            }
            Self::S3 { bucket, prefix, endpoint, region, login } => {
                let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
                let mut builder = match login {
                    Some((key, secret)) => {
                        AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret.expose_secret())
                    }
                    None => AmazonS3Builder::from_env(),
                };
                builder = builder
                    .with_bucket_name(bucket)
                    .with_region(region)
                    .with_allow_http(is_plain)
                    .with_client_options(ClientOptions::new().with_timeout(PATIENCE).with_allow_http(is_plain))
                    .with_retry(RetryConfig {
                        max_retries: RETRIES,
                        retry_timeout: PATIENCE,
                        ..RetryConfig::default()
                    });
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                Ok((Arc::new(builder.build().map_err(unreachable)?), Path::from(prefix.as_str())))
            }
        }
    }
}

fn at(prefix: &Path, object: &str) -> Path {
    object.split('/').fold(prefix.clone(), |path, part| path.join(part))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreachable(error: object_store::Error) -> MediaUnreachable {
    MediaUnreachable(error.to_string())
}
