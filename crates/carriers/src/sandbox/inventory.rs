//! The numbers the sandbox sells: fictitious ones, from the two tables beside this file.
//!
//! In: what somebody looks for. Out: numbers that nobody bought. Which are sold is asked of the world.

use std::sync::LazyLock;

use offhook_domain::{Country, E164};

use super::world::{SandboxWorld, WorldError};
use crate::{AvailableNumber, NumberSearch};

static RANGES: LazyLock<Vec<Range>> = LazyLock::new(|| {
    let area_codes = include_str!("area_codes.csv").lines().skip(1).filter_map(Range::of_area_code);
    let foreign = include_str!("foreign_numbers.csv").lines().skip(1).filter_map(Range::of_foreign_row);
    area_codes.chain(foreign).collect()
});

/// Numbers of an area code on offer: 555-0100 to 555-0199.
const PER_AREA_CODE: u64 = 100;
/// How many numbers the world is asked about at a time.
const ASKED: usize = 60;

/// What happens to somebody who buys a number (README, "Numbers that fail to be bought").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sale {
    /// It is sold, unless it was.
    Plain,
    /// The carrier has no such number.
    NotOurs,
    /// The carrier fails, and nothing is sold.
    Fails,
    /// The answer is lost, and nothing is sold.
    LostUnsold,
    /// The answer is lost, but the number is sold.
    LostSold,
}

/// Consecutive numbers of one place.
struct Range {
    country: Country,
    /// The first number's digits, without `+`.
    first: u64,
    count: u64,
    city: Option<&'static str>,
    region: Option<&'static str>,
    area_code: Option<&'static str>,
    postal_code: Option<&'static str>,
}

/// Numbers that match a search and are not sold, at most as many as it asks for: one of each place, then a
/// second of each, and so on. The same search finds the same until something is sold.
pub(super) async fn search(world: &dyn SandboxWorld, query: &NumberSearch) -> Result<Vec<AvailableNumber>, WorldError> {
    let mut offers = offers(query);
    let mut found = Vec::new();
    while found.len() < query.limit {
        let mut some: Vec<AvailableNumber> = offers.by_ref().take(ASKED).collect();
        if some.is_empty() {
            break;
        }
        let numbers: Vec<E164> = some.iter().map(|offer| offer.phone_number.clone()).collect();
        let sold = world.sold_among(&numbers).await?;
        some.retain(|offer| !sold.contains(&offer.phone_number));
        found.append(&mut some);
    }
    found.truncate(query.limit);
    Ok(found)
}

/// All numbers that match, in the order of the search.
fn offers(query: &NumberSearch) -> Box<dyn Iterator<Item = AvailableNumber> + Send> {
    let ranges: Vec<&Range> = RANGES.iter().filter(|range| range.matches(query)).collect();
    let longest = ranges.iter().map(|range| range.count).max().unwrap_or(0);
    let nth_of_each = move |nth| ranges.iter().filter_map(|range| range.offer(nth)).collect::<Vec<_>>();
    Box::new((0..longest).flat_map(nth_of_each))
}

/// What buying this number comes to.
pub(super) fn sale_of(number: &E164) -> Sale {
    let Some(digits) = number.as_str().strip_prefix('+').and_then(|digits| digits.parse::<u64>().ok()) else {
        return Sale::NotOurs;
    };
    let Some(range) = RANGES.iter().find(|range| (range.first..range.first + range.count).contains(&digits)) else {
        return Sale::NotOurs;
    };
    range.sale(digits - range.first)
}

impl Range {
    /// `area_code,city,region,country,zip`
    fn of_area_code(row: &'static str) -> Option<Self> {
        let [area_code, city, region, country, zip] = columns(row)?;
        Some(Self {
            country: Country::parse(country).ok()?,
            first: format!("1{area_code}5550100").parse().ok()?,
            count: PER_AREA_CODE,
            city: Some(city),
            region: Some(region),
            area_code: Some(area_code),
            postal_code: Some(zip),
        })
    }

