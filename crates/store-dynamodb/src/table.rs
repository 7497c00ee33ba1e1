//! Creates the table in DynamoDB, and enables the expiry of items and the backups of the table.

use std::time::Duration;

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::update_continuous_backups::UpdateContinuousBackupsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType, TableDescription,
    TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use beadle_engine::StoreError;

use crate::DynamoStore;
use crate::items::{failed, unavailable};

/// How long [`DynamoStore::create_table`] waits until the new table can be used, in seconds.
const PATIENCE: u32 = 300;

/// Returns whether a table has the keys and the index of a Beadle table. Beadle never changes
/// another table.
fn is_ours(table: &TableDescription) -> bool {
    let keys: Vec<&str> = table.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    keys == ["pk", "sk"]
        && table.global_secondary_indexes().iter().any(|index| index.index_name() == Some("ordered"))
}

impl DynamoStore {
    /// Creates the table if it does not exist, and waits until the table can be used.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        const DOING: &str = "creating the table";
        let attribute = |name: &str| {
            let built = AttributeDefinition::builder().attribute_name(name);
            built.attribute_type(ScalarAttributeType::S).build().map_err(|error| unavailable(DOING, &error))
        };
        let key = |name: &str, kind: KeyType| {
            let built = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            built.map_err(|error| unavailable(DOING, &error))
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name("ordered")
            .key_schema(key("g", KeyType::Hash)?)
            .key_schema(key("gs", KeyType::Range)?)
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .map_err(|error| unavailable(DOING, &error))?;
        if self.status(DOING).await?.is_some() {
            return self.until_active(DOING).await;
        }
        let mut asked = self.client.create_table().table_name(&self.table);
        asked = asked.billing_mode(BillingMode::PayPerRequest).global_secondary_indexes(index);
        for name in ["pk", "sk", "g", "gs"] {
            asked = asked.attribute_definitions(attribute(name)?);
        }
        asked = asked.key_schema(key("pk", KeyType::Hash)?).key_schema(key("sk", KeyType::Range)?);
        asked.send().await.map_err(failed(DOING))?;
        self.until_active(DOING).await
    }

    /// Returns the status of the table. Returns `None` if the table does not exist, or if DynamoDB
    /// does not report a status yet.
    async fn status(&self, doing: &'static str) -> Result<Option<TableStatus>, StoreError> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(described) => {
                let table = described.table.unwrap_or_else(|| TableDescription::builder().build());
                if !is_ours(&table) {
                    let why = format!("the table {} exists, and is not a table of Beadle", self.table);
                    return Err(StoreError::Unavailable { doing, why });
                }
                Ok(table.table_status)
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(doing)(error)),
        }
    }

    async fn until_active(&self, doing: &'static str) -> Result<(), StoreError> {
        for _ in 0..PATIENCE {
            if self.status(doing).await? == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let why = format!("{} is not ready after {PATIENCE} s", self.table);
        Err(StoreError::Unavailable { doing, why })
    }

    /// Enables the automatic deletion of expired items, if it is not enabled yet.
    pub async fn expire(&self) -> Result<(), StoreError> {
        const DOING: &str = "enabling the expiry of items";
        let asked = self.client.describe_time_to_live().table_name(&self.table);
        let described = asked.send().await.map_err(failed(DOING))?;
        let status = described.time_to_live_description.and_then(|described| described.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let expiry = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build();
        let expiry = expiry.map_err(|error| unavailable(DOING, &error))?;
        let asked = self.client.update_time_to_live().table_name(&self.table);
        asked.time_to_live_specification(expiry).send().await.map(drop).map_err(failed(DOING))
    }

    /// Enables point-in-time recovery, so that the table can be restored to any moment of the last
    /// 35 days.
    pub async fn protect(&self) -> Result<(), StoreError> {
        const DOING: &str = "enabling point-in-time recovery";
        let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let wanted = wanted.map_err(|error| unavailable(DOING, &error))?;
        let asked = self.client.update_continuous_backups().table_name(&self.table);
        let asked = asked.point_in_time_recovery_specification(wanted);
        let mut tries = 0;
        loop {
            tries += 1;
            match asked.clone().send().await {
                // DynamoDB needs a moment before it allows this setting for a new table.
                Err(error)
                    if tries < 60
                        && error.as_service_error().is_some_and(
                            UpdateContinuousBackupsError::is_continuous_backups_unavailable_exception,
                        ) =>
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                sent => return sent.map(drop).map_err(failed(DOING)),
            }
        }
    }
}
