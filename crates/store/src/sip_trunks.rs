//! SIP trunks of customers, and whether any of them changed.

use offhook_domain::TrunkId;
use offhook_domain::sip_trunk::{
    AllowedIp, OriginationUri, SipAddress, SipLogin, SipTrunk, TransferCallerId, Transfers,
};
use serde_json::{Value, json};

use crate::engine::{Row, Tx, params, statements};
use crate::error::StoreError;
use crate::scope::Scope;

/// What [`read`] reads.
macro_rules! select_trunks {
    () => {
        "SELECT id, account_id, name, transfers, transfer_caller_id, origination, allowed_ips, username, sealed_password,
            password_last4, created_at, updated_at FROM sip_trunks"
    };
}

statements! {
    INSERT = "INSERT INTO sip_trunks (id, account_id, name, transfers, transfer_caller_id, origination, allowed_ips, username,
        sealed_password, password_last4, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    GET = concat!(select_trunks!(), " WHERE account_id = $1 AND id = $2");
    LIST = concat!(select_trunks!(), " WHERE account_id = $1 ORDER BY id DESC");
    COUNT = "SELECT COUNT(*) FROM sip_trunks WHERE account_id = $1";
    LOCK = "UPDATE sip_trunks SET updated_at = updated_at WHERE account_id = $1 AND id = $2";
    UPDATE = "UPDATE sip_trunks SET name = $1, transfers = $2, transfer_caller_id = $3, origination = $4, allowed_ips = $5,
        username = $6, sealed_password = $7, password_last4 = $8, updated_at = $9 WHERE account_id = $10 AND id = $11";
    DELETE = "DELETE FROM sip_trunks WHERE account_id = $1 AND id = $2";
    // Those of closed accounts carry nothing more.
    ALL = concat!(select_trunks!(), " WHERE NOT EXISTS (SELECT 1 FROM accounts
        WHERE accounts.id = sip_trunks.account_id AND accounts.closed_at IS NOT NULL) ORDER BY id");
    TELL = "UPDATE sip_trunk_changes SET changes = changes + 1 WHERE only_one = 1";
    CHANGES = "SELECT changes FROM sip_trunk_changes WHERE only_one = 1";
}

impl Scope<'_> {
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_sip_trunk(&mut self, trunk: &SipTrunk) -> Result<(), StoreError> {
        let SipTrunk { id, name, transfers, transfer_caller_id, login, created_at, updated_at, .. } = trunk;
        let values = params![
            id,
            self.account,
            name,
            transfers.as_str(),
            transfer_caller_id.as_str(),
            &origination_text(trunk),
            &networks_text(trunk),
            &login.username,
            &login.sealed_password,
            &login.password_last4,
            *created_at,
            *updated_at
        ];
        self.tx.run(INSERT, values).await?;
        self.tx.run(TELL, []).await
    }

    /// # Errors
    /// [`StoreError`].
    pub async fn sip_trunk(&mut self, id: &TrunkId) -> Result<Option<SipTrunk>, StoreError> {
        self.tx.row(GET, params![self.account, id]).await?.map(read).transpose()
    }

    /// A trunk that this transaction is about to change: whoever else is about to, waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sip_trunk_to_change(&mut self, id: &TrunkId) -> Result<Option<SipTrunk>, StoreError> {
        self.tx.run(LOCK, params![self.account, id]).await?;
        self.sip_trunk(id).await
    }

    /// The newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sip_trunks(&mut self) -> Result<Vec<SipTrunk>, StoreError> {
        self.tx.rows(LIST, params![self.account]).await?.into_iter().map(read).collect()
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_sip_trunks(&mut self) -> Result<i64, StoreError> {
        self.tx.one(COUNT, params![self.account]).await?.take()
    }

    /// Keeps a changed trunk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn update_sip_trunk(&mut self, trunk: &SipTrunk) -> Result<(), StoreError> {
        let SipTrunk { id, name, transfers, transfer_caller_id, login, updated_at, .. } = trunk;
        let values = params![
            name,
            transfers.as_str(),
            transfer_caller_id.as_str(),
            &origination_text(trunk),
            &networks_text(trunk),
            &login.username,
            &login.sealed_password,
            &login.password_last4,
            *updated_at,
            self.account,
            id
        ];
        self.tx.run(UPDATE, values).await?;
        self.tx.run(TELL, []).await
    }

    /// Whether there was such a trunk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_sip_trunk(&mut self, id: &TrunkId) -> Result<bool, StoreError> {
        let was_there = self.tx.change(DELETE, params![self.account, id]).await? == 1;
        self.tx.run(TELL, []).await?;
        Ok(was_there)
    }
}

impl Tx {
    /// Those of all open accounts, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all_sip_trunks(&mut self) -> Result<Vec<SipTrunk>, StoreError> {
        self.rows(ALL, []).await?.into_iter().map(read).collect()
    }

    /// A number that grows with every change of any trunk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sip_trunk_changes(&mut self) -> Result<i64, StoreError> {
        self.one(CHANGES, []).await?.take()
    }
}

fn origination_text(trunk: &SipTrunk) -> String {
    let kept = |one: &OriginationUri| json!({"uri": one.sip_uri.as_str(), "name": one.name, "priority": one.priority, "weight": one.weight});
    Value::Array(trunk.origination.iter().map(kept).collect()).to_string()
}

fn networks_text(trunk: &SipTrunk) -> String {
    let kept = |one: &AllowedIp| json!({"cidr": one.cidr.to_string(), "name": one.name});
    Value::Array(trunk.allowed_ips.iter().map(kept).collect()).to_string()
}

fn read(mut row: Row) -> Result<SipTrunk, StoreError> {
    let (id, account_id, name) = (row.take()?, row.take()?, row.take()?);
    let (transfers, caller_id): (String, String) = (row.take()?, row.take()?);
    let (origination, networks): (Value, Value) = (row.take()?, row.take()?);
    Ok(SipTrunk {
        id,
        account_id,
        name,
        transfers: Transfers::parse(&transfers).ok_or_else(|| corrupt("transfers", &transfers))?,
        transfer_caller_id: TransferCallerId::parse(&caller_id).ok_or_else(|| corrupt("caller id", &caller_id))?,
        origination: each(&origination, read_uri)?,
        allowed_ips: each(&networks, read_network)?,
        login: SipLogin { username: row.take()?, sealed_password: row.take()?, password_last4: row.take()? },
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}

fn each<T>(list: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let items = list.as_array().map(|items| items.iter().map(read).collect::<Option<Vec<T>>>());
    items.flatten().ok_or_else(|| corrupt("addresses", &list.to_string()))
}

fn read_uri(kept: &Value) -> Option<OriginationUri> {
    Some(OriginationUri {
        sip_uri: SipAddress::parse(kept["uri"].as_str()?).ok()?,
        name: kept["name"].as_str().map(str::to_owned),
        priority: kept["priority"].as_u64()?.try_into().ok()?,
        weight: kept["weight"].as_u64()?.try_into().ok()?,
    })
}

fn read_network(kept: &Value) -> Option<AllowedIp> {
    let name = kept["name"].as_str().map(str::to_owned);
    Some(AllowedIp { cidr: kept["cidr"].as_str()?.parse().ok()?, name })
}

fn corrupt(what: &str, found: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} of a SIP trunk: {found}"))
}
