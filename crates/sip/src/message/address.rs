//! Names with addresses (To, From, Contact, Route, Record-Route, Refer-To) and the parameters that follow them.

use std::fmt::{self, Write as _};

use super::scan::{Scanner, is_token, is_token_char, split_list, write_quoted};
use super::{Malformed, Uri};

const BAD_PARAMETER: Malformed = Malformed("Bad Parameter");

/// `"Display" <uri>;param=value`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// For people.
    pub display: Option<String>,
    /// Who.
    pub uri: Uri,
    /// Of the header field, not of the URI.
    pub params: Params,
}

/// The parameters of a header field, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<Param>);

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Compared without case.
    pub name: String,
    /// `;lr` has none.
    pub value: Option<ParamValue>,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamValue {
    /// A token or a host.
    Token(String),
    /// What stands between the quotes.
    Quoted(String),
}

impl ParamValue {
    /// The text, however it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Token(text) | Self::Quoted(text) => text,
        }
    }
}

impl Params {
    /// Reads `;name=value` until something else comes.
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Self, Malformed> {
        let mut params = Vec::new();
        while scanner.separator(';') {
            let name = scanner.token(BAD_PARAMETER)?.to_owned();
            let value = if !scanner.separator('=') {
                None
            } else if scanner.peek() == Some('"') {
                Some(ParamValue::Quoted(scanner.quoted(BAD_PARAMETER)?))
            } else {
                match scanner.run(|c| is_token_char(c) || "[]:".contains(c)) {
                    "" => return Err(BAD_PARAMETER),
                    text => Some(ParamValue::Token(text.to_owned())),
                }
            };
            params.push(Param { name, value });
        }
        Ok(Self(params))
    }

    /// `None` if absent, `Some("")` without a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let param = self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))?;
        Some(param.value.as_ref().map(ParamValue::as_str).unwrap_or_default())
    }

    /// Puts a parameter in place of the one of this name, or at the end. What is no token is quoted.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(|text| {
            if !text.is_empty() && text.chars().all(|c| is_token_char(c) || "[]:".contains(c)) {
                ParamValue::Token(text.to_owned())
            } else {
                ParamValue::Quoted(text.to_owned())
            }
        });
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: name.to_owned(), value }),
        }
    }

    /// Takes a parameter away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|param| !param.name.eq_ignore_ascii_case(name));
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Param { name, value } in &self.0 {
            write!(f, ";{name}")?;
            match value {
                None => {}
                Some(ParamValue::Token(text)) => write!(f, "={text}")?,
                Some(ParamValue::Quoted(text)) => {
                    let mut quoted = String::new();
                    write_quoted(&mut quoted, text);
                    write!(f, "={quoted}")?;
                }
            }
        }
        Ok(())
    }
}

impl NameAddr {
    /// An address without a name.
    #[must_use]
    pub fn new(uri: impl Into<Uri>) -> Self {
        Self { display: None, uri: uri.into(), params: Params::default() }
    }

    /// The same with a name.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> Self {
        self.display = Some(display.to_owned());
        self
    }

    /// The same with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    /// `;tag=`, this side's half of a dialog's name.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Reads one, and nothing after it.
    ///
    /// # Errors
    /// `otherwise`, where the grammar does not allow it.
    pub fn parse(text: &str, otherwise: Malformed) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(text);
        scanner.white_space();
        let name_addr = Self::read(&mut scanner).map_err(|_| otherwise)?;
        scanner.end(otherwise)?;
        Ok(name_addr)
    }

    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Bad Address");
        let display = read_display(scanner)?;
        let uri = if scanner.exactly('<') {
            let uri = Uri::parse(scanner.run(|c| c != '>'))?;
            if !scanner.exactly('>') {
                return Err(BAD);
            }
            uri
        } else {
            if display.is_some() {
                return Err(BAD);
            }
            // Without brackets the URI ends where a parameter of the header field begins, and may hold no header (§20.10).
            let text = scanner.run(|c| !" \t;,".contains(c));
            if text.contains('?') {
                return Err(BAD);
            }
            Uri::parse(text)?
        };
        Ok(Self { display, uri, params: Params::read(scanner)? })
    }

    /// Reads a list that may be written in one field or in several.
    ///
    /// # Errors
    /// `otherwise`, where one of them is malformed.
    pub fn parse_list(value: &str, otherwise: Malformed) -> Result<Vec<Self>, Malformed> {
        split_list(value).into_iter().map(|part| Self::parse(part, otherwise)).collect()
    }
}

