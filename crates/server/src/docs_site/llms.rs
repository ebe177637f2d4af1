//! The site for language models, after llmstxt.org. In: pages. Out: a table of contents, and all pages in one text.
//! Never here: HTML.

use std::fmt::Write;

use super::page::Page;

/// `/llms.txt`: the title, a summary, and a link to each page's Markdown with what it is about.
pub(super) fn contents(pages: &[Page]) -> String {
    let summary = pages.iter().find(|page| page.name == "index").map_or("", |page| &page.summary);
    let mut text = format!("# Offhook\n\n> {summary}\n\n## Guides\n\n");
    for page in pages {
        // Writing to a String can't fail.
        let _ = writeln!(text, "- [{}](/docs/{}.md): {}", page.title, page.name, page.summary);
    }
    text.push_str("\n## API\n\n- [OpenAPI document](/openapi.json): every call, its fields and its errors\n");
    text.push_str(
        "\n## Optional\n\n- [All guides in one text](/llms-full.txt): the pages above, one after the other\n",
    );
    text
}

/// `/llms-full.txt`: all pages, each under its address, with links that work from there.
pub(super) fn full(pages: &[Page]) -> String {
    let mut text = String::new();
    for page in pages {
        let mut markdown = page.markdown.trim().to_owned();
        for other in pages {
            for relative in ["", "./"] {
                markdown =
                    markdown.replace(&format!("]({relative}{}.md", other.name), &format!("](/docs/{}.md", other.name));
            }
        }
        let _ = write!(text, "<!-- /docs/{}.md -->\n\n{markdown}\n\n", page.name);
    }
    text
}
