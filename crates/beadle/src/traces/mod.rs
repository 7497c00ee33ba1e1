//! Exports traces with OpenTelemetry, in the format OTLP over HTTP.

mod export;
mod recorder;

use anyhow::Context as _;
use beadle_config::TracesFile;
use beadle_engine::{Clock, trace};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _};

use self::export::{Export, LIMIT};
use self::recorder::OtelRecorder;

/// The name of the service in traces, if no variable of OpenTelemetry sets it.
const SERVICE: &str = "beadle";
/// The beginning of the SDK's default name for a service. The SDK uses this name if no variable
/// sets a name.
const UNNAMED: &str = "unknown_service";

/// Begins to record and export traces. If the configuration does not set a value, the environment
/// variables of OpenTelemetry can set it. These variables can set the endpoint, further headers,
/// the sampler and the resource.
pub(crate) fn start(file: &TracesFile, clock: &Clock) -> anyhow::Result<Export> {
    // The headers might contain a token. A redirect could send the headers to another server.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
        .build()
        .context("cannot create the HTTP client for traces")?;
    let mut exporter =
        SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
    if let Some(endpoint) = &file.endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    let mut exporter = exporter.build().context("cannot export traces")?;
    let resource = resource();
    exporter.set_resource(&resource);
    let (queue, export) = Export::begin(exporter, clock.clone());
    let mut provider = SdkTracerProvider::builder().with_span_processor(queue).with_resource(resource);
    if let Some(ratio) = file.ratio {
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)));
        provider = provider.with_sampler(sampler);
    }
    let scope = InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION")).build();
    let tracer = provider.build().tracer_with_scope(scope);
    if !trace::install(Box::new(OtelRecorder { tracer })) {
        tracing::debug!("traces are already recorded");
    }
    Ok(export)
}

/// Returns the description of this program in traces.
fn resource() -> Resource {
    let name = Resource::builder().build().get(&Key::from_static_str("service.name"));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with(UNNAMED));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    let builder = if is_named { builder } else { builder.with_service_name(SERVICE) };
    builder.build()
}
