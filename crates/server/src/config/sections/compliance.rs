//! What law and carriers ask for: opt-outs and guard rails. In: the reader. Out: checked sections. Never here: what follows
//! from them.

use std::collections::BTreeMap;
use std::time::Duration;

use offhook_domain::Country;
use offhook_domain::guards::{FloodLimit, LoopRule};
use offhook_domain::opt_out::{FIRST_LANGUAGE, Keyword, Keywords, can_be_keyword};

use super::Reader;

/// `[opt_out]`
#[derive(Debug)]
pub struct OptOut {
    /// What an opt-out reaches to.
    pub reach: OptOutReach,
    /// All that are known.
    pub keywords: Keywords,
    /// By language.
    pub stop_answers: BTreeMap<String, String>,
    /// By language.
    pub start_answers: BTreeMap<String, String>,
    /// By language.
    pub help_answers: BTreeMap<String, String>,
    /// HELP is answered once in so long.
    pub help_again: Duration,
}

/// Whom somebody who opts out hears nothing more from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptOutReach {
    /// The number that was texted.
    #[default]
    Number,
    /// All numbers of its account.
    Account,
}

type Tagged = (String, String);

impl OptOut {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let reach = |text: &str| match text {
            "number" => Some(OptOutReach::Number),
            "account" => Some(OptOutReach::Account),
            _ => None,
        };
        let reach = reader.required("opt_out.scope", "must be \"number\" or \"account\"", reach).unwrap_or_default();
        let stop = words(reader, "opt_out.stop_words");
        let start = words(reader, "opt_out.start_words");
        let help = words(reader, "opt_out.help_words");
        let all = [(Keyword::Stop, &stop), (Keyword::Start, &start), (Keyword::Help, &help)];
        let each = |(keyword, words): (Keyword, &Vec<Tagged>)| {
            words.iter().map(move |(language, word)| (keyword, language.clone(), word.clone())).collect::<Vec<_>>()
        };
        let more: Vec<_> = all.into_iter().flat_map(each).collect();
        let keywords = Keywords::new(more.iter().map(|(keyword, language, word)| (*keyword, &**language, &**word)));
        Self {
            reach,
            stop_answers: answers(reader, "opt_out.stop_answers", &keywords),
            start_answers: answers(reader, "opt_out.start_answers", &keywords),
            help_answers: answers(reader, "opt_out.help_answers", &keywords),
            help_again: reader.seconds("opt_out.help_again_seconds", 1..=86_400),
            keywords,
        }
    }
}

fn words(reader: &mut Reader, key: &str) -> Vec<Tagged> {
    let rule = "must be a list of words like \"es:ALTO\", each of at most 40 characters behind its language";
    reader.each(key, rule, |text| tagged(text).filter(|(_, word)| can_be_keyword(word)))
}

/// An answer that is itself a keyword would be answered by the platform at the other end.
fn answers(reader: &mut Reader, key: &str, keywords: &Keywords) -> BTreeMap<String, String> {
    let rule = "must be a list of texts like \"en:You are unsubscribed.\", of 1 to 480 characters and no keyword, one in \"en\"";
    let good = |text: &String| (1..=480).contains(&text.chars().count()) && keywords.read(text).is_none();
    let read = reader.each(key, rule, |text| tagged(text).filter(|(_, text)| good(text)));
    let read: BTreeMap<_, _> = read.into_iter().collect();
    if !read.is_empty() && !read.contains_key(FIRST_LANGUAGE) {
        return reader.refuse(key, rule, None);
    }
    read
}

fn tagged(text: &str) -> Option<Tagged> {
    let (language, rest) = text.split_once(':')?;
    let is_tag = (2..=10).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_tag.then(|| (language.to_ascii_lowercase(), rest.trim().to_owned()))
}

/// `[guards]`
#[derive(Debug)]
pub struct Guards {
    /// Micro-dollars that an account may spend a day; 0 for no limit.
    pub daily_spend_micros: i64,
    /// To one destination.
    pub flood: FloodLimit,
    /// When two machines talk in circles.
    pub circle: LoopRule,
    /// Whether floods and circles are stopped in a sandbox too.
    pub in_sandbox: bool,
    /// Beginnings of numbers that are sent nothing.
    pub blocked_prefixes: Vec<String>,
    /// The only countries that are; none for all.
    pub allowed_countries: Vec<Country>,
}

impl Guards {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        const MANY: u32 = 1_000_000_000;
        let prefixes = "must be a list of beginnings of numbers like \"+1900\"";
        let prefix = |text: &str| {
            let digits = text.strip_prefix('+')?;
            let good = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            good.then(|| text.to_owned())
        };
        let countries = "must be a list of ISO 3166-1 codes like \"US\"";
        Self {
            daily_spend_micros: reader.integer("guards.daily_spend_micros", 0..=u32::MAX).into(),
            flood: FloodLimit {
                per_minute: reader.integer("guards.per_destination_per_minute", 0..=MANY).into(),
                per_hour: reader.integer("guards.per_destination_per_hour", 0..=MANY).into(),
            },
            circle: LoopRule {
                answers: reader.integer("guards.loop_answers", 0..=1_000_000).into(),
                within: reader.seconds("guards.loop_seconds", 1..=86_400),
            },
            in_sandbox: reader.boolean("guards.in_sandbox"),
            blocked_prefixes: reader.each("guards.blocked_prefixes", prefixes, prefix),
            allowed_countries: reader.each("guards.allowed_countries", countries, |text| Country::parse(text).ok()),
        }
    }
}
