//! The whole site, made once. In: pages. Out: documents with their content type and ETag, ready to be served. Never
//! here: HTTP.

use std::collections::BTreeMap;

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::page::Page;
use super::{llms, render};

/// The folder of the guides.
#[derive(RustEmbed)]
#[folder = "../../docs/guides"]
struct Guides;

/// Every document there is.
pub(super) struct Site {
    html: BTreeMap<String, Document>,
    markdown: BTreeMap<String, Document>,
    /// The table of contents for a language model.
    pub llms: Document,
    /// All pages in one text.
    pub llms_full: Document,
    /// What an unknown page shows.
    pub not_found: Document,
}

/// What one address answers.
pub(super) struct Document {
    pub text: String,
    pub content_type: &'static str,
    pub etag: String,
}

impl Site {
    /// The site of the embedded guides.
    pub fn embedded() -> Self {
        Self::new(Self::embedded_pages())
    }

    /// The embedded guides, in no order.
    pub fn embedded_pages() -> Vec<Page> {
        let read = |path: &str| {
            let file = Guides::get(path)?;
            Some(Page::parse(path.strip_suffix(".md")?, &String::from_utf8_lossy(&file.data)))
        };
        Guides::iter().filter_map(|path| read(&path)).collect()
    }

    /// The site of these pages: `index` first, then as `index` links to them, then the others by name.
    pub fn new(mut pages: Vec<Page>) -> Self {
        let order = pages.iter().find(|page| page.name == "index").map(Page::linked_pages).unwrap_or_default();
        pages.sort_by_key(|page| {
            let place = order.iter().position(|name| *name == page.name).unwrap_or(usize::MAX);
            (page.name != "index", place, page.name.clone())
        });
        let html = |page: &Page| (page.name.clone(), Document::html(render::page(page, &pages)));
        let markdown =
            |page: &Page| (page.name.clone(), Document::new(page.markdown.clone(), "text/markdown; charset=utf-8"));
        Self {
            html: pages.iter().map(html).collect(),
            markdown: pages.iter().map(markdown).collect(),
            llms: Document::new(llms::contents(&pages), "text/plain; charset=utf-8"),
            llms_full: Document::new(llms::full(&pages), "text/plain; charset=utf-8"),
            not_found: Document::html(render::not_found(&pages)),
        }
    }

    pub fn html(&self, name: &str) -> Option<&Document> {
        self.html.get(name)
    }

    pub fn markdown(&self, name: &str) -> Option<&Document> {
        self.markdown.get(name)
    }
}

impl Document {
    fn html(text: String) -> Self {
        Self::new(text, "text/html; charset=utf-8")
    }

    fn new(text: String, content_type: &'static str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let etag = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { text, content_type, etag: format!("\"{etag}\"") }
    }
}
