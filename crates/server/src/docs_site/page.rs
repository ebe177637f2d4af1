//! One guide. In: Markdown. Out: its title, summary, links and body in HTML. Never here: the frame around the body
//! (`render.rs`).

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// A guide, parsed once.
pub(super) struct Page {
    /// The file's name without `.md`, which is the last part of its address.
    pub name: String,
    /// The first heading, as plain text.
    pub title: String,
    /// The first paragraph, as plain text on one line.
    pub summary: String,
    /// The text as it was written.
    pub markdown: String,
    /// The body in HTML, with links that work under any address.
    pub html: String,
    /// `page` or `page#heading` of every link to another guide.
    pub links: Vec<String>,
    /// The ids of its headings.
    pub anchors: Vec<String>,
}

impl Page {
    pub fn parse(name: &str, markdown: &str) -> Self {
        let mut page = Self {
            name: name.to_owned(),
            title: String::new(),
            summary: String::new(),
            markdown: markdown.to_owned(),
            html: String::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM;
        let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, options).collect();
        page.title = text_of_first(&events, |tag| matches!(tag, Tag::Heading { level: HeadingLevel::H1, .. }))
            .unwrap_or_else(|| name.to_owned());
        page.summary = text_of_first(&events, |tag| matches!(tag, Tag::Paragraph)).unwrap_or_default();
        page.name_headings(&mut events);
        page.turn_links(&mut events);
        html::push_html(&mut page.html, events.into_iter());
        page
    }

    /// The other guides that this one links to, in order.
    pub fn linked_pages(&self) -> Vec<String> {
        self.links.iter().filter_map(|link| link.split('#').next()).map(str::to_owned).collect()
    }

    /// Gives each heading the id that GitHub would, so that a link to it works in both places.
    fn name_headings(&mut self, events: &mut [Event<'_>]) {
        let mut used: HashMap<String, usize> = HashMap::new();
        for at in 0..events.len() {
            if !matches!(events[at], Event::Start(Tag::Heading { .. })) {
                continue;
            }
            let slug = slug(&text_until_end(&events[at + 1..]));
            let again = used.entry(slug.clone()).or_insert(0);
            let anchor = if *again == 0 { slug } else { format!("{slug}-{again}") };
            *again += 1;
            if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
                *id = Some(CowStr::from(anchor.clone()));
            }
            self.anchors.push(anchor);
        }
    }

    /// `calls.md#ending` becomes `/docs/calls#ending`: right from `/docs` too, where a relative address would not be.
    fn turn_links(&mut self, events: &mut [Event<'_>]) {
        for event in events {
            if let Event::Start(Tag::Link { dest_url, .. }) = event
                && let Some((page, anchor)) = guide_link(dest_url)
            {
                let address = if page == "index" { "/docs".to_owned() } else { format!("/docs/{page}") };
                self.links.push(format!("{page}{anchor}"));
                *dest_url = CowStr::from(format!("{address}{anchor}"));
            }
        }
    }
}

/// Splits a link to another guide, `name.md` or `name.md#heading`, into the guide's name and `#heading`.
fn guide_link(target: &str) -> Option<(String, String)> {
    let (file, anchor) = target.split_at(target.find('#').unwrap_or(target.len()));
    let name = file.strip_prefix("./").unwrap_or(file).strip_suffix(".md")?;
    let flat = !name.contains(['/', ':']) && !name.is_empty();
    flat.then(|| (name.to_owned(), anchor.to_owned()))
}

/// GitHub's rule: lower case, spaces to hyphens, everything but letters, digits, hyphens and underscores dropped.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn text_of_first(events: &[Event<'_>], wanted: impl Fn(&Tag<'_>) -> bool) -> Option<String> {
    let start = events.iter().position(|event| matches!(event, Event::Start(tag) if wanted(tag)))?;
    Some(text_until_end(&events[start + 1..]))
}

/// The plain text up to the end of the paragraph or heading that `events` begins in.
fn text_until_end(events: &[Event<'_>]) -> String {
    let inside = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Paragraph | TagEnd::Heading(_))));
    inside.fold(String::new(), |text, event| match event {
        Event::Text(part) | Event::Code(part) => text + part,
        Event::SoftBreak | Event::HardBreak => text + " ",
        _ => text,
    })
}
