//! Reads a file of numbers: CSV (RFC 4180) with a line of names first. In: its text. Out: a row for each number, or every line
//! that is wrong.

use std::collections::HashMap;

use offhook_domain::{Country, E164};

use crate::app::operator::StockRow;

/// The names that a column may have.
const COLUMNS: [(&str, &[&str]); 6] = [
    ("number", &["number", "phone_number", "did", "tn"]),
    ("country", &["country"]),
    ("city", &["city", "locality"]),
    ("region", &["state", "region", "province"]),
    ("postal_code", &["zip", "postal_code", "postcode"]),
    ("rate_center", &["rate_center", "ratecenter", "rate_centre"]),
];
/// Errors that are told.
const MOST_ERRORS: usize = 20;

/// # Errors
/// What is wrong, line by line.
pub(crate) fn read(text: &str) -> Result<Vec<StockRow>, Vec<String>> {
    let (records, unclosed) = records(text.trim_start_matches('\u{feff}'));
    if let Some(line) = unclosed {
        return Err(vec![format!("line {line}: a quote is not closed")]);
    }
    let mut lines = records.into_iter();
    let Some((_, head)) = lines.next() else { return Err(vec!["the file is empty".to_owned()]) };
    let columns = columns(&head).map_err(first_of)?;
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut seen: HashMap<E164, usize> = HashMap::new();
    for (line, fields) in lines {
        if fields.len() != head.len() {
            errors.push(format!("line {line}: has {} fields, and line 1 names {}", fields.len(), head.len()));
            continue;
        }
        match row(&columns, &fields) {
            Ok(row) => match seen.insert(row.number.clone(), line) {
                Some(before) => errors.push(format!("line {line}: the number is in line {before} already")),
                None => rows.push(row),
            },
            Err(why) => errors.push(format!("line {line}: {why}")),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(first_of(errors)) }
}

/// Those that are told, and how many are not.
fn first_of(mut errors: Vec<String>) -> Vec<String> {
    if errors.len() > MOST_ERRORS {
        let more = errors.len() - MOST_ERRORS;
        errors.truncate(MOST_ERRORS);
        errors.push(format!("and {more} more"));
    }
    errors
}

/// Which column has what.
fn columns(head: &[String]) -> Result<HashMap<&'static str, usize>, Vec<String>> {
    let (mut columns, mut errors) = (HashMap::new(), Vec::new());
    for (place, name) in head.iter().enumerate() {
        let name = name.trim().to_lowercase().replace([' ', '-'], "_");
        match COLUMNS.iter().find(|(_, names)| names.contains(&name.as_str())) {
            Some((column, _)) if columns.insert(*column, place).is_some() => {
                errors.push(format!("line 1: there are two columns of {column}"));
            }
            Some(_) => {}
            None => errors.push(format!("line 1: no column is called {name:?}")),
        }
    }
    if !columns.contains_key("number") {
        errors.push("line 1: must name a column \"number\"".to_owned());
    }
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

fn row(columns: &HashMap<&'static str, usize>, fields: &[String]) -> Result<StockRow, String> {
    let field = |column: &str| {
        let text = fields.get(*columns.get(column)?)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let country = field("country").map(|text| Country::parse(&text).map_err(|error| format!("the country {error}")));
    let country = country.transpose()?;
    let number = field("number").ok_or("has no number")?;
    let number =
        E164::parse_in(&number, country.unwrap_or(Country::US)).map_err(|error| format!("the number {error}"))?;
    let of_number = number.country();
    if country.is_some_and(|country| !number.may_be_of(country)) {
        let told = of_number.map_or_else(|| "another country".to_owned(), |country| country.to_string());
        return Err(format!("the number is one of {told}"));
    }
    let country = country.or(of_number).ok_or("the number's country is not known: say it")?;
    let region = field("region");
    let is_code = |region: &String| region.len() == 2 && region.bytes().all(|b| b.is_ascii_alphabetic());
    if has_codes(country) && !region.as_ref().is_none_or(is_code) {
        return Err("the state must have two letters, such as CA".to_owned());
    }
    Ok(StockRow {
        country: country.to_string(),
        number,
        city: field("city"),
        // As it is searched for.
        region: if has_codes(country) { region.map(|region| region.to_ascii_uppercase()) } else { region },
        postal_code: field("postal_code"),
        rate_center: field("rate_center"),
    })
}

/// Whether states are searched by codes of two letters.
fn has_codes(country: Country) -> bool {
    [Country::US, Country::CA].contains(&country)
}

/// A record, and the line it begins in.
type Record = (usize, Vec<String>);

/// The records, and the line of the first quote that is never closed. Empty lines are none.
fn records(text: &str) -> (Vec<Record>, Option<usize>) {
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begun, mut quoted, mut opened) = (1, 1, false, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => {
                quoted = !quoted;
                opened = line;
            }
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' => {
                line += 1;
                if quoted {
                    field.push(c);
                    continue;
                }
                end(&mut records, begun, &mut fields, &mut field);
                begun = line;
            }
            c => field.push(c),
        }
    }
    end(&mut records, begun, &mut fields, &mut field);
    (records, quoted.then_some(opened))
}

fn end(records: &mut Vec<Record>, begun: usize, fields: &mut Vec<String>, field: &mut String) {
    fields.push(std::mem::take(field));
    let fields = std::mem::take(fields);
    if fields.iter().any(|field| !field.trim().is_empty()) {
        records.push((begun, fields));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_quotes_are_read() {
        let text = "\u{feff}Rate Center,DID,State,city\r\n\"SNFC CNTRL, CA\",(415) 555-0100,CA,\"San \"\"F\"\"\"\r\n\r\n,+442079460000,,\n";
        let rows = read(text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].number.as_str(), "+14155550100");
        assert_eq!(rows[0].rate_center.as_deref(), Some("SNFC CNTRL, CA"));
        assert_eq!((rows[0].city.as_deref(), rows[0].region.as_deref()), (Some("San \"F\""), Some("CA")));
        assert_eq!((rows[1].country.as_str(), rows[1].city.as_deref()), ("GB", None));
    }

    #[test]
    fn every_bad_line_is_named() {
        let text = "number,country\n+14155550100,US\nnonsense,US\n+14155550100,US\n+14155550101,Oz\n,US\n";
        let errors = read(text).unwrap_err();
        let begins: Vec<&str> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
        assert_eq!(begins, ["line 3", "line 4", "line 5", "line 6"]);
        let text = "number,country,state\n+14155550100,GB,\n+14155550101,US\n+14155550102,US,CA,x\n\
            +14155550103,US,California\n+14155550104,,ca\n";
        let begins: Vec<String> = read(text).unwrap_err().into_iter().map(|error| error[..6].to_owned()).collect();
        assert_eq!(begins, ["line 2", "line 3", "line 4", "line 5"]);
        let unclosed = "number,city\n+14155550100,\"San\n+14155550101,LA\n";
        assert_eq!(read(unclosed).unwrap_err(), ["line 2: a quote is not closed"]);
        assert!(read("").is_err());
        assert_eq!(read("phone,colour\n").unwrap_err().len(), 3);
        assert!(read("number\n").unwrap().is_empty());
    }
}
