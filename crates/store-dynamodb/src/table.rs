//! The table itself.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType, TableDescription,
    TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use beadle_engine::StoreError;

use crate::DynamoStore;
use crate::items::{failed, unavailable};

/// A table that is not there after so many seconds is not waited for.
const PATIENCE: u32 = 300;

/// Whether a table has our keys and our index: nothing is changed of anybody else's.
fn is_ours(table: &TableDescription) -> bool {
    let keys: Vec<&str> = table.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    keys == ["pk", "sk"]
        && table.global_secondary_indexes().iter().any(|index| index.index_name() == Some("ordered"))
}

impl DynamoStore {
    /// Makes the table, where there is none, waits until it can be used, and lets its items expire.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        const DOING: &str = "making the table";
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
        let mut asked = self.client.create_table().table_name(&self.table);
        asked = asked.billing_mode(BillingMode::PayPerRequest).global_secondary_indexes(index);
        for name in ["pk", "sk", "g", "gs"] {
            asked = asked.attribute_definitions(attribute(name)?);
        }
        asked = asked.key_schema(key("pk", KeyType::Hash)?).key_schema(key("sk", KeyType::Range)?);
        match asked.send().await {
            Err(error)
                if !error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) =>
            {
                return Err(failed(DOING)(error));
            }
            // It is there already, or is being made.
            _ => {}
        }
        self.until_active(DOING).await?;
        self.expire(DOING).await
    }

    /// What was just made is not described at once.
    async fn until_active(&self, doing: &'static str) -> Result<(), StoreError> {
        for _ in 0..PATIENCE {
            match self.client.describe_table().table_name(&self.table).send().await {
                Ok(described) => {
                    let table = described.table.unwrap_or_else(|| TableDescription::builder().build());
                    if !is_ours(&table) {
                        let why = format!("{} is there, and is no table of Beadle's", self.table);
                        return Err(StoreError::Unavailable { doing, why });
                    }
                    if table.table_status == Some(TableStatus::Active) {
                        return Ok(());
                    }
                }
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(DescribeTableError::is_resource_not_found_exception) => {}
                Err(error) => return Err(failed(doing)(error)),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let why = format!("{} is not ready after {PATIENCE} s", self.table);
        Err(StoreError::Unavailable { doing, why })
    }

    async fn expire(&self, doing: &'static str) -> Result<(), StoreError> {
        let asked = self.client.describe_time_to_live().table_name(&self.table);
        let described = asked.send().await.map_err(failed(doing))?;
        let status = described.time_to_live_description.and_then(|described| described.time_to_live_status);
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return Ok(());
        }
        let expiry = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build();
        let expiry = expiry.map_err(|error| unavailable(doing, &error))?;
        let asked = self.client.update_time_to_live().table_name(&self.table);
        asked.time_to_live_specification(expiry).send().await.map(drop).map_err(failed(doing))
    }

    /// Lets the table be restored to any moment of the last 35 days.
    pub async fn protect(&self) -> Result<(), StoreError> {
        const DOING: &str = "switching on point-in-time recovery";
        let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let wanted = wanted.map_err(|error| unavailable(DOING, &error))?;
        let asked = self.client.update_continuous_backups().table_name(&self.table);
        asked.point_in_time_recovery_specification(wanted).send().await.map(drop).map_err(failed(DOING))
    }
}
