//! TLS for connections to the server.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Returns the connector that checks the server's certificate and name. `authorities` is a file
/// with certificates in the PEM format. Without this file, the connector trusts the authorities of
/// the system.
pub(crate) fn connector(authorities: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    // If another crate enables a second provider of cryptography, rustls has no default provider.
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match authorities {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder.with_platform_verifier().map_err(|error| error.to_string())?,
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

/// Reads the certificates of a file.
fn roots(path: &Path) -> Result<RootCertStore, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| named(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| named(error.to_string()))?;
        roots.add(certificate).map_err(|error| named(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(named("the file contains no certificate".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let missing = Path::new("/nonexistent/ca.pem");
        let empty = Path::new("/dev/null");
        for (path, expected) in [(missing, "/nonexistent/ca.pem"), (empty, "no certificate")] {
            let why = connector(Some(path)).err().unwrap();
            assert!(why.contains(expected), "{why}");
        }
    }
}
