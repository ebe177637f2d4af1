//! The frame around a page. In: a page's body, and all pages for the list of them. Out: one HTML document that loads
//! nothing else. Never here: Markdown.

use super::page::Page;

const FRAME: &str = include_str!("frame.html");

/// A guide in its frame.
pub(super) fn page(page: &Page, pages: &[Page]) -> String {
    let also = format!(r#"<a href="/docs/{}.md">This page as Markdown</a>"#, escape(&page.name));
    frame(&page.title, &page.summary, &navigation(pages, &page.name), &page.html, &also)
}

/// What an unknown address shows.
pub(super) fn not_found(pages: &[Page]) -> String {
    let body = "<h1>There is no such page</h1><p>The guides there are stand beside this text, and <a href=\"/docs\">here is the first</a>.</p>";
    frame("There is no such page", "", &navigation(pages, ""), body, "")
}

fn navigation(pages: &[Page], current: &str) -> String {
    let item = |page: &Page| {
        let address = if page.name == "index" { "/docs".to_owned() } else { format!("/docs/{}", escape(&page.name)) };
        let here = if page.name == current { r#" aria-current="page""# } else { "" };
        format!(r#"<li><a href="{address}"{here}>{}</a></li>"#, escape(&page.title))
    };
    pages.iter().map(item).collect()
}

/// Puts the values into the frame's `{{places}}`, in one pass: a guide may contain such a word itself.
fn frame(title: &str, summary: &str, navigation: &str, body: &str, also: &str) -> String {
    let title = if title.starts_with("Offhook") { escape(title) } else { format!("{} · Offhook", escape(title)) };
    let summary = escape(summary);
    let mut document = String::with_capacity(FRAME.len() + body.len() + 4096);
    for part in FRAME.split("{{") {
        let (place, text) = part.split_once("}}").unwrap_or(("", part));
        document.push_str(match place {
            "title" => &title,
            "summary" => &summary,
            "navigation" => navigation,
            "body" => body,
            "also" => also,
            _ => "",
        });
        document.push_str(text);
    }
    document
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
