//! Numbers that the operator brought along, and carriers that are drained. They belong to no account: a number in stock is
//! nobody's yet.

use offhook_domain::{Country, E164, PurchaseId, Timestamp};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;

statements! {
    IMPORT = "INSERT INTO inventory (phone_number, carrier, country, area_code, city, region, postal_code, rate_center, sold)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)
        ON CONFLICT (phone_number) DO UPDATE SET country = excluded.country, area_code = excluded.area_code,
            city = excluded.city, region = excluded.region, postal_code = excluded.postal_code,
            rate_center = excluded.rate_center
        WHERE inventory.carrier = excluded.carrier";
    IN_STOCK = "SELECT phone_number, carrier, country, city, region, postal_code, rate_center FROM inventory
        WHERE carrier = $1 AND country = $2 AND sold = 0
        AND ($3 = '' OR LOWER(city) = LOWER($3)) AND ($4 = '' OR UPPER(region) = UPPER($4))
        AND ($5 = '' OR postal_code = $5)
        ORDER BY area_code, phone_number LIMIT $6";
    IN_AREA = "SELECT phone_number, carrier, country, city, region, postal_code, rate_center FROM inventory
        WHERE carrier = $1 AND country = $2 AND sold = 0 AND area_code = $3
        AND ($4 = '' OR LOWER(city) = LOWER($4)) AND ($5 = '' OR UPPER(region) = UPPER($5))
        AND ($6 = '' OR postal_code = $6)
        ORDER BY phone_number LIMIT $7";
    SELL = "UPDATE inventory SET sold = 1, reference = $1, sold_at = $2
        WHERE phone_number = $3 AND carrier = $4 AND sold = 0";
    SOLD_TO = "SELECT 1 FROM inventory WHERE phone_number = $1 AND carrier = $2 AND reference = $3";
    SOLD_UNDER = "SELECT phone_number FROM inventory WHERE reference = $1 AND carrier = $2";
    TAKE_BACK = "UPDATE inventory SET sold = 0, reference = NULL, sold_at = NULL WHERE phone_number = $1 AND carrier = $2";
    TAKE_BACK_SALE = "UPDATE inventory SET sold = 0, reference = NULL, sold_at = NULL
        WHERE phone_number = $1 AND carrier = $2 AND reference = $3";
    COUNT = "SELECT COUNT(*), CAST(COALESCE(SUM(sold), 0) AS BIGINT) FROM inventory WHERE carrier = $1";
    DRAIN = "INSERT INTO carrier_drains (carrier, drained_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    RESUME = "DELETE FROM carrier_drains WHERE carrier = $1";
    IS_DRAINED = "SELECT 1 FROM carrier_drains WHERE carrier = $1";
}

/// A number in stock, or to be taken into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockNumber {
    pub phone_number: E164,
    pub carrier: String,
    pub country: Country,
    pub city: Option<String>,
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub rate_center: Option<String>,
}

/// What is looked for in stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockSearch {
    pub carrier: String,
    pub country: Country,
    pub area_code: Option<String>,
    pub city: Option<String>,
    pub region: Option<String>,
    pub postal_code: Option<String>,
    pub limit: i64,
}

impl Tx {
    /// Takes a number into stock, or learns where it is; false where it is in another carrier's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn import_number(&mut self, number: &StockNumber) -> Result<bool, StoreError> {
        let StockNumber { phone_number, carrier, country, city, region, postal_code, rate_center } = number;
        let area_code = phone_number.area_code().unwrap_or_default();
        let values = params![
            phone_number,
            carrier,
            *country,
            area_code,
            city.as_ref(),
            region.as_ref(),
            postal_code.as_ref(),
            rate_center.as_ref()
        ];
        Ok(self.change(IMPORT, values).await? == 1)
    }

    /// Numbers that are not sold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stock(&mut self, search: &StockSearch) -> Result<Vec<StockNumber>, StoreError> {
        let StockSearch { carrier, country, area_code, city, region, postal_code, limit } = search;
        let [city, region, postal_code] = [city, region, postal_code].map(|one| one.as_deref().unwrap_or_default());
        let rows = match area_code {
            Some(code) => {
                self.rows(IN_AREA, params![carrier, *country, code, city, region, postal_code, *limit]).await?
            }
            None => self.rows(IN_STOCK, params![carrier, *country, city, region, postal_code, *limit]).await?,
        };
        rows.into_iter().map(read).collect()
    }

    /// Sells a number; false where it is not in stock. Again under the same reference: true.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sell_stock(
        &mut self,
        carrier: &str,
        number: &E164,
        reference: &PurchaseId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.change(SELL, params![reference, at, number, carrier]).await? == 1 {
            return Ok(true);
        }
        Ok(self.row(SOLD_TO, params![number, carrier, reference]).await?.is_some())
    }

    /// What was sold under a reference.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stock_sold_under(
        &mut self,
        carrier: &str,
        reference: &PurchaseId,
    ) -> Result<Option<E164>, StoreError> {
        self.row(SOLD_UNDER, params![reference, carrier]).await?.map(|mut row| row.take()).transpose()
    }

    /// Takes a number back, where it was sold under `reference` if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_back_stock(
        &mut self,
        carrier: &str,
        number: &E164,
        reference: Option<&PurchaseId>,
    ) -> Result<(), StoreError> {
        match reference {
            Some(reference) => self.run(TAKE_BACK_SALE, params![number, carrier, reference]).await,
            None => self.run(TAKE_BACK, params![number, carrier]).await,
        }
    }

    /// How many numbers a carrier has in all, and how many of them are sold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_stock(&mut self, carrier: &str) -> Result<(i64, i64), StoreError> {
        let mut row = self.one(COUNT, params![carrier]).await?;
        Ok((row.take()?, row.take()?))
    }

    /// Has nothing more bought from a carrier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drain_carrier(&mut self, carrier: &str, at: Timestamp) -> Result<(), StoreError> {
        self.run(DRAIN, params![carrier, at]).await
    }

    /// Has things bought from a carrier again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resume_carrier(&mut self, carrier: &str) -> Result<(), StoreError> {
        self.run(RESUME, params![carrier]).await
    }

    /// Whether nothing more is to be bought from a carrier.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_drained(&mut self, carrier: &str) -> Result<bool, StoreError> {
        Ok(self.row(IS_DRAINED, params![carrier]).await?.is_some())
    }
}

fn read(mut row: Row) -> Result<StockNumber, StoreError> {
    Ok(StockNumber {
        phone_number: row.take()?,
        carrier: row.take()?,
        country: row.take()?,
        city: row.take()?,
        region: row.take()?,
        postal_code: row.take()?,
        rate_center: row.take()?,
    })
}
