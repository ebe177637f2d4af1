//! `[media]`: files that go with messages. In: the reader. Out: the checked section. Never here: fetching or keeping any.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Reader;
use super::process::web_url;

/// `[media]`
#[derive(Debug)]
pub struct Media {
    /// Whether files are fetched at all.
    pub fetch: bool,
    /// Where they are kept.
    pub store: MediaPlace,
    /// The largest file.
    pub max_bytes: usize,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// Waits before further tries; after the last one it is given up.
    pub retries: Vec<Duration>,
    /// Files fetched at a time.
    pub concurrency: usize,
    /// What a customer may send.
    pub content_types: Vec<ContentTypes>,
    /// How long links hold, at least.
    pub link: Duration,
}

/// Where files are kept.
#[derive(Debug)]
pub enum MediaPlace {
    /// In the data folder.
    Folder,
    S3(S3),
}

/// A bucket of a store that speaks S3.
#[derive(Debug)]
pub struct S3 {
    pub bucket: String,
    /// Without slashes around it; may be empty.
    pub prefix: String,
    /// None: Amazon's.
    pub endpoint: Option<Url>,
    pub region: String,
    /// None: as the environment says, such as an instance's role.
    pub login: Option<(String, SecretString)>,
}

/// One type of files, or all of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentTypes {
    family: String,
    /// None: any.
    kind: Option<String>,
}

impl ContentTypes {
    fn parse(text: &str) -> Option<Self> {
        let (family, kind) = text.split_once('/')?;
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b"0123456789.+-_".contains(&b))
        };
        let kind = (kind != "*").then(|| kind.to_owned());
        let good = is_token(family) && kind.as_deref().is_none_or(is_token);
        good.then(|| Self { family: family.to_owned(), kind })
    }

    /// Whether a type, in small letters and without parameters, is one of these.
    #[must_use]
    pub fn has(&self, content_type: &str) -> bool {
        let named = content_type.split_once('/');
        named.is_some_and(|(family, kind)| family == self.family && self.kind.as_deref().is_none_or(|one| one == kind))
    }
}

impl Media {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let types = "must be a list of types like \"image/*\" or \"application/pdf\", in small letters";
        Self {
            fetch: reader.boolean("media.fetch"),
            store: place(reader),
            max_bytes: reader.count("media.max_bytes", 1_024..=104_857_600),
            timeout: reader.seconds("media.timeout_seconds", 1..=300),
            retries: reader.waits("media.retry_seconds", 1..=20),
            concurrency: reader.count("media.concurrency", 1..=1_000),
            content_types: reader.each("media.content_types", types, ContentTypes::parse),
            link: Duration::from_secs(3_600) * reader.integer("media.link_hours", 1..=8_760),
        }
    }
}

fn place(reader: &mut Reader) -> MediaPlace {
    let bucket = bucket(reader, "media.store");
    let endpoint = reader.optional("media.s3_endpoint", "must be an http or https URL", web_url);
    let name = |text: &str| (1..=100).contains(&text.len()).then(|| text.to_owned());
    let region = reader.required("media.s3_region", "must be 1 to 100 characters", name).unwrap_or_default();
    let key = reader.optional("media.s3_access_key_id", "must be 1 to 100 characters", name);
    let secret = reader.referenced_or_none("media.s3_secret_access_key");
    if key.is_some() != secret.is_some() {
        reader.refuse::<()>("media.s3_secret_access_key", "must be set with media.s3_access_key_id, or neither", None);
    }
    match bucket {
        Some((bucket, prefix)) => MediaPlace::S3(S3 { bucket, prefix, endpoint, region, login: key.zip(secret) }),
        None => MediaPlace::Folder,
    }
}

/// A bucket and the prefix in it.
fn bucket(reader: &mut Reader, key: &str) -> Option<(String, String)> {
    reader.optional(key, "must be \"s3://bucket\" or \"s3://bucket/prefix\"", |text| {
        let (bucket, prefix) = text.strip_prefix("s3://")?.split_once('/').unwrap_or((text.strip_prefix("s3://")?, ""));
        (!bucket.is_empty()).then(|| (bucket.to_owned(), prefix.trim_matches('/').to_owned()))
    })
}
