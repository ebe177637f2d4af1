//! The site over HTTP, its parts on pages made up here, and the guides that are really there.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::LOCATION;
use tower::ServiceExt;

use super::page::Page;
use super::*;

async fn fetch(address: &str, if_none_match: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(address).header(IF_NONE_MATCH, if_none_match).body(Body::empty()).unwrap();
    let response = router::<()>().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_first_page_is_there_in_both_forms() {
    let (status, headers, html) = fetch("/docs", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(html.contains("<title>Offhook guides</title>") && html.contains("aria-current=\"page\""), "{html}");
    assert!(!html.contains("{{"), "a place in the frame stayed empty");

    let (status, headers, markdown) = fetch("/docs/index.md", "").await;
    assert_eq!(
        (status, &headers[CONTENT_TYPE]),
        (StatusCode::OK, &HeaderValue::from_static("text/markdown; charset=utf-8"))
    );
    assert!(markdown.starts_with("# Offhook guides\n"));

    for (address, target) in [("/docs/", "/docs"), ("/docs/index", "/docs"), ("/docs.md", "/docs/index.md")] {
        let (status, headers, _) = fetch(address, "").await;
        assert_eq!(
            (status, headers[LOCATION].to_str().unwrap()),
            (StatusCode::PERMANENT_REDIRECT, target),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_page_seen_before_is_not_sent_again() {
    let (_, headers, _) = fetch("/docs", "").await;
    let etag = headers[ETAG].to_str().unwrap();
    for seen in [etag.to_owned(), format!("\"other\", W/{etag}")] {
        let (status, headers, body) = fetch("/docs", &seen).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{seen}");
        assert_eq!(headers[ETAG], etag);
    }
    assert_eq!(fetch("/docs/index.md", etag).await.0, StatusCode::OK, "each form has its own");
}

#[tokio::test]
async fn an_unknown_page_is_404_with_the_list_of_those_there_are() {
    for address in ["/docs/nothing", "/docs/nothing.md", "/docs/..%2fCargo.toml"] {
        let (status, headers, html) = fetch(address, "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{address}");
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(html.contains("no such page") && html.contains("Offhook guides"));
    }
}

#[tokio::test]
async fn language_models_get_contents_and_everything() {
    let (status, headers, text) = fetch("/llms.txt", "").await;
    assert_eq!(
        (status, &headers[CONTENT_TYPE]),
        (StatusCode::OK, &HeaderValue::from_static("text/plain; charset=utf-8"))
    );
    assert!(text.starts_with("# Offhook\n\n> Offhook gives your software a phone"), "{text}");
    assert!(text.contains("\n- [Offhook guides](/docs/index.md): "), "{text}");
    let (status, _, text) = fetch("/llms-full.txt", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("<!-- /docs/index.md -->\n\n# Offhook guides"), "{text}");
}

/// Three pages; the first links to the last before the middle one.
fn pages() -> Vec<Page> {
    let index = "# First & best\n\nAll *about* `it`,\nreally.\n\n[texts](./texts.md#two-words) [calls](calls.md) [out](https://e.org/x.md)";
    let texts = "# Texts\n\n## Two words!\n\n## Two words!\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```bash\ncurl <x>\n```\n\n[back](index.md)";
    vec![Page::parse("calls", "Only text, {{body}}."), Page::parse("index", index), Page::parse("texts", texts)]
}

#[test]
fn a_page_gives_its_title_summary_and_links() {
    let pages = pages();
    assert_eq!(pages[1].title, "First & best");
    assert_eq!(pages[1].summary, "All about it, really.");
    assert_eq!(pages[1].links, ["texts#two-words", "calls"]);
    assert_eq!(pages[2].anchors, ["texts", "two-words", "two-words-1"]);
    assert_eq!((pages[0].title.as_str(), pages[0].summary.as_str()), ("calls", "Only text, {{body}}."));
}

#[test]
fn links_between_pages_work_in_every_form() {
    let site = Site::new(pages());
    let html = &site.html("index").unwrap().text;
    assert!(html.contains("href=\"/docs/texts#two-words\"") && html.contains("href=\"https://e.org/x.md\""), "{html}");
    assert!(html.contains("First &amp; best · Offhook"), "{html}");
    let texts = &site.html("texts").unwrap().text;
    assert!(texts.contains("<a href=\"/docs\">back</a>") && texts.contains("id=\"two-words-1\""), "{texts}");
    assert!(texts.contains("<table>") && texts.contains("<code class=\"language-bash\">curl &lt;x&gt;"), "{texts}");
    assert!(site.markdown("texts").unwrap().text.ends_with("[back](index.md)"));
    assert!(site.llms_full.text.contains("[texts](/docs/texts.md#two-words)"), "{}", site.llms_full.text);
    assert_eq!(site.html("calls").unwrap().text.matches("Only text, {{body}}.").count(), 2, "body and description");
}

#[test]
fn pages_stand_in_the_order_in_which_the_first_one_links_to_them() {
    let contents = Site::new(pages()).llms.text;
    let place = |name: &str| contents.find(&format!("/docs/{name}.md")).unwrap();
    assert!(place("index") < place("texts") && place("texts") < place("calls"), "{contents}");
}

#[test]
fn every_link_between_the_guides_leads_somewhere() {
    let pages = Site::embedded_pages();
    let known = |link: &str| {
        let (name, anchor) = link.split_once('#').unwrap_or((link, ""));
        let page = pages.iter().find(|page| page.name == name);
        page.is_some_and(|page| anchor.is_empty() || page.anchors.iter().any(|known| known == anchor))
    };
    let broken: Vec<String> = pages
        .iter()
        .flat_map(|page| page.links.iter().filter(|link| !known(link)).map(|link| format!("{}.md: {link}", page.name)))
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_guide_has_a_title_and_a_summary() {
    for page in Site::embedded_pages() {
        assert!(page.markdown.starts_with("# "), "{}.md does not begin with its title", page.name);
        assert!(page.summary.len() > 20, "{}.md does not begin with a paragraph on what it is about", page.name);
    }
}