/// A quoted name, or tokens up to the bracket. Nothing is taken where an address without brackets stands.
fn read_display(scanner: &mut Scanner<'_>) -> Result<Option<String>, Malformed> {
    const BAD: Malformed = Malformed("Bad Display Name");
    if scanner.peek() == Some('"') {
        let text = scanner.quoted(BAD)?;
        scanner.white_space();
        return if scanner.peek() == Some('<') { Ok(Some(text)) } else { Err(BAD) };
    }
    let mut ahead = *scanner;
    let mut words = Vec::new();
    loop {
        match ahead.run(is_token_char) {
            "" => break,
            word => words.push(word),
        }
        ahead.white_space();
    }
    if ahead.peek() != Some('<') {
        return Ok(None);
    }
    *scanner = ahead;
    Ok((!words.is_empty()).then(|| words.join(" ")))
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let mut quoted = String::new();
            write_quoted(&mut quoted, display);
            write!(f, "{quoted} ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// The Contact fields of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `*`, which takes all registrations away.
    Any,
    /// In order of the fields.
    List(Vec<NameAddr>),
}

impl Contacts {
    pub(super) fn parse(values: &[&str]) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Bad Contact");
        if values.iter().any(|value| value.trim() == "*") {
            return if values.len() == 1 { Ok(Self::Any) } else { Err(BAD) };
        }
        let mut list = Vec::new();
        for value in values {
            list.append(&mut NameAddr::parse_list(value, BAD)?);
        }
        Ok(Self::List(list))
    }

    /// The only one of a message that makes or refreshes a dialog.
    #[must_use]
    pub fn only(&self) -> Option<&NameAddr> {
        match self {
            Self::List(list) if list.len() == 1 => list.first(),
            _ => None,
        }
    }
}

/// `name=value` pairs separated by commas, as in the authentication fields.
pub(crate) fn auth_params(value: &str) -> Result<Params, Malformed> {
    const BAD: Malformed = Malformed("Bad Credentials");
    let mut params = Vec::new();
    for part in split_list(value) {
        let mut scanner = Scanner::new(part);
        let name = scanner.token(BAD)?.to_owned();
        if !scanner.separator('=') {
            return Err(BAD);
        }
        let value = if scanner.peek() == Some('"') {
            ParamValue::Quoted(scanner.quoted(BAD)?)
        } else {
            ParamValue::Token(scanner.run(|c| !" \t,\"".contains(c)).to_owned())
        };
        scanner.end(BAD)?;
        if value == ParamValue::Token(String::new()) {
            return Err(BAD);
        }
        params.push(Param { name, value: Some(value) });
    }
    Ok(Params(params))
}

/// `name="text", name=token`, as the authentication fields are written.
pub(crate) fn write_auth_params(params: &Params) -> String {
    let mut out = String::new();
    for Param { name, value } in &params.0 {
        if !out.is_empty() {
            out.push_str(", ");
        }
        let _ = write!(out, "{name}=");
        match value {
            Some(ParamValue::Quoted(text)) => write_quoted(&mut out, text),
            Some(ParamValue::Token(text)) => out.push_str(text),
            None => {}
        }
    }
    debug_assert!(params.0.iter().all(|param| is_token(&param.name)));
    out
}
