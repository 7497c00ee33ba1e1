//! The table itself.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use beadle_engine::StoreError;

use crate::DynamoStore;
use crate::items::{failed, unavailable};

impl DynamoStore {
    /// Makes the table: where no template does, for tests and for trying it out.
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
        let expiry = TimeToLiveSpecification::builder().attribute_name("gone").enabled(true).build();
        let expiry = expiry.map_err(|error| unavailable(DOING, &error))?;
        let asked = self.client.update_time_to_live().table_name(&self.table);
        asked.time_to_live_specification(expiry).send().await.map(drop).map_err(failed(DOING))
    }
}