    /// `country,first,count,city,region`
    fn of_foreign_row(row: &'static str) -> Option<Self> {
        let [country, first, count, city, region] = columns(row)?;
        Some(Self {
            country: Country::parse(country).ok()?,
            first: first.strip_prefix('+')?.parse().ok()?,
            count: count.parse().ok()?,
            city: Some(city).filter(|city| !city.is_empty()),
            region: Some(region).filter(|region| !region.is_empty()),
            area_code: None,
            postal_code: None,
        })
    }

    /// What buying the number with this place in the range comes to.
    fn sale(&self, nth: u64) -> Sale {
        match nth {
            96 if self.area_code.is_some() => Sale::Fails,
            97 if self.area_code.is_some() => Sale::LostUnsold,
            98 if self.area_code.is_some() => Sale::LostSold,
            _ => Sale::Plain,
        }
    }

    fn matches(&self, query: &NumberSearch) -> bool {
        let same = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted.trim())))
        };
        self.country == query.country
            && same(&query.area_code, self.area_code)
            && same(&query.city, self.city)
            && same(&query.region, self.region)
            && query.postal_code.as_deref().is_none_or(|wanted| self.is_near(wanted))
    }

    /// The first three characters of a postal code name the neighbourhood, in the US and in Canada.
    fn is_near(&self, postal_code: &str) -> bool {
        let neighbourhood = |code: &str| code.trim().get(..3).map(str::to_ascii_uppercase);
        let wanted = neighbourhood(postal_code);
        wanted.is_some() && wanted == self.postal_code.and_then(neighbourhood)
    }

    /// The number with this place in the range, where there is one and it can be bought.
    fn offer(&self, nth: u64) -> Option<AvailableNumber> {
        let phone_number = (nth < self.count).then(|| E164::parse(&format!("+{}", self.first + nth)).ok()).flatten()?;
        (self.sale(nth) == Sale::Plain).then(|| AvailableNumber {
            phone_number,
            city: self.city.map(str::to_owned),
            region: self.region.map(str::to_owned),
            rate_center: self.city.map(str::to_uppercase),
            area_code: self.area_code.map(str::to_owned),
        })
    }
}

