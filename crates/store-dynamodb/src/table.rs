//! The table itself.

use std::time::Duration;

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};
use beadle_engine::StoreError;

use crate::DynamoStore;
use crate::items::{failed, unavailable};

impl DynamoStore {
    /// Whether the table is there.
    pub async fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.state().await?.is_some())
    }

    async fn state(&self) -> Result<Option<TableStatus>, StoreError> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(described) => Ok(described.table.and_then(|table| table.table_status)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("looking at the table")(error)),
        }
    }

    /// Makes the table, where no template does, and waits until it can be used.
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
        asked.send().await.map_err(failed(DOING))?;
        while self.state().await? == Some(TableStatus::Creating) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let expiry = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build();
        let expiry = expiry.map_err(|error| unavailable(DOING, &error))?;
        let asked = self.client.update_time_to_live().table_name(&self.table);
        asked.time_to_live_specification(expiry).send().await.map(drop).map_err(failed(DOING))
    }
}