fn columns<const N: usize>(row: &'static str) -> Option<[&'static str; N]> {
    let columns: Vec<&str> = row.trim_end().split(',').collect();
    columns.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use offhook_domain::{PurchaseId, Timestamp};

    use super::super::world::{AirPayload, HandsetMessage};
    use super::*;

    /// A world in which some numbers are sold and nothing else happens.
    #[derive(Default)]
    struct Sold(Mutex<Vec<E164>>);

    #[async_trait]
    impl SandboxWorld for Sold {
        async fn sell(&self, _: &super::super::world::Sale) -> Result<bool, WorldError> {
            unreachable!("nothing is bought here")
        }

        async fn sold_under(&self, _: &PurchaseId) -> Result<Option<E164>, WorldError> {
            unreachable!("nothing is bought here")
        }

        async fn sold_among(&self, numbers: &[E164]) -> Result<Vec<E164>, WorldError> {
            Ok(self.0.lock().unwrap().iter().filter(|sold| numbers.contains(sold)).cloned().collect())
        }

        async fn take_back(&self, _: &E164, _: Option<&PurchaseId>) -> Result<(), WorldError> {
            unreachable!("nothing is bought here")
        }

        async fn carry(
            &self,
            _: Option<&HandsetMessage>,
            _: &[(Timestamp, AirPayload)],
            _: Option<std::time::Instant>,
        ) -> Result<(), WorldError> {
            unreachable!("nothing is sent here")
        }
    }

    fn anywhere(country: &str, limit: usize) -> NumberSearch {
        let country = Country::parse(country).unwrap();
        NumberSearch { country, area_code: None, city: None, region: None, postal_code: None, limit }
    }

    async fn found(world: &Sold, query: &NumberSearch) -> Vec<String> {
        search(world, query).await.unwrap().into_iter().map(|offer| offer.phone_number.to_string()).collect()
    }

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn every_row_of_the_tables_is_on_offer() {
        let rows = |text: &str| text.lines().count() - 1;
        let rows = rows(include_str!("area_codes.csv")) + rows(include_str!("foreign_numbers.csv"));
        assert_eq!(RANGES.len(), rows);
        for range in RANGES.iter() {
            assert!(range.offer(0).is_some() && range.offer(range.count).is_none(), "+{}", range.first);
            let last = E164::parse(&format!("+{}", range.first + range.count - 1));
            assert!(last.is_ok(), "+{} and {} more", range.first, range.count - 1);
        }
    }

    #[tokio::test]
    async fn an_area_code_has_its_hundred_numbers_less_those_that_fail() {
        let query = NumberSearch { area_code: Some("415".to_owned()), ..anywhere("US", 200) };
        let all = found(&Sold::default(), &query).await;
        assert_eq!(all.len(), 97);
        assert_eq!((all[0].as_str(), all[96].as_str()), ("+14155550100", "+14155550199"));
        for failing in ["+14155550196", "+14155550197", "+14155550198"] {
            assert!(!all.contains(&failing.to_owned()), "{failing}");
        }
    }

    #[tokio::test]
    async fn what_is_sold_is_not_offered() {
        let world = Sold::default();
        let query = NumberSearch { area_code: Some("415".to_owned()), ..anywhere("US", 1) };
        assert_eq!(found(&world, &query).await, ["+14155550100"]);
        world.0.lock().unwrap().push(number("+14155550100"));
        assert_eq!(found(&world, &query).await, ["+14155550101"]);
        world.0.lock().unwrap().extend((100..200).map(|n| number(&format!("+14155550{n}"))));
        assert_eq!(found(&world, &query).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_country_is_offered_place_by_place() {
        let offers = search(&Sold::default(), &anywhere("US", 50)).await.unwrap();
        let codes: HashSet<_> = offers.iter().map(|offer| offer.area_code.clone()).collect();
        assert_eq!(codes.len(), 50);
        let british = found(&Sold::default(), &anywhere("GB", 5)).await;
        assert!(british.len() == 5 && british.iter().all(|number| number.starts_with("+44")), "{british:?}");
        assert_eq!(found(&Sold::default(), &anywhere("JP", 5)).await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn places_are_found_by_city_state_and_postal_code() {
        let city = NumberSearch { city: Some("san francisco".to_owned()), ..anywhere("US", 2) };
        assert_eq!(found(&Sold::default(), &city).await, ["+14155550100", "+16285550100"]);
        let near = NumberSearch { postal_code: Some("94110".to_owned()), ..anywhere("US", 2) };
        assert_eq!(found(&Sold::default(), &near).await, ["+14155550100", "+16285550100"]);
        let state = NumberSearch { region: Some("hi".to_owned()), ..anywhere("US", 2) };
        assert_eq!(found(&Sold::default(), &state).await, ["+18085550100", "+18085550101"]);
        let nowhere = NumberSearch { region: Some("HI".to_owned()), ..city };
        assert_eq!(found(&Sold::default(), &nowhere).await, Vec::<String>::new());
        let vague = NumberSearch { postal_code: Some("9é".to_owned()), ..anywhere("US", 2) };
        assert_eq!(found(&Sold::default(), &vague).await, Vec::<String>::new());
    }

    #[test]
    fn only_numbers_of_the_inventory_can_be_bought() {
        assert_eq!(sale_of(&number("+14155550199")), Sale::Plain);
        assert_eq!(sale_of(&number("+14155550196")), Sale::Fails);
        assert_eq!(sale_of(&number("+14155550197")), Sale::LostUnsold);
        assert_eq!(sale_of(&number("+14155550198")), Sale::LostSold);
        assert_eq!(sale_of(&number("+442079460198")), Sale::Plain);
        for other in ["+14155550200", "+14155550099", "+15005550006", "+18005550100"] {
            assert_eq!(sale_of(&number(other)), Sale::NotOurs, "{other}");
        }
    }
}
